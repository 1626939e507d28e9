//! The workloads: each a file with its formula, its arrays and its map in this library.
//!
//! A workload's `draw` makes the arrays of its file, which the other side reads; its `load` builds
//! the model from them. Sizes are those of the first comparison of this project with PyTorch.
//!
//! Maps are written as by a user of the library who wants speed: with the operations of
//! `deq-kernels`, and prepared once a solve.

mod draw;
mod equilibrium;
mod gru;
#[cfg(test)]
mod host;
mod layers;
mod look_up;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5a;
mod w5b;
mod w6;

use anyhow::Result;
use burn::tensor::Device;
use deq::prelude::*;
use deq::torchdeq;
use serde_json::{Value, json};

use self::equilibrium::{Equilibrium, Solve, Stop};
pub(super) use self::equilibrium::{Outcome, Work};
pub(super) use self::w6::Kernel;
use super::case::{Case, Mode, Solver};
use super::files::Arrays;

/// An equilibrium problem of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    Tanh128,
    Tanh1024,
    TanhHard,
    Transformer,
    Mdeq,
    Graph,
    Flow,
    Gru,
    Tanh32,
}

const TANH_128: w1::Sizes = w1::Sizes {
    batch: 64,
    width: 128,
    hard: false,
};
const TANH_1024: w1::Sizes = w1::Sizes {
    width: 1024,
    ..TANH_128
};
const TANH_HARD: w1::Sizes = w1::Sizes {
    hard: true,
    ..TANH_128
};
const TANH_32: w1::Sizes = w1::Sizes {
    batch: 1,
    width: 32,
    hard: false,
};
const TRANSFORMER: w2::Sizes = w2::Sizes {
    batch: 8,
    length: 128,
    width: 256,
    heads: 8,
    inner: 1024,
};
const MDEQ: w3::Sizes = w3::Sizes {
    batch: 16,
    side: 32,
    channels: 24,
    expansion: 5,
    groups: 8,
};
const GRAPH: w4::Sizes = w4::Sizes {
    nodes: 5000,
    edges: 25_000,
    inputs: 128,
    hidden: 64,
};
const FLOW: w5a::Sizes = w5a::Sizes {
    height: 12,
    width: 16,
    features: 64,
    hidden: 32,
    radius: 4,
    levels: 3,
};
const GRU: w5b::Sizes = w5b::Sizes {
    batch: 1,
    channels: 64,
    height: 48,
    width: 64,
};

impl Workload {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Self; 9] = [
        Self::Tanh128,
        Self::Tanh1024,
        Self::TanhHard,
        Self::Transformer,
        Self::Mdeq,
        Self::Graph,
        Self::Flow,
        Self::Gru,
        Self::Tanh32,
    ];

    /// Its name in a case.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tanh128 => "W1/d128",
            Self::Tanh1024 => "W1/d1024",
            Self::TanhHard => "W1/hard",
            Self::Transformer => "W2/block",
            Self::Mdeq => "W3/mdeq",
            Self::Graph => "W4/graph",
            Self::Flow => "W5a/flow",
            Self::Gru => "W5b/gru",
            Self::Tanh32 => "W7/d32",
        }
    }

    fn stop(self) -> Stop {
        match self {
            Self::Tanh128 | Self::Tanh1024 | Self::TanhHard => Stop::at(1e-4, 50),
            Self::Transformer => Stop::after(12),
            Self::Mdeq => Stop::after(18),
            Self::Graph => Stop::at(1e-5, 300),
            Self::Flow | Self::Gru => Stop::after(24),
            Self::Tanh32 => Stop::after(50),
        }
    }

    /// What the other side must know besides the arrays.
    fn settings(self) -> Value {
        let Stop {
            max_iter,
            tolerance,
            fixed_steps,
        } = self.stop();
        let mut settings = json!({
            "max_iter": max_iter,
            "tolerance": tolerance,
            "fixed_steps": fixed_steps,
        });
        match self {
            Self::Transformer => settings["heads"] = TRANSFORMER.heads.into(),
            Self::Mdeq => settings["groups"] = MDEQ.groups.into(),
            Self::Flow => {
                settings["radius"] = FLOW.radius.into();
                settings["levels"] = FLOW.levels.into();
            }
            _ => {}
        }
        settings
    }

    fn draw(self) -> Result<Arrays> {
        let settings = self.settings();
        Ok(match self {
            Self::Tanh128 => w1::draw(&TANH_128, settings),
            Self::Tanh1024 => w1::draw(&TANH_1024, settings),
            Self::TanhHard => w1::draw(&TANH_HARD, settings),
            Self::Tanh32 => w1::draw(&TANH_32, settings),
            Self::Transformer => w2::draw(&TRANSFORMER, settings),
            Self::Mdeq => w3::draw(&MDEQ, settings),
            Self::Graph => w4::draw(&GRAPH, settings)?,
            Self::Flow => w5a::draw(&FLOW, settings),
            Self::Gru => w5b::draw(&GRU, settings),
        })
    }

    fn open(
        self,
        arrays: &Arrays,
        solver: Solver,
        mode: Mode,
        device: &Device,
    ) -> Result<Box<dyn Work>> {
        let deq = layer(self.stop(), solver, mode)?;
        let trains = mode != Mode::Forward;
        let on = if trains {
            device.clone().autodiff()
        } else {
            device.clone()
        };
        Ok(match self {
            Self::Tanh128 | Self::Tanh1024 | Self::TanhHard | Self::Tanh32 => {
                solve(w1::Tanh::load(arrays, &on)?, deq, trains)
            }
            Self::Transformer => {
                let block = w2::Transformer::load(arrays, TRANSFORMER.heads, &on)?;
                solve(block, deq, trains)
            }
            Self::Mdeq => solve(w3::Images::load(arrays, MDEQ.groups, &on)?, deq, trains),
            Self::Graph => solve(w4::Nodes::load(arrays, &on)?, deq, trains),
            Self::Flow => {
                let flow = w5a::Flow::load(arrays, FLOW.radius, FLOW.levels, &on)?;
                solve(flow, deq, trains)
            }
            Self::Gru => solve(w5b::Recurrent::load(arrays, &on)?, deq, trains),
        })
    }
}

