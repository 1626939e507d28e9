use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::optim::grad_clipping::GradientClipping;
use burn::tensor::Tensor;

/// Clips each component of a model's gradient to ± `limit`.
pub(super) fn clip<M: Module>(model: &M, gradients: &mut GradientsParams, limit: f32) {
    model.visit(&mut Clip {
        clipping: GradientClipping::Value(limit),
        gradients,
    });
}

struct Clip<'a> {
    clipping: GradientClipping,
    gradients: &'a mut GradientsParams,
}

impl ModuleVisitor for Clip<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let clipped = self.clipping.clip_gradient(gradient);
            self.gradients.register::<D>(param.id, clipped);
        }
    }
}
