//! `deq-zoo train deq-collapse`, its `eval` and `report`, `deq-zoo study collapse` and `deq-zoo study
//! landscape` as a user meets them.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

use common::{deq_zoo, json, refused, stderr, stdout, text};
use recipes::{collapse, devices, train};

/// The arguments of a study in this folder; options stand between spaces.
fn study<'a>(name: &'a str, out: &'a Path, options: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["study", name, "--out", text(out)];
    arguments.extend(options.split_whitespace());
    arguments
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a run's file says was measured.
fn measured(path: &Path) -> Value {
    let record: Value = serde_json::from_str(&read(path)).expect("JSON");
    record["measured"].clone()
}

#[test]
fn a_network_is_trained_tested_and_evaluated() {
    for device in devices() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let run = dir.path().join("run");
        let options = format!("{} {device}", collapse(dir.path()));
        train(&options, &run).success();
        let test: Value = serde_json::from_str(&read(&run.join("test.json"))).expect("JSON");
        for name in [
            "test_accuracy",
            "test_majority_accuracy",
            "test_minority_accuracy",
            "test_loss",
            "nc1",
            "nc2",
            "nc3",
            "bias",
            "residual",
            "evaluations",
        ] {
            let value = test["test"][name].as_f64();
            assert!(value.is_some_and(|value| value >= 0.0), "{name}: {test}");
        }
        let measured = deq_train::read_metrics(&run.join("metrics.jsonl")).expect("metrics");
        let of = |name: &str| -> Vec<f64> {
            let values = measured.iter().filter_map(|record| record.get(name));
            values.filter_map(Value::as_f64).collect()
        };
        assert_eq!(of("train/loss").len(), 6);
        for name in ["nc1", "nc2", "nc3", "validation_minority_accuracy"] {
            assert_eq!(of(&format!("evaluation/{name}")).len(), 2, "{name}");
        }

        let eval = |options: &str| {
            let mut arguments = vec!["eval", "deq-collapse", "--run", text(&run), "--json"];
            arguments.extend(options.split_whitespace());
            json(&recipes::deq_zoo(&arguments).success())
        };
        assert_eq!(eval(&device)["results"][0], test["test"]);
        let swept = eval(&format!("--max-iter 1,4 {device}"));
        assert_ne!(swept["results"][0]["nc1"], test["test"]["nc1"]);
        assert_eq!(swept["results"][1]["nc1"], test["test"]["nc1"]);

        recipes::deq_zoo(&["report", text(&run)]).success();
        let page = read(&run.join("report.html"));
        for words in ["16 test images", "Cosines between features", "nc1"] {
            assert!(page.contains(words), "{words}");
        }
    }
}

#[test]
fn both_uses_of_the_last_block_are_trained() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let small = "--steps 2 --set network.width=1 --set network.stages=[1,2] --set data.train=400 --set data.test=20";
    let shown = |options: &str| {
        let run = dir.path().join(options.replace(' ', ""));
        train(&format!("deq-collapse {options} {small}"), &run).success();
        (read(&run.join("config.toml")), run)
    };
    let (config, _) = shown("--preset narrow-etf --classes tail-r10");
    for line in [
        "name = \"deq-collapse-narrow-etf-deq-shapes-tail-r10\"",
        "kind = \"fixed_etf\"",
        "kind = \"long_tail\"",
        "samples = 20",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let (config, run) = shown("--last explicit");
    assert!(config.contains("kind = \"explicit\""), "{config}");
    let test = read(&run.join("test.json"));
    assert!(!test.contains("minority") && !test.contains("residual"));
    let sweep = [
        "eval",
        "deq-collapse",
        "--run",
        text(&run),
        "--max-iter",
        "3",
    ];
    assert!(stderr(&recipes::deq_zoo(&sweep).code(2)).contains("explicit"));
}

