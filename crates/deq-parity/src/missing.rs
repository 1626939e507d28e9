use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

/// The names of a module's parameters that have no gradient, or one that is not finite. Running
/// statistics are passed over. A model that is differentiated as it should has none.
pub fn without_gradient<M: Module>(module: &M, gradients: &Gradients) -> Vec<String> {
    let mut visitor = WithoutGradient {
        gradients,
        path: Vec::new(),
        found: Vec::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

struct WithoutGradient<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for WithoutGradient<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        if name.contains("running_") {
            return;
        }
        let is_finite = |gradient: Tensor<D>| {
            let gradient = gradient.into_data();
            gradient.iter::<f64>().all(f64::is_finite)
        };
        if !param.base().grad(self.gradients).is_some_and(is_finite) {
            self.found.push(name);
        }
    }
}
