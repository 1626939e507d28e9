//! The autodiff node: an identity whose backward pass is ours.
//!
//! burn allows an inner `backward()` inside a backward step, so implicit differentiation is one
//! node that replaces the incoming gradient $g$ by the solution of $u = g + J^\top u$. The op is
//! an identity on every backend; its implementation for `Autodiff` serves all of them, by way of
//! dispatch tensors on the inner device.

#![allow(
    deprecated,
    reason = "ndarray is deprecated upstream in burn 0.22 and stays offered until 0.23 removes it"
)]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchKindConversion, DispatchTensor,
    backend_extension,
};
use burn::tensor::Tensor;

/// What replaces the gradient, on plain tensors.
#[derive(Clone)]
pub(crate) struct BackwardHook(Arc<Mutex<dyn FnMut(DispatchTensor) -> DispatchTensor + Send>>);

impl fmt::Debug for BackwardHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackwardHook")
    }
}

/// Passes `tensor` through; in the backward pass its gradient becomes `hook(gradient)`.
///
/// `hook` must not hold tracked tensors: the outer backward pass holds its graph's lock.
pub(crate) fn replace_gradient(
    tensor: Tensor<2>,
    mut hook: impl FnMut(Tensor<2>) -> Tensor<2> + Send + 'static,
) -> Tensor<2> {
    let hook = move |gradient| hook(Tensor::from_dispatch(gradient)).into_dispatch();
    let hook = BackwardHook(Arc::new(Mutex::new(hook)));
    Tensor::from_dispatch(<Dispatch as HookBackend>::hook(
        tensor.into_dispatch(),
        hook,
    ))
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
trait HookBackend: Backend {
    fn hook(tensor: FloatTensor<Self>, hook: BackwardHook) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
impl HookBackend for burn::backend::Flex {
    fn hook(tensor: FloatTensor<Self>, _hook: BackwardHook) -> FloatTensor<Self> {
        tensor
    }
}

#[cfg(feature = "ndarray")]
impl HookBackend for burn::backend::NdArray {
    fn hook(tensor: FloatTensor<Self>, _hook: BackwardHook) -> FloatTensor<Self> {
        tensor
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl HookBackend for burn::backend::Cube {
    fn hook(tensor: FloatTensor<Self>, _hook: BackwardHook) -> FloatTensor<Self> {
        tensor
    }
}

impl<B, C> HookBackend for Autodiff<B, C>
where
    B: Backend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B>,
{
    fn hook(tensor: FloatTensor<Self>, hook: BackwardHook) -> FloatTensor<Self> {
        let (primitive, node) = tensor.into_parts();
        match HookStep.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(hook, primitive),
            OpsKind::UnTracked(prepared) => prepared.finish(primitive),
        }
    }
}

#[derive(Debug)]
struct HookStep;

impl<B> Backward<B, 1> for HookStep
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = BackwardHook;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let BackwardHook(hook) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            let gradient = BackendTensor::Float(gradient);
            let gradient = <DispatchTensor as DispatchKindConversion<B>>::from_backend(gradient);
            // A poisoned lock means that the hook panicked in an earlier backward pass; that
            // panic has been reported, and the hook keeps no state across calls.
            let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
            <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(hook(gradient))
                .expect("the hook returns a plain tensor on the gradient's own backend")
                .float()
        });
    }
}
