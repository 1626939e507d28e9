//! Damaged and hostile checkpoints are refused by name, and a run goes on from the one before.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Counter, Notes, Regression, checkpoint, config, learned, steps, train};
use deq_train::{
    BestBy, Learner, LearnerError, Metrics, Mode, TrainConfig, TrainError, read_tensors, rng_for,
    verify,
};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// A run with one checkpoint, of step 2.
fn small() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    common::train_silently(folder.path(), &config(2, 2), &mut Counter::default());
    let path = checkpoint(folder.path(), 2);
    verify(&path).unwrap();
    (folder, path)
}

fn files(checkpoint: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(checkpoint).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn refusal(checkpoint: &Path) -> String {
    verify(checkpoint).expect_err("must be refused").to_string()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn truncation_at_every_byte() {
    let (_folder, path) = small();
    let mut truncated = 0;
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            // The manifest's own checksum speaks of the manifest.
            let error = refusal(&path);
            assert!(error.contains(name(&file)), "{length}: {error}");
            truncated += 1;
        }
        fs::write(&file, &whole).unwrap();
        verify(&path).unwrap();
    }
    assert!(truncated > 300, "{truncated}");
}

#[test]
fn a_thousand_flipped_bits() {
    let folder = tempfile::tempdir().unwrap();
    let device = &deq_devices::all()[0];
    common::train_silently(folder.path(), &config(2, 2), &mut Regression::new(device));
    let path = checkpoint(folder.path(), 2);
    let files = files(&path);
    let mut rng = rng_for(1, 0, "flips");
    for _ in 0..1000 {
        let file = &files[rng.random_range(0..files.len())];
        let whole = fs::read(file).unwrap();
        let mut flipped = whole.clone();
        let byte = rng.random_range(0..whole.len());
        flipped[byte] ^= 1 << rng.random_range(0..8u32);
        fs::write(file, flipped).unwrap();
        let error = refusal(&path);
        assert!(error.contains(name(file)), "byte {byte}: {error}");
        fs::write(file, whole).unwrap();
    }
    verify(&path).unwrap();
}

#[test]
fn files_that_are_missing_or_too_many() {
    let (_folder, path) = small();
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(refusal(&path).contains(name(&file)));
        fs::create_dir(&file).unwrap();
        assert!(refusal(&path).contains(name(&file)));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, whole).unwrap();
    }
    let more = path.join("more.txt");
    fs::write(&more, "more").unwrap();
    assert!(refusal(&path).contains("more.txt"));
    fs::remove_file(more).unwrap();
    verify(&path).unwrap();

    let renamed = path.with_file_name("step-00000003");
    fs::rename(&path, &renamed).unwrap();
    assert!(refusal(&renamed).contains("step-00000002"));
}

#[cfg(unix)]
#[test]
fn a_link_in_a_file_s_place() {
    let (folder, path) = small();
    let file = path.join("count.txt");
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert!(refusal(&path).contains("count.txt"));
}

/// Replaces a part of the manifest and makes its checksum right, as an attacker would.
fn forge(checkpoint: &Path, from: &str, to: &str) {
    let path = checkpoint.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    let forged = text.replacen(from, to, 1);
    fs::write(&path, &forged).unwrap();
    let digest = Sha256::digest(forged.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{hex}  manifest.json\n");
    fs::write(checkpoint.join("manifest.sha256"), line).unwrap();
}

#[test]
fn hostile_manifests() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), "2").unwrap();
    let absolute = outside.path().to_str().unwrap().replace('\\', "\\\\");
    let names = [
        "../count.txt",
        "../../config.toml",
        "sub/count.txt",
        "./count.txt",
        "count.txt/",
        "..",
        "",
        "c:count.txt",
        "sub\\\\count.txt",
        "manifest.json",
        "manifest.sha256",
        absolute.as_str(),
    ];
    for name in names {
        let (_folder, path) = small();
        forge(&path, "\"count.txt\"", &format!("\"{name}\""));
        let error = refusal(&path);
        assert!(
            error.contains("manifest.json") && error.contains("not the name"),
            "{error}"
        );
    }
    for (from, to) in [
        ("\"format\": 1", "\"format\": 2"),
        ("\"step\": 2", "\"step\": 3"),
        ("\"seed\"", "\"sead\""),
        ("\"seed\"", "\"extra\": 0, \"seed\""),
        ("\"step\": 2", "\"step\": -2"),
        ("{", "["),
    ] {
        let (_folder, path) = small();
        forge(&path, from, to);
        let error = refusal(&path);
        assert!(error.contains("manifest.json"), "{from} → {to}: {error}");
    }
    let (_folder, path) = small();
    fs::write(path.join("manifest.json"), vec![b' '; 2 << 20]).unwrap();
    assert!(refusal(&path).contains("manifest.json"));
}

