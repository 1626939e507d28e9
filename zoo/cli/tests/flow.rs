//! `deq-zoo train deq-flow`, `eval` and `flow` as a user meets them.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use deq_datasets::Image;
use deq_datasets::flow::{FlowField, FramePair, SyntheticFlow};
use serde_json::Value;

use common::{json, stderr, stdout, text};
use recipes::{CHAINS, MATCHER, deq_zoo, flow as training, folder, refused, train};

/// A run of two steps.
fn trained(dir: &Path) -> PathBuf {
    let run = dir.join("run");
    train(&format!("{} --steps 2", training()), &run).success();
    run
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A pair with its flow.
fn made(width: usize, height: usize, index: u64) -> FramePair {
    let scenes = SyntheticFlow {
        width,
        height,
        ..SyntheticFlow::default()
    };
    scenes.generate(7, index).expect("a pair").pair
}

/// Writes a pair's frames and its flow, and returns their paths.
fn write(dir: &Path, pair: &FramePair) -> [PathBuf; 3] {
    let paths = ["first.png", "second.png", "truth.flo"].map(|name| dir.join(name));
    pair.first().save_png(&paths[0]).expect("written");
    pair.second().save_png(&paths[1]).expect("written");
    let flow = pair.flow().expect("a flow");
    flow.save(&paths[2]).expect("written");
    paths
}

/// `flow` with a run.
fn flow(run: &Path, more: &[&str]) -> Assert {
    let mut arguments = vec!["flow", "--run", text(run)];
    arguments.extend(more);
    deq_zoo(&arguments)
}

/// The message of a refused request, which has exit code 2.
fn refusal(run: &Path, more: &[&str]) -> String {
    stderr(&flow(run, more).code(2))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_matcher_is_trained_tested_and_evaluated() {
    let dir = folder();
    let run = dir.path().join("run");
    let shown = stdout(&train(&format!("{} --steps 2", training()), &run).success());
    for words in [
        "deq-flow-shapes-tiny",
        "after 2 steps",
        "test_epe",
        "test_zero_epe",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let test: Value = serde_json::from_str(&read(&run.join("test.json"))).expect("JSON");
    let eval = |more: &[&str]| {
        let mut arguments = vec!["eval", "deq-flow", "--run", text(&run), "--json"];
        arguments.extend(more);
        json(&deq_zoo(&arguments).success())
    };
    let found = eval(&[]);
    assert_eq!(found["results"][0], test["test"]);
    let result = &found["results"][0];
    for name in ["test_epe", "test_zero_epe", "test_lucas_kanade_epe"] {
        assert!(number(&result[name]) > 0.0, "{name}: {result}");
    }
    for name in ["test_1px", "test_3px", "test_5px", "test_fl_all"] {
        let share = number(&result[name]);
        assert!((0.0..=1.0).contains(&share), "{name}: {result}");
    }
    let swept = eval(&["--max-iter", "1,4"]);
    let [one, four] = [0usize, 1].map(|row| number(&swept["results"][row]["evaluations"]));
    assert!(one < four, "{swept}");
    assert_ne!(
        swept["results"][0]["test_epe"],
        swept["results"][1]["test_epe"]
    );
    // Other pairs have another zero flow.
    let other = eval(&["--data", "shapes"]);
    let zero = "test_zero_epe";
    assert_ne!(other["results"][0][zero], result[zero]);
    let metrics = deq_train::read_metrics(&run.join("metrics.jsonl")).expect("metrics");
    for name in ["train/epe", "evaluation/validation_epe"] {
        assert!(metrics.iter().any(|line| line.contains_key(name)), "{name}");
    }
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let dir = folder();
    let run = trained(dir.path());
    // A rate that changes nothing, and batch norms that keep their statistics.
    let still = "--steps 1 --set network.freeze_bn=true --set train.schedule.rate=1e-12";
    let error = |more: &str, name: &str| {
        let out = dir.path().join(name);
        train(&format!("{} {still} {more}", training()), &out).success();
        let test: Value = serde_json::from_str(&read(&out.join("test.json"))).expect("JSON");
        number(&test["test"]["test_epe"])
    };
    let test: Value = serde_json::from_str(&read(&run.join("test.json"))).expect("JSON");
    let expected = number(&test["test"]["test_epe"]);
    let from = format!("--set weights={}", text(&run));
    let (same, other) = (error(&from, "same"), error("", "other"));
    assert!((same - expected).abs() < 1e-4, "{same} {expected}");
    assert!((other - expected).abs() > 1e-4, "{other} {expected}");
    let absent = format!("{} --steps 1 --set weights=/no/such/run", training());
    let out = dir.path().join("absent");
    refused(&absent, &out, &["/no/such/run", "no checkpoint yet"]);
}

#[test]
fn sparse_pairs_are_read_and_what_is_held_out_is_the_test() {
    let dir = folder();
    let frames = dir.path().join("KITTI/training/image_2");
    let flows = dir.path().join("KITTI/training/flow_occ");
    for folder in [&frames, &flows] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    for index in 0..4 {
        let pair = made(48, 32, index);
        let first = frames.join(format!("00000{index}_10.png"));
        pair.first().save_png(&first).expect("written");
        let second = frames.join(format!("00000{index}_11.png"));
        pair.second().save_png(&second).expect("written");
        let flow = pair.flow().expect("a flow");
        let known: Vec<bool> = (0..48 * 32).map(|pixel| pixel % 3 == 0).collect();
        let flow = flow.restrict(&known).expect("a mask that fits");
        let file = flows.join(format!("00000{index}_10.png"));
        flow.save(&file).expect("written");
    }
    let data = format!("--data-dir {}", text(dir.path()));
    let options = format!(
        "{MATCHER} --data kitti --steps 2 --set validation=1 --set augmentation.crop=[24,32] {data}"
    );
    let out = dir.path().join("run");
    let shown = stdout(&train(&options, &out).success());
    assert!(
        shown.contains("validation_epe") && !shown.contains("test_epe"),
        "{shown}"
    );

    // A run that has not seen them may be tested on all.
    let shapes = trained(dir.path().join("other").as_path());
    let arguments = [
        "eval",
        "deq-flow",
        "--run",
        text(&shapes),
        "--data",
        "kitti",
    ];
    let both = [&arguments[..], &["--data-dir", text(dir.path()), "--json"]].concat();
    let found = json(&deq_zoo(&both).success());
    assert!(number(&found["results"][0]["test_epe"]) > 0.0, "{found}");
    let arguments = ["eval", "deq-flow", "--run", text(&out), "--data", "kitti"];
    let both = [&arguments[..], &["--data-dir", text(dir.path())]].concat();
    let message = stderr(&deq_zoo(&both).code(2));
    assert!(message.contains("are trained on"), "{message}");
    let message = stderr(&deq_zoo(&arguments).code(2));
    assert!(message.contains("--data-dir"), "{message}");
}

#[test]
fn the_flow_between_two_frames_is_written_and_compared() {
    let dir = folder();
    let run = trained(dir.path());
    // Sides that are no multiples of 8.
    let pair = made(45, 35, 0);
    let [first, second, truth] = write(dir.path(), &pair);
    let out = dir.path().join("out");
    let frames = [text(&first), text(&second), "--out", text(&out)];
    let shown = stdout(&flow(&run, &frames).success());
    for words in ["first to second: 4 solver steps", "residual", "wrote "] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for name in ["first-flow.png", "first-warp.png"] {
        let picture = Image::open(&out.join(name)).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (45, 35), "{name}");
    }
    assert!(!out.join("first-error.png").exists());
    let found = FlowField::open(&out.join("first.flo")).expect("a flow");
    assert_eq!((found.width(), found.height()), (45, 35));

    let compared = [&frames[..], &["--truth", text(&truth)]].concat();
    let shown = stdout(&flow(&run, &compared).success());
    assert!(shown.contains("end-point error"), "{shown}");
    for name in ["first-flow.png", "first-truth.png", "first-error.png"] {
        let picture = Image::open(&out.join(name)).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (45, 35), "{name}");
    }
    let result = json(&flow(&run, &[&compared[..], &["--json"]].concat()).success());
    let errors = &result["pairs"][0]["errors"];
    let true_flow = pair.flow().expect("a flow");
    let expected = found.end_point_error(true_flow).expect("of one size");
    assert!((number(&errors["epe"]) - expected).abs() < 1e-3, "{errors}");
    let still = FlowField::new(45, 35, vec![0.0; 2 * 45 * 35], None).expect("a field");
    let expected = still.end_point_error(true_flow).expect("of one size");
    assert!(
        (number(&errors["zero_epe"]) - expected).abs() < 1e-3,
        "{errors}"
    );

    // The truth beside the frame, and under its name.
    let before = std::fs::read(&truth).expect("the truth");
    let named = dir.path().join("first.flo");
    std::fs::copy(&truth, &named).expect("a copy");
    for (truth, words) in [(&named, "first.flo"), (&truth, "first.flo")] {
        let place = ["--out", text(dir.path()), "--truth", text(truth)];
        let error = refusal(&run, &[&frames[..2], &place].concat());
        assert!(error.contains(words) && error.contains("--out"), "{error}");
    }
    assert_eq!(std::fs::read(&named).expect("the copy"), before);

    // The solver's options.
    let line = |more: &[&str]| {
        let result = json(&flow(&run, &[&frames[..], more, &["--json"]].concat()).success());
        result["pairs"][0].clone()
    };
    assert_eq!(line(&["--max-iter", "2"])["steps"], 2);
    let loose = line(&["--tolerance", "1e9"]);
    assert_eq!(
        (&loose["steps"], &loose["status"]),
        (&Value::from(1), &Value::from("converged"))
    );
}

#[test]
fn a_folder_goes_from_frame_to_frame() {
    let dir = folder();
    let run = trained(dir.path());
    let scenes = SyntheticFlow {
        width: 48,
        height: 32,
        ..SyntheticFlow::default()
    };
    let film = scenes.sequence(1, 0, 3).expect("a sequence");
    let frames = dir.path().join("frames");
    film.frames.save_png(&frames).expect("written");
    let start = |name: &str| {
        let out = dir.path().join(name);
        let arguments = [text(&frames), "--warm-start", name, "--out", text(&out)];
        let shown = stdout(&flow(&run, &arguments).success());
        for words in ["000 to 001: ", "001 to 002: ", "2 pairs: "] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(out.join("001-flow.png").is_file());
        ["000.flo", "001.flo"].map(|name| FlowField::open(&out.join(name)).expect("a flow"))
    };
    let gap = |one: &FlowField, other: &FlowField| {
        let errors = one.end_point_errors(other).expect("of one size");
        errors.into_iter().fold(0.0, f32::max)
    };
    let [cold, reused, flow_only] = ["none", "reuse", "flow-only"].map(start);
    // The first pair has nothing to start from, and the second goes on as it is told.
    let same = [gap(&cold[0], &reused[0]), gap(&cold[0], &flow_only[0])];
    assert!(same.iter().all(|&gap| gap < 1e-4), "{same:?}");
    let other = [
        gap(&cold[1], &reused[1]),
        gap(&cold[1], &flow_only[1]),
        gap(&reused[1], &flow_only[1]),
    ];
    assert!(other.iter().all(|&gap| gap > 1e-4), "{other:?}");
    let [default, forward] = ["default", "forward"].map(|name| {
        let out = dir.path().join(format!("{name}-json"));
        let mut arguments = vec![text(&frames), "--json", "--out", text(&out)];
        if name == "forward" {
            arguments.extend(["--warm-start", "forward"]);
        }
        let result = json(&flow(&run, &arguments).success());
        assert_eq!(
            result["pairs"].as_array().map(Vec::len),
            Some(2),
            "{result}"
        );
        FlowField::open(&out.join("001.flo")).expect("a flow")
    });
    let (same, other) = (gap(&default, &forward), gap(&default, &cold[1]));
    assert!(same < 1e-4 && other > 1e-4, "{same} {other}");
}

#[test]
fn what_has_no_flow_is_refused() {
    let dir = folder();
    let run = trained(dir.path());
    let [first, second, truth] = write(dir.path(), &made(48, 32, 0));
    let (one, two) = (text(&first), text(&second));
    let out = dir.path().join("out");
    let refuse = |more: &[&str], words: &[&str]| {
        let message = refusal(&run, &[more, &["--out", text(&out)]].concat());
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    };
    let larger = dir.path().join("larger.png");
    made(56, 32, 0).first().save_png(&larger).expect("written");
    refuse(
        &[one, text(&larger)],
        &["first.png", "larger.png", "48", "56"],
    );
    let broken = dir.path().join("broken.png");
    std::fs::write(&broken, "no picture").expect("written");
    refuse(&[one, text(&broken)], &["broken.png"]);
    refuse(&[one, "/no/such.png"], &["/no/such.png"]);
    refuse(&[one], &["first.png", "second frame", "folder"]);
    let parent = text(dir.path());
    refuse(&[one, parent], &["is a folder"]);
    refuse(&[one, two, two], &["unexpected"]);
    refuse(
        &[one, two, "--warm-start", "reuse"],
        &["--warm-start", "folder"],
    );
    refuse(&[one, two, "--max-iter", "0"], &["--max-iter", "0"]);
    refuse(
        &[one, two, "--tolerance=-1"],
        &["--tolerance", "at least 0"],
    );
    refuse(&[one, two, "--device", "gpu"], &["gpu", "flex"]);
    let small = dir.path().join("small.png");
    Image::new(8, 8, 3, vec![0.5; 192])
        .and_then(|image| image.save_png(&small))
        .expect("written");
    refuse(&[text(&small), text(&small)], &["too small", "16 pixels"]);

    let other = dir.path().join("other.flo");
    let flow = made(56, 32, 0);
    let flow = flow.flow().expect("a flow");
    flow.save(&other).expect("written");
    let compare = |file: &Path, words: &[&str]| refuse(&[one, two, "--truth", text(file)], words);
    compare(&other, &["other.flo", "56x32", "48x32"]);
    let mut bytes = std::fs::read(&truth).expect("a flow");
    bytes[0] ^= 1;
    std::fs::write(&other, &bytes).expect("written");
    compare(&other, &["other.flo"]);
    compare(&dir.path().join("flow.txt"), &["flow.txt", ".flo", ".pfm"]);

    let frames = dir.path().join("frames");
    std::fs::create_dir(&frames).expect("a folder");
    let film = text(&frames);
    refuse(&[film], &["frames", "no frame"]);
    std::fs::copy(&first, frames.join("a.png")).expect("copied");
    refuse(&[film], &["one frame", "needs two"]);
    std::fs::copy(&second, frames.join("a.jpg")).expect("copied");
    refuse(&[film], &["extensions"]);
    std::fs::rename(frames.join("a.jpg"), frames.join("b.png")).expect("renamed");
    refuse(&[film, "--truth", text(&truth)], &["--truth", "sequence"]);
    let into = refusal(&run, &[film, "--out", film]);
    assert!(into.contains("choose another"), "{into}");

    let chains = dir.path().join("chains");
    train(&format!("{CHAINS} --steps 1"), &chains).success();
    for (run, words) in [
        (&chains, ["no recipe for deq-flow", "`ignn`"]),
        (&frames, ["holds no run", "config.toml"]),
    ] {
        let message = refusal(run, &[one, two, "--out", text(&out)]);
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    assert!(!out.exists() || std::fs::read_dir(&out).expect("a folder").count() == 0);
}

#[test]
fn a_report_shows_frames_and_flow() {
    let dir = folder();
    let run = trained(dir.path());
    deq_zoo(&["report", text(&run)]).success();
    let page = read(&run.join("report.html"));
    for words in [
        "<td>deq-flow</td>",
        "test_zero_epe",
        "2 pairs of 48×32 pixels",
        "pair 1: first frame",
        "pair 2: true flow, up to",
        "no flow would be off by",
        "error, white at",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 8);
}

#[test]
fn the_model_is_listed_and_verified() {
    let listed = stdout(&deq_zoo(&["list"]).success());
    for word in ["deq-flow", "2,490,976", "5,242,816"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deq-flow/tests/fixtures/eval_24_gma.safetensors");
    deq_zoo(&["verify", "deq-flow", "--fixture", text(&fixture)]).success();
    let dir = folder();
    let out = dir.path().join("run");
    refused("deq-flow --preset huge", &out, &["huge", "tiny"]);
    refused(
        "deq-flow --data middlebury",
        &out,
        &["middlebury", "chairs"],
    );
}
