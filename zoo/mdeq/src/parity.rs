//! Replays the `mdeq` fixtures of the reference implementation.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq::solvers::StepEvent;
use deq::torchdeq;
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::layers::Layer;
use crate::task::{cross_entropy, targets};
use crate::{BatchNorm2d, MapNorm, Mdeq, MdeqConfig};

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
    let mut trace = Trace::new(&config, &options);
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
        Mode::Eval => trace.insert(&mut results, eval_max_iter(model.config())),
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
    let mut norms: Vec<(String, &BatchNorm2d)> = Vec::new();
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

fn in_sequence<'a>(name: &str, layers: &'a [Layer], norms: &mut Vec<(String, &'a BatchNorm2d)>) {
    for (index, layer) in layers.iter().enumerate() {
        if let Layer::Norm(norm) = layer {
            norms.push((format!("{name}.{index}"), norm));
        }
    }
}

fn eval_max_iter(config: &MdeqConfig) -> usize {
    let max_iter = config.deq.forward.termination.max_iter;
    match config.deq.eval {
        deq::implicit::Eval::Factor(factor) => (max_iter as f64 * factor) as usize,
        deq::implicit::Eval::MaxIter(steps) => steps,
    }
}

/// The solver's residuals as TorchDEQ records them.
struct Trace {
    absolute: Vec<Vec<f64>>,
    relative: Vec<Vec<f64>>,
    /// Evaluations that precede TorchDEQ's trace.
    untraced: usize,
    /// How many steps TorchDEQ's trace is shorter than the cap.
    shorter: usize,
    /// The damping that TorchDEQ's residual carries.
    scale: f64,
    events: usize,
}

impl Trace {
    fn new(config: &Config, options: &torchdeq::Options) -> Self {
        let (untraced, shorter, is_picard) = match options.f_solver {
            torchdeq::Solver::FixedPointIter | torchdeq::Solver::SimpleFixedPointIter => {
                (0, 0, true)
            }
            torchdeq::Solver::Anderson => (2, 2, false),
            torchdeq::Solver::Broyden => (1, 0, false),
        };
        let is_damped = is_picard && config.variant == Variant::Imagenet;
        Self {
            absolute: Vec::new(),
            relative: Vec::new(),
            untraced,
            shorter,
            scale: options.tau.filter(|_| is_damped).unwrap_or(1.0),
            events: 0,
        }
    }

    fn record(&mut self, event: &StepEvent<'_>) {
        self.events += 1;
        if self.events <= self.untraced {
            return;
        }
        let residual = event.evaluation.residual.clone() * self.scale;
        let image = norms(event.evaluation.point.clone() + residual.clone());
        let residual = norms(residual);
        let ratios = residual.iter().zip(&image).map(|(r, f)| r / (f + 1e-9));
        self.relative.push(ratios.collect());
        self.absolute.push(residual);
    }

    /// The traces of every sample, `[samples, max_iter]`; after an early stop the reference fills
    /// them with the lowest value.
    fn insert(&self, results: &mut Results, max_iter: usize) {
        let length = max_iter.saturating_sub(self.shorter);
        for (kind, trace) in [("abs", &self.absolute), ("rel", &self.relative)] {
            let samples = trace.first().map_or(0, Vec::len);
            let mut padded = Vec::with_capacity(samples * length);
            for sample in 0..samples {
                let of_sample = trace.iter().map(|row| row[sample]);
                let lowest = of_sample.clone().fold(f64::INFINITY, f64::min);
                let padding = std::iter::repeat(lowest);
                padded.extend(of_sample.chain(padding).take(length));
            }
            let padded = TensorData::new(padded, [samples, length]);
            results.insert_data(format!("expect.{kind}_trace"), padded);
        }
    }
}

fn norms(matrix: Tensor<2>) -> Vec<f64> {
    let data = matrix.square().sum_dim(1).sqrt().into_data();
    data.iter::<f64>().collect()
}
