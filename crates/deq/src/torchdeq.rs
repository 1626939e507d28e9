//! TorchDEQ's options, under TorchDEQ's names: recipes carry over as they are.
//!
//! ```
//! let options: deq::torchdeq::Options = serde_json::from_str(
//!     r#"{"f_solver": "anderson", "f_max_iter": 30, "f_stop_mode": "rel", "grad": [5], "tau": 0.5}"#,
//! )?;
//! let config = options.deq()?;
//! assert_eq!(config.forward.termination.max_iter, 30);
//! // An option that does not exist is an error, as is one that would have no effect.
//! assert!(serde_json::from_str::<deq::torchdeq::Options>(r#"{"stop_mode": "rel"}"#).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod trace;

use deq_implicit::{Core, DeqConfig, Emit, Eval, Gradient, Phantom, States};
use deq_regularizers::{NormConfig, SpectralNormConfig, WeightNormConfig};
use deq_solvers::{
    AndersonConfig, BroydenConfig, Finish, Mixing, Overflow, PicardConfig, Regularization,
    SolveConfig, SolveError, SolverConfig, StopMode, Termination,
};
use serde::{Deserialize, Serialize};

pub use trace::Trace;

/// TorchDEQ's options (`add_deq_args`, and its solvers' keyword arguments). What is not given has
/// TorchDEQ's default; what is given must have an effect next to the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the names and meanings are TorchDEQ's own")]
pub struct Options {
    pub core: Core,
    pub f_solver: Solver,
    pub f_max_iter: Option<usize>,
    pub f_tol: Option<f64>,
    pub f_stop_mode: Mode,
    pub b_solver: Option<Solver>,
    pub b_max_iter: Option<usize>,
    pub b_tol: Option<f64>,
    pub b_stop_mode: Option<Mode>,
    pub eval_factor: Option<f64>,
    /// 0 is TorchDEQ's way to say "not set".
    pub eval_f_max_iter: usize,
    pub ift: bool,
    pub hook_ift: bool,
    /// One number for all states, or one each.
    pub grad: Option<Vec<usize>>,
    pub tau: Option<f64>,
    /// Below 1 is TorchDEQ's way to say "not set".
    pub sup_gap: i64,
    pub sup_loc: Vec<usize>,
    /// 0 and 1 both mean the last state alone.
    pub n_states: usize,
    pub indexing: Vec<usize>,
    /// Anderson's window, of both solvers.
    pub m: Option<usize>,
    /// Anderson's regularisation, of both solvers.
    pub lam: Option<f64>,
    /// Broyden's memory, of both solvers.
    #[serde(rename = "LBFGS_thres")]
    pub lbfgs_thres: Option<usize>,
    pub norm_type: Norm,
    pub norm_no_scale: bool,
    pub norm_target_norm: Option<f64>,
    pub norm_clip: bool,
    pub norm_clip_value: Option<f64>,
    pub sn_n_power_iters: Option<usize>,
}

/// TorchDEQ's solver names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Solver {
    #[default]
    FixedPointIter,
    SimpleFixedPointIter,
    Anderson,
    Broyden,
}

impl Solver {
    /// Whether it is one of the two fixed-point iterations, whose residuals carry their damping.
    pub fn is_fixed_point_iter(self) -> bool {
        matches!(self, Self::FixedPointIter | Self::SimpleFixedPointIter)
    }
}

/// TorchDEQ's stop modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Mode {
    #[default]
    Abs,
    Rel,
}

/// TorchDEQ's norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Norm {
    #[default]
    WeightNorm,
    SpectralNorm,
    None,
}

impl Options {
    /// The equilibrium layer these options describe.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] when an option is out of range, or would have no effect next
    /// to the others.
    pub fn deq(&self) -> Result<DeqConfig, SolveError> {
        let states = if self.indexing.is_empty() {
            States::Count(self.n_states.max(1))
        } else {
            States::At(self.indexing.clone())
        };
        let count = match &states {
            States::Count(count) => *count,
            States::At(steps) => steps.len() + 1,
        };
        let grad = self.grad.clone().unwrap_or_else(|| vec![1]);
        SolveError::require(
            grad.len() == 1 || grad.len() == count,
            "grad",
            format!("{grad:?}"),
            "one number, or one for each state",
        )?;
        self.refuse_unused(count)?;

        let mut gradients: Vec<Gradient> = (0..count)
            .map(|state| self.phantom(grad[state % grad.len()]))
            .collect();
        let last = gradients.pop().unwrap_or_default();
        let b_solve = self.solve(
            self.b_solver.unwrap_or_default(),
            self.b_max_iter.unwrap_or(40),
            self.b_tol.unwrap_or(1e-6),
            self.b_stop_mode.unwrap_or_default(),
        );
        let config = DeqConfig {
            forward: self.solve(
                self.f_solver,
                self.f_max_iter.unwrap_or(40),
                self.f_tol.unwrap_or(1e-3),
                self.f_stop_mode,
            ),
            gradient: if self.is_implicit() {
                Gradient::implicit_with(b_solve)
            } else {
                last
            },
            state_gradients: gradients,
            states,
            core: self.core,
            eval: match self.eval_f_max_iter {
                0 => Eval::Factor(self.eval_factor.unwrap_or(1.0)),
                steps => Eval::MaxIter(steps),
            },
        };
        config.init()?;
        Ok(config)
    }

    fn is_implicit(&self) -> bool {
        self.ift || self.hook_ift
    }

