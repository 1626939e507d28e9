//! `deq-zoo reproduce` as a user meets it.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

use common::{deq_zoo, refused, stderr, stdout, text};

/// The arguments for a table in this folder; options stand between spaces.
fn reproduce<'a>(out: &'a Path, options: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["reproduce", "--out", text(out)];
    arguments.extend(options.split_whitespace());
    arguments
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The CPU devices of this build; on GPUs and software for them, kernels would be compiled for
/// minutes.
fn devices() -> Vec<String> {
    let cpus = deq::devices::compiled().into_iter();
    let cpus = cpus.filter(|backend| !backend.is_gpu());
    cpus.map(|backend| format!("--device {}", backend.name()))
        .collect()
}

/// The cell of a row in `table.json`.
fn cell<'a>(table: &'a Value, row: &str, measure: &str) -> &'a Value {
    let cells = table["cells"].as_array().expect("cells");
    let found = cells
        .iter()
        .find(|cell| cell["row"] == row && cell["measure"] == measure);
    found.unwrap_or_else(|| panic!("{row}, {measure}: {table}"))
}

fn table(out: &Path) -> Value {
    serde_json::from_str(&read(&out.join("table.json"))).expect("JSON")
}

#[test]
fn all_tables_are_listed() {
    let shown = stdout(&deq_zoo(&["reproduce", "--list"]).success());
    for name in [
        "deq-flow",
        "deq-inr",
        "deq-lm",
        "efficient-training",
        "fusion",
        "ignn",
        "mdeq",
        "neural-collapse",
        "torchdeq-zoo",
        "smoke",
    ] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    let words = |name: &str| -> Vec<String> {
        let line = shown.lines().find(|line| line.starts_with(name));
        let words = line.expect("a line").split_whitespace();
        words.map(str::to_owned).collect()
    };
    // 15 rows with 14 figures; 13 have a run, of which those on whole graphs have no smoke.
    assert_eq!(words("ignn")[1..6], ["15", "14", "10", "10", "13"]);
    assert_eq!(words("neural-collapse")[2], "0", "none has been read");
}

#[test]
fn wrong_requests_name_the_remedy() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let refuse = |options: &str, words: &[&str]| refused(&reproduce(dir.path(), options), words);
    refuse("--table ignm", &["ignm", "ignn", "torchdeq-zoo"]);
    refuse("--table ignn --scale huge", &["huge", "smoke", "small"]);
    refuse("--table ignn --only chain-10", &["chain-10", "chains-10"]);
    refuse("--table ignn --seeds 0", &["0", "1"]);
    refuse("--table ignn --device gpu", &["gpu", "flex"]);
    refuse("--table ignn --data-dir .", &["--data-dir", "smoke"]);
    let absent = "--table ignn --scale small --data-dir /no/such/folder";
    refuse(absent, &["/no/such/folder", "does not exist"]);
    refused(&["reproduce"], &["--table"]);
    let taken = tempfile::tempdir().expect("a temporary folder");
    let other =
        |text: &str| std::fs::write(taken.path().join("table.json"), text).expect("written");
    let refuse_there = |words: &[&str]| refused(&reproduce(taken.path(), "--table ignn"), words);
    other(r#"{"table": "mdeq", "scale": "smoke"}"#);
    refuse_there(&["mdeq", "smoke", "--out"]);
    other("not JSON");
    refuse_there(&["table.json", "damaged", "--out"]);
    std::fs::write(taken.path().join("config.toml"), "").expect("written");
    refuse_there(&["folder of a run", "--out"]);
    let left = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing was begun");
}

