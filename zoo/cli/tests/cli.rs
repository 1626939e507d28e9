//! The command line as a user meets it.

mod common;

use std::path::{Path, PathBuf};

use deq_datasets::{Audio, Frames, Image};
use serde_json::Value;

use common::{deq_zoo, json, refused, stderr, stdout, text};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn inr_fixture() -> PathBuf {
    repository("zoo/deq-inr/tests/fixtures/gabor_2layer_train.safetensors")
}

#[test]
fn list_names_models_presets_and_sizes() {
    let listed = stdout(&deq_zoo(&["list"]).success());
    for word in ["deq-inr", "fourier-1x256", "67,585"] {
        assert!(listed.contains(word), "{listed}");
    }
    let models = json(&deq_zoo(&["list", "--json"]).success());
    let presets = models[0]["presets"].as_array().expect("presets");
    assert_eq!(presets.len(), 11);
    assert_eq!(presets[0]["parameters"], 67_585);
}

#[test]
fn devices_says_what_is_compiled_in_and_present() {
    let listed = stdout(&deq_zoo(&["devices"]).success());
    assert!(listed.contains("flex     ready"), "{listed}");
    let rows = json(&deq_zoo(&["devices", "--json"]).success());
    let rows = rows.as_array().expect("rows");
    let cuda = rows
        .iter()
        .find(|row| row["device"] == "cuda")
        .expect("cuda");
    assert_eq!(cuda["compiled"], cfg!(feature = "cuda"));
}

#[test]
fn verify_gives_a_verdict_for_each_tensor_and_an_exit_code() {
    let path = inr_fixture();
    for backend in deq::devices::compiled() {
        let run = |more: &[&str]| {
            let mut arguments = vec!["verify", "deq-inr", "--fixture", text(&path)];
            arguments.extend(["--device", backend.name()]);
            arguments.extend(more);
            deq_zoo(&arguments)
        };
        let listed = stdout(&run(&[]).success());
        assert!(listed.contains("ok   grad.injection.mu"), "{listed}");
        assert!(listed.contains("17 of 17 tensors"), "{listed}");
        let verdict = json(&run(&["--json"]).success());
        assert_eq!(verdict["pass"], true);
        assert_eq!(verdict["lines"].as_array().expect("lines").len(), 17);
        // No f32 is within a millionth of the tolerance everywhere; f64 is within a tenth of it.
        let listed = stdout(&run(&["--dtype", "f32", "--slack", "0.000001"]).code(1));
        assert!(listed.contains("OUT  "), "{listed}");
        let double = ["--dtype", "f64", "--slack", "0.1"];
        match backend.computes_f64() {
            true => assert!(stdout(&run(&double).success()).contains("in f64")),
            false => drop(run(&double).code(2)),
        }
    }
    let norms =
        "crates/deq-regularizers/tests/fixtures/norms/weight_norm_conv2d_learned_clip.safetensors";
    deq_zoo(&["verify", "norms", "--fixture", text(&repository(norms))]).success();
}

#[test]
fn verify_refuses_what_it_cannot_judge() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fixture = inr_fixture();
    let inr = text(&fixture);
    let verify = |model: &str, file: &str, more: &[&str], words: &[&str]| {
        let mut arguments = vec!["verify", model, "--fixture", file];
        arguments.extend(more);
        refused(&arguments, words);
    };
    verify("norms", inr, &[], &["belongs to `deq-inr`", "norms"]);
    verify("resnet", inr, &[], &["resnet", "deq-inr", "norms"]);
    verify("deq-inr", "/no/such/file", &[], &["/no/such/file"]);
    verify("deq-inr", inr, &["--slack=-1"], &["slack"]);
    verify("deq-inr", inr, &["--device", "gpu"], &["gpu", "flex"]);
    if !cfg!(feature = "cuda") {
        let cuda = ["--device", "cuda:1"];
        verify("deq-inr", inr, &cuda, &["--features cuda"]);
    }

    let whole = std::fs::read(inr).expect("the fixture");
    let broken = dir.path().join("broken.safetensors");
    std::fs::write(&broken, &whole[..whole.len() / 2]).expect("written");
    let words = ["broken.safetensors", "not a valid safetensors"];
    verify("deq-inr", text(&broken), &[], &words);

    // A configuration that asks for another width than the weights have.
    let width = br#"\"width\": 12"#;
    let at = whole
        .windows(width.len())
        .position(|window| window == width);
    let mut other = whole.clone();
    other[at.expect("the width") + width.len() - 1] = b'3';
    std::fs::write(&broken, &other).expect("written");
    let words = ["do not fit the model", "of another shape"];
    verify("deq-inr", text(&broken), &[], &words);
}

