//! Replays the `deq_flow` fixtures of the reference implementation.

mod training;

use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq::solvers::StepEvent;
use deq::torchdeq::{Options, Trace};
use deq_import::load;
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::{DeqFlow, FlowArguments, FlowConfig, FlowState, Preset};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    what: What,
    size: Size,
    gma: bool,
    all_grad: bool,
    gamma: f64,
    /// Solves again, from the first solve's flow.
    warm: bool,
    /// The shapes of the inputs and how they were made; they are stored.
    #[serde(rename = "batch")]
    _batch: usize,
    #[serde(rename = "image")]
    _image: [usize; 2],
    #[serde(rename = "noise_images")]
    _noise_images: bool,
}

/// What the fixture has.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Encoders, lookup and one evaluation of the map.
    Parts,
    /// A call of the model.
    Model,
}

/// The reference's names of sizes.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Size {
    Tiny,
    #[serde(alias = "b", alias = "B", alias = "default")]
    Base,
    #[serde(alias = "l", alias = "L")]
    Large,
    #[serde(alias = "h", alias = "H")]
    Huge,
    #[serde(alias = "g", alias = "G")]
    Gigantic,
}

/// Builds the fixture's model from its configuration, and computes its features, correlations,
/// states, flows, losses, residuals, running statistics and gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq_flow")?;
    let config: Config = fixture.config()?;
    let options: Options = fixture.solver()?;
    let device = match fixture.mode {
        Mode::Train => device.clone().autodiff(),
        Mode::Eval => device.clone(),
    };
    let weights = fixture.weights();
    let model = flow_config(&config, &options)?.init(&device, 0);
    let model = load(model.map_err(FixtureError::replay)?, &weights);
    let model = model.map_err(FixtureError::replay)?;
    let mut results = Results::new();
    match (config.what, fixture.mode) {
        (What::Parts, _) => insert_parts(&mut results, fixture, &model, &device)?,
        (What::Model, Mode::Eval) => {
            let settings = (&config, &options);
            insert_evaluation(&mut results, fixture, settings, &model, &device)?;
        }
        (What::Model, Mode::Train) => {
            training::insert(&mut results, fixture, &model, &weights, &device)?;
        }
    }
    Ok(results)
}

/// The model's configuration in our terms.
fn flow_config(config: &Config, options: &Options) -> Result<FlowConfig, FixtureError> {
    let preset = match config.size {
        Size::Tiny => Preset::Tiny,
        Size::Base => Preset::B,
        Size::Large => Preset::L,
        Size::Huge => Preset::H,
        Size::Gigantic => Preset::G,
    };
    Ok(FlowConfig {
        gma: config.gma,
        all_grad: config.all_grad,
        weight_norm: match options.norm() {
            Some(NormConfig::SpectralNorm(_)) => {
                return Err(FixtureError::replay("the model has weight norm or none"));
            }
            Some(NormConfig::WeightNorm(norm)) => Some(norm),
            None => None,
        },
        correction: Correction::Exp {
            gamma: config.gamma,
        },
        deq: options.deq().map_err(FixtureError::replay)?,
        ..preset.config()
    })
}

fn frames(fixture: &Fixture, device: &Device) -> Result<[Tensor<4>; 2], FixtureError> {
    Ok([
        fixture.tensor("input.image1", device)?,
        fixture.tensor("input.image2", device)?,
    ])
}

/// How many rows of the attention a fixture has.
const ATTENTION_ROWS: usize = 4;

fn insert_parts(
    results: &mut Results,
    fixture: &Fixture,
    model: &DeqFlow,
    device: &Device,
) -> Result<(), FixtureError> {
    let [first, second] = frames(fixture, device)?;
    let features = model.features(first.clone(), second.clone());
    let [of_first, of_second] = features.map_err(FixtureError::replay)?;
    results.insert("expect.fmap1", of_first);
    results.insert("expect.fmap2", of_second);
    let arguments = model.prepare(first, second).map_err(FixtureError::replay)?;
    results.insert("expect.context", arguments.context());
    for level in 0..model.config().corr_levels {
        if let Some(volume) = arguments.correlation().volume(level) {
            if level == 0 {
                let pixel = volume.clone().narrow(0, 0, 1);
                results.insert("expect.corr_volume_first_pixel", pixel);
            }
            results.insert(format!("expect.corr_pyramid.{level}"), volume);
        }
    }
    if let Some(attention) = arguments.attention() {
        let [samples, pixels, _] = attention.dims();
        let count = ATTENTION_ROWS.min(pixels);
        let rows: Tensor<4> = attention
            .narrow(1, 0, count)
            .reshape([samples, 1, count, pixels]);
        results.insert("expect.attention_rows", rows);
    }

    let coords: Tensor<4> = fixture.tensor("input.coords", device)?;
    let net: Tensor<4> = fixture.tensor("input.net", device)?;
    let corr = arguments.correlation().lookup(coords.clone());
    results.insert("expect.corr", corr);
    let motion = arguments.motion_features(coords.clone());
    results.insert(
        "expect.motion_features",
        motion.map_err(FixtureError::replay)?,
    );
    let [net, delta] = arguments.update(net, coords.clone());
    results.insert("expect.net", net.clone());
    results.insert("expect.delta", delta);
    let state = FlowState {
        hidden: net,
        flow: coords - arguments.origin(),
    };
    results.insert("expect.flow_up", model.decode(&state));
    Ok(())
}

fn insert_evaluation(
    results: &mut Results,
    fixture: &Fixture,
    (config, options): (&Config, &Options),
    model: &DeqFlow,
    device: &Device,
) -> Result<(), FixtureError> {
    let [first, second] = frames(fixture, device)?;
    let arguments = model.prepare(first, second).map_err(FixtureError::replay)?;
    let mut trace = Trace::new(options.f_solver, model.config().deq.eval_max_iter());
    let mut record = |event: &StepEvent<'_>| trace.record(event);
    let call = CallOptions {
        observer: Some(&mut record),
        ..Default::default()
    };
    let state = solve(model, &arguments, None, call)?;
    results.insert_data("expect.abs_trace", trace.abs_trace());
    results.insert_data("expect.rel_trace", trace.rel_trace());
    results.insert_data("expect.abs_lowest", trace.abs_lowest());
    results.insert_data("expect.rel_lowest", trace.rel_lowest());
    results.insert("expect.net", state.hidden.clone());
    results.insert("expect.flow_low", state.flow.clone());
    results.insert("expect.flow_up", model.decode(&state));
    if config.warm {
        let hidden_dim = model.config().hidden_dim;
        let start = FlowState::from_flow(state.flow, hidden_dim);
        let state = solve(model, &arguments, Some(&start), CallOptions::default())?;
        results.insert("expect.flow_low_warm", state.flow.clone());
        results.insert("expect.flow_up_warm", model.decode(&state));
    }
    Ok(())
}

fn solve(
    model: &DeqFlow,
    arguments: &FlowArguments,
    start: Option<&FlowState>,
    options: CallOptions<'_>,
) -> Result<FlowState, FixtureError> {
    let solved = model.solve(arguments, start, options);
    let (hidden, coords) = solved.map_err(FixtureError::replay)?.into_last();
    Ok(FlowState {
        hidden,
        flow: coords - arguments.origin(),
    })
}
