//! The gradients that are compared.

use clap::ValueEnum;
use deq::implicit::{DeqConfig, Gradient, Neumann, ReuseInverse};
use deq::solvers::{BroydenConfig, SolveConfig, SolverConfig, StopMode};
use serde::{Deserialize, Serialize};

use super::scale::Setup;

/// Steps of refinement, phantom steps and Neumann terms.
const EXTRA: usize = 5;

/// How the loss gets from the fixed point to the weights. The forward solve is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(super) enum Method {
    /// Implicit differentiation: the adjoint equation is solved with Broyden's method.
    #[value(name = "implicit")]
    #[serde(rename = "implicit")]
    Implicit,
    /// Jacobian-free: the identity in place of the inverse.
    #[value(name = "jacobian-free")]
    #[serde(rename = "jacobian-free")]
    JacobianFree,
    /// The forward solve's inverse Jacobian, as it is: the method of arXiv 2304.11663.
    #[value(name = "reuse")]
    #[serde(rename = "reuse")]
    Reuse,
    /// The same, and five steps of the adjoint iteration.
    #[value(name = "reuse-5")]
    #[serde(rename = "reuse-5")]
    ReuseRefined,
    /// Five unrolled steps from the fixed point.
    #[value(name = "phantom-5")]
    #[serde(rename = "phantom-5")]
    Phantom,
    /// Five terms of the Neumann series.
    #[value(name = "neumann-5")]
    #[serde(rename = "neumann-5")]
    Neumann,
}

impl Method {
    pub(super) const ALL: [Self; 6] = [
        Self::Implicit,
        Self::JacobianFree,
        Self::Reuse,
        Self::ReuseRefined,
        Self::Phantom,
        Self::Neumann,
    ];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::JacobianFree => "jacobian-free",
            Self::Reuse => "reuse",
            Self::ReuseRefined => "reuse-5",
            Self::Phantom => "phantom-5",
            Self::Neumann => "neumann-5",
        }
    }

    /// Its name in tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Implicit => "Implicit",
            Self::JacobianFree => "JacobianFree",
            Self::Reuse => "ReuseInverse",
            Self::ReuseRefined => "ReuseInverse + 5",
            Self::Phantom => "Phantom 5",
            Self::Neumann => "Neumann 5",
        }
    }

    fn gradient(self, setup: &Setup) -> Gradient {
        let damping = setup.damping;
        // Neither the paper nor its formula has the fallback to the Jacobian-free gradient.
        let reuse = |refine| {
            Gradient::ReuseInverse(ReuseInverse {
                fallback: None,
                refine,
            })
        };
        match self {
            Self::Implicit => {
                Gradient::implicit_with(broyden(setup.tolerance, setup.adjoint_steps))
            }
            Self::JacobianFree => Gradient::JacobianFree,
            Self::Reuse => reuse(0),
            Self::ReuseRefined => reuse(EXTRA),
            Self::Phantom => Gradient::phantom(EXTRA, damping),
            Self::Neumann => Gradient::Neumann(Neumann {
                terms: EXTRA,
                damping,
            }),
        }
    }

    /// The layer that trains with it.
    pub(super) fn layer(self, setup: &Setup) -> DeqConfig {
        DeqConfig {
            forward: broyden(setup.tolerance, setup.forward_steps),
            gradient: self.gradient(setup),
            ..DeqConfig::default()
        }
    }

    /// Vector–Jacobian products of the map in a backward pass: those of the adjoint solve, of the
    /// series or of the refinement, and those of the tracked evaluations of the map, of which the
    /// phantom gradient has five and every other one. `adjoint` counts the evaluations of the
    /// adjoint solve, where there was one.
    pub(super) fn backward_evaluations(self, adjoint: Option<usize>) -> usize {
        match self {
            Self::Implicit => adjoint.unwrap_or(0) + 1,
            Self::JacobianFree | Self::Reuse => 1,
            Self::ReuseRefined => EXTRA + 1,
            Self::Phantom | Self::Neumann => EXTRA,
        }
    }
}

/// The layer whose gradient counts as exact: both solves go much further.
pub(super) fn exact_layer(setup: &Setup) -> DeqConfig {
    let tight = broyden(setup.exact_tolerance, setup.exact_steps);
    DeqConfig {
        forward: tight.clone(),
        gradient: Gradient::implicit_with(tight),
        ..DeqConfig::default()
    }
}

/// Broyden's method with room for an update a step, so that none is dropped.
fn broyden(tolerance: f64, steps: usize) -> SolveConfig {
    let solver = SolverConfig::Broyden(BroydenConfig {
        memory: steps + 1,
        ..BroydenConfig::default()
    });
    let mut solve = SolveConfig::new(solver)
        .with_tolerance(tolerance)
        .with_max_iter(steps);
    solve.termination.mode = StopMode::Relative;
    solve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::scale::{Model, Scale};

    #[test]
    fn every_layer_is_valid_and_solves_forward_alike() {
        for model in Model::ALL {
            let setup = Scale::Small.setup(model);
            let reference = Method::Implicit.layer(&setup);
            for method in Method::ALL {
                let layer = method.layer(&setup);
                assert!(layer.init().is_ok(), "{method:?}");
                assert_eq!(layer.forward, reference.forward);
            }
            assert!(exact_layer(&setup).init().is_ok());
        }
    }

    #[test]
    fn names_on_the_command_line_are_those_in_files() {
        for method in Method::ALL {
            let possible = method.to_possible_value().expect("none is hidden");
            assert_eq!(possible.get_name(), method.name());
            let json = serde_json::to_value(method).expect("plain data");
            assert_eq!(json, method.name());
        }
    }

    #[test]
    fn backward_evaluations_include_the_tracked_step() {
        assert_eq!(Method::Implicit.backward_evaluations(Some(7)), 8);
        let fixed = Method::ALL.into_iter().skip(1);
        let counts: Vec<usize> = fixed.map(|m| m.backward_evaluations(None)).collect();
        assert_eq!(counts, [1, 1, 6, 5, 5]);
    }
}
