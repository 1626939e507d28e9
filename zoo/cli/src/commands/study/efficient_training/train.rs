//! One run: a model trained with one gradient from one seed.

use std::time::Instant;

use anyhow::Result;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use deq::implicit::Deq;
use deq::solvers::SolveStats;

use super::alignment::probe;
use super::classifier::Classifier;
use super::data::{Batch, Data};
use super::fully_connected::FullyConnected;
use super::record::{Measured, Settings};
use super::scale::Network;
use super::statistics::{mean, median};
use super::two_scale::TwoScale;
use crate::commands::interrupt;
use crate::commands::memory::{MemoryKind, Meter};
use crate::commands::study::log::wait;
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
    let training = Training {
        settings,
        data,
        progress,
        plain: device.clone(),
        autodiff: device.clone().autodiff(),
        layer: settings.layer.init()?,
        exact: settings.exact.init()?,
    };
    let [channels, height, width] = data.size();
    let (classes, seed, device) = (data.classes(), settings.seed, &training.autodiff);
    match &settings.setup.network {
        Network::FullyConnected { features } => {
            let inputs = channels * height * width;
            let model = FullyConnected::new(inputs, *features, classes, device, seed);
            training.run(model)
        }
        Network::TwoScale { channels: maps } => {
            training.run(TwoScale::new(channels, *maps, classes, device, seed))
        }
    }
}

struct Training<'a> {
    settings: &'a Settings,
    data: &'a Data,
    progress: &'a Progress,
    plain: Device,
    autodiff: Device,
    layer: Deq,
    exact: Deq,
}

/// What each step of a run measured.
#[derive(Default)]
struct Log {
    losses: Vec<f64>,
    forward_ms: Vec<f64>,
    backward_ms: Vec<f64>,
    update_ms: Vec<f64>,
    forward_evaluations: Vec<f64>,
    backward_evaluations: Vec<f64>,
    forward_converged: Vec<f64>,
    adjoint_converged: Vec<f64>,
    peak_bytes: Option<u64>,
}

impl Log {
    /// The last loss, for progress.
    fn last(&self) -> String {
        let loss = self.losses.last();
        loss.map_or_else(String::new, |loss| format!("loss {loss:.3}"))
    }
}

impl Training<'_> {
    fn run<M: Classifier>(&self, mut model: M) -> Result<Option<Measured>> {
        let setup = &self.settings.setup;
        // PyTorch's Adam; burn's default for epsilon is larger.
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        let mut order = Order::new(self.data, self.settings.seed);
        let mut log = Log::default();
        let mut probes = Vec::new();
        let mut diverged_at = None;
        for step in 1..=setup.steps {
            if interrupt::interrupted() {
                return Ok(None);
            }
            let indices = order.next(setup.batch);
            let batch = self.data.train_batch(indices, &self.autodiff)?;
            if setup.probes_at(step) {
                probes.push(probe(step, &model, &batch, &self.layer, &self.exact)?);
            }
            match self.step(model.clone(), &batch, &mut adam, &mut log)? {
                Some(updated) => model = updated,
                None => {
                    diverged_at = Some(step);
                    break;
                }
            }
            self.progress.step(log.last());
        }
        if diverged_at.is_some() {
            self.progress.skip(setup.steps - log.losses.len());
        }
        let test_accuracy = self.test_accuracy(&model)?;
        let all_ms = [&log.forward_ms, &log.backward_ms, &log.update_ms];
        Ok(Some(Measured {
            test_accuracy,
            diverged_at,
            training_seconds: all_ms.into_iter().flatten().sum::<f64>() / 1e3,
            forward_ms: median(&log.forward_ms),
            backward_ms: median(&log.backward_ms),
            update_ms: median(&log.update_ms),
            forward_evaluations: mean(&log.forward_evaluations),
            backward_evaluations: mean(&log.backward_evaluations),
            forward_converged: mean(&log.forward_converged),
            adjoint_converged: mean(&log.adjoint_converged),
            peak_bytes: log.peak_bytes,
            losses: log.losses,
            memory: MemoryKind::of(&self.plain),
            probes,
        }))
    }

    /// One step of Adam; `None` if the loss was not finite.
    fn step<M: Classifier>(
        &self,
        model: M,
        batch: &Batch,
        adam: &mut ModuleOptimizer,
        log: &mut Log,
    ) -> Result<Option<M>> {
        let meter = Meter::start(&self.plain);
        let started = Instant::now();
        let output = model.forward(batch.images.clone(), &self.layer)?;
        let loss = batch.loss(output.logits.clone());
        wait(&self.plain)?;
        let forward_ms = milliseconds(started);
        let value: f64 = loss.clone().into_scalar();
        if !value.is_finite() {
            return Ok(None);
        }

        let started = Instant::now();
        let gradients = loss.backward();
        wait(&self.plain)?;
        let backward_ms = milliseconds(started);
        let peak = meter.peak();

        let adjoint = output.adjoint_stats();
        let method = self.settings.method;
        let products = method.backward_evaluations(adjoint.as_ref().map(|stats| stats.evaluations));
        log.losses.push(value);
        log.forward_ms.push(forward_ms);
        log.backward_ms.push(backward_ms);
        log.forward_evaluations
            .push(output.stats.evaluations as f64);
        log.backward_evaluations.push(products as f64);
        log.forward_converged.push(converged(&output.stats));
        log.adjoint_converged
            .extend(adjoint.as_ref().map(converged));
        log.peak_bytes = log.peak_bytes.max(Some(peak));
        drop(output);

        let started = Instant::now();
        let gradients = GradientsParams::from_grads(gradients, &model);
        let updated = adam.step(self.settings.setup.learning_rate, model, gradients);
        wait(&self.plain)?;
        log.update_ms.push(milliseconds(started));
        Ok(Some(updated))
    }

    fn test_accuracy<M: Classifier>(&self, model: &M) -> Result<f64> {
        let model = model.valid();
        let (mut correct, mut images) = (0, 0);
        let size = self.settings.setup.batch;
        for batch in self.data.test_batches(size, &self.plain) {
            let batch = batch?;
            let output = model.forward(batch.images.clone(), &self.layer)?;
            let (right, count) = batch.correct(output.logits);
            correct += right;
            images += count;
        }
        Ok(correct as f64 / images as f64)
    }
}

