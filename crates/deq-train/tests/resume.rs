//! A run that was stopped or killed ends with the same bits as one that was not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use common::{EPOCH, Regression, checkpoint, config, learned, steps, train_silently};
use deq_train::{
    BestBy, Display, Ended, Environment, Learner, LearnerError, Metrics, Mode, Outcome, RunFolder,
    Silent, TrainConfig, Trainer, epoch_order, read_metrics, rng_for, verify,
};
use rand::RngExt;

/// What `metrics.jsonl` holds, but for the times.
fn measured(run: &Path) -> Vec<String> {
    let records = read_metrics(&run.join("metrics.jsonl")).unwrap();
    records
        .into_iter()
        .map(|mut record| {
            record.remove("time").unwrap();
            serde_json::to_string(&record).unwrap()
        })
        .collect()
}

fn six_epochs() -> TrainConfig {
    TrainConfig {
        evaluate_every: Some(3),
        best: Some(BestBy {
            metric: "error".to_owned(),
            mode: Mode::Min,
            min_delta: 0.0,
            patience: None,
        }),
        ..config(6 * EPOCH, 5)
    }
}

#[test]
fn three_epochs_and_three_more_are_six() {
    for device in deq_devices::all() {
        let folder = tempfile::tempdir().unwrap();
        let [straight, stopped] = ["straight", "stopped"].map(|name| folder.path().join(name));
        let six = six_epochs();
        train_silently(&straight, &six, &mut Regression::new(&device));

        let three = TrainConfig {
            steps: 3 * EPOCH,
            ..six.clone()
        };
        train_silently(&stopped, &three, &mut Regression::new(&device));
        assert_eq!(steps(&stopped).last(), Some(&(3 * EPOCH)));
        train_silently(&stopped, &six, &mut Regression::new(&device));

        let [one, other] = [&straight, &stopped].map(|run| checkpoint(run, six.steps));
        assert_eq!(learned(&one).len(), 4);
        assert!(learned(&one) == learned(&other), "on {device:?}");
        assert_eq!(measured(&straight), measured(&stopped));
    }
}

#[test]
fn the_first_loss_differs_from_the_last() {
    // What the test above compares must have moved.
    let device = &deq_devices::all()[0];
    let folder = tempfile::tempdir().unwrap();
    train_silently(folder.path(), &six_epochs(), &mut Regression::new(device));
    let errors: Vec<f64> = read_metrics(&folder.path().join("metrics.jsonl"))
        .unwrap()
        .iter()
        .filter_map(|record| record.get("evaluation/error")?.as_f64())
        .collect();
    assert!(errors.len() >= 3);
    assert!(errors[errors.len() - 1] < 0.9 * errors[0], "{errors:?}");
}

/// Interrupts the run after so many steps of this start.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Display for StopAfter<'_> {
    fn start(&mut self, _step: u64, _steps: u64) {}
    fn step(&mut self, _step: u64, _metrics: &Metrics) {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    fn evaluation(&mut self, _step: u64, _metrics: &Metrics) {}
    fn note(&mut self, _note: &str) {}
    fn end(&mut self, _outcome: Option<&Outcome>) {}
}

#[test]
fn an_interrupt_loses_no_step() {
    let device = &deq_devices::all()[0];
    let folder = tempfile::tempdir().unwrap();
    let [straight, stopped] = ["straight", "stopped"].map(|name| folder.path().join(name));
    let config = six_epochs();
    train_silently(&straight, &config, &mut Regression::new(device));

    let run = RunFolder::create(&stopped, &config, &Environment::here("test")).unwrap();
    let stop = AtomicBool::new(false);
    let mut trainer = Trainer::new(run, config.clone()).unwrap();
    let mut learner = Regression::new(device);
    let outcome = trainer
        .run(&mut learner, &stop, &mut StopAfter(3, &stop))
        .unwrap();
    assert_eq!((outcome.ended, outcome.step), (Ended::Interrupted, 3));
    drop(trainer);
    train_silently(&stopped, &config, &mut Regression::new(device));
    let [one, other] = [&straight, &stopped].map(|run| learned(&checkpoint(run, config.steps)));
    assert!(one == other);
}

