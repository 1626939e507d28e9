//! `deq-zoo bench` as a user meets it.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::path::Path;

use serde_json::Value;

use common::{deq_zoo, json, refused, stderr, stdout, text};

/// A quick run of a small model; options stand between spaces.
fn quick(options: &str) -> Vec<&str> {
    let fixed = "bench --models ignn --batch 1 --min-time 0.01 --devices flex";
    fixed.split(' ').chain(options.split_whitespace()).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, report: &Value) {
    std::fs::write(path, report.to_string()).expect("a file");
}

/// A report with every median multiplied by a factor, and without any spread.
fn scaled(report: &Value, factor: f64) -> Value {
    let mut report = report.clone();
    for cell in report["cells"].as_array_mut().expect("cells") {
        let sample = &mut cell["outcome"]["measured"]["sample"];
        let median = sample["median"].as_f64().expect("a number");
        sample["median"] = Value::from(factor * median);
        sample["mad"] = Value::from(0.0);
    }
    report
}

#[test]
fn a_run_measures_and_writes_its_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("bench");
    let mut arguments = quick("--samples 3 --json --out");
    arguments.push(text(&out));
    let assert = deq_zoo(&arguments).success();
    let report = json(&assert);
    assert_eq!(report["format"], 1);
    assert_eq!(report["complete"], true);
    assert!(report["machine"]["threads"].as_u64() >= Some(1));
    assert_eq!(report["protocol"]["samples"], 3);

    let cells = report["cells"].as_array().expect("cells");
    let passes: Vec<&Value> = cells.iter().map(|cell| &cell["name"]["pass"]).collect();
    assert_eq!(passes, ["forward", "train"]);
    for cell in cells {
        assert_eq!(cell["name"]["model"], "ignn");
        assert_eq!(cell["name"]["preset"], "chains");
        assert_eq!(cell["name"]["batch"], 1);
        assert_eq!(cell["items"], 10);
        assert_eq!(cell["unit"], "nodes");
        let measured = &cell["outcome"]["measured"];
        let sample = &measured["sample"];
        let seconds = sample["seconds"].as_array().expect("seconds");
        assert_eq!(seconds.len(), 3);
        let seconds: Vec<f64> = seconds.iter().filter_map(Value::as_f64).collect();
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let close = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!(
                (value - expected).abs() <= 1e-12 * expected,
                "{value} {expected}"
            );
        };
        close(&sample["median"], sorted[1]);
        close(&sample["min"], sorted[0]);
        close(&measured["items_per_second"], 10.0 / sorted[1]);
        assert!(sample["peak_bytes"].as_u64() > Some(0));
        assert_eq!(measured["memory"], "host_peak");
        assert!(measured["forward_evaluations"].as_u64() > Some(0));
        assert!(measured["residual"].as_f64().is_some());
        assert!(measured["device_seconds"].is_null());
    }

    assert_eq!(parse(&out.join("bench.json")), report);
    let csv = read(&out.join("bench.csv"));
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("model,preset,device,pass,batch,"), "{csv}");
    assert!(csv.contains("\nignn,chains,flex,train,1,"), "{csv}");
    let markdown = read(&out.join("bench.md"));
    assert!(
        markdown.contains("| ignn (chains) | flex | train |"),
        "{markdown}"
    );
    let page = read(&out.join("bench.html"));
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(page.contains("ignn · flex") && !page.contains("<script"));

    // The first run stays as it was.
    let file = out.join("bench.json");
    refused(&arguments, &["bench.json", "exists already", "--out"]);
    assert_eq!(parse(&file), report);
}

#[test]
fn the_table_is_for_readers_and_progress_for_those_who_wait() {
    let assert = deq_zoo(&quick(
        "--passes forward --samples 9 --preset ignn=mutag --max-time 1e-6",
    ))
    .success();
    let table = stdout(&assert);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("model"), "{table}");
    assert!(
        lines.iter().any(|line| line.starts_with("ignn (mutag)")),
        "{table}"
    );
    assert!(table.contains("graphs"), "{table}");
    let progress = stderr(&assert);
    // However short the time, three samples are taken.
    assert!(
        progress.contains("[1/1] ignn on flex, forward"),
        "{progress}"
    );
    assert!(progress.contains("(3 samples)"), "{progress}");
}