/// The fraction of images whose solve converged.
fn converged(stats: &SolveStats) -> f64 {
    let converged = stats.status.iter().filter(|status| status.is_converged());
    converged.count() as f64 / stats.status.len() as f64
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The images of each step: one shuffled pass after another, without the incomplete batch at its
/// end. The same for every method.
struct Order<'a> {
    data: &'a Data,
    seed: u64,
    epoch: u64,
    images: Vec<usize>,
    next: usize,
}

impl<'a> Order<'a> {
    fn new(data: &'a Data, seed: u64) -> Self {
        Self {
            data,
            seed,
            epoch: 0,
            images: data.order(seed, 0),
            next: 0,
        }
    }

    /// So many images, at most as many as there are.
    fn next(&mut self, count: usize) -> &[usize] {
        if self.next + count > self.images.len() {
            self.epoch += 1;
            self.images = self.data.order(self.seed, self.epoch);
            self.next = 0;
        }
        let first = self.next;
        self.next += count;
        &self.images[first..self.next]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::methods::Method;
    use crate::commands::study::efficient_training::record::Kind;
    use crate::commands::study::efficient_training::scale::{Model, Scale};
    use crate::commands::study::settings::Head;

    #[test]
    fn every_pass_sees_an_image_at_most_once() {
        let setup = Scale::Smoke.setup(Model::FullyConnected);
        let data = Data::load(&setup, None).expect("built-in shapes");
        let mut order = Order::new(&data, 1);
        let mut seen: Vec<usize> = Vec::new();
        for _ in 0..3 {
            seen.extend(order.next(30));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 90);
        // 10 images are left, too few for a step: the next pass begins.
        let begun = data.order(1, 1);
        assert_eq!(order.next(30), &begun[..30]);
    }

    /// Two methods agree about everything before their first update, and a run repeats itself.
    #[test]
    fn runs_share_their_start_and_are_repeatable() {
        let device_name = deq::devices::compiled()[0].name();
        let device = deq::devices::parse(device_name).expect("compiled in");
        let progress = Progress::hidden();
        let run = |method| {
            let name = device_name.parse().expect("a device");
            let model = Model::FullyConnected;
            let head = Head::new(Scale::Smoke, name);
            let mut settings = Settings::new(&head, Kind { model, method }, 5);
            settings.setup.steps = 2;
            let data = Data::load(&settings.setup, None).expect("built-in shapes");
            let measured = train(&settings, &data, &device, &progress).expect("a run");
            measured.expect("nobody interrupts")
        };
        let [implicit, again, reuse] = [Method::Implicit, Method::Implicit, Method::Reuse].map(run);
        assert_eq!(implicit.losses, again.losses);
        assert_eq!(implicit.test_accuracy, again.test_accuracy);
        assert_eq!(implicit.losses[0], reuse.losses[0]);
        assert_ne!(implicit.losses[1], reuse.losses[1]);
        assert!(implicit.backward_evaluations > Some(2.0));
        assert_eq!(reuse.backward_evaluations, Some(1.0));
        assert!(implicit.adjoint_converged.is_some() && reuse.adjoint_converged.is_none());
        assert_eq!(implicit.probes.len(), 2);
        for measured in [implicit, reuse] {
            assert!(measured.forward_ms > Some(0.0) && measured.backward_ms > Some(0.0));
            assert!(measured.peak_bytes > Some(0));
            assert!((0.0..=1.0).contains(&measured.test_accuracy));
        }
    }
}