#[test]
fn a_time_budget_ends_each_start_after_a_step_at_least() {
    struct Slow(common::Counter);
    impl Learner for Slow {
        fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
            std::thread::sleep(Duration::from_millis(5));
            self.0.step(step, rate)
        }
        fn save(&self, folder: &Path) -> Result<(), LearnerError> {
            self.0.save(folder)
        }
        fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
            self.0.load(folder)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let budget = TrainConfig {
        time_budget: Some(1e-6),
        ..config(3, 100)
    };
    for (step, ended) in [
        (1, Ended::TimeBudget),
        (2, Ended::TimeBudget),
        (3, Ended::Finished),
        (3, Ended::Finished),
    ] {
        let mut learner = Slow(common::Counter::default());
        let outcome = common::train(folder.path(), &budget, &mut learner, &mut Silent).unwrap();
        assert_eq!((outcome.step, outcome.ended), (step, ended));
        assert!(
            outcome.seconds >= 5e-3 * step as f64,
            "time adds up over starts"
        );
    }
}

/// Which process this is: the test, or the one it kills.
const CHILD: &str = "DEQ_TRAIN_RUN_TO_KILL";
const KILLS: usize = 20;
const KILLED_STEPS: u64 = 1500;

fn killed_config(every: Option<u64>) -> TrainConfig {
    TrainConfig {
        checkpoint_every: every,
        keep_last: 2,
        log_every: 100,
        ..config(KILLED_STEPS, 1)
    }
}

/// The device of the killed runs: one that starts at once.
fn quick_device() -> Device {
    deq_devices::all().remove(0)
}

#[test]
fn twenty_kills_at_random_moments() {
    if let Some(run) = std::env::var_os(CHILD) {
        // This is the process to kill: it makes a checkpoint after every step.
        let mut learner = Regression::new(&quick_device());
        train_silently(Path::new(&run), &killed_config(Some(1)), &mut learner);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed] = ["straight", "killed"].map(|name| folder.path().join(name));
    let mut rng = rng_for(common::SEED, 0, "kills");
    let mut newest = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "twenty_kills_at_random_moments"])
            .env(CHILD, &killed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It goes on from where the last one was killed.
        let start = Instant::now();
        while steps(&killed).last().copied().unwrap_or(0) <= newest {
            assert!(start.elapsed() < Duration::from_secs(60), "no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..15_000)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success(), "kill {kill} came after the end");

        let reached = *steps(&killed).last().unwrap();
        let manifest = verify(&checkpoint(&killed, reached)).unwrap();
        assert_eq!(manifest.step, reached);
        assert!(reached > newest, "{reached} after {newest}");
        newest = reached;
    }
    assert!(newest < KILLED_STEPS);

    let (device, rest) = (quick_device(), killed_config(None));
    train_silently(&killed, &rest, &mut Regression::new(&device));
    train_silently(&straight, &rest, &mut Regression::new(&device));
    let [one, other] = [&straight, &killed].map(|run| learned(&checkpoint(run, rest.steps)));
    assert!(one == other, "after {newest} steps with kills");
    assert_eq!(measured(&straight), measured(&killed));
    let left: Vec<_> = std::fs::read_dir(killed.join("checkpoints"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 2, "nothing half-done is left");
}

#[test]
fn an_epoch_sees_each_sample_once_in_an_order_of_its_own() {
    let mut sorted = epoch_order(5, 3, 50);
    assert_ne!(sorted, epoch_order(5, 4, 50));
    assert_ne!(sorted, epoch_order(6, 3, 50));
    assert_eq!(sorted, epoch_order(5, 3, 50));
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..50));

    let draw = |seed, step, purpose: &str| rng_for(seed, step, purpose).random_range(0..u64::MAX);
    let reference = draw(5, 3, "noise");
    assert_eq!(reference, draw(5, 3, "noise"));
    for other in [draw(6, 3, "noise"), draw(5, 4, "noise"), draw(5, 3, "crop")] {
        assert_ne!(reference, other);
    }
}
