//! The backward passes, where there are kernels.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata};

use super::WindowsBackend;

/// Why a gradient is there.
const KERNEL: &str = "there is a kernel for what came from one";

impl<B, C> WindowsBackend for Autodiff<B, C>
where
    B: WindowsBackend,
    C: CheckpointStrategy,
{
    fn sample(
        planes: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        let (planes, planes_node) = planes.into_parts();
        let (centres, centres_node) = centres.into_parts();
        let output = B::sample(planes.clone(), centres.clone(), radius)?;
        let nodes = [planes_node, centres_node];
        let step = <SampleStep as Backward<B, 2>>::prepare::<C>(SampleStep, nodes);
        Some(match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = Sampled::<B> {
                    planes,
                    centres,
                    radius,
                };
                step.finish(saved, output)
            }
            OpsKind::UnTracked(step) => step.finish(output),
        })
    }

    fn correlate(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        let (first, first_node) = first.into_parts();
        let (second, second_node) = second.into_parts();
        let (centres, centres_node) = centres.into_parts();
        let output = B::correlate(first.clone(), second.clone(), centres.clone(), radius)?;
        let nodes = [first_node, second_node, centres_node];
        let step = <CorrelateStep as Backward<B, 3>>::prepare::<C>(CorrelateStep, nodes);
        Some(match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = Correlated::<B> {
                    first,
                    second,
                    centres,
                    radius,
                };
                step.finish(saved, output)
            }
            OpsKind::UnTracked(step) => step.finish(output),
        })
    }
}

#[derive(Clone, Debug)]
struct Sampled<B: Backend> {
    planes: FloatTensor<B>,
    centres: FloatTensor<B>,
    radius: usize,
}

#[derive(Debug)]
struct SampleStep;

impl<B: WindowsBackend> Backward<B, 2> for SampleStep {
    type State = Sampled<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let Sampled {
            planes,
            centres,
            radius,
        } = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [of_planes, of_centres] = ops.parents;
        if let Some(parent) = of_planes {
            let [_, _, rows, columns] = planes.shape().dims();
            let size = [rows, columns];
            let (centres, gradient) = (centres.clone(), gradient.clone());
            let found = B::sample_planes_gradient(centres, gradient, size, radius);
            gradients.register::<B>(parent.id, found.expect(KERNEL));
        }
        if let Some(parent) = of_centres {
            let found = B::sample_centres_gradient(planes, centres, gradient, radius);
            gradients.register::<B>(parent.id, found.expect(KERNEL));
        }
    }
}

#[derive(Clone, Debug)]
struct Correlated<B: Backend> {
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    centres: FloatTensor<B>,
    radius: usize,
}

#[derive(Debug)]
struct CorrelateStep;

impl<B: WindowsBackend> Backward<B, 3> for CorrelateStep {
    type State = Correlated<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let Correlated {
            first,
            second,
            centres,
            radius,
        } = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [of_first, of_second, of_centres] = ops.parents;
        if let Some(parent) = of_first {
            let (second, centres, gradient) = (second.clone(), centres.clone(), gradient.clone());
            let found = B::correlate_first_gradient(second, centres, gradient, radius);
            gradients.register::<B>(parent.id, found.expect(KERNEL));
        }
        if let Some(parent) = of_second {
            let [_, rows, columns, _] = second.shape().dims();
            let size = [rows, columns];
            let (first, centres, gradient) = (first.clone(), centres.clone(), gradient.clone());
            let found = B::correlate_second_gradient(first, centres, gradient, size, radius);
            gradients.register::<B>(parent.id, found.expect(KERNEL));
        }
        if let Some(parent) = of_centres {
            let found = B::correlate_centres_gradient(first, second, centres, gradient, radius);
            gradients.register::<B>(parent.id, found.expect(KERNEL));
        }
    }
}
