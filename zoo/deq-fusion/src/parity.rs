//! Replays the `deq_fusion` fixtures of the reference implementation.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq::prelude::*;
use deq::solvers::{AndersonConfig, BroydenConfig, Mixing, Overflow, Regularization};
use deq_import::{gradients, load};
use deq_nn::Init;
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::import::{ours, theirs};
use crate::{
    BatchMode, BatchStop, BatchWideConfig, Call, DeqFusion, Equilibrium, EquilibriumConfig,
    FusionMethod, FusionState, Injection, LayerConfig, MmDynamics, MmDynamicsConfig, SolveMethod,
    load_reference,
};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Config {
    Layer {
        dim: usize,
        n_modalities: usize,
        /// The size of the inputs, which are stored.
        #[serde(rename = "batch")]
        _batch: usize,
        trace: usize,
    },
    Brca {
        in_dims: Vec<usize>,
        hidden_dims: Vec<usize>,
        n_class: usize,
        n_modalities: usize,
        /// The network has `hidden_dims` instead.
        #[serde(rename = "dim")]
        _dim: usize,
        #[serde(rename = "batch")]
        _batch: usize,
        trace: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solver {
    solver: SolverName,
    m: usize,
    lam: f64,
    beta: f64,
    f_thres: usize,
    b_thres: usize,
    stop_mode: StopName,
    /// Not given, they are the reference's default.
    f_eps: Option<f64>,
    b_eps: Option<f64>,
    /// Not given for a layer, whose gradient leaves the penalty out.
    jacobian_weight: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SolverName {
    Anderson,
    Broyden,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StopName {
    Abs,
    Rel,
}

/// The default tolerance of the reference's solvers …
const EPS: f64 = 1e-3;
/// … but of the copy of its Anderson beside the BRCA program.
const BRCA_ANDERSON_EPS: f64 = 1e-5;

/// Builds the fixture's layer or network from its configuration, and computes its first evaluation,
/// its solve, its fixed point, its outputs, losses and gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq_fusion")?;
    let case = Case {
        fixture,
        solver: fixture.solver()?,
        device: match fixture.mode {
            Mode::Train => device.clone().autodiff(),
            Mode::Eval => device.clone(),
        },
    };
    let config: Config = fixture.config()?;
    match config {
        Config::Layer {
            dim,
            n_modalities,
            trace,
            ..
        } => case.layer(dim, n_modalities, trace),
        Config::Brca {
            in_dims,
            hidden_dims,
            n_class,
            n_modalities,
            trace,
            ..
        } => {
            let config = case.brca_config(in_dims, &hidden_dims, n_class, n_modalities)?;
            case.brca(&config, trace)
        }
    }
}

struct Case<'a> {
    fixture: &'a Fixture,
    solver: Solver,
    device: Device,
}

impl Case<'_> {
    fn layer(&self, dim: usize, modalities: usize, trace: usize) -> Result<Results, FixtureError> {
        let config = self.solver.equilibrium(Injection::Weighted, EPS);
        let weights = self.fixture.weights();
        let layer = DeqFusion::equilibrium(modalities, dim, &config, &self.device, 0);
        let layer = load(layer.map_err(FixtureError::replay)?, &weights);
        let layer = layer.map_err(FixtureError::replay)?;
        let features = self.views(modalities)?.into_iter().map(|x| {
            let [samples, features] = x.dims();
            x.reshape([samples, 1, features])
        });
        let fused = layer.forward(features.collect(), Call::default());
        let fused = fused.map_err(FixtureError::replay)?;

        let mut results = Results::new();
        let equilibrium = found(fused.equilibrium.as_ref())?;
        insert_solve(&mut results, equilibrium, trace)?;
        let penalty = equilibrium.jacobian_penalty(&self.probes(equilibrium)?);
        results.insert("expect.jac_loss", penalty);
        let [samples, _, features] = fused.features.dims();
        let z_fuse = fused.features.clone().reshape([samples, features]);
        results.insert("expect.z_fuse", z_fuse.clone());
        if self.fixture.mode == Mode::Train {
            let cotangent: Tensor<2> = self.fixture.tensor("input.cotangent", &self.device)?;
            let backward = (z_fuse * cotangent).sum().backward();
            results.insert_gradients(&gradients(&layer, &backward, &weights));
        }
        Ok(results)
    }

    fn brca_config(
        &self,
        in_dims: Vec<usize>,
        hidden_dims: &[usize],
        classes: usize,
        modalities: usize,
    ) -> Result<MmDynamicsConfig, FixtureError> {
        if in_dims.len() != modalities {
            return Err(FixtureError::replay(format!(
                "`in_dims` is {in_dims:?}, but `n_modalities` is {modalities}"
            )));
        }
        let hidden = match hidden_dims {
            [first, rest @ ..] if rest.iter().all(|width| width == first) => *first,
            _ => {
                return Err(FixtureError::replay(format!(
                    "`hidden_dims` is {hidden_dims:?}, but must be one width, once or repeated"
                )));
            }
        };
        let eps = match self.solver.solver {
            SolverName::Anderson => BRCA_ANDERSON_EPS,
            SolverName::Broyden => EPS,
        };
        Ok(MmDynamicsConfig {
            views: in_dims,
            hidden,
            // The first width is the encoders', the last the fusion's.
            head_layers: hidden_dims.len().saturating_sub(2),
            classes,
            dropout: 0.0,
            fusion: FusionMethod::Equilibrium(self.solver.equilibrium(Injection::Sum, eps)),
        })
    }

    fn brca(&self, config: &MmDynamicsConfig, trace: usize) -> Result<Results, FixtureError> {
        let weights = self.fixture.weights();
        let network = MmDynamics::new(config, &mut Init::new(&self.device, 0));
        let network = load_reference(network.map_err(FixtureError::replay)?, &weights);
        let network = network.map_err(FixtureError::replay)?;
        let views = self.views(config.views.len())?;
        let output = network.forward(&views, Call::default());
        let output = output.map_err(FixtureError::replay)?;

        let mut results = Results::new();
        let equilibrium = found(output.fused.equilibrium.as_ref())?;
        insert_solve(&mut results, equilibrium, trace)?;
        let penalty = equilibrium.jacobian_penalty(&self.probes(equilibrium)?);
        let weight = self.solver.jacobian_weight.unwrap_or(0.0);
        let parts = output.loss(&self.labels()?, None);
        let loss = parts.total + penalty.clone() * weight;
        results.insert("expect.logits", output.logits.clone());
        results.insert("expect.cross_entropy", parts.cross_entropy.clone());
        results.insert("expect.part.MMLoss", parts.cross_entropy);
        for (view, part) in parts.confidence.into_iter().enumerate() {
            results.insert(format!("expect.part.confidence_loss_view{view}"), part);
        }
        results.insert("expect.part.jacobian", penalty);
        results.insert("expect.loss", loss.clone());
        if self.fixture.mode == Mode::Train {
            let named = gradients(&network, &loss.backward(), &ours(&weights));
            results.insert_gradients(&theirs(&named));
        }
        Ok(results)
    }

    /// The features of each modality.
    fn views(&self, modalities: usize) -> Result<Vec<Tensor<2>>, FixtureError> {
        (0..modalities)
            .map(|view| {
                self.fixture
                    .tensor(&format!("input.x.{view}"), &self.device)
            })
            .collect()
    }

    /// The probes of the penalty, each a state.
    fn probes(&self, equilibrium: &Equilibrium) -> Result<Vec<FusionState>, FixtureError> {
        let shapes = equilibrium.point.shapes();
        let numbers: usize = shapes.iter().map(|shape| shape.num_elements()).sum();
        let count = self.fixture.with_prefix("input.probe.").count();
        (0..count)
            .map(|index| {
                let name = format!("input.probe.{index}");
                let probe: Tensor<2> = self.fixture.tensor(&name, &self.device)?;
                if probe.shape().num_elements() != numbers {
                    return Err(FixtureError::replay(format!(
                        "`{name}` has shape {:?}, but the state has {numbers} numbers",
                        probe.dims()
                    )));
                }
                Ok(FusionState::from_matrix(probe, &shapes))
            })
            .collect()
    }

    fn labels(&self) -> Result<Tensor<1, Int>, FixtureError> {
        let mut labels = self.fixture.with_prefix("input.label");
        let Some((_, labels)) = labels.find(|(rest, _)| rest.is_empty()) else {
            return Err(FixtureError::MissingTensor("input.label".to_owned()));
        };
        Ok(Tensor::from_data(labels.clone(), &self.device))
    }
}

impl Solver {
    /// The layer's options in our terms. Without tolerances of its own it has this default.
    fn equilibrium(&self, injection: Injection, default: f64) -> EquilibriumConfig {
        let longest = self.f_thres.max(self.b_thres);
        let solver = match self.solver {
            SolverName::Anderson => SolverConfig::Anderson(AndersonConfig {
                window: self.m,
                mixing: Mixing::Gram(Regularization::Absolute(self.lam)),
                damping: self.beta,
                ..AndersonConfig::default()
            }),
            SolverName::Broyden => SolverConfig::Broyden(BroydenConfig {
                memory: longest.max(1),
                overflow: Overflow::Overwrite,
                ..BroydenConfig::default()
            }),
        };
        let solve = BatchWideConfig {
            solver,
            forward: BatchStop {
                threshold: self.f_thres,
                tolerance: self.f_eps.unwrap_or(default),
                mode: match self.stop_mode {
                    StopName::Abs => BatchMode::Absolute,
                    StopName::Rel => BatchMode::Relative,
                },
            },
            backward: BatchStop {
                threshold: self.b_thres,
                tolerance: self.b_eps.unwrap_or(default),
                mode: BatchMode::Relative,
            },
        };
        EquilibriumConfig {
            layer: LayerConfig {
                injection,
                ..LayerConfig::default()
            },
            solve: SolveMethod::BatchWide(solve),
            ..EquilibriumConfig::default()
        }
    }
}

fn found(equilibrium: Option<&Equilibrium>) -> Result<&Equilibrium, FixtureError> {
    equilibrium.ok_or_else(|| FixtureError::replay("the fusion has no state"))
}

/// The map at zero, what the solver returned and how, and the fixed point.
fn insert_solve(
    results: &mut Results,
    equilibrium: &Equilibrium,
    length: usize,
) -> Result<(), FixtureError> {
    let plain = equilibrium.arguments.valid();
    let first = plain.evaluate(plain.zeros());
    results.insert("expect.f_of_zero", first.into_matrix());
    let solved = equilibrium.point.clone().into_matrix();
    results.insert("expect.z_solver", solved);
    let exact = equilibrium.polished().map_err(FixtureError::replay)?;
    results.insert("expect.z_exact", exact.into_matrix());
    if let Some(trace) = &equilibrium.batch {
        let [absolute, relative] = trace.padded(length);
        let data = |values: Vec<f64>| {
            let count = values.len();
            TensorData::new(values, [count])
        };
        results.insert_data("expect.abs_trace", data(absolute));
        results.insert_data("expect.rel_trace", data(relative));
        let step = TensorData::new(vec![trace.best_step as i64], [1]);
        results.insert_data("expect.nstep", step);
    }
    Ok(())
}
