use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use crate::names::Path;
use crate::{StateDict, owned};

/// The gradient of every parameter of `module`, in PyTorch's names and layouts.
///
/// `named_as` decides between the names a parameter may have in PyTorch (`weight` or, under weight
/// norm, `weight_v`): usually the dict the module was loaded from. Parameters without a gradient
/// are left out.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients, named_as: &StateDict) -> StateDict {
    let mut collector = Collector {
        gradients,
        named_as,
        path: Path::default(),
        found: StateDict::new(),
    };
    module.visit(&mut collector);
    collector.found
}

struct Collector<'a> {
    gradients: &'a Gradients,
    named_as: &'a StateDict,
    path: Path,
    found: StateDict,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let candidates = self.path.candidates();
        let Some(name) = candidates
            .into_iter()
            .find(|name| self.named_as.get(name).is_some())
        else {
            return;
        };
        let Some(gradient) = param.base().grad(self.gradients) else {
            return;
        };
        let gradient = if self.path.is_linear_weight() {
            gradient.swap_dims(0, 1)
        } else {
            gradient
        };
        self.found.insert(name, owned(&gradient.into_data()));
    }
}
