//! The ways to find the state: sample by sample, by norms over the batch, or a number of steps.

use burn::module::Module;
use burn::tensor::Tensor;
use deq::implicit::Neumann;
use deq::prelude::*;
use deq::solvers::{Evaluation, Observer, StepEvent};

use super::batch_wide::{self, AtPoint, BatchStop, BatchWideConfig};
use super::map::{Arguments, FusionState, Joint};
use super::{DeqFusion, Equilibrium, Fused};
use crate::FusionError;

/// How the state is found.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one to a layer")]
pub(super) enum Solve {
    PerSample(Deq),
    BatchWide(BatchWideConfig),
    WeightTied(usize),
}

impl DeqFusion {
    /// From now on nothing but the cap on steps ends a solve, a batch-wide one also the level of
    /// rounding.
    pub(crate) fn solve_to_the_cap(&mut self) -> Result<(), FusionError> {
        match &mut self.solve {
            Solve::PerSample(deq) => {
                let mut config = deq.config().clone();
                config.forward.termination = Termination {
                    tolerance: 0.0,
                    stall: None,
                    divergence: None,
                    ..config.forward.termination
                };
                *deq = config.init()?;
            }
            Solve::BatchWide(config) => config.forward.tolerance = 0.0,
            Solve::WeightTied(_) => {}
        }
        Ok(())
    }

    pub(super) fn per_sample(
        &self,
        deq: &Deq,
        arguments: Arguments,
        max_iter: Option<usize>,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Fused, FusionError> {
        let options = CallOptions {
            max_iter,
            observer,
            ..Default::default()
        };
        let solved = deq.solve_map(options, &arguments, arguments.zeros(), Joint)?;
        let stats = solved.stats.clone();
        let state = solved.into_last();
        let point = state.iter().map(|part| part.clone().inner()).collect();
        Ok(Fused::new(Equilibrium {
            state,
            point,
            arguments,
            stats: Some(stats),
            batch: None,
            penalty: self.penalty.clone(),
        }))
    }

    pub(super) fn batch_wide(
        &self,
        config: &BatchWideConfig,
        arguments: Arguments,
        max_iter: Option<usize>,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Fused, FusionError> {
        let plain = arguments.valid().materialize();
        let stop = BatchStop {
            threshold: max_iter.unwrap_or(config.forward.threshold).max(3),
            ..config.forward.clone()
        };
        let map = plain.prepare();
        let solved = batch_wide::solve(&config.solver, &stop, observer, map, plain.zeros())?;
        let point: FusionState = solved.state;
        let state = if arguments.is_autodiff() {
            let exact = Gradient::Neumann(Neumann {
                terms: 2,
                damping: 1.0,
            });
            let deq = DeqConfig::default().with_gradient(exact).init()?;
            let options = CallOptions {
                max_iter: Some(0),
                ..Default::default()
            };
            let map = AtPoint {
                point: point.clone(),
                solver: config.solver.clone(),
                stop: config.backward.clone(),
            };
            deq.solve_map(options, &arguments, point.clone(), map)?
                .into_last()
        } else {
            point.clone()
        };
        Ok(Fused::new(Equilibrium {
            state,
            point,
            arguments,
            stats: Some(solved.stats),
            batch: Some(solved.trace),
            penalty: self.penalty.clone(),
        }))
    }

    pub(super) fn tied(
        &self,
        steps: usize,
        arguments: Arguments,
        mut observer: Option<&mut dyn Observer>,
    ) -> Fused {
        let mut state = arguments.zeros();
        if arguments.is_autodiff() {
            state = state.into_iter().map(Tensor::autodiff).collect();
        }
        let map = arguments.prepare();
        for step in 1..=steps {
            let next = map(state.clone());
            if let Some(observer) = observer.as_deref_mut() {
                show(observer, step, &state, &next);
            }
            state = next;
        }
        let point = state.iter().map(|part| part.clone().inner()).collect();
        Fused::new(Equilibrium {
            state,
            point,
            arguments,
            stats: None,
            batch: None,
            penalty: None,
        })
    }
}

/// Shows one step of a weight-tied layer to an observer, with Euclidean residuals.
fn show(observer: &mut dyn Observer, step: usize, z: &[Tensor<3>], image: &[Tensor<3>]) {
    let matrix = |state: &[Tensor<3>]| state.to_vec().into_matrix().inner();
    let (point, image) = (matrix(z), matrix(image));
    let residual = image.clone() - point.clone();
    let norms = residual.clone().square().sum_dim(1).sqrt().into_data();
    let residuals: Vec<f64> = norms.iter::<f64>().collect();
    observer.observe(&StepEvent {
        step,
        evaluations: step,
        residuals: &residuals,
        evaluation: &Evaluation {
            point,
            image,
            residual,
        },
    });
}
