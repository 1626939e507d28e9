//! Replays the `mdeq` fixtures of the reference implementation.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq::solvers::StepEvent;
use deq::torchdeq;
use deq_import::{gradients, load};
use deq_nn::BatchNorm;
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::layers::Layer;
use crate::task::{cross_entropy, targets};
use crate::{MapNorm, Mdeq, MdeqConfig};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    variant: Variant,
    channels: Vec<usize>,
    expansion: usize,
    num_groups: usize,
    num_classes: usize,
    downsample_times: usize,
    head_channels: Vec<usize>,
    final_channels: usize,
    /// Samples, channels, height, width.
    input_shape: [usize; 4],
    /// How the fixture's weights were scaled; they are stored.
    #[serde(rename = "gain")]
    _gain: f64,
}

/// Which of the reference's two programs ran.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Variant {
    Cifar,
    /// Leaves the fusion out of weight norm, and damps its forward solver by `tau` too.
    Imagenet,
}

/// Builds the fixture's model from its configuration, and computes its equilibria, logits, losses,
/// residuals, running statistics and gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("mdeq")?;
    let config: Config = fixture.config()?;
    let options: torchdeq::Options = fixture.solver()?;
    let device = match fixture.mode {
        Mode::Train => device.clone().autodiff(),
        Mode::Eval => device.clone(),
    };
    let weights = fixture.weights();
    let model = mdeq_config(&config, &options)?.init(&device, 0);
    let model = load(model.map_err(FixtureError::replay)?, &weights);
    let model = model.map_err(FixtureError::replay)?;
    let images: Tensor<4> = fixture.tensor("input.image", &device)?;

    let mut results = Results::new();
    let injection = model.inject(images).map_err(FixtureError::replay)?;
    let is_damped = config.variant == Variant::Imagenet && options.f_solver.is_fixed_point_iter();
    let scale = options.tau.filter(|_| is_damped).unwrap_or(1.0);
    let cap = model.config().deq.eval_max_iter();
    let mut trace = torchdeq::Trace::new(options.f_solver, cap).with_scale(scale);
    let mut record = |event: &StepEvent<'_>| trace.record(event);
    let call = CallOptions {
        observer: Some(&mut record),
        ..Default::default()
    };
    let solved = model.solve(injection.clone(), call);
    let states = solved.map_err(FixtureError::replay)?.into_states();
    let mut logits = Vec::new();
    for state in &states {
        logits.push(model.classify(state).map_err(FixtureError::replay)?);
    }
    insert_states(&mut results, &model, &states, injection);
    insert_logits(&mut results, fixture, &config, &logits)?;
    match fixture.mode {
        Mode::Eval => {
            results.insert_data("expect.abs_trace", trace.abs_trace());
            results.insert_data("expect.rel_trace", trace.rel_trace());
        }
        Mode::Train => {
            insert_running_statistics(&mut results, &model);
            let cotangent: Tensor<2> = fixture.tensor("input.cotangent", &device)?;
            let losses = logits
                .into_iter()
                .map(|logits| (logits * cotangent.clone()).sum());
            let loss = Correction::Exp { gamma: 0.8 }.combine(losses.collect());
            let backward = loss.map_err(FixtureError::replay)?.backward();
            results.insert_gradients(&gradients(&model, &backward, &weights));
        }
    }
    Ok(results)
}

/// The model's configuration in our terms.
fn mdeq_config(config: &Config, options: &torchdeq::Options) -> Result<MdeqConfig, FixtureError> {
    let mut deq = options.deq().map_err(FixtureError::replay)?;
    if config.variant == Variant::Imagenet {
        let damping = options.tau.unwrap_or(1.0);
        // TorchDEQ's residual carries the damping of its fixed-point iteration; ours does not.
        match &mut deq.forward.solver {
            SolverConfig::Picard(picard) => {
                picard.damping = damping;
                deq.forward.termination.tolerance /= damping;
            }
            SolverConfig::Anderson(anderson) => anderson.damping = damping,
            _ => {}
        }
    }
    Ok(MdeqConfig {
        in_channels: config.input_shape[1],
        classes: config.num_classes,
        channels: config.channels.clone(),
        expansion: config.expansion,
        groups: config.num_groups,
        downsample_times: config.downsample_times,
        head_channels: config.head_channels.clone(),
        final_channels: config.final_channels,
        norm: match options.norm() {
            Some(NormConfig::SpectralNorm(_)) => {
                return Err(FixtureError::replay("the model has weight norm or none"));
            }
            Some(NormConfig::WeightNorm(weight_norm)) => Some(MapNorm {
                weight_norm,
                fusion: config.variant == Variant::Cifar,
            }),
            None => None,
        },
        deq,
    })
}

