//! `deq-zoo study` as a user meets it.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

use common::{deq_zoo, refused, stderr, stdout, text};

/// The arguments of a study in this folder; options stand between spaces.
fn study<'a>(out: &'a Path, options: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["study", "efficient-training", "--out", text(out)];
    arguments.extend(options.split_whitespace());
    arguments
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_study_writes_its_report_and_goes_on_where_it_was() {
    for backend in deq::devices::compiled() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("study");
        let device = format!("--device {}", backend.name());
        let options = format!("--models fc --methods implicit,reuse {device}");
        let assert = deq_zoo(&study(&out, &options)).success();
        assert!(stderr(&assert).contains("2 runs, 0 of them done"));
        let shown = stdout(&assert);
        for words in [
            "| ReuseInverse | 1 |",
            "| Phantom 5 | 0 | not measured |",
            "built-in shapes",
            "cifar_aggreg_results.csv",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }

        let run = out.join("runs/fc-reuse-seed0.json");
        let first = read(&run);
        let record: Value = serde_json::from_str(&first).expect("JSON");
        let measured = &record["measured"];
        assert_eq!(measured["backward_evaluations"], 1.0);
        assert_eq!(measured["losses"].as_array().map(Vec::len), Some(6));
        assert_eq!(measured["probes"].as_array().map(Vec::len), Some(3));
        let implicit = read(&out.join("runs/fc-implicit-seed0.json"));
        let implicit: Value = serde_json::from_str(&implicit).expect("JSON");
        // The same weights and images, before the first update.
        assert_eq!(implicit["measured"]["losses"][0], measured["losses"][0]);
        let cosine = implicit["measured"]["probes"][0]["cosine"].as_f64();
        assert!(cosine.is_some_and(|cosine| cosine > 0.999), "{cosine:?}");

        let page = read(&out.join("report.html"));
        assert_eq!(page.matches("<svg").count(), 3);
        for name in ["cosine-fc.svg", "accuracy-fc.svg", "time-fc.svg"] {
            assert!(read(&out.join(name)).contains("ReuseInverse"), "{name}");
        }
        assert!(read(&out.join("table.md")).contains("| Implicit | 1 |"));
        assert!(read(&out.join("table.csv")).contains("\nfc,reuse,1,"));

        let assert = deq_zoo(&study(&out, &options)).success();
        assert!(stderr(&assert).contains("2 runs, 2 of them done"));
        assert_eq!(read(&run), first);
        let more = format!("--models fc --methods reuse,jacobian-free {device}");
        let assert = deq_zoo(&study(&out, &more)).success();
        assert!(stderr(&assert).contains("2 runs, 1 of them done"));
        assert_eq!(read(&run), first);
        assert!(stdout(&assert).contains("| Implicit | 1 |"));

        let changed = first.replace("\"learning_rate\": 0.001", "\"learning_rate\": 0.5");
        assert_ne!(changed, first);
        std::fs::write(&run, changed).expect("a file");
        let words = ["fc-reuse-seed0", "setup.learning_rate", "0.5", "--out"];
        refused(&study(&out, &options), &words);
    }
}

#[test]
fn the_convolutional_model_is_trained_too() {
    for backend in deq::devices::compiled() {
        if backend.is_gpu() {
            continue; // minutes of kernel compilation on software
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = format!(
            "--models conv --methods reuse-5,phantom-5 --device {}",
            backend.name()
        );
        let shown = stdout(&deq_zoo(&study(dir.path(), &options)).success());
        assert!(shown.contains("93.54 ± 0.19"), "{shown}");
        for (method, products) in [("reuse-5", 6.0), ("phantom-5", 5.0)] {
            let run = read(&dir.path().join(format!("runs/conv-{method}-seed0.json")));
            let run: Value = serde_json::from_str(&run).expect("JSON");
            let measured = &run["measured"];
            assert_eq!(measured["backward_evaluations"], products);
            assert!(measured["backward_ms"].as_f64().is_some_and(|ms| ms > 0.0));
            assert!(
                measured["peak_bytes"]
                    .as_u64()
                    .is_some_and(|bytes| bytes > 0)
            );
        }
    }
}

#[test]
fn one_process_at_a_time_works_in_a_folder() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lock = deq_train::Lock::acquire(dir.path()).expect("a free folder");
    let process = format!("process {}", std::process::id());
    let words = [process.as_str(), "another folder"];
    refused(&study(dir.path(), "--scale smoke --models fc"), &words);
    let table = ["reproduce", "--table", "ignn", "--out", text(dir.path())];
    refused(&table, &words);
    drop(lock);
    let left = std::fs::read_dir(dir.path()).expect("a folder");
    let left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(
        left.iter().all(|name| name == "lock" || name == "runs"),
        "{left:?}"
    );
}

#[test]
fn a_study_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("study");
    let refuse = |options: &str, words: &[&str]| refused(&study(&out, options), words);
    refuse("--scale huge", &["huge", "smoke", "small", "full"]);
    refuse("--methods exact", &["exact", "implicit", "reuse-5"]);
    refuse("--models mlp", &["mlp", "fc", "conv"]);
    refuse("--seeds 0", &["0", "1"]);
    refuse("--device gpu", &["gpu", "flex"]);
    refuse("--data-dir .", &["smoke", "--data-dir", "--scale small"]);
    let absent = "--scale small --data-dir /no/such/folder";
    refuse(absent, &["/no/such/folder", "does not exist"]);
    let empty = format!("--scale small --models fc --data-dir {}", text(dir.path()));
    refuse(&empty, &["fashion-mnist", "train-images"]);
    let empty = format!(
        "--scale small --models conv --data-dir {}",
        text(dir.path())
    );
    refuse(&empty, &["cifar-10-batches-bin", "cifar10-lossless-5k"]);

    let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
    command.args(study(&out, "--scale small"));
    let assert = command.env_remove("DEQ_ZOO_DATA").assert().code(2);
    let message = stderr(&assert);
    for words in ["--data-dir", "DEQ_ZOO_DATA", "--scale smoke"] {
        assert!(message.contains(words), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_finished_runs() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = "--models fc --methods jacobian-free --seeds 1000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .args(study(dir.path(), options))
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
    assert!(dir.path().join("runs/fc-jacobian-free-seed0.json").exists());
    assert!(dir.path().join("report.html").exists());
}