#[test]
fn a_table_is_filled_and_not_run_again() {
    for device in devices() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("ignn");
        let options = format!("--table ignn --only chains-10,cora --seeds 2 {device}");
        let first = deq_zoo(&reproduce(&out, &options)).success();
        let progress = stderr(&first);
        for words in [
            "chains-10: 2 seed(s), 2 to be run: 20 steps",
            "not measured",
        ] {
            assert!(progress.contains(words), "{words}: {progress}");
        }
        let shown = stdout(&first);
        for words in [
            "smoke: other data, shows that the path runs",
            "(2 seeds)",
            "97.78",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }

        let found = table(&out);
        let ours = &cell(&found, "chains-10", "accuracy")["ours"];
        assert_eq!(ours["seeds"], 2);
        assert_eq!(ours["parts"], 1);
        let mean = ours["mean"].as_f64().expect("a mean");
        let of_seed = |seed: u64| {
            let test = out.join(format!("chains-10/seed-{seed}/test.json"));
            let test: Value = serde_json::from_str(&read(&test)).expect("JSON");
            test["test"]["test_accuracy"].as_f64().expect("an accuracy")
        };
        let expected = 100.0 * (of_seed(0) + of_seed(1)) / 2.0;
        assert!((mean - expected).abs() < 1e-9, "{mean} {expected}");
        let config = read(&out.join("chains-10/seed-1/config.toml"));
        assert!(config.contains("seed = 1"), "{config}");

        // Published figures stand in their own column, and what was not run says so.
        let ppi = cell(&found, "ppi-1", "test");
        assert_eq!(ppi["published"]["value"], "98.56");
        assert_eq!(ppi["ours"]["none"], "not run");
        assert_eq!(ppi["difference"], "–");
        let none = cell(&found, "mutag", "accuracy")["ours"]["none"].as_str();
        assert!(
            none.is_some_and(|text| text.starts_with("no recipe:")),
            "{none:?}"
        );
        let csv = read(&out.join("table.csv"));
        let line = csv.lines().find(|line| line.contains(",ppi-1,test,"));
        let line = line.expect("a line");
        assert!(
            line.contains(",98.56,,") && line.contains(",,,,,–,not run,"),
            "{line}"
        );
        let line = csv.lines().find(|line| line.contains(",cora,accuracy,"));
        assert!(
            line.is_some_and(|line| line.contains(",measured,cora")),
            "{csv}"
        );

        let markdown = read(&out.join("table.md"));
        let html = read(&out.join("table.html"));
        for words in [
            "smoke: other data",
            "deq-zoo train ignn --config benchmarks/recipes/ignn-chains-10.toml",
            "commit 4f6bd5f, deq-zoo/ignn/README.md",
            "no recipe: no built-in set of whole graphs",
        ] {
            assert!(markdown.contains(words), "{words}: {markdown}");
            assert!(html.contains(words), "{words}");
        }
        let mut runs = found["runs"].as_array().expect("runs").iter();
        let run = runs.find(|run| run["run"] == "cora").expect("a run");
        assert_eq!(run["seeds"], serde_json::json!([0, 1]));
        assert!(
            run["device"]
                .as_str()
                .is_some_and(|name| name.contains("("))
        );
        assert!(run["finished"].as_str().is_some_and(|day| day.len() == 10));

        let test = out.join("chains-10/seed-0/test.json");
        let before = (
            read(&test),
            test.metadata().expect("a file").modified().ok(),
        );
        let second = deq_zoo(&reproduce(&out, &options)).success();
        assert!(stderr(&second).contains("chains-10: 2 seed(s), 0 to be run"));
        let after = (
            read(&test),
            test.metadata().expect("a file").modified().ok(),
        );
        assert_eq!(before, after);
        assert_eq!(table(&out)["cells"], found["cells"]);

        // Other rows keep what is there.
        let third = format!("--table ignn --only texas {device}");
        deq_zoo(&reproduce(&out, &third)).success();
        let found = table(&out);
        for row in ["cora", "texas"] {
            let ours = &cell(&found, row, "accuracy")["ours"];
            assert!(ours["mean"].is_number(), "{row}: {ours}");
        }
        let texas = cell(&found, "texas", "accuracy");
        assert_eq!(texas["published"]["value"], "58.37");
        assert_eq!(texas["difference"], "not comparable");
    }
}

#[test]
fn a_run_of_other_settings_is_refused_and_the_table_says_so() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = "--table ignn --only cora";
    deq_zoo(&reproduce(dir.path(), options)).success();
    let record = dir.path().join("cora/seed-0.json");
    let text = read(&record);
    let changed = text.replace("hidden = 16", "hidden = 17");
    assert_ne!(changed, text);
    std::fs::write(&record, changed).expect("a file");
    let message = stderr(&deq_zoo(&reproduce(dir.path(), options)).code(2));
    for words in ["other settings", "hidden = 16", "--out", "1 of 1 runs"] {
        assert!(message.contains(words), "{message}");
    }
    let found = table(dir.path());
    let ours = cell(&found, "cora", "accuracy")["ours"]["none"].as_str();
    assert!(
        ours.is_some_and(|text| text.contains("other settings")),
        "{ours:?}"
    );
}