fn insert_states(
    results: &mut Results,
    model: &Mdeq,
    states: &[Vec<Tensor<4>>],
    injection: Tensor<4>,
) {
    for (index, state) in states.iter().enumerate() {
        for (branch, z) in state.iter().enumerate() {
            results.insert(format!("expect.z.{index}.branch{branch}"), z.clone());
        }
    }
    if let Some(last) = states.last() {
        let map = model.full_stage.valid().materialize();
        let z = last.iter().map(|z| z.clone().inner()).collect();
        let image = map.forward(z, injection.inner());
        for (branch, part) in image.into_iter().enumerate() {
            results.insert(format!("expect.f_of_z.branch{branch}"), part);
        }
    }
}

fn insert_logits(
    results: &mut Results,
    fixture: &Fixture,
    config: &Config,
    logits: &[Tensor<2>],
) -> Result<(), FixtureError> {
    let count = TensorData::new(vec![logits.len() as i64], [1]);
    results.insert_data("expect.n_outputs", count);
    for (index, logits) in logits.iter().enumerate() {
        results.insert(format!("expect.logits.{index}"), logits.clone());
    }
    let (_, labels) = fixture
        .with_prefix("input.")
        .find(|(name, _)| *name == "label")
        .ok_or_else(|| FixtureError::MissingTensor("input.label".to_owned()))?;
    let labels: Vec<usize> = labels.iter::<i64>().map(|label| label as usize).collect();
    if let Some(last) = logits.last() {
        let last = last.clone().inner();
        let targets = targets(&labels, config.num_classes, &last.device());
        let loss = cross_entropy(last, targets.map_err(FixtureError::replay)?);
        results.insert("expect.cross_entropy", loss);
    }
    Ok(())
}

fn insert_running_statistics(results: &mut Results, model: &Mdeq) {
    let mut norms: Vec<(String, &BatchNorm)> = Vec::new();
    in_sequence("downsample", &model.downsample, &mut norms);
    if let Some(layers) = &model.stage0 {
        in_sequence("stage0", layers, &mut norms);
    }
    for (branch, blocks) in model.incre_modules.iter().enumerate() {
        for (index, block) in blocks.iter().enumerate() {
            let name = format!("incre_modules.{branch}.{index}");
            norms.push((format!("{name}.bn1"), &block.bn1));
            norms.push((format!("{name}.bn2"), &block.bn2));
            norms.push((format!("{name}.bn3"), &block.bn3));
            if let Some(layers) = &block.downsample {
                in_sequence(&format!("{name}.downsample"), layers, &mut norms);
            }
        }
    }
    for (branch, layers) in model.downsamp_modules.iter().enumerate() {
        in_sequence(&format!("downsamp_modules.{branch}"), layers, &mut norms);
    }
    in_sequence("final_layer", &model.final_layer, &mut norms);

    for (name, norm) in norms {
        let name = format!("expect.after.{name}");
        results.insert(
            format!("{name}.running_mean"),
            norm.running_mean.value_sync(),
        );
        results.insert(format!("{name}.running_var"), norm.running_var.value_sync());
    }
}

fn in_sequence<'a>(name: &str, layers: &'a [Layer], norms: &mut Vec<(String, &'a BatchNorm)>) {
    for (index, layer) in layers.iter().enumerate() {
        if let Layer::Norm(norm) = layer {
            norms.push((format!("{name}.{index}"), norm));
        }
    }
}
