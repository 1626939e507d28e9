use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{DType, FloatDType, Shape, Tensor};
use deq_solvers::State;

use super::End;
use crate::arguments::{Carriers, leaves};
use crate::{EquilibriumMap, Phantom, phantom};

/// Walks a path back: evaluates the map again where the path came along, and sums what each step
/// adds to the gradient of the arguments.
pub(super) struct Rewind<A, F> {
    pub(super) args: A,
    pub(super) carriers: Carriers,
    pub(super) map: Arc<F>,
    pub(super) shapes: Vec<Shape>,
    /// The type in which the map is evaluated.
    pub(super) dtype: DType,
}

/// A stretch of the path, differentiated.
struct PullBack {
    image: Tensor<2>,
    point: Tensor<2>,
    arguments: Option<Tensor<1>>,
}

impl<A: Module, F> Rewind<A, F> {
    /// The gradient at the start and of the joined arguments, through Picard steps between
    /// checkpoints.
    pub(super) fn checkpoints<S>(
        &self,
        end: &End,
        damping: f64,
        gradient: Tensor<2>,
    ) -> (Tensor<2>, Option<Tensor<1>>)
    where
        S: State,
        F: EquilibriumMap<A, S>,
    {
        let starts = (0..end.steps).step_by(end.every.max(1));
        let segments = starts.zip(end.checkpoints.iter());
        let segments: Vec<_> = segments.collect();
        let (mut gradient, mut arguments) = (gradient, None);
        for (start, point) in segments.into_iter().rev() {
            let steps = (end.steps - start).min(end.every);
            let pulled = self.pull_back(point, steps, damping, &gradient);
            gradient = pulled.point;
            arguments = sum(arguments, pulled.arguments);
        }
        (gradient, arguments)
    }

    /// The same through the reversible iteration, whose points are computed on the way back.
    pub(super) fn reversible<S>(
        &self,
        end: &End,
        relaxation: f64,
        gradient: Tensor<2>,
    ) -> (Tensor<2>, Option<Tensor<1>>)
    where
        S: State,
        F: EquilibriumMap<A, S>,
    {
        let path_dtype: FloatDType = end.state.dtype().into();
        let (mut after, mut point) = (end.state.clone(), end.before.clone());
        // The gradients at `after` and at `point`.
        let mut later = gradient;
        let mut earlier = later.zeros_like();
        let mut arguments = None;
        for _ in 0..end.steps {
            let pulled = self.pull_back(&point, 1, 1.0, &(later.clone() * relaxation));
            let image = pulled.image.cast(path_dtype);
            let before = (after - image * relaxation) / (1.0 - relaxation);
            arguments = sum(arguments, pulled.arguments);
            (later, earlier) = (earlier + pulled.point, later * (1.0 - relaxation));
            (after, point) = (point, before);
        }
        // The two sequences begin at the same point.
        (later + earlier, arguments)
    }

    /// The vector–Jacobian products of so many damped steps from `point`.
    fn pull_back<S>(
        &self,
        point: &Tensor<2>,
        steps: usize,
        damping: f64,
        cotangent: &Tensor<2>,
    ) -> PullBack
    where
        S: State,
        F: EquilibriumMap<A, S>,
    {
        let (args, joined) = leaves(&self.args, &self.carriers);
        let dtype: FloatDType = self.dtype.into();
        let leaf = point.clone().cast(dtype).autodiff().require_grad();
        let settings = Phantom {
            steps,
            damping,
            ..Default::default()
        };
        let start = S::from_matrix(leaf.clone(), &self.shapes);
        let map = |z| self.map.forward(&args, z);
        let image = phantom::unroll(&settings, map, start)
            .pop()
            .expect("unrolling emits its last state")
            .into_matrix();
        let value = image.clone().inner();
        if !image.is_tracked() {
            return PullBack {
                image: value,
                point: cotangent.zeros_like(),
                arguments: None,
            };
        }
        let gradients = (image * cotangent.clone()).sum().backward();
        PullBack {
            image: value,
            point: leaf
                .grad(&gradients)
                .unwrap_or_else(|| cotangent.zeros_like()),
            arguments: joined(&gradients),
        }
    }
}

fn sum(total: Option<Tensor<1>>, more: Option<Tensor<1>>) -> Option<Tensor<1>> {
    match (total, more) {
        (Some(total), Some(more)) => Some(total + more),
        (total, more) => total.or(more),
    }
}
