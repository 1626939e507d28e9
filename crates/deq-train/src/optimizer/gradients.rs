//! Gradients of a module, taken together.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, FloatDType, Tensor};

/// Adds `new` to `sum`, parameter by parameter.
pub(crate) fn add<M: Module>(module: &M, sum: &mut GradientsParams, new: GradientsParams) {
    module.visit(&mut Add { sum, new });
}

struct Add<'a> {
    sum: &'a mut GradientsParams,
    new: GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(new) = self.new.remove::<D>(param.id) else {
            return;
        };
        let sum = match self.sum.remove::<D>(param.id) {
            Some(sum) => sum + new,
            None => new,
        };
        self.sum.register::<D>(param.id, sum);
    }
}

/// The norm of the whole gradient: $\sqrt{\sum_i \lVert g_i \rVert^2}$ over all parameters $i$.
/// Summed on the device, in `f32` at least, and read once.
pub(crate) fn norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = Squares {
        gradients,
        sums: Vec::new(),
    };
    module.visit(&mut squares);
    let sums = squares.sums.into_iter().map(|sum| sum.into_scalar::<f64>());
    sums.sum::<f64>().sqrt()
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    /// One for each type and device among the parameters: nearly always one.
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        let gradient = match gradient.dtype() {
            DType::F16 | DType::BF16 => gradient.cast(FloatDType::F32),
            _ => gradient,
        };
        let sum = gradient.square().sum();
        let same =
            |other: &&mut Tensor<1>| other.dtype() == sum.dtype() && other.device() == sum.device();
        match self.sums.iter_mut().find(same) {
            Some(total) => *total = total.clone() + sum,
            None => self.sums.push(sum),
        }
    }
}

/// Multiplies every gradient by `factor`.
pub(crate) fn scale<M: Module>(module: &M, gradients: &mut GradientsParams, factor: f64) {
    module.visit(&mut Scale { gradients, factor });
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let scaled = gradient.mul_scalar(self.factor);
            self.gradients.register::<D>(param.id, scaled);
        }
    }
}