fn solve<W: Equilibrium>(workload: W, deq: Deq, trains: bool) -> Box<dyn Work> {
    Box::new(Solve {
        workload,
        deq,
        trains,
    })
}

/// The equilibrium layer, with TorchDEQ's options as the other side sets them.
fn layer(stop: Stop, solver: Solver, mode: Mode) -> Result<Deq> {
    let solver = match solver {
        Solver::Fp => torchdeq::Solver::FixedPointIter,
        Solver::Anderson => torchdeq::Solver::Anderson,
        Solver::Broyden => torchdeq::Solver::Broyden,
    };
    let mut options = torchdeq::Options {
        f_solver: solver,
        f_max_iter: Some(stop.max_iter),
        f_tol: Some(stop.tolerance),
        f_stop_mode: torchdeq::Mode::Rel,
        ..torchdeq::Options::default()
    };
    match mode {
        Mode::Forward => {}
        Mode::Phantom(steps) => {
            options.grad = Some(vec![steps]);
            options.tau = Some(if steps == 1 { 1.0 } else { 0.5 });
        }
        Mode::Implicit => {
            options.ift = true;
            options.b_solver = Some(solver);
            options.b_max_iter = Some(stop.max_iter);
            options.b_tol = Some(stop.tolerance);
            options.b_stop_mode = Some(torchdeq::Mode::Rel);
        }
    }
    let mut config = options.deq()?;
    if stop.fixed_steps {
        config.forward.termination.finish = Finish::Final;
    }
    Ok(config.init()?)
}

impl Case {
    /// The arrays of its workload.
    pub(super) fn draw(self) -> Result<Arrays> {
        match self {
            Self::Solve { workload, .. } => workload.draw(),
            Self::Kernel(kernel) => kernel.draw(&kernel.shapes()),
        }
    }

    /// The case in this library, on a device without autodiff.
    pub(super) fn open(self, arrays: &Arrays, device: &Device) -> Result<Box<dyn Work>> {
        match self {
            Self::Solve {
                workload,
                solver,
                mode,
            } => workload.open(arrays, solver, mode, device),
            Self::Kernel(kernel) => kernel.open(arrays, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tanh_32(solver: Solver, mode: Mode) -> Outcome {
        let workload = Workload::Tanh32;
        let arrays = workload.draw().expect("arrays");
        let device = deq::devices::all().remove(0);
        let work = workload.open(&arrays, solver, mode, &device);
        work.expect("a layer").outcome().expect("a solve")
    }

    #[test]
    fn fixed_steps_are_all_taken() {
        // Long before the 50th step the residual is that of rounding, or exactly 0.
        let outcome = tanh_32(Solver::Fp, Mode::Forward);
        assert_eq!(outcome.evaluations, Some([50, 0]));
        assert!(outcome.residual.expect("a residual") < 1e-6);
        assert_eq!(outcome.gradient, None);
        assert_eq!(outcome.result.len(), 32);
    }

    #[test]
    fn options_are_torchdeq_s() {
        let stop = Workload::Tanh128.stop();
        let of = |solver, mode| {
            let deq = layer(stop, solver, mode).expect("valid options");
            deq.config().clone()
        };
        let config = of(Solver::Anderson, Mode::Implicit);
        assert_eq!(config.forward.solver, SolverConfig::anderson());
        assert_eq!(config.forward.termination.max_iter, 50);
        assert_eq!(config.forward.termination.mode, StopMode::Relative);
        assert_eq!(config.forward.termination.finish, Finish::Best);
        let Gradient::Implicit(adjoint) = config.gradient else {
            panic!("an implicit gradient");
        };
        assert_eq!(adjoint.backward.solver, SolverConfig::anderson());
        assert_eq!(adjoint.backward.termination.tolerance, 1e-4);
        let five = of(Solver::Fp, Mode::Phantom(5)).gradient;
        assert_eq!(five, Gradient::phantom(5, 0.5));
        let one = of(Solver::Fp, Mode::Phantom(1)).gradient;
        assert_eq!(one, Gradient::phantom(1, 1.0));
    }

    #[test]
    fn settings_tell_what_the_arrays_do_not() {
        let flow = Workload::Flow.settings();
        assert_eq!(flow["max_iter"], 24);
        assert_eq!(flow["fixed_steps"], true);
        assert_eq!((&flow["radius"], &flow["levels"]), (&json!(4), &json!(3)));
        assert_eq!(Workload::Transformer.settings()["heads"], 8);
        assert_eq!(Workload::Graph.settings()["tolerance"], 1e-5);
    }

    #[test]
    fn every_training_mode_has_a_gradient() {
        for mode in [Mode::Phantom(1), Mode::Phantom(5), Mode::Implicit] {
            let outcome = tanh_32(Solver::Fp, mode);
            let gradient = outcome.gradient.expect("a gradient");
            assert!(gradient > 0.0 && gradient.is_finite(), "{gradient}");
            let [_, adjoint] = outcome.evaluations.expect("evaluations");
            assert_eq!(adjoint > 0, mode == Mode::Implicit);
        }
    }
}