#[test]
fn a_trained_model_is_tested_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = "--table torchdeq-zoo --only deq-lm-480";
    deq_zoo(&reproduce(dir.path(), options)).success();
    let found = table(dir.path());
    let perplexity = |row: &str| cell(&found, row, "perplexity")["ours"]["mean"].as_f64();
    let (near, far) = (perplexity("deq-lm-150"), perplexity("deq-lm-480"));
    assert!(near.is_some() && far.is_some(), "{near:?} {far:?}");
    assert_ne!(near, far, "the reach has no effect");
    assert_eq!(
        cell(&found, "deq-lm-480", "perplexity")["published"]["value"],
        "21.85"
    );
    let flow = cell(&found, "deq-flow-b", "sintel_clean");
    let ours = flow["ours"]["none"].as_str().expect("a reason");
    assert!(ours.starts_with("no recipe:"), "{ours}");
    assert!(dir.path().join("deq-lm/deq-lm/seed-0/test.json").is_file());
}

#[test]
fn flow_on_made_pairs_fills_its_row_and_no_other() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    deq_zoo(&reproduce(dir.path(), "--table deq-flow")).success();
    let found = table(dir.path());
    for measure in ["made", "made_zero"] {
        let error = &cell(&found, "tiny", measure)["ours"]["mean"];
        assert!(error.as_f64().is_some_and(|error| error > 0.0), "{error}");
    }
    let published = cell(&found, "b", "kitti_f1");
    assert_eq!(published["published"]["value"], "14.18");
    let none = published["ours"]["none"].as_str();
    assert!(none.is_some_and(|none| none.contains("KITTI")), "{none:?}");
}

#[test]
fn fits_and_studies_fill_cells_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let inr = dir.path().join("inr");
    deq_zoo(&reproduce(&inr, "--table deq-inr --only fourier")).success();
    let found = table(&inr);
    let psnr = &cell(&found, "fourier", "psnr")["ours"]["mean"];
    assert!(psnr.as_f64().is_some_and(|psnr| psnr > 0.0), "{psnr}");
    assert!(inr.join("fourier/seed-0/reconstruction.png").is_file());

    let study = dir.path().join("study");
    let options = "--table efficient-training --only cifar-reuse-0";
    deq_zoo(&reproduce(&study, options)).success();
    let found = table(&study);
    for measure in ["accuracy", "backward"] {
        let cell = cell(&found, "cifar-reuse-0", measure);
        assert!(cell["ours"]["mean"].is_number(), "{cell}");
        assert_eq!(cell["difference"], "not comparable");
    }
    let spread = &cell(&found, "cifar-reuse-0", "accuracy")["published"];
    assert_eq!(spread["value"], "93.144");
    assert_eq!(spread["spread"], "0.184");
    assert!(
        study
            .join("study-efficient-training/runs/conv-reuse-seed0.json")
            .is_file()
    );
}

#[test]
fn a_row_whose_data_are_missing_does_not_stop_the_others() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("table");
    // Without a data folder, texas cannot be read, and MUTAG neither.
    let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
    command.args(reproduce(
        &out,
        "--table ignn --scale small --only texas,mutag",
    ));
    let assert: Assert = command.env_remove("DEQ_ZOO_DATA").assert().code(2);
    let message = stderr(&assert);
    for words in [
        "texas",
        "mutag",
        "--data-dir",
        "DEQ_ZOO_DATA",
        "2 of 2 runs",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let found = table(&out);
    let ours = cell(&found, "texas", "accuracy")["ours"]["none"].as_str();
    assert!(
        ours.is_some_and(|text| text.starts_with("not run:")),
        "{ours:?}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_finished_runs() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = "--table ignn --only chains-10 --seeds 1000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .args(reproduce(dir.path(), options))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut shown = String::new();
    while !shown.contains("chains-10, seed 1\n") {
        let read = output.read_line(&mut shown).expect("a line");
        assert!(read > 0, "{shown}");
    }
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("interrupted"), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let markdown = read(&dir.path().join("table.md"));
    assert!(markdown.contains("of 1000 seeds)"), "{markdown}");
}