#[test]
fn a_run_goes_on_from_the_newest_whole_checkpoint() {
    let device = &deq_devices::all()[0];
    let folder = tempfile::tempdir().unwrap();
    let [straight, damaged] = ["straight", "damaged"].map(|name| folder.path().join(name));
    let keep = |steps| TrainConfig {
        keep_last: 3,
        ..config(steps, 2)
    };
    common::train_silently(&straight, &keep(10), &mut Regression::new(device));
    common::train_silently(&damaged, &keep(8), &mut Regression::new(device));
    assert_eq!(steps(&damaged), [4, 6, 8]);
    fs::write(checkpoint(&damaged, 8).join("model.safetensors"), "gone").unwrap();
    fs::remove_file(checkpoint(&damaged, 6).join("manifest.json")).unwrap();

    let mut notes = Notes::default();
    train(
        &damaged,
        &keep(10),
        &mut Regression::new(device),
        &mut notes,
    )
    .unwrap();
    let text = notes.0.join("\n");
    assert!(text.contains("model.safetensors") && text.contains("damaged-step-00000008"));
    assert!(text.contains("manifest.json") && text.contains("damaged-step-00000006"));
    assert!(text.contains("goes on after step 4"), "{text}");
    // What was damaged did not push out what is whole.
    assert_eq!(steps(&damaged), [6, 8, 10]);
    for step in [6, 8, 10] {
        let [one, other] = [&straight, &damaged].map(|run| learned(&checkpoint(run, step)));
        assert!(one == other, "step {step}");
    }
}

#[test]
fn a_run_without_a_whole_checkpoint_does_not_start_anew() {
    let (folder, path) = small();
    fs::write(path.join("count.txt"), "3").unwrap();
    let error = train(
        folder.path(),
        &config(4, 2),
        &mut Counter::default(),
        &mut Notes::default(),
    )
    .expect_err("must be refused");
    let text = error.to_string();
    assert!(matches!(error, TrainError::NoneWhole { .. }), "{text}");
    assert!(
        text.contains("count.txt") && text.contains("start anew"),
        "{text}"
    );
    assert_eq!(
        fs::read_to_string(path.join("count.txt")).unwrap(),
        "3",
        "untouched"
    );
}

#[test]
fn another_seed_is_another_run() {
    let (folder, _path) = small();
    let other = TrainConfig {
        seed: common::SEED + 1,
        ..config(4, 2)
    };
    let error = train(
        folder.path(),
        &other,
        &mut Counter::default(),
        &mut Notes::default(),
    )
    .expect_err("must be refused");
    assert!(
        matches!(
            error,
            TrainError::OtherSeed {
                found: common::SEED,
                ..
            }
        ),
        "{error}"
    );
}

/// Counts, and evaluates to what it is told.
struct Judged {
    counter: Counter,
    errors: Vec<f64>,
}

impl Judged {
    fn new(errors: &[f64]) -> Self {
        Self {
            counter: Counter::default(),
            errors: errors.to_vec(),
        }
    }
}

impl Learner for Judged {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        self.counter.step(step, rate)
    }
    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        let error = self.errors[self.counter.count as usize - 1];
        Ok(Metrics::new().with("error", error))
    }
    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        self.counter.save(folder)
    }
    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        self.counter.load(folder)
    }
}