    /// Whether the forward solver, or the backward one where it is used, is this one.
    fn uses(&self, solver: Solver) -> bool {
        let backward = self
            .is_implicit()
            .then_some(self.b_solver.unwrap_or_default());
        self.f_solver == solver || backward == Some(solver)
    }

    /// Refuses options that are given and would do nothing.
    fn refuse_unused(&self, states: usize) -> Result<(), SolveError> {
        let implicit = "left out without `ift`";
        let phantom = "left out when `ift` differentiates the only state";
        let has_phantom = !self.is_implicit() || states > 1;
        let norm = "left out with `norm_type` none";
        let has_norm = self.norm_type != Norm::None;
        let given = [
            (
                self.b_solver.is_some(),
                self.is_implicit(),
                "b_solver",
                implicit,
            ),
            (
                self.b_max_iter.is_some(),
                self.is_implicit(),
                "b_max_iter",
                implicit,
            ),
            (self.b_tol.is_some(), self.is_implicit(), "b_tol", implicit),
            (
                self.b_stop_mode.is_some(),
                self.is_implicit(),
                "b_stop_mode",
                implicit,
            ),
            (self.grad.is_some(), has_phantom, "grad", phantom),
            (self.tau.is_some(), has_phantom, "tau", phantom),
            (self.sup_gap > 0, has_phantom, "sup_gap", phantom),
            (!self.sup_loc.is_empty(), has_phantom, "sup_loc", phantom),
            (
                !self.sup_loc.is_empty(),
                self.sup_gap < 1,
                "sup_loc",
                "left out when `sup_gap` is set",
            ),
            (
                !self.indexing.is_empty(),
                self.n_states <= 1,
                "indexing",
                "left out when `n_states` is above 1",
            ),
            (
                self.eval_factor.is_some(),
                self.eval_f_max_iter == 0,
                "eval_factor",
                "left out when `eval_f_max_iter` is set",
            ),
            (
                self.m.is_some(),
                self.uses(Solver::Anderson),
                "m",
                "left out without anderson",
            ),
            (
                self.lam.is_some(),
                self.uses(Solver::Anderson),
                "lam",
                "left out without anderson",
            ),
            (
                self.lbfgs_thres.is_some(),
                self.uses(Solver::Broyden),
                "LBFGS_thres",
                "left out without broyden",
            ),
            (self.norm_no_scale, has_norm, "norm_no_scale", norm),
            (self.norm_clip, has_norm, "norm_clip", norm),
            (
                self.norm_target_norm.is_some(),
                has_norm && self.norm_no_scale,
                "norm_target_norm",
                "left out without `norm_no_scale`, where gains take its place",
            ),
            (
                self.sn_n_power_iters.is_some(),
                self.norm_type == Norm::SpectralNorm,
                "sn_n_power_iters",
                "left out without `norm_type` spectral_norm",
            ),
            (
                self.norm_clip_value.is_some(),
                self.norm_clip,
                "norm_clip_value",
                "left out without `norm_clip`",
            ),
        ];
        for (is_given, has_effect, field, requirement) in given {
            SolveError::require(!is_given || has_effect, field, "set", requirement)?;
        }
        Ok(())
    }

    /// The norm that TorchDEQ's `apply_norm` would put on the map's weights.
    pub fn norm(&self) -> Option<NormConfig> {
        let learn_scale = !self.norm_no_scale;
        let target_norm = self.norm_target_norm.unwrap_or(1.0);
        let clip = self.norm_clip_value.unwrap_or(1.0);
        let clip = self.norm_clip.then_some(clip);
        match self.norm_type {
            Norm::None => None,
            Norm::WeightNorm => Some(NormConfig::WeightNorm(WeightNormConfig {
                learn_scale,
                target_norm,
                clip,
            })),
            Norm::SpectralNorm => Some(NormConfig::SpectralNorm(SpectralNormConfig {
                learn_scale,
                target_norm,
                clip,
                n_power_iterations: self.sn_n_power_iters.unwrap_or(1),
                ..SpectralNormConfig::default()
            })),
        }
    }

    fn phantom(&self, steps: usize) -> Gradient {
        Gradient::Phantom(Phantom {
            steps,
            damping: self.tau.unwrap_or(1.0),
            emit: match usize::try_from(self.sup_gap) {
                Ok(gap) if gap > 0 => Emit::Every(gap),
                _ if self.sup_loc.is_empty() => Emit::Last,
                _ => Emit::At(self.sup_loc.clone()),
            },
        })
    }

    fn solve(&self, solver: Solver, max_iter: usize, tolerance: f64, mode: Mode) -> SolveConfig {
        let simple = solver == Solver::SimpleFixedPointIter;
        SolveConfig {
            solver: match solver {
                Solver::FixedPointIter | Solver::SimpleFixedPointIter => {
                    SolverConfig::Picard(PicardConfig::default())
                }
                Solver::Anderson => SolverConfig::Anderson(AndersonConfig {
                    window: self.m.unwrap_or(6),
                    mixing: Mixing::Gram(Regularization::Absolute(self.lam.unwrap_or(1e-4))),
                    ..AndersonConfig::default()
                }),
                Solver::Broyden => SolverConfig::Broyden(BroydenConfig {
                    memory: self.lbfgs_thres.unwrap_or(max_iter.max(1)),
                    overflow: Overflow::Overwrite,
                    ..BroydenConfig::default()
                }),
            },
            termination: Termination {
                mode: match mode {
                    Mode::Abs => StopMode::Absolute,
                    Mode::Rel => StopMode::Relative,
                },
                tolerance,
                max_iter,
                finish: if simple { Finish::Final } else { Finish::Best },
                ..Termination::default()
            },
        }
    }
}
