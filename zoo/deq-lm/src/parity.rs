//! Replays the `deq_lm` and `deq_seq` fixtures of the reference implementations.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::{Correction, jacobian_penalty_with};
use deq::solvers::StepEvent;
use deq::torchdeq::{Options, Trace};
use deq_import::{StateDict, gradients, load};
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::task::loss_of;
use crate::{Architecture, Arguments, ForwardOptions, LanguageModel, LmConfig, LmOutput, Memory};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    n_token: usize,
    cutoffs: Vec<usize>,
    div_val: usize,
    tie_weights: bool,
    /// The reference keeps tied projections as two parameters of the same values, and the fixture
    /// has the gradient of each: the replay does not share them.
    #[serde(rename = "tie_projs")]
    _tie_projs: bool,
    n_layer: Option<usize>,
    n_head: usize,
    d_model: usize,
    d_head: usize,
    d_embed: usize,
    d_inner: usize,
    mem_len: usize,
    /// 0 is the reference's way to say 1000.
    local_size: usize,
    gamma: Option<f64>,
    /// The shape of the inputs and the size of the weights; both are stored.
    #[serde(rename = "tgt_len")]
    _tgt_len: usize,
    #[serde(rename = "batch")]
    _batch: usize,
    #[serde(rename = "scale")]
    _scale: f64,
}

/// What `local_size` 0 means.
const LOCAL_SIZE: usize = 1_000;

/// Replays a fixture of `deq-lm`, the pre-norm model.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay_lm(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq_lm")?;
    replay(fixture, device, Architecture::PreNorm)
}

/// Replays a fixture of `deq-seq`, the post-norm model.
///
/// # Errors
/// As [`replay_lm`].
pub fn replay_seq(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq_seq")?;
    replay(fixture, device, Architecture::PostNorm)
}

/// Two segments with memory, and the gradient of the second one's loss.
fn replay(
    fixture: &Fixture,
    device: &Device,
    architecture: Architecture,
) -> Result<Results, FixtureError> {
    let mut options: Options = fixture.solver()?;
    if fixture.mode == Mode::Train {
        reachable(&mut options);
    }
    let device = match fixture.mode {
        Mode::Train => device.clone().autodiff(),
        Mode::Eval => device.clone(),
    };
    let weights = fixture.weights();
    let config = lm_config(fixture, architecture, &options)?;
    let model = config.init(&device, 0).map_err(FixtureError::replay)?;
    let model = load(model, &weights).map_err(FixtureError::replay)?;

    let mut results = Results::new();
    let mut memory = Memory::default();
    let mut last = None;
    for segment in ["1", "2"] {
        let tokens = Tokens::read(fixture, &format!("input.data{segment}"))?;
        let targets = Tokens::read(fixture, &format!("input.target{segment}"))?;
        let cap = model.config().deq.eval_max_iter();
        let mut trace = Trace::new(options.f_solver, cap);
        let mut record = |event: &StepEvent<'_>| trace.record(event);
        let forward = ForwardOptions {
            observer: Some(&mut record),
            ..ForwardOptions::default()
        };
        let output = model
            .forward(&tokens.values, tokens.batch, &memory, forward)
            .map_err(FixtureError::replay)?;
        memory = output.memory.clone();

        let layout = Layout(architecture);
        insert_states(&mut results, segment, &layout, &output);
        if let (Mode::Eval, Some(stats)) = (fixture.mode, &output.stats) {
            results.insert_data(format!("expect.abs_trace{segment}"), trace.abs_trace());
            results.insert_data(format!("expect.rel_trace{segment}"), trace.rel_trace());
            let steps: Vec<i64> = stats.best_steps.iter().map(|&step| step as i64).collect();
            let count = steps.len();
            let steps = TensorData::new(steps, [count]);
            results.insert_data(format!("expect.nstep{segment}"), steps);
        }
        if segment == "1" {
            let embedded = model.word_emb.forward(&tokens.values);
            let embedded = embedded.map_err(FixtureError::replay)?;
            let [count, width] = embedded.dims();
            let shape = [tokens.batch, count / tokens.batch, width];
            results.insert("expect.word_emb1", embedded.reshape(shape));
        }
        let loss = loss_of(&model, output, &targets.values, None).map_err(FixtureError::replay)?;
        results.insert(format!("expect.nll{segment}"), loss.token_losses.clone());
        results.insert(format!("expect.loss{segment}"), loss.loss.clone());
        last = Some(loss);
    }
    let last = last.ok_or_else(|| FixtureError::replay("there is no segment"))?;
    insert_map(&mut results, fixture, architecture, &last.output)?;
    if fixture.mode == Mode::Train {
        insert_gradients(&mut results, &model, &last.loss, &weights);
    }
    Ok(results)
}