fn judged(mode: Mode, patience: Option<u64>, min_delta: f64) -> TrainConfig {
    TrainConfig {
        evaluate_every: Some(1),
        keep_last: 2,
        best: Some(BestBy {
            metric: "error".to_owned(),
            mode,
            min_delta,
            patience,
        }),
        ..config(8, 1)
    }
}

#[test]
fn the_last_and_the_best_are_kept() {
    let errors = [5.0, 3.0, 4.0, f64::NAN, 3.0, 6.0, 9.0, 8.0];
    for (mode, min_delta, kept) in [
        (Mode::Min, 0.0, vec![2, 7, 8]),
        (Mode::Max, 0.0, vec![7, 8]),
        (Mode::Min, 2.5, vec![1, 7, 8]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = judged(mode, None, min_delta);
        let mut learner = Judged::new(&errors);
        let outcome = train(folder.path(), &config, &mut learner, &mut Notes::default()).unwrap();
        assert_eq!(steps(folder.path()), kept, "{mode:?}");
        let best = outcome.best.unwrap();
        assert!(kept.contains(&best.step));
        assert_eq!(best.value, errors[best.step as usize - 1]);
    }
}

#[test]
fn patience_runs_out_also_across_starts() {
    let errors = [5.0, 3.0, 4.0, 4.0, f64::NAN, 2.0, 2.0, 2.0];
    let patient = judged(Mode::Min, Some(3), 0.0);
    let folder = tempfile::tempdir().unwrap();
    for steps in [3, 4, 8, 8] {
        let config = TrainConfig {
            steps,
            ..patient.clone()
        };
        let mut learner = Judged::new(&errors);
        let outcome = train(folder.path(), &config, &mut learner, &mut Notes::default()).unwrap();
        assert_eq!(outcome.step, steps.min(5));
        let stopped = outcome.ended == deq_train::Ended::EarlyStop;
        assert_eq!(stopped, steps == 8);
    }
}

#[test]
fn a_metric_that_nobody_measures() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = judged(Mode::Min, None, 0.0);
    config.best.as_mut().unwrap().metric = "accuracy".to_owned();
    let mut learner = Judged::new(&[1.0; 8]);
    let error = train(folder.path(), &config, &mut learner, &mut Notes::default())
        .expect_err("must be refused")
        .to_string();
    assert!(
        error.contains("`accuracy`") && error.contains("error"),
        "{error}"
    );
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_before_it_is_saved() {
    struct Diverging(Counter);
    impl Learner for Diverging {
        fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
            let metrics = self.0.step(step, rate)?;
            Ok(if step == 3 {
                metrics.with("loss", f64::NAN)
            } else {
                metrics
            })
        }
        fn save(&self, folder: &Path) -> Result<(), LearnerError> {
            self.0.save(folder)
        }
        fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
            self.0.load(folder)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut learner = Diverging(Counter::default());
    let error = train(
        folder.path(),
        &config(8, 1),
        &mut learner,
        &mut Notes::default(),
    )
    .expect_err("must end");
    assert!(
        matches!(error, TrainError::NonFiniteLoss { step: 4, .. }),
        "{error}"
    );
    assert_eq!(steps(folder.path()), [3]);
}

#[test]
fn damaged_tensor_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let device = &deq_devices::all()[0];
    common::train_silently(folder.path(), &config(1, 1), &mut Regression::new(device));
    let path = checkpoint(folder.path(), 1).join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    read_tensors(&path).unwrap();
    let other = folder.path().join("other.safetensors");
    for length in 0..whole.len() {
        fs::write(&other, &whole[..length]).unwrap();
        let error = read_tensors(&other)
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains("other.safetensors"), "{error}");
    }
    // Flipped numbers are the checksum's business; whatever is flipped, nothing panics.
    let mut rng = rng_for(2, 0, "flips");
    let mut refused = 0;
    for _ in 0..1000 {
        let mut flipped = whole.clone();
        flipped[rng.random_range(0..whole.len())] ^= 1 << rng.random_range(0..8u32);
        fs::write(&other, flipped).unwrap();
        refused += u32::from(read_tensors(&other).is_err());
    }
    assert!(refused > 100, "{refused}");
}
