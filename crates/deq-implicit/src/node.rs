//! The autodiff nodes: identities whose backward pass is ours.
//!
//! burn allows an inner `backward()` inside a backward step, so implicit differentiation is one
//! node that replaces the incoming gradient $g$ by the solution of $u = g + J^\top u$. A second one
//! stands for a whole solve and hands gradients to what it started from. Both are identities on every
//! backend; their implementation for `Autodiff` serves all of them, by way of dispatch tensors on
//! the inner device.

#![allow(
    deprecated,
    reason = "ndarray is deprecated upstream in burn 0.22 and stays offered until 0.23 removes it"
)]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchKindConversion, DispatchTensor,
    backend_extension,
};
use burn::tensor::Tensor;

/// From the gradient of a node's output to those of its parents, on plain tensors.
#[derive(Clone)]
pub(crate) struct BackwardHook<const N: usize>(Arc<Mutex<HookFn<N>>>);

type HookFn<const N: usize> = dyn FnMut(DispatchTensor) -> [DispatchTensor; N] + Send;

impl<const N: usize> BackwardHook<N> {
    fn new(hook: impl FnMut(DispatchTensor) -> [DispatchTensor; N] + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(hook)))
    }
}

impl<const N: usize> fmt::Debug for BackwardHook<N> {
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
    let hook =
        BackwardHook::new(move |gradient| [hook(Tensor::from_dispatch(gradient)).into_dispatch()]);
    Tensor::from_dispatch(<Dispatch as HookBackend>::replace(
        tensor.into_dispatch(),
        hook,
    ))
}

/// Passes `value` through as what became of `start` and `arguments`; in the backward pass these
/// two get the gradients that `hook` makes of its own.
///
/// `hook` must not hold tracked tensors: the outer backward pass holds its graph's lock.
pub(crate) fn rejoin(
    value: Tensor<2>,
    start: Tensor<2>,
    arguments: Tensor<1>,
    mut hook: impl FnMut(Tensor<2>) -> (Tensor<2>, Tensor<1>) + Send + 'static,
) -> Tensor<2> {
    let hook = BackwardHook::new(move |gradient| {
        let (start, arguments) = hook(Tensor::from_dispatch(gradient));
        [start.into_dispatch(), arguments.into_dispatch()]
    });
    Tensor::from_dispatch(<Dispatch as HookBackend>::rejoin(
        value.into_dispatch(),
        start.into_dispatch(),
        arguments.into_dispatch(),
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
    fn replace(tensor: FloatTensor<Self>, hook: BackwardHook<1>) -> FloatTensor<Self>;
    fn rejoin(
        value: FloatTensor<Self>,
        start: FloatTensor<Self>,
        arguments: FloatTensor<Self>,
        hook: BackwardHook<2>,
    ) -> FloatTensor<Self>;
}

/// Without autodiff both operations are the identity on their first tensor.
macro_rules! identity {
    ($backend:ty) => {
        impl HookBackend for $backend {
            fn replace(tensor: FloatTensor<Self>, _hook: BackwardHook<1>) -> FloatTensor<Self> {
                tensor
            }

            fn rejoin(
                value: FloatTensor<Self>,
                _start: FloatTensor<Self>,
                _arguments: FloatTensor<Self>,
                _hook: BackwardHook<2>,
            ) -> FloatTensor<Self> {
                value
            }
        }
    };
}

#[cfg(feature = "flex")]
identity!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
identity!(burn::backend::NdArray);
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
identity!(burn::backend::Cube);

impl<B, C> HookBackend for Autodiff<B, C>
where
    B: Backend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B>,
{
    fn replace(tensor: FloatTensor<Self>, hook: BackwardHook<1>) -> FloatTensor<Self> {
        let (primitive, node) = tensor.into_parts();
        match HookStep.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(hook, primitive),
            OpsKind::UnTracked(prepared) => prepared.finish(primitive),
        }
    }

    fn rejoin(
        value: FloatTensor<Self>,
        start: FloatTensor<Self>,
        arguments: FloatTensor<Self>,
        hook: BackwardHook<2>,
    ) -> FloatTensor<Self> {
        let (primitive, _) = value.into_parts();
        let parents = [start.into_parts().1, arguments.into_parts().1];
        match HookStep.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(hook, primitive),
            OpsKind::UnTracked(prepared) => prepared.finish(primitive),
        }
    }
}

#[derive(Debug)]
struct HookStep;

impl<B, const N: usize> Backward<B, N> for HookStep
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = BackwardHook<N>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let BackwardHook(hook) = ops.state;
        let gradient = BackendTensor::Float(gradients.consume::<B>(&ops.node));
        let gradient = <DispatchTensor as DispatchKindConversion<B>>::from_backend(gradient);
        // A poisoned lock means that the hook panicked in an earlier backward pass; that panic
        // has been reported, and the hook keeps no state across calls.
        let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
        for (parent, gradient) in ops.parents.into_iter().zip(hook(gradient)) {
            let Some(parent) = parent else { continue };
            let gradient =
                <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(gradient)
                    .expect("the hook returns plain tensors on the gradient's own backend")
                    .float();
            gradients.register::<B>(parent.id, gradient);
        }
    }
}