fn insert_gradients(
    results: &mut Results,
    model: &LanguageModel,
    loss: &Tensor<1>,
    weights: &StateDict,
) {
    let backward = loss.backward();
    results.insert_gradients(&gradients(model, &backward, weights));
}

/// The model's configuration in our terms.
fn lm_config(
    fixture: &Fixture,
    architecture: Architecture,
    options: &Options,
) -> Result<LmConfig, FixtureError> {
    let config: Config = fixture.config()?;
    Ok(LmConfig {
        architecture,
        n_token: config.n_token,
        d_model: config.d_model,
        d_embed: config.d_embed,
        d_inner: config.d_inner,
        n_head: config.n_head,
        d_head: config.d_head,
        n_layer: config.n_layer.unwrap_or(1),
        cutoffs: config.cutoffs,
        div_val: config.div_val,
        tie_weights: config.tie_weights,
        tie_projs: false,
        mem_len: config.mem_len,
        local_size: match config.local_size {
            0 => LOCAL_SIZE,
            size => size,
        },
        dropout: 0.0,
        dropatt: 0.0,
        init_std: 0.1,
        injection_std: 0.1,
        weight_norm: weight_norm(options)?,
        correction: match config.gamma {
            Some(gamma) => Correction::Exp { gamma },
            None => Correction::default(),
        },
        untied_layers: None,
        deq: options.deq().map_err(FixtureError::replay)?,
    })
}

fn weight_norm(options: &Options) -> Result<Option<WeightNormConfig>, FixtureError> {
    match options.norm() {
        None => Ok(None),
        Some(NormConfig::WeightNorm(norm)) => Ok(Some(norm)),
        Some(NormConfig::SpectralNorm(_)) => {
            Err(FixtureError::replay("the model has weight norm or none"))
        }
    }
}

/// The reference solved for exact gradients in `f64`, to tolerances below the rounding of the
/// fixture's `f32`. There a solve would only wander around the fixed point until its cap.
fn reachable(options: &mut Options) {
    if !options.ift && !options.hook_ift {
        return;
    }
    let least = 4.0 * f64::from(f32::EPSILON);
    options.f_tol = options.f_tol.map(|tolerance| tolerance.max(least));
    options.b_tol = options.b_tol.map(|tolerance| tolerance.max(least));
}

/// Tokens of all streams.
struct Tokens {
    values: Vec<u32>,
    batch: usize,
}

impl Tokens {
    fn read(fixture: &Fixture, name: &str) -> Result<Self, FixtureError> {
        let missing = || FixtureError::MissingTensor(name.to_owned());
        let (_, data) = fixture.with_prefix(name).next().ok_or_else(missing)?;
        let values = data.iter::<i64>().map(u32::try_from);
        Ok(Self {
            values: values
                .collect::<Result<Vec<u32>, _>>()
                .map_err(FixtureError::replay)?,
            batch: data.shape().as_slice().first().copied().unwrap_or(0),
        })
    }
}

/// The reference's order of axes: `deq-seq` keeps positions last.
struct Layout(Architecture);

impl Layout {
    fn of(&self, tensor: Tensor<3>) -> Tensor<3> {
        match self.0 {
            Architecture::PreNorm => tensor,
            Architecture::PostNorm => tensor.swap_dims(1, 2),
        }
    }
}

fn insert_states(results: &mut Results, segment: &str, layout: &Layout, output: &LmOutput) {
    for (index, state) in output.states.iter().enumerate() {
        let state = layout.of(state.clone());
        results.insert(format!("expect.z{segment}.{index}"), state);
    }
    let last = layout.of(output.last().clone());
    results.insert(format!("expect.z{segment}"), last);
    if let (Some(z), Some(u)) = (output.memory.z.first(), &output.memory.u) {
        results.insert(format!("expect.mems{segment}.z"), layout.of(z.clone()));
        results.insert(format!("expect.mems{segment}.u"), layout.of(u.clone()));
    }
}

/// The map's value and, where the fixture has a probe, its Jacobian penalty at the last state.
fn insert_map(
    results: &mut Results,
    fixture: &Fixture,
    architecture: Architecture,
    output: &LmOutput,
) -> Result<(), FixtureError> {
    let layout = Layout(architecture);
    let arguments = output.arguments.as_ref();
    let arguments = arguments.ok_or_else(|| FixtureError::replay("the model has no map"))?;
    let arguments = arguments.valid();
    let z = output.last().clone().inner();
    results.insert("expect.f_of_z2", layout.of(arguments.evaluate(z.clone())));
    if fixture.with_prefix("expect.jac_loss").next().is_some() {
        let probe: Tensor<3> = fixture.tensor("input.probe", &z.device())?;
        let map = |arguments: &Arguments, z: Tensor<3>| arguments.evaluate(z);
        let penalty = jacobian_penalty_with(&arguments, map, &z, &[layout.of(probe)]);
        results.insert("expect.jac_loss", penalty);
    }
    Ok(())
}
