//! Replays the `deq_inr` fixtures of the reference implementation.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq::torchdeq;
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::{Filter, Inr, InrConfig, InrOutput, Start};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    filter: String,
    n_layers: usize,
    in_channels: usize,
    width: usize,
    out_channels: usize,
    input_scale: f64,
    alpha: f64,
    one_pass: bool,
    start: StartKind,
    reuse: bool,
    /// How the fixture's coordinates and weights were made; both are stored.
    #[serde(rename = "grid")]
    _grid: Vec<usize>,
    #[serde(rename = "z_scale")]
    _z_scale: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StartKind {
    Zeros,
    Given,
}

/// Builds the fixture's model from its configuration, and computes its injections, states,
/// outputs and gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq_inr")?;
    let config: Config = fixture.config()?;
    let options: torchdeq::Options = fixture.solver()?;
    let device = match fixture.mode {
        Mode::Train => device.clone().autodiff(),
        Mode::Eval => device.clone(),
    };
    let weights = fixture.weights();
    let model = inr_config(&config, &options)?.init(&device, 0);
    let model = load(model.map_err(FixtureError::replay)?, &weights);
    let model = model.map_err(FixtureError::replay)?;

    let coords: Tensor<2> = fixture.tensor("input.coords", &device)?;
    let start = match config.start {
        StartKind::Zeros => Start::Zeros,
        StartKind::Given => Start::From(fixture.tensor("input.z0", &device.clone().inner())?),
    };
    let forward = |start| {
        let output = model.forward(coords.clone(), start);
        output.map_err(FixtureError::replay)
    };

    let mut results = Results::new();
    for (index, part) in model
        .injection
        .forward(coords.clone())
        .into_iter()
        .enumerate()
    {
        results.insert(format!("expect.injection.{index}"), part);
    }
    let first = forward(start)?;
    insert(&mut results, "", &first);
    if !config.one_pass {
        let z = first.z.clone().inner();
        results.insert("expect.z_exact", fixed_point(&model, &coords, z)?);
    }
    let last = if config.reuse {
        let again = forward(Start::Reuse(first.z.inner()))?;
        insert(&mut results, "_reuse", &again);
        again
    } else {
        first
    };
    for (index, state) in last.states.iter().enumerate() {
        results.insert(format!("expect.states.{index}"), state.clone());
    }
    if fixture.mode == Mode::Train {
        let cotangent: Tensor<2> = fixture.tensor("input.cotangent", &device)?;
        let backward = (last.output * cotangent).sum().backward();
        results.insert_gradients(&gradients(&model, &backward, &weights));
    }
    Ok(results)
}

fn insert(results: &mut Results, suffix: &str, output: &InrOutput) {
    results.insert(format!("expect.output{suffix}"), output.output.clone());
    results.insert(format!("expect.z{suffix}"), output.z.clone());
}

/// The model's configuration in our terms.
fn inr_config(config: &Config, options: &torchdeq::Options) -> Result<InrConfig, FixtureError> {
    let filter = match config.filter.as_str() {
        "fourier" => Filter::Fourier {},
        "gabor" => Filter::Gabor {
            alpha: config.alpha,
        },
        "siren_like" => Filter::SirenLike {},
        other => {
            return Err(FixtureError::replay(format!(
                "no filter `{other}` is known"
            )));
        }
    };
    Ok(InrConfig {
        filter,
        layers: config.n_layers,
        width: config.width,
        in_channels: config.in_channels,
        out_channels: config.out_channels,
        input_scale: config.input_scale,
        weight_norm: match options.norm() {
            Some(NormConfig::SpectralNorm(_)) => {
                return Err(FixtureError::replay("the model has weight norm or none"));
            }
            Some(NormConfig::WeightNorm(norm)) => Some(norm),
            None => None,
        },
        one_pass: config.one_pass,
        deq: options.deq().map_err(FixtureError::replay)?,
    })
}

/// The fixed point itself, to the accuracy of the device's floats.
fn fixed_point(
    model: &Inr,
    coords: &Tensor<2>,
    start: Tensor<2>,
) -> Result<Tensor<2>, FixtureError> {
    let model = model.valid();
    let mut injections = model.injection.forward(coords.clone().inner());
    let first = model.f.first(injections.remove(0));
    let mut config = SolveConfig::default()
        .with_tolerance(2e-7)
        .with_max_iter(3000);
    config.termination.mode = StopMode::Relative;
    config.termination.finish = Finish::Best;
    let map = |z| model.f.forward(first.clone(), &injections, z);
    let solution = config.solve(map, start).map_err(FixtureError::replay)?;
    Ok(solution.state)
}
