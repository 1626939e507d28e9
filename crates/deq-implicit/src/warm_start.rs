use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

/// The adjoint of the last backward pass, from which the next adjoint solve starts.
///
/// For training on the same samples step after step (a whole picture, one graph), where the
/// adjoint changes as little as the weights do. Lend it to every call
/// ([`CallOptions::adjoint_memory`](crate::CallOptions::adjoint_memory)); clones share it. An adjoint
/// of another shape than the call's, as after a change of batch, is not used: that solve starts from
/// zero.
#[derive(Clone, Debug, Default)]
pub struct AdjointMemory(Arc<Mutex<Option<Tensor<2>>>>);

impl AdjointMemory {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the adjoint, as a change of data asks for.
    pub fn clear(&self) {
        self.replace(None);
    }

    /// Where an adjoint solve for this loss gradient starts.
    pub(crate) fn start(&self, gradient: &Tensor<2>) -> Tensor<2> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |adjoint: &&Tensor<2>| {
            adjoint.dims() == gradient.dims() && adjoint.device() == gradient.device()
        };
        match memory.as_ref().filter(fits) {
            Some(adjoint) => adjoint.clone(),
            None => gradient.zeros_like(),
        }
    }

    pub(crate) fn replace(&self, adjoint: Option<Tensor<2>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = adjoint;
    }
}