#[test]
fn a_training_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("run");
    let refuse = |options: &str, words: &[&str]| {
        recipes::refused(&format!("deq-collapse {options}"), &out, words);
    };
    refuse("--preset resnet50", &["resnet50", "resnet18", "narrow-etf"]);
    refuse("--last tied", &["tied", "deq", "explicit"]);
    refuse("--classes k3", &["k3", "balanced", "k3-r10", "tail-r10"]);
    refuse("--classes k10-r10", &["majority", "below the 10 classes"]);
    refuse("--data fashion-mnist", &["--data-dir", "DEQ_ZOO_DATA"]);
    refuse(
        "--classes balanced --set imbalance.samples=5000",
        &["class 0", "5000", "ask for fewer"],
    );
    refuse(
        "--preset narrow-etf --set objective.classifier_decay=1",
        &["classifier_decay", "fixed"],
    );
    refuse(
        "--set collapse_images=0",
        &["collapse_images", "at least 1"],
    );
    refuse(
        "--set validation=2000",
        &["validation", "2000 training images"],
    );
    assert!(!out.exists(), "nothing is left behind");
}

#[test]
fn pairs_are_trained_and_the_study_goes_on_where_it_was() {
    for device in devices() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("study");
        let options = format!("--classes k3-r10 --models explicit,deq {device}");
        let assert = deq_zoo(&study("collapse", &out, &options)).success();
        assert!(stderr(&assert).contains("2 runs, 0 of them done"));
        let shown = stdout(&assert);
        for words in [
            "## built-in shapes",
            "| K_A = 3, R = 10, explicit | 1 |",
            "| K_A = 3, R = 10, DEQ | 1 |",
            "2410.23391",
            "Minority classes, DEQ minus explicit",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }

        let run = out.join("runs/shapes-k3-r10-deq-seed0.json");
        let first = read(&run);
        let deq = measured(&run);
        let explicit = measured(&out.join("runs/shapes-k3-r10-explicit-seed0.json"));
        assert_eq!(deq["parameters"], explicit["parameters"]);
        assert_eq!(deq["train_images"], 31);
        assert_eq!(deq["epochs"].as_array().map(Vec::len), Some(3));
        let last = &deq["epochs"][2];
        for number in ["nc1", "nc2", "nc3", "minority_cosine"] {
            assert!(last["collapse"][number].is_f64(), "{number}: {last}");
        }
        assert!(last["test"]["accuracy"]["minority"].is_number(), "{last}");
        assert!(last["test"]["residual"].is_f64());
        assert!(explicit["epochs"][2]["test"]["residual"].is_null());

        let page = read(&out.join("report.html"));
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("<img").count(), 2);
        for name in ["collapse-shapes-k3-r10.svg", "plane-shapes-k3-r10-deq.svg"] {
            assert!(read(&out.join(name)).contains("<svg"), "{name}");
        }
        let gram = deq_datasets::Image::open(&out.join("gram-shapes-k3-r10-deq.png"));
        assert!(gram.is_ok(), "{gram:?}");
        assert!(read(&out.join("table.csv")).contains("\nshapes,k3-r10,deq,1,"));

        let more = format!("--classes k3-r10,balanced --models deq,etf {device}");
        let assert = deq_zoo(&study("collapse", &out, &more)).success();
        assert!(stderr(&assert).contains("3 runs, 1 of them done"));
        assert_eq!(read(&run), first);
        assert!(stdout(&assert).contains("| fixed simplex, d = K = 10 | 1 |"));

        let changed = first.replace("\"rate\": 0.02", "\"rate\": 0.5");
        assert_ne!(changed, first);
        std::fs::write(&run, changed).expect("a file");
        let words = ["shapes-k3-r10-deq-seed0", "setup.rate", "0.5", "--out"];
        refused(&study("collapse", &out, &options), &words);
    }
}

