use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// How many numbers of a module an optimiser moves. [`Module::num_params`] counts the running
/// statistics of batch norms as well.
pub fn parameters<M: Module>(module: &M) -> usize {
    let mut counter = Counter::default();
    module.visit(&mut counter);
    counter.count
}

#[derive(Default)]
struct Counter {
    count: usize,
    in_buffer: bool,
}

impl ModuleVisitor for Counter {
    /// burn's own batch norm has the name of ours.
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.in_buffer = container_type == "Struct:BatchNorm" && name.starts_with("running_");
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.in_buffer = false;
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.in_buffer {
            self.count += param.lazy_shape().num_elements();
        }
    }
}
