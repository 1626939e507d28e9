use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// How many numbers of a module are trained: no running statistics, vectors of spectral norms or
/// frozen parameters, which [`Module::num_params`] counts as well.
pub fn parameters<M: Module>(module: &M) -> usize {
    let mut trained = Trained::default();
    // Only on an autodiff device do tensors tell whether they are.
    module.valid().train().visit(&mut trained);
    trained.count
}

#[derive(Default)]
struct Trained {
    count: usize,
}

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if value.is_require_grad() {
            self.count += value.shape().num_elements();
        }
    }
}