#[test]
fn a_baseline_flags_what_has_changed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let measured = json(&deq_zoo(&quick("--passes forward --json")).success());
    let file = dir.path().join("bench.json");
    let against = |report: &Value| {
        write(&file, report);
        let mut arguments = quick("--passes forward --json --baseline");
        arguments.push(text(&file));
        deq_zoo(&arguments)
    };

    // The earlier run was ten times as fast.
    let slower = against(&scaled(&measured, 0.1)).code(1);
    let report = json(&slower);
    let change = &report["comparison"]["changes"][0];
    assert_eq!(change["verdict"], "slower");
    assert!(change["ratio"].as_f64() > Some(1.05), "{change}");

    let faster = against(&scaled(&measured, 10.0)).success();
    let report = json(&faster);
    assert_eq!(report["comparison"]["changes"][0]["verdict"], "faster");

    // Another device's cell has vanished, and this one's is new.
    let mut other = measured.clone();
    other["cells"][0]["name"]["device"] = "cuda:7".into();
    other["machine"]["processor"] = "Another 9000".into();
    let assert = against(&other).success();
    let report = json(&assert);
    let changes = report["comparison"]["changes"].as_array().expect("changes");
    let verdicts: Vec<&Value> = changes.iter().map(|change| &change["verdict"]).collect();
    assert_eq!(verdicts, ["new", "vanished"]);
    let warnings = stderr(&assert);
    assert!(warnings.contains("another machine"), "{warnings}");
    assert!(warnings.contains("Another 9000"), "{warnings}");

    // A comparison is part of the files, and of a table.
    write(&file, &scaled(&measured, 0.1));
    let out = dir.path().join("out");
    let mut arguments = quick("--passes forward --baseline");
    arguments.extend([text(&file), "--out", text(&out)]);
    let table = stdout(&deq_zoo(&arguments).code(1));
    let page = read(&out.join("bench.html"));
    let markdown = read(&out.join("bench.md"));
    for form in [&table, &page, &markdown] {
        assert!(form.contains("SLOWER"), "{form}");
    }
    // A report with a comparison is a baseline as well.
    let report = parse(&out.join("bench.json"));
    against(&scaled(&report, 10.0)).success();
}

#[test]
fn a_baseline_that_is_none_is_refused_before_anything_is_measured() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("bench.json");
    let out = dir.path().join("out");
    let mut arguments = quick("--baseline");
    arguments.extend([text(&file), "--out", text(&out)]);
    refused(&arguments, &["bench.json", "cannot read"]);
    for (content, words) in [
        ("{\"format\": 1, \"cells\": [", "EOF"),
        ("{\"format\": 99}", "format 99"),
        ("{\"format\": 1}", "missing field"),
        ("[]", "format"),
    ] {
        std::fs::write(&file, content).expect("a file");
        refused(&arguments, &["bench.json", "not a baseline", words]);
    }
    assert!(!out.exists());
}

#[test]
fn wrong_requests_say_what_to_write() {
    let refuse = |options: &str, words: &[&str]| {
        let arguments: Vec<&str> = ["bench"].into_iter().chain(options.split(' ')).collect();
        refused(&arguments, words);
    };
    refuse(
        "--models resnet",
        &["resnet", "deq-inr, mdeq, ignn, deq-lm"],
    );
    refuse("--devices gpu", &["gpu", "flex"]);
    refuse("--passes backward", &["backward", "forward", "train"]);
    refuse("--preset mdeq", &["MODEL=PRESET"]);
    refuse("--preset mdeq=huge", &["huge", "cifar-small"]);
    refuse(
        "--models ignn --preset mdeq=cifar-small",
        &["mdeq", "not among"],
    );
    refuse("--batch 0", &["--batch", "at least 1"]);
    refuse("--samples 0", &["--samples", "at least 1"]);
    refuse("--min-time nan", &["--min-time"]);
    refuse("--max-time 0", &["--max-time", "above 0"]);
    refuse("--against jax", &["jax", "torchdeq"]);
    refuse("--quick --models ignn", &["--quick", "--against"]);
    refuse("--threads 3 --samples 3", &["--threads", "--against"]);
    refuse(
        "--against torchdeq --models ignn",
        &["--against", "--models"],
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_made_is_told_first() {
    let mut arguments = quick("--out");
    arguments.push("/dev/null/bench");
    refused(&arguments, &["/dev/null/bench", "cannot make the folder"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_what_it_has() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("bench");
    // Two models in two passes: four cells of two seconds each.
    let options = "bench --models ignn,deq-inr --batch 1 --samples 1000000 --max-time 2";
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .args(options.split_whitespace())
        .args(["--devices", "flex", "--out", text(&out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut shown = String::new();
    while !shown.contains("[1/4]") {
        let read = output.read_line(&mut shown).expect("a line");
        assert!(read > 0, "{shown}");
    }
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("stopped before its end"), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));

    let report = parse(&out.join("bench.json"));
    assert_eq!(report["complete"], false);
    let cells = report["cells"].as_array().expect("cells").len();
    assert!((1..4).contains(&cells), "{cells}");
    assert!(read(&out.join("bench.html")).contains("stopped before its end"));
}
