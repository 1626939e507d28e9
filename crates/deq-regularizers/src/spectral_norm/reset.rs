use burn::module::{ModuleMapper, Param};
use burn::tensor::Tensor;

use super::Settings;
use super::power::power_iterations;
use crate::attach::matrix;

/// Makes the power iterations of every spectral norm that it is mapped over.
#[derive(Default)]
pub(crate) struct Reset {
    /// Field name of each level, and the settings where it belongs to a spectral norm.
    path: Vec<(String, Option<Settings>)>,
    /// The last parameter outside spectral norms. burn maps a weight before its norm.
    base: Option<Base>,
    /// The other vector of the norm whose `u` has just been mapped.
    v: Option<Tensor<1>>,
}

/// A weight of any rank: whether it is in training, and its matrix by the axis of its channels.
struct Base {
    in_training: bool,
    matrix: Box<dyn Fn(usize) -> Tensor<2>>,
}

impl Base {
    fn new<const D: usize>(param: &Param<Tensor<D>>) -> Self {
        let param = param.clone();
        Self {
            in_training: param.lazy_device().is_autodiff(),
            // `detach` keeps a leaf's gradient.
            matrix: Box::new(move |axis| matrix(param.base().set_require_grad(false), axis)),
        }
    }
}

impl ModuleMapper for Reset {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        let settings = Settings::parse(container_type);
        self.path.push((name.to_owned(), settings));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((name, Some(settings))) = self.path.last() else {
            self.base = Some(Base::new(&param));
            return param;
        };
        let moved = match (name.as_str(), &self.base) {
            ("u", Some(base)) if base.in_training => {
                let matrix = (base.matrix)(settings.axis);
                let u = param.base().set_require_grad(false);
                let u = u.reshape([matrix.dims()[0]]);
                let (u, v) = power_iterations(&matrix, u, settings.iterations);
                self.v = Some(v);
                Some(u)
            }
            ("v", _) => self.v.take(),
            _ => None,
        };
        match moved {
            Some(vector) => param.map(|old| vector.reshape(old.dims())),
            None => param,
        }
    }
}
