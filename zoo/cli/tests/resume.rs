//! A training or a fit that is killed in the middle ends with the same bits as one that never was.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::text;
use recipes::{
    CHAINS, TEXT, collapse, deq_zoo, devices, diffusion, flow, folder, fusion, images, write_graphs,
};

/// A training of six epochs, with a checkpoint after each step.
struct Training {
    /// The command without its device and its folder.
    command: String,
    /// Steps of an epoch.
    epoch: u64,
    /// What a checkpoint holds besides its manifest.
    files: &'static [&'static str],
}

const SETTINGS: &str =
    "--set train.log_every=1 --set train.checkpoint_every=1 --set train.keep_last=2";

/// Steps of a fit, which has no epochs.
const FIT_STEPS: u64 = 12;

const MODEL: &[&str] = &["model.safetensors", "optimizer.safetensors"];

impl Training {
    fn new(options: &str, epoch: u64, files: &'static [&'static str]) -> Self {
        let steps = 6 * epoch;
        Self {
            command: format!("train {options} {SETTINGS} --steps {steps}"),
            epoch,
            files,
        }
    }

    /// A fit of [`FIT_STEPS`] steps.
    fn fit(options: &str) -> Self {
        Self {
            command: format!("fit {options}"),
            epoch: FIT_STEPS / 6,
            files: &[
                "fit.safetensors",
                "model.safetensors",
                "optimizer.safetensors",
            ],
        }
    }

    fn steps(&self) -> u64 {
        6 * self.epoch
    }

    /// One thread, since a sum's last bits depend on how it is cut.
    fn command(&self, device: &str, out: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deq-zoo"));
        command
            .args(self.command.split_whitespace())
            .args(device.split_whitespace())
            .args(["--out", text(out)])
            .env("RAYON_NUM_THREADS", "1")
            .env_remove("DEQ_ZOO_DATA");
        command
    }

    /// Trains to the end, and returns what was shown.
    fn finish(&self, device: &str, out: &Path) -> String {
        let output = self.command(device, out).output();
        let output = output.expect("the program starts");
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{shown}");
        shown
    }

    /// Kills a run in the middle of its fourth epoch, and returns the step of its newest checkpoint.
    fn kill(&self, device: &str, out: &Path) -> u64 {
        let middle = 3 * self.epoch + self.epoch / 2;
        for _ in 0..10 {
            let mut command = self.command(device, out);
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("the program starts");
            let start = Instant::now();
            while newest(out) < middle {
                assert!(start.elapsed() < Duration::from_secs(120), "no progress");
                if let Some(status) = child.try_wait().expect("a status") {
                    assert!(status.success(), "it failed by itself");
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().expect("the program is killed");
            child.wait().expect("the program ends");
            let reached = newest(out);
            if reached < self.steps() {
                return reached;
            }
            // On a busy machine the run may be done before anybody looks.
            std::fs::remove_dir_all(out).expect("removed");
        }
        panic!("ten runs were done before they could be killed");
    }

    fn survives_a_kill(&self, dir: &Path) {
        for device in devices() {
            let [straight, killed] = ["straight", "killed"].map(|name| dir.join(name));
            self.finish(&device, &straight);
            let reached = self.kill(&device, &killed);
            let manifest = deq_train::verify(&checkpoint(&killed, reached));
            assert_eq!(manifest.expect("a whole checkpoint").step, reached);
            let shown = self.finish(&device, &killed);
            let words = format!("goes on after step {reached}");
            assert!(shown.contains(&words), "{words}: {shown}");

            let [one, other] = [&straight, &killed].map(|run| learned(run, self.steps()));
            let names: Vec<&str> = one.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, self.files);
            assert!(one == other, "{}: other bits after a kill", self.command);
            // Each step saw the same samples and drew the same numbers.
            assert_eq!(measured(&straight), measured(&killed));
            for run in [straight, killed] {
                std::fs::remove_dir_all(run).expect("removed");
            }
        }
    }
}

fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}"))
}

/// The step of the newest checkpoint; 0 before the first.
fn newest(run: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return 0;
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let steps = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok());
    steps.max().unwrap_or(0)
}

/// What the learner wrote into a step's checkpoint, by name. The manifest tells the time.
fn learned(run: &Path, step: u64) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(checkpoint(run, step)).expect("the last checkpoint");
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name").to_owned();
        if !name.starts_with("manifest") {
            files.push((name, std::fs::read(&path).expect("a file")));
        }
    }
    files.sort();
    files
}