#[test]
fn fit_writes_a_run_folder_and_repeats_it_from_its_recipe() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let first = dir.path().join("first");
    let options = "--size 16 --steps 4 --eval-every 2 --scale 2 --seed 3";
    let mut arguments = vec!["fit", "--out", text(&first)];
    arguments.extend(options.split(' '));
    let assert = deq_zoo(&arguments).success();
    assert!(stdout(&assert).contains("dB after 4 steps"));
    assert!(
        stderr(&assert).contains("step 2:"),
        "plain lines without a terminal"
    );
    for name in [
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "original.png",
        "reconstruction.png",
        "reconstruction-x2.png",
        "filmstrip.png",
        "psnr.svg",
        "model.bpk",
    ] {
        assert!(first.join(name).is_file(), "{name}");
    }
    let size = |name: &str| {
        let picture = Image::open(&first.join(name)).expect("a picture");
        (picture.width(), picture.height())
    };
    assert_eq!(size("reconstruction.png"), (16, 16));
    assert_eq!(size("reconstruction-x2.png"), (31, 31));
    assert_eq!(size("filmstrip.png"), (3 * 16 + 2 * 4, 16));

    let lines = |folder: &Path| -> Vec<Value> {
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
        let without_time = |line: &str| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            line.as_object_mut().expect("an object").remove("time");
            line
        };
        metrics.lines().map(without_time).collect()
    };
    assert_eq!(lines(&first).len(), 4 + 2);

    let recipe = first.join("config.toml");
    let again = dir.path().join("again");
    let repeat = ["fit", "--config", text(&recipe), "--out", text(&again)];
    deq_zoo(&repeat).success();
    assert_eq!(lines(&first), lines(&again));
    // What is finished stays as it is, and other settings are another run.
    let once_more = deq_zoo(&repeat).success();
    assert!(stderr(&once_more).contains("goes on after step 4"));
    assert_eq!(lines(&first), lines(&again));
    for other in ["--seed 4", "--size 12", "--preset siren-1x256", "--steps 3"] {
        let mut arguments = arguments.clone();
        let changed: Vec<&str> = other.split(' ').collect();
        match arguments
            .iter()
            .position(|argument| *argument == changed[0])
        {
            Some(at) => arguments[at + 1] = changed[1],
            None => arguments.extend(changed),
        }
        refused(&arguments, &[text(&first.join("config.toml"))]);
    }

    let typo = dir.path().join("typo.toml");
    let recipe = std::fs::read_to_string(&recipe).expect("the recipe");
    std::fs::write(&typo, recipe.replace("eval_every", "eval_evry")).expect("written");
    refused(
        &["fit", "--config", text(&typo)],
        &["typo.toml", "eval_evry"],
    );
}

#[test]
fn a_stopped_fit_goes_on_and_a_finished_one_with_more_steps() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fit = |out: &Path, options: &str| {
        let mut arguments = vec![
            "fit",
            "--size",
            "8",
            "--eval-every",
            "2",
            "--out",
            text(out),
        ];
        arguments.extend(options.split(' '));
        deq_zoo(&arguments)
    };
    let (stopped, straight) = (dir.path().join("stopped"), dir.path().join("straight"));
    let shown = stderr(&fit(&stopped, "--steps 4 --time-budget 0.001s").code(1));
    assert!(shown.contains("the same command goes on"), "{shown}");
    assert!(stopped.join("checkpoints/step-00000001").is_dir());
    assert!(!stopped.join("reconstruction.png").exists());
    let shown = stderr(&fit(&stopped, "--steps 4").success());
    assert!(shown.contains("goes on after step 1"), "{shown}");
    let shown = stderr(&fit(&stopped, "--steps 6").success());
    assert!(shown.contains("goes on after step 4"), "{shown}");

    fit(&straight, "--steps 6").success();
    for name in [
        "reconstruction.png",
        "filmstrip.png",
        "psnr.svg",
        "renderings/step-00000002.png",
    ] {
        let [one, other] = [&stopped, &straight].map(|run| std::fs::read(run.join(name)));
        let (one, other) = (one.expect("a file"), other.expect("a file"));
        assert!(one == other, "{name}");
    }
}

