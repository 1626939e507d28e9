//! One run: a network trained on one setting of classes from one seed.

use std::time::Instant;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_collapse::{Objective, train_loss};
use deq_train::{Batches, Optimizer};

use super::data::Data;
use super::measure::measure;
use super::record::{Measured, Settings};
use crate::commands::interrupt;
use crate::commands::memory::{MemoryKind, Meter};
use crate::commands::study::log::{Log, wait};
use crate::commands::study::progress::Progress;

/// Trains and measures; `None` if Ctrl-C came before the end.
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
    let mut optimizer = Optimizer::new(setup.optimizer.clone())?;
    let mut order = Batches::new(seed, data.train.count(), setup.batch)?;
    let per_epoch = order.steps_per_epoch();
    let schedule = setup.schedule(per_epoch);
    let mut log = Log::default();
    let mut diverged_at = None;
    let (before, _) = measure(&network, data, setup, device, 0, false)?;
    let mut measured = Measured {
        epochs: vec![before],
        diverged_at: None,
        parameters: network.parameters(),
        train_images: data.train.count(),
        step_ms: None,
        training_seconds: 0.0,
        peak_bytes: None,
        memory: MemoryKind::of(device),
        pictures: None,
    };
    for epoch in 1..=setup.epochs {
        for step in (epoch as u64 - 1) * per_epoch..epoch as u64 * per_epoch {
            if interrupt::interrupted() {
                return Ok(None);
            }
            let batch = data.batch(&data.train, order.at(step), &autodiff)?;
            let meter = Meter::start(device);
            let started = Instant::now();
            let found = train_loss(&network, &batch, &Objective::default())?;
            let loss: f64 = found.loss.clone().into_scalar();
            if !loss.is_finite() {
                diverged_at = Some(step as usize + 1);
                break;
            }
            let gradients = found.loss.backward();
            let peak = meter.peak();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = optimizer.step(schedule.rate(step), network, gradients)?;
            wait(device)?;
            log.add(started, peak);
            progress.step(format!("loss {loss:.3}"));
        }
        let ends = epoch == setup.epochs || diverged_at.is_some();
        if ends || setup.measures_at(epoch) {
            let (found, pictures) = measure(&network, data, setup, device, epoch, ends)?;
            measured.epochs.push(found);
            measured.pictures = pictures;
        }
        if diverged_at.is_some() {
            progress.skip(setup.steps().saturating_sub(log.steps()));
            break;
        }
    }
    Ok(Some(Measured {
        diverged_at,
        step_ms: log.median_ms(),
        training_seconds: log.seconds(),
        peak_bytes: log.peak_bytes,
        ..measured
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::data::Pools;
    use crate::commands::study::collapse::record::Kind;
    use crate::commands::study::collapse::setup::{DataSet, Model};
    use crate::commands::study::scale::Scale;
    use crate::commands::study::settings::Head;

    fn settings(model: Model) -> Settings {
        let name = deq::devices::compiled()[0].name();
        let device = name.parse().expect("a device");
        let classes = "k3-r10".parse().expect("a setting");
        let kind = Kind {
            data: DataSet::Shapes,
            classes,
            model,
        };
        Settings::new(&Head::new(Scale::Smoke, device), kind, 4)
    }

    fn run(settings: &Settings) -> Measured {
        let device = deq::devices::all().remove(0);
        let data = Pools::new(None).data(settings).expect("built-in shapes");
        let measured = train(settings, &data, &device, &Progress::hidden());
        measured.expect("a run").expect("nobody interrupts")
    }

    #[test]
    fn pairs_share_their_start_and_runs_are_repeatable() {
        let (explicit, deq) = (run(&settings(Model::Explicit)), run(&settings(Model::Deq)));
        assert_eq!(explicit.parameters, deq.parameters);
        assert_eq!(explicit.train_images, 31);
        let again = run(&settings(Model::Explicit));
        assert_eq!(again.epochs, explicit.epochs);
        assert_eq!(again.pictures, explicit.pictures);
        for measured in [&explicit, &deq] {
            let epochs: Vec<usize> = measured.epochs.iter().map(|epoch| epoch.epoch).collect();
            assert_eq!(epochs, [0, 1, 2]);
            assert!(measured.step_ms > Some(0.0) && measured.peak_bytes > Some(0));
            assert!(measured.pictures.is_some() && measured.diverged_at.is_none());
            assert_ne!(measured.epochs[0].collapse, measured.epochs[2].collapse);
        }
        assert_ne!(explicit.epochs[0], deq.epochs[0]);
        assert!(explicit.epochs[2].train.residual.is_none());
        assert!(deq.epochs[2].train.residual.is_some());
    }

    #[test]
    fn a_loss_without_bound_ends_the_training() {
        let mut settings = settings(Model::Explicit);
        settings.setup.rate = 1e300;
        let measured = run(&settings);
        assert!(measured.diverged_at.is_some_and(|step| step > 1));
        assert!(measured.epochs.len() <= 3);
    }
}
