use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use deq_import::{StateDict, owned};

/// What our model computed from a fixture's inputs, under the fixture's names.
#[derive(Clone, Debug, Default)]
pub struct Results {
    tensors: BTreeMap<String, TensorData>,
}

impl Results {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a result under its full name, such as `expect.z` or `grad.input.x`.
    pub fn insert<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        self.insert_data(name, owned(&tensor.into_data()));
    }

    /// Adds a result that is already on the host.
    pub fn insert_data(&mut self, name: impl Into<String>, data: TensorData) {
        self.tensors.insert(name.into(), data);
    }

    /// Adds parameter gradients, each as `grad.<name>`.
    pub fn insert_gradients(&mut self, gradients: &StateDict) {
        for (name, data) in gradients.iter() {
            self.insert_data(format!("grad.{name}"), data.clone());
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&TensorData> {
        self.tensors.get(name)
    }
}
