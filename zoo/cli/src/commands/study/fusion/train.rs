//! One run: a network with one way to join modalities, trained from one seed.

use std::time::Instant;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_fusion::{Batch, Evaluation, Network, contributions, convergence, evaluate, train_loss};
use deq_train::{Optimizer, rng_for};

use super::data::Data;
use super::record::{Epoch, Measured, Modality, Point, Scores, Settings};
use crate::commands::interrupt;
use crate::commands::memory::{MemoryKind, Meter};
use crate::commands::study::log::{Log, wait};
use crate::commands::study::progress::Progress;
use crate::commands::train::fusion::whole;

/// Trains, selects and measures; `None` if Ctrl-C came before the end.
pub(super) fn train(
    settings: &Settings,
    data: &Data,
    device: &Device,
    progress: &Progress,
) -> Result<Option<Measured>> {
    // What earlier runs left in a pool must not count for this one.
    device.memory_cleanup();
    let (setup, seed) = (&settings.setup, settings.seed);
    let autodiff = device.clone().autodiff();
    let mut network = setup.network.init(&autodiff, seed)?;
    let parameters = deq_nn::parameters(&network);
    let mut optimizer = Optimizer::new(setup.optimizer.clone())?;
    let batch = whole(&data.fit, &autodiff)?;
    let validation = whole(&data.validation, device)?;
    let mut log = Log::default();
    let mut curve = Vec::new();
    let mut diverged_at = None;
    let mut selected = Selected {
        epoch: 0,
        loss: f64::INFINITY,
        network: network.clone(),
    };
    for epoch in 1..=setup.epochs {
        if interrupt::interrupted() {
            return Ok(None);
        }
        let step = epoch as u64 - 1;
        let meter = Meter::start(device);
        let started = Instant::now();
        // Dropout masks and the penalty's probes.
        let mut rng = rng_for(seed, step, "noise");
        let found = train_loss(&network, &batch, &mut rng)?;
        let loss: f64 = found.loss.clone().into_scalar();
        if !loss.is_finite() {
            diverged_at = Some(epoch);
            progress.skip(setup.epochs + 1 - epoch);
            break;
        }
        let gradients = found.loss.backward();
        let peak = meter.peak();
        let gradients = GradientsParams::from_grads(gradients, &network);
        network = optimizer.step(setup.schedule.rate(step), network, gradients)?;
        wait(device)?;
        log.add(started, peak);
        progress.step(format!("loss {loss:.3}"));
        if setup.measures_at(epoch) {
            let found = measure(&network, &validation)?;
            selected.consider(epoch, &found, &network);
            curve.push(Epoch {
                epoch,
                train_loss: Some(loss),
                validation: Scores::of(&found),
            });
        }
    }

    let network = &selected.network;
    let test = whole(&data.test, device)?;
    let found = contributions(network, std::slice::from_ref(&test), None)?;
    let modalities = data.names().zip(&found.modalities);
    let convergence = match settings.method.has_layer() {
        true => convergence(network, &test, setup.convergence_steps)?,
        false => Vec::new(),
    };
    let parts = [&data.fit, &data.validation, &data.test];
    Ok(Some(Measured {
        parameters,
        samples: parts.map(|part| part.samples()),
        curve,
        selected: selected.epoch,
        diverged_at,
        validation: Scores::of(&measure(network, &validation)?),
        test: Scores::of(&found.all),
        step_ms: log.median_ms(),
        training_seconds: log.seconds(),
        peak_bytes: log.peak_bytes,
        memory: MemoryKind::of(device),
        modalities: modalities
            .map(|(name, found)| Modality::of(name, found))
            .collect(),
        convergence: convergence.iter().map(Point::of).collect(),
    }))
}

fn measure(network: &Network, batch: &Batch) -> Result<Evaluation> {
    Ok(evaluate(network, [batch.clone()], None)?)
}

/// The model of the lowest loss on the held-out samples so far; before the first, the untrained.
struct Selected {
    epoch: usize,
    loss: f64,
    network: Network,
}

impl Selected {
    fn consider(&mut self, epoch: usize, found: &Evaluation, network: &Network) {
        // NaN is not below.
        if found.loss < self.loss {
            *self = Self {
                epoch,
                loss: found.loss,
                network: network.clone(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::fusion::data::Pools;
    use crate::commands::study::fusion::record::Kind;
    use crate::commands::study::fusion::setup::DataSet;
    use crate::commands::study::scale::Scale;
    use crate::commands::study::settings::Head;
    use crate::commands::train::fusion::Method;

    fn settings(method: Method) -> Settings {
        let name = deq::devices::compiled()[0].name();
        let device = name.parse().expect("a device");
        let kind = Kind {
            data: DataSet::Generated,
            method,
        };
        Settings::new(&Head::new(Scale::Smoke, device), kind, 4)
    }

    fn run(settings: &Settings) -> Measured {
        let device = deq::devices::all().remove(0);
        let data = Pools::new(None).data(settings).expect("built-in data");
        let measured = train(settings, &data, &device, &Progress::hidden());
        measured.expect("a run").expect("nobody interrupts")
    }

    #[test]
    fn runs_are_repeatable_and_select_by_the_held_out_samples() {
        for method in [Method::Equilibrium, Method::LowRank] {
            let measured = run(&settings(method));
            let again = run(&settings(method));
            assert_eq!(again.curve, measured.curve);
            assert_eq!(again.test, measured.test);
            assert_eq!(measured.samples, [40, 10, 20]);
            let epochs: Vec<usize> = measured.curve.iter().map(|epoch| epoch.epoch).collect();
            assert_eq!(epochs, [2, 4, 6]);
            let loss = |epoch: &Epoch| epoch.validation.loss.expect("finite");
            let lowest = measured
                .curve
                .iter()
                .min_by(|a, b| loss(a).total_cmp(&loss(b)));
            let lowest = lowest.expect("three epochs");
            assert_eq!(measured.selected, lowest.epoch);
            assert_eq!(measured.validation, lowest.validation);
            assert!(measured.test.auc.is_some() && measured.test.f1.is_some());
            assert!(measured.step_ms > Some(0.0) && measured.peak_bytes > Some(0));
            assert_eq!(measured.modalities.len(), 3);
            let has_layer = method.has_layer();
            assert_eq!(measured.test.residual.is_some(), has_layer);
            assert_eq!(measured.modalities[0].gates.is_some(), has_layer);
            assert_eq!(measured.convergence.is_empty(), !has_layer);
            assert!(measured.convergence.len() <= 12);
        }
    }

    #[test]
    fn a_loss_without_bound_ends_the_training() {
        let mut settings = settings(Method::Concatenation);
        settings.setup.schedule = deq_train::Schedule::Constant { rate: 1e300 };
        let measured = run(&settings);
        assert!(measured.diverged_at.is_some_and(|epoch| epoch > 1));
        assert!(measured.curve.len() < 3);
    }
}
