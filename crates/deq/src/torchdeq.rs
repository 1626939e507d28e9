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

use deq_implicit::{Core, DeqConfig, Emit, Eval, Gradient, Phantom, States};
use deq_regularizers::WeightNormConfig;
use deq_solvers::{
    AndersonConfig, BroydenConfig, PicardConfig, SolveConfig, SolveError, SolverConfig, StopMode,
    Termination,
};
use serde::{Deserialize, Serialize};

/// TorchDEQ's options (`add_deq_args`, and its solvers' keyword arguments), with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the names and meanings are TorchDEQ's own")]
pub struct Options {
    pub core: Core,
    pub f_solver: Solver,
    pub f_max_iter: usize,
    pub f_tol: f64,
    pub f_stop_mode: Mode,
    pub b_solver: Solver,
    pub b_max_iter: usize,
    pub b_tol: f64,
    pub b_stop_mode: Mode,
    pub eval_factor: f64,
    /// 0 is TorchDEQ's way to say "not set".
    pub eval_f_max_iter: usize,
    pub ift: bool,
    pub hook_ift: bool,
    /// One number for all states, or one each.
    pub grad: Vec<usize>,
    pub tau: f64,
    /// Below 1 is TorchDEQ's way to say "not set".
    pub sup_gap: i64,
    pub sup_loc: Vec<usize>,
    pub n_states: usize,
    pub indexing: Vec<usize>,
    /// Anderson's window, of both solvers.
    pub m: usize,
    /// Anderson's regularisation, of both solvers.
    pub lam: f64,
    /// Broyden's memory, of both solvers.
    #[serde(rename = "LBFGS_thres")]
    pub lbfgs_thres: Option<usize>,
    pub norm_type: Norm,
    pub norm_no_scale: bool,
    pub norm_target_norm: f64,
    pub norm_clip: bool,
    pub norm_clip_value: f64,
}

/// TorchDEQ's solver names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Solver {
    FixedPointIter,
    SimpleFixedPointIter,
    Anderson,
    Broyden,
}

/// TorchDEQ's stop modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Mode {
    Abs,
    Rel,
}

/// TorchDEQ's norms. Spectral norm is not offered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are TorchDEQ's own")]
pub enum Norm {
    WeightNorm,
    None,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            core: Core::Sliced,
            f_solver: Solver::FixedPointIter,
            f_max_iter: 40,
            f_tol: 1e-3,
            f_stop_mode: Mode::Abs,
            b_solver: Solver::FixedPointIter,
            b_max_iter: 40,
            b_tol: 1e-6,
            b_stop_mode: Mode::Abs,
            eval_factor: 1.0,
            eval_f_max_iter: 0,
            ift: false,
            hook_ift: false,
            grad: vec![1],
            tau: 1.0,
            sup_gap: -1,
            sup_loc: Vec::new(),
            n_states: 1,
            indexing: Vec::new(),
            m: 6,
            lam: 1e-4,
            lbfgs_thres: None,
            norm_type: Norm::WeightNorm,
            norm_no_scale: false,
            norm_target_norm: 1.0,
            norm_clip: false,
            norm_clip_value: 1.0,
        }
    }
}

impl Options {
    /// The equilibrium layer these options describe.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] when an option is out of range, or would have no effect next
    /// to the others.
    pub fn deq(&self) -> Result<DeqConfig, SolveError> {
        let states = if self.n_states > 1 {
            SolveError::require(
                self.indexing.is_empty(),
                "indexing",
                format!("{:?}", self.indexing),
                "empty when n_states is above 1",
            )?;
            States::Count(self.n_states)
        } else if self.indexing.is_empty() {
            States::Count(self.n_states)
        } else {
            States::At(self.indexing.clone())
        };
        let count = match &states {
            States::Count(count) => *count,
            States::At(steps) => steps.len() + 1,
        };
        SolveError::require(
            self.grad.len() == 1 || self.grad.len() == count,
            "grad",
            format!("{:?}", self.grad),
            "one number, or one for each state",
        )?;
        SolveError::require(
            self.sup_gap < 1 || self.sup_loc.is_empty(),
            "sup_loc",
            format!("{:?}", self.sup_loc),
            "empty when sup_gap is set",
        )?;

        let mut gradients: Vec<Gradient> = (0..count)
            .map(|state| self.phantom(self.grad[state % self.grad.len()]))
            .collect();
        let last = gradients.pop().unwrap_or_default();
        let gradient = if self.ift || self.hook_ift {
            Gradient::implicit_with(self.solve(
                self.b_solver,
                self.b_max_iter,
                self.b_tol,
                self.b_stop_mode,
            ))
        } else {
            last
        };
        let config = DeqConfig {
            forward: self.solve(self.f_solver, self.f_max_iter, self.f_tol, self.f_stop_mode),
            gradient,
            state_gradients: gradients,
            states,
            core: self.core,
            eval: Eval {
                factor: self.eval_factor,
                max_iter: (self.eval_f_max_iter > 0).then_some(self.eval_f_max_iter),
            },
        };
        config.init()?;
        Ok(config)
    }

    /// The norm that TorchDEQ's `apply_norm` would put on the map's weights.
    pub fn norm(&self) -> Option<WeightNormConfig> {
        match self.norm_type {
            Norm::None => None,
            Norm::WeightNorm => Some(WeightNormConfig {
                learn_scale: !self.norm_no_scale,
                target_norm: self.norm_target_norm,
                clip: self.norm_clip.then_some(self.norm_clip_value),
            }),
        }
    }

    fn phantom(&self, steps: usize) -> Gradient {
        Gradient::Phantom(Phantom {
            steps,
            damping: self.tau,
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
                    window: self.m,
                    regularization: self.lam,
                    damping: 1.0,
                }),
                Solver::Broyden => SolverConfig::Broyden(BroydenConfig {
                    memory: self.lbfgs_thres,
                }),
            },
            termination: Termination {
                mode: match mode {
                    Mode::Abs => StopMode::Absolute,
                    Mode::Rel => StopMode::Relative,
                },
                tolerance,
                max_iter,
                return_final: simple,
                ..Termination::default()
            },
        }
    }
}