/// What was measured at each step, but for the time.
fn measured(run: &Path) -> Vec<String> {
    let records = deq_train::read_metrics(&run.join("metrics.jsonl")).expect("metrics");
    let lines = records.into_iter().map(|mut record| {
        record.remove("time");
        serde_json::to_string(&record).expect("JSON")
    });
    lines.collect()
}

#[test]
fn nodes_survive_a_kill() {
    let training = Training::new(CHAINS, 1, MODEL);
    training.survives_a_kill(folder().path());
}

#[test]
fn several_implicit_layers_survive_a_kill() {
    let training = Training::new(
        &format!(
            "{CHAINS} --set network.architecture.kind=deep --set network.hidden=4 --length 10"
        ),
        1,
        MODEL,
    );
    training.survives_a_kill(folder().path());
}

#[test]
fn whole_graphs_survive_a_kill() {
    let dir = folder();
    write_graphs(dir.path());
    // Five graphs to train on, in two batches.
    let training = Training::new(
        &format!(
            "{CHAINS} --data mutag --set data.folds=2 --set data.batch=2 --set network.hidden=4 --data-dir {}",
            text(dir.path())
        ),
        2,
        MODEL,
    );
    training.survives_a_kill(dir.path());
}

#[test]
fn images_survive_a_kill() {
    let dir = folder();
    // Four batches, of which two make a step.
    let training = Training::new(&images(dir.path()), 2, MODEL);
    training.survives_a_kill(dir.path());
}

#[test]
fn diffusion_with_its_average_survives_a_kill() {
    let dir = folder();
    // Four batches, of which two make a step.
    let training = Training::new(
        &diffusion(dir.path()),
        2,
        &[
            "average.safetensors",
            "model.safetensors",
            "optimizer.safetensors",
        ],
    );
    training.survives_a_kill(dir.path());
}

#[test]
fn modalities_survive_a_kill() {
    let dir = folder();
    // Six batches, of which two make a step.
    let training = Training::new(&fusion(dir.path()), 3, MODEL);
    training.survives_a_kill(dir.path());
}

#[test]
fn drawn_classes_survive_a_kill() {
    let dir = folder();
    // Six batches of 24 images, of which two make a step; batch norms have statistics of their own.
    let training = Training::new(&collapse(dir.path()), 3, MODEL);
    training.survives_a_kill(dir.path());
}

#[test]
fn pairs_of_frames_survive_a_kill() {
    // Four batches, of which two make a step; batch norms have statistics of their own.
    let training = Training::new(
        &format!("{} --set optimizer.accumulate=2", flow()),
        2,
        MODEL,
    );
    training.survives_a_kill(folder().path());
}

#[test]
fn text_with_its_memory_survives_a_kill() {
    // Two streams of 180 characters, read in five segments.
    let training = Training::new(
        &format!("{TEXT} --set data.characters=400 --set segment=36"),
        5,
        &[
            "memory.safetensors",
            "model.safetensors",
            "optimizer.safetensors",
        ],
    );
    training.survives_a_kill(folder().path());
}

#[test]
fn a_fit_that_reuses_its_fixed_point_survives_a_kill() {
    let options = format!("--preset gabor-1x256 --size 6 --eval-every 1 --steps {FIT_STEPS}");
    Training::fit(&options).survives_a_kill(folder().path());
}

#[test]
fn a_fit_with_weight_norm_survives_a_kill() {
    let options = format!("--preset audio-1x512 --size 24 --eval-every 1 --steps {FIT_STEPS}");
    Training::fit(&options).survives_a_kill(folder().path());
}

#[test]
fn a_fit_on_random_points_survives_a_kill() {
    let dir = folder();
    // 16 of 36 points a step, so that a checkpoint is made in the middle of a pass over them.
    let run = dir.path().join("recipe");
    let options = ["fit", "--size", "6", "--steps", "1", "--eval-every", "1"];
    let mut arguments = options.to_vec();
    arguments.extend(["--out", text(&run)]);
    deq_zoo(&arguments).success();
    let recipe = std::fs::read_to_string(run.join("config.toml")).expect("a recipe");
    let mut recipe: toml::Table = toml::from_str(&recipe).expect("TOML");
    recipe.insert("steps".to_owned(), toml::Value::Integer(FIT_STEPS as i64));
    let fit = toml::from_str("sampling = { kind = \"random\", points = 16 }\nclip_gradient = 1e-3");
    recipe.insert("fit".to_owned(), toml::Value::Table(fit.expect("TOML")));
    let path = dir.path().join("random.toml");
    let recipe = toml::to_string(&recipe).expect("TOML");
    std::fs::write(&path, recipe).expect("written");
    let options = format!("--config {}", text(&path));
    Training::fit(&options).survives_a_kill(dir.path());
}