#[test]
fn a_stopped_fit_does_not_go_on_with_another_signal() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (picture, out) = (dir.path().join("picture.png"), dir.path().join("run"));
    let learnt = Image::built_in(8, 8).expect("a picture");
    let other = Image::new(8, 8, 3, vec![0.5; 8 * 8 * 3]).expect("a picture");
    let fit = |options: &[&str]| {
        let mut arguments = vec!["fit", "--image", text(&picture), "--steps", "4"];
        arguments.extend(["--out", text(&out)]);
        arguments.extend(options);
        deq_zoo(&arguments)
    };
    learnt.save_png(&picture).expect("written");
    fit(&["--time-budget", "0.001s"]).code(1);
    let original = || std::fs::read(out.join("original.png")).expect("the original");
    let before = original();

    other.save_png(&picture).expect("written");
    let message = stderr(&fit(&[]).code(2));
    for words in ["not the one this fit has learnt", "another --out"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(original() == before, "the original is that of the fit");

    learnt.save_png(&picture).expect("written");
    let shown = stderr(&fit(&[]).success());
    assert!(shown.contains("goes on after step 1"), "{shown}");
}

#[test]
fn fit_takes_pictures_sounds_and_frames() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| dir.path().join(name);
    let (picture, sound, frames) = (path("picture.png"), path("sound.wav"), path("frames"));
    let image = Image::built_in(24, 12).expect("a picture");
    image.save_png(&picture).expect("written");
    let audio = Audio::built_in(400, 0.1).expect("a sound");
    audio.save_wav(&sound).expect("written");
    let video = Frames::built_in(2, 8, 6).expect("a video");
    video.save_png(&frames).expect("written");

    let fit = |options: &[&str], out: &str, made: &str| {
        let out = path(out);
        let mut arguments = vec!["fit", "--steps", "2", "--out", text(&out)];
        arguments.extend(options);
        deq_zoo(&arguments).success();
        assert!(out.join(made).exists(), "{made}");
    };
    let siren = ["--preset", "siren-1x256"];
    let options = [
        "--image",
        text(&picture),
        "--size",
        "16",
        siren[0],
        siren[1],
    ];
    fit(&options, "a", "reconstruction.png");
    fit(&["--audio", text(&sound)], "b", "reconstruction.wav");
    let options = [
        "--audio",
        text(&sound),
        "--size",
        "20",
        "--preset",
        "gabor-1x256",
    ];
    fit(&options, "c", "reconstruction.wav");
    // The video's own network is too wide for a test.
    let options = ["--frames", text(&frames), siren[0], siren[1]];
    fit(&options, "d", "reconstruction/001.png");
}

#[test]
fn fit_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("run");
    let fit = |options: &[&str], words: &[&str]| {
        let mut arguments = vec!["fit", "--out", text(&out)];
        arguments.extend(options);
        refused(&arguments, words);
    };
    let notes = dir.path().join("notes.png");
    std::fs::write(&notes, "not a picture").expect("written");
    fit(&["--size", "0"], &["--size is 0"]);
    fit(
        &["--seed", "9223372036854775808"],
        &["9223372036854775808", "--seed"],
    );
    fit(&["--image", "/no/such.png"], &["/no/such.png"]);
    fit(&["--image", text(&notes)], &["notes.png"]);
    fit(&["--audio", text(&notes)], &["notes.png", "WAV"]);
    fit(
        &["--image", "a.png", "--audio", "b.wav"],
        &["cannot be used with"],
    );
    fit(&["--preset", "resnet"], &["fourier-1x256"]);
    fit(&["--steps", "0"], &["steps"]);
    fit(&["--eval-every", "0"], &["eval-every"]);
    fit(&["--scale", "1"], &["scale"]);
    let picture = dir.path().join("picture.png");
    let image = Image::built_in(8, 8).expect("a picture");
    image.save_png(&picture).expect("written");
    fit(&["--image", text(&picture), "--size", "64"], &["8x8", "64"]);
    assert!(!out.exists(), "a refused fit leaves nothing behind");
}
