//! Run folders: what is in one, who may write to it, and what happens when nobody can.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Counter, Notes, config, steps, train, train_silently};
use deq_train::{
    Environment, Learner, LearnerError, Lines, Metrics, RunFolder, TrainConfig, TrainError,
    read_metrics, verify, write_tensors,
};

fn create(path: &Path) -> Result<RunFolder, TrainError> {
    RunFolder::create(path, &config(4, 2), &Environment::here("test"))
}

#[test]
fn a_folder_holds_its_configuration_and_environment() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep/run");
    let asked = config(4, 2);
    let environment = Environment::here("7.1").with("device", "flex");
    let folder = RunFolder::create(&path, &asked, &environment).unwrap();
    assert_eq!(folder.config::<TrainConfig>().unwrap(), asked);
    drop(folder);
    assert_eq!(
        RunFolder::open(&path)
            .unwrap()
            .config::<TrainConfig>()
            .unwrap(),
        asked
    );
    let text = fs::read_to_string(path.join("environment.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], "7.1");
    assert_eq!(value["other"]["device"], "flex");
    assert!(value["threads"].as_u64().unwrap() >= 1);

    let wrong = "steps = 3\nstep = 4\n";
    fs::write(path.join("config.toml"), wrong).unwrap();
    let folder = RunFolder::open(&path).unwrap();
    let error = folder.config::<TrainConfig>().unwrap_err().to_string();
    assert!(
        error.contains("config.toml") && error.contains("step"),
        "{error}"
    );
}

#[test]
fn nothing_is_overwritten() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    drop(create(&path).unwrap());
    let error = create(&path).unwrap_err();
    assert!(matches!(error, TrainError::NotEmpty { .. }));
    assert!(error.to_string().contains("resume it"), "{error}");
    let error = RunFolder::open(parent.path()).unwrap_err();
    assert!(matches!(error, TrainError::NotARun { .. }), "{error}");

    let environment = Environment::here("test");
    let numbered = || {
        let folder = RunFolder::create_numbered(parent.path(), "run", &config(1, 1), &environment);
        let folder = folder.unwrap();
        folder
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!([numbered(), numbered()], ["run-1", "run-2"]);
}

/// Which process this is: the test, or the one that holds the folder.
const CHILD: &str = "DEQ_TRAIN_FOLDER_TO_HOLD";

#[test]
fn a_second_process_is_kept_out_and_a_dead_one_is_not_in_the_way() {
    if let Some(path) = std::env::var_os(CHILD) {
        let _folder = RunFolder::open(Path::new(&path)).unwrap();
        fs::write(Path::new(&path).join("held"), "").unwrap();
        std::thread::sleep(Duration::from_secs(120));
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    drop(create(&path).unwrap());
    let test = "a_second_process_is_kept_out_and_a_dead_one_is_not_in_the_way";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(CHILD, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !path.join("held").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the child never held it"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = RunFolder::open(&path);
    child.kill().unwrap();
    child.wait().unwrap();
    let error = refused.expect_err("another process holds it");
    assert!(matches!(error, TrainError::Locked { .. }), "{error}");
    if cfg!(unix) {
        let pid = format!("process {}", child.id());
        assert!(error.to_string().contains(&pid), "{error}");
    }
    RunFolder::open(&path).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;

    // No user may make folders there, root included.
    let error = create(Path::new("/sys/deq-train-run"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot make the folder /sys/deq-train-run"),
        "{error}"
    );
    assert!(error.contains("choose another folder"), "{error}");

    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    train_silently(&path, &config(2, 2), &mut Counter::default());
    let modes = |mode: u32| {
        for folder in [path.join("checkpoints"), path.clone()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    modes(0o555);
    if fs::write(path.join("checkpoints/probe"), "").is_ok() {
        // Root writes wherever it likes.
        fs::remove_file(path.join("checkpoints/probe")).unwrap();
        modes(0o755);
        return;
    }
    let outcome = train(
        &path,
        &config(4, 2),
        &mut Counter::default(),
        &mut Notes::default(),
    );
    modes(0o755);
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("checkpoints") && error.contains("permissions"),
        "{error}"
    );
    verify(&common::checkpoint(&path, 2)).unwrap();
    train_silently(&path, &config(4, 2), &mut Counter::default());
}

/// Counts, and finds the disk full when it saves at step `full`.
#[cfg(target_os = "linux")]
struct FullDisk {
    counter: Counter,
    full: u64,
}

#[cfg(target_os = "linux")]
impl Learner for FullDisk {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        self.counter.step(step, rate)
    }
    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        self.counter.save(folder)?;
        if self.counter.count == self.full {
            let path = folder.join("weights.safetensors");
            std::os::unix::fs::symlink("/dev/full", &path)?;
            write_tensors(&path, &deq_train::Tensors::new())?;
        }
        Ok(())
    }
    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        self.counter.load(folder)
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut learner = FullDisk {
        counter: Counter::default(),
        full: 4,
    };
    let error = train(path, &config(6, 2), &mut learner, &mut Notes::default())
        .expect_err("the disk is full")
        .to_string();
    assert!(error.contains("weights.safetensors"), "{error}");
    assert!(
        error.contains("disk is full") && error.contains("resume"),
        "{error}"
    );
    assert_eq!(steps(path), [2]);
    verify(&common::checkpoint(path, 2)).unwrap();
    let left = fs::read_dir(path.join("checkpoints")).unwrap().count();
    assert_eq!(left, 1, "nothing half-done is left");

    // With space again, it goes on.
    train_silently(path, &config(6, 2), &mut Counter::default());
    assert_eq!(steps(path), [6]);
}

#[cfg(target_os = "linux")]
#[test]
fn metrics_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    drop(create(folder.path()).unwrap());
    let metrics = folder.path().join("metrics.jsonl");
    std::os::unix::fs::symlink("/dev/full", &metrics).unwrap();
    let outcome = train(
        folder.path(),
        &config(4, 2),
        &mut Counter::default(),
        &mut Notes::default(),
    );
    let error = outcome.expect_err("the disk is full").to_string();
    assert!(
        error.contains("metrics.jsonl") && error.contains("disk is full"),
        "{error}"
    );
    fs::remove_file(metrics).unwrap();
    train_silently(folder.path(), &config(4, 2), &mut Counter::default());
    assert_eq!(steps(folder.path()), [4]);
}

#[test]
fn a_torn_line_of_metrics_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let metrics = path.join("metrics.jsonl");
    train_silently(path, &config(4, 4), &mut Counter::default());
    let whole = fs::read_to_string(&metrics).unwrap();
    assert_eq!(read_metrics(&metrics).unwrap().len(), 4);

    // A kill in the middle of a line, after the checkpoint.
    fs::write(&metrics, format!("{whole}{{\"step\":5,\"ti")).unwrap();
    assert_eq!(read_metrics(&metrics).unwrap().len(), 4);
    train_silently(path, &config(6, 4), &mut Counter::default());
    let seen = |metrics| -> Vec<u64> {
        let records = read_metrics(metrics).unwrap();
        records
            .iter()
            .map(|r| r["step"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seen(&metrics), [1, 2, 3, 4, 5, 6]);

    // Lines from before the checkpoint that are gone stay gone, and the user is told.
    let whole = fs::read_to_string(&metrics).unwrap();
    let third = whole.match_indices('\n').nth(2).unwrap().0;
    fs::write(&metrics, &whole[..third + 8]).unwrap();
    let mut notes = Notes::default();
    train(path, &config(7, 4), &mut Counter::default(), &mut notes).unwrap();
    assert_eq!(seen(&metrics), [1, 2, 3, 7]);
    assert!(
        notes.0.iter().any(|note| note.contains("metrics.jsonl")),
        "{:?}",
        notes.0
    );

    fs::write(&metrics, "{}\nnonsense\n{}\n").unwrap();
    let error = read_metrics(&metrics).unwrap_err().to_string();
    assert!(
        error.contains("metrics.jsonl") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn metrics_are_named_by_their_phase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let every_other = TrainConfig {
        log_every: 2,
        ..config(5, 100)
    };
    train_silently(path, &every_other, &mut Counter::default());
    let records = read_metrics(&path.join("metrics.jsonl")).unwrap();
    let steps: Vec<_> = records
        .iter()
        .map(|r| r["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [2, 4, 5], "and the last");
    assert_eq!(records[1]["train/loss"].as_f64(), Some(0.25));
    let rate = records[1]["train/rate"].as_f64().unwrap();
    assert!(
        (rate - every_other.schedule.rate(3)).abs() < 1e-12,
        "{rate}"
    );
    assert!(records[1]["time"].as_f64().unwrap() > 1.7e9);
}

/// The records of an event file, after their checksums' places were checked.
fn events(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        events.push(rest[12..12 + length].to_vec());
        rest = &rest[16 + length..];
    }
    events
}

#[test]
fn tensorboard_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    train_silently(path, &config(2, 2), &mut Counter::default());
    train_silently(path, &config(3, 2), &mut Counter::default());
    let entries = fs::read_dir(path.join("tensorboard")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "one for each start");
    for file in &files {
        assert!(file.to_str().unwrap().contains("tfevents"));
        let first = &events(file)[0];
        // Field 3, `file_version`, 13 bytes long.
        assert!(first.ends_with(b"\x1a\x0dbrain.Event:2"), "{first:?}");
    }
    let [one, other] = [&files[0], &files[1]].map(|file| events(file));
    assert_eq!((one.len(), other.len()), (4, 3));
    // After the time (9 bytes): step 3, the first to be done, then `session_log` with `status`
    // `START`.
    assert_eq!(other[1][9..], *b"\x10\x03\x3a\x02\x08\x01");
    // Step 1, then a summary of 38 bytes: `train/rate` and `train/loss`, each a value with a tag
    // and a float. The first rate is a third of 0.1, the first loss 1.
    let mut expected = b"\x10\x01\x2a\x26".to_vec();
    expected.extend(b"\x0a\x11\x0a\x0atrain/rate\x15");
    expected.extend(((0.1f64 / 3.0) as f32).to_le_bytes());
    expected.extend(b"\x0a\x11\x0a\x0atrain/loss\x15");
    expected.extend(1f32.to_le_bytes());
    assert_eq!(one[2][9..], expected);
}

#[test]
fn plain_lines_show_steps_evaluations_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = Vec::new();
    let mut lines = Lines::new(&mut text, Duration::ZERO);
    train(
        folder.path(),
        &config(2, 1),
        &mut Counter::default(),
        &mut lines,
    )
    .unwrap();
    let mut lines = Lines::new(&mut text, Duration::from_secs(3600));
    train(
        folder.path(),
        &config(9, 1),
        &mut Counter::default(),
        &mut lines,
    )
    .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("step 1/2  loss 1.0000"), "{text}");
    assert!(text.contains("step 2: finished"), "{text}");
    assert!(text.contains("goes on after step 2"), "{text}");
    assert!(
        text.contains("step 3/9") && !text.contains("step 4/9"),
        "{text}"
    );
}