#[test]
fn a_fixed_classifier_is_compared_with_a_learned_one() {
    for device in devices() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = format!("--models wide,etf {device}");
        let shown = stdout(&deq_zoo(&study("collapse", dir.path(), &options)).success());
        for words in [
            "| learned, d = 64 | 1 |",
            "less memory of a step",
            "fewer parameters",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
}

#[test]
fn a_collapse_study_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("study");
    let refuse = |options: &str, words: &[&str]| refused(&study("collapse", &out, options), words);
    refuse("--scale huge", &["huge", "smoke", "small", "full"]);
    refuse("--models mlp", &["mlp", "explicit", "deq", "etf"]);
    refuse("--classes k3", &["k3", "balanced", "k3-r10", "tail-r10"]);
    refuse(
        "--classes k10-r10",
        &["k10-r10", "majority", "below the 10 classes"],
    );
    refuse("--classes k3-r10 --models etf", &["etf", "balanced"]);
    refuse("--data fashion", &["smoke", "fashion", "shapes"]);
    refuse("--seeds 0", &["0", "1"]);
    refuse("--device gpu", &["gpu", "flex"]);
    refuse("--data-dir .", &["smoke", "--data-dir", "--scale small"]);
    let absent = "--scale small --data-dir /no/such/folder";
    refuse(absent, &["/no/such/folder", "does not exist"]);
    let empty = text(dir.path());
    let fashion = format!("--scale small --data fashion --data-dir {empty}");
    refuse(&fashion, &["fashion-mnist", "train-images"]);
    let cifar = format!("--scale small --data cifar10 --data-dir {empty}");
    refuse(&cifar, &["cifar-10-batches-bin", "cifar10-lossless-5k"]);

    let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
    command.args(study("collapse", &out, "--scale small"));
    let assert = command.env_remove("DEQ_ZOO_DATA").assert().code(2);
    let message = stderr(&assert);
    for words in ["--data-dir", "DEQ_ZOO_DATA", "--scale smoke"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_landscape_is_searched_and_classified() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("study");
    let assert = deq_zoo(&study("landscape", &out, "--losses mse")).success();
    assert!(stderr(&assert).contains("2 runs, 0 of them done"));
    let shown = stdout(&assert);
    for words in [
        "d = K: the claim shows",
        "d = K + 2: the claim shows",
        "exactly at K√n·μ = 1",
        "| squared error, K = 3, d = 5 | 10 |",
        "2407.10702",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let run = out.join("runs/mse-k3-d3.json");
    let first = read(&run);
    let measured = measured(&run);
    let points = measured["points"].as_array().expect("points");
    assert_eq!(points.len(), 10);
    for point in points {
        let eigenvalue = point["smallest_eigenvalue"].as_f64();
        match point["kind"].as_str() {
            Some("global_minimum") => {
                let above = point["above"].as_f64().expect("a number");
                assert!(above.abs() <= 1e-8, "{point}");
            }
            Some("strict_saddle") => {
                assert!(eigenvalue.is_some_and(|value| value < -1e-6), "{point}");
            }
            other => assert_eq!(other, Some("not_reached"), "{point}"),
        }
    }
    let page = read(&out.join("report.html"));
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(read(&out.join("points.csv")).contains("\nmse,3,3,0,"));

    let assert = deq_zoo(&study("landscape", &out, "")).success();
    assert!(stderr(&assert).contains("4 runs, 2 of them done"));
    assert_eq!(read(&run), first);

    let refuse = |options: &str, words: &[&str]| refused(&study("landscape", &out, options), words);
    refuse("--losses hinge", &["hinge", "ce", "mse"]);
    refuse("--classes 1", &["1", "2"]);
    refuse("--scale small", &["`scale`", "smoke", "--out"]);
    let single = deq::devices::compiled().into_iter();
    for backend in single.filter(|backend| !backend.computes_f64()) {
        let options = format!("--device {}", backend.name());
        refuse(&options, &["f64", "--device", "flex"]);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_finished_runs() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = "--classes balanced --models explicit --seeds 1000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .args(study("collapse", dir.path(), options))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut shown = String::new();
    while !shown.contains("run 1/1000") {
        let read = output.read_line(&mut shown).expect("a line");
        assert!(read > 0, "{shown}");
    }
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("interrupted"), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let run = dir.path().join("runs/shapes-balanced-explicit-seed0.json");
    assert!(run.exists());
    assert!(dir.path().join("report.html").exists());
}
