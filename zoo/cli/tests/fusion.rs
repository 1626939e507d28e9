//! `deq-zoo train deq-fusion`, its `eval` and `report`, and `deq-zoo study fusion` as a user meets
//! them.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::{Path, PathBuf};

use deq_datasets::multimodal::{
    GeneratedViews, Modality, MultimodalData, MultimodalSplit, Targets, features,
};
use serde_json::Value;

use common::{json, stderr, stdout, text};
use recipes::{deq_zoo, devices, folder, fusion, refused, train};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

/// A run of six steps.
fn trained(folder: &Path, more: &str) -> PathBuf {
    let run = folder.join("run");
    train(&format!("{} {more}", fusion(folder)), &run).success();
    run
}

fn eval(run: &Path, options: &str) -> Value {
    let mut arguments = vec!["eval", "deq-fusion", "--run", text(run), "--json"];
    arguments.extend(options.split_whitespace());
    json(&deq_zoo(&arguments).success())
}

#[test]
fn a_run_is_trained_tested_and_evaluated() {
    for device in devices() {
        let dir = folder();
        let run = trained(dir.path(), &device);
        let test = parse(&run.join("test.json"));
        for name in [
            "test_loss",
            "test_accuracy",
            "test_f1",
            "test_auc",
            "test_weighted_f1",
            "test_macro_f1",
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
        assert_eq!(of("train/solver_steps"), [4.0; 6]);
        assert!(of("train/jacobian").iter().all(|penalty| *penalty > 0.0));
        // The checkpoint of the lower loss on the held-out samples is the one that is tested.
        let losses = of("evaluation/validation_loss");
        let best = if losses[0] <= losses[1] { 3 } else { 6 };
        assert_eq!((losses.len(), test["step"].as_u64()), (2, Some(best)));

        let found = eval(&run, &device);
        assert_eq!(found["step"].as_u64(), Some(best));
        assert_eq!(found["results"][0], test["test"]);
        let swept = eval(&run, &format!("--max-iter 1,4 {device}"));
        let results = &swept["results"];
        assert_eq!(results[0]["evaluations"], 1.0);
        assert_ne!(results[0]["test_loss"], test["test"]["test_loss"]);
        assert_eq!(results[1]["test_loss"], test["test"]["test_loss"]);

        let shown = stdout(&deq_zoo(&["report", text(&run)]).success());
        assert!(shown.contains("wrote "), "{shown}");
        let page = read(&run.join("report.html"));
        for words in [
            "10 test samples",
            "What each modality adds",
            "without 2",
            "test_auc",
            "Jacobian penalty",
        ] {
            assert!(page.contains(words), "{words}");
        }
    }
}

#[test]
fn other_ways_to_join_modalities_are_trained_by_the_same_recipe() {
    let dir = folder();
    let run = trained(dir.path(), "--fusion weighted-sum --steps 3");
    let config = read(&run.join("config.toml"));
    for line in [
        "name = \"tiny-fusion-weighted-sum\"",
        "kind = \"weighted_sum\"",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    assert!(parse(&run.join("test.json"))["test"]["residual"].is_null());
    let arguments = ["eval", "deq-fusion", "--run", text(&run), "--max-iter", "3"];
    assert!(stderr(&deq_zoo(&arguments).code(2)).contains("explicit"));

    std::fs::remove_dir_all(&run).expect("removed");
    let other = "--fusion weight-tied --set network.fusion.jacobian_weight=1";
    let options = format!("{} {other}", fusion(dir.path()));
    refused(&options, &run, &["jacobian_weight", "steps"]);
    let run = trained(
        dir.path(),
        "--fusion weight-tied --steps 3 --set network.fusion.steps=3",
    );
    assert!(read(&run.join("config.toml")).contains("steps = 3\n"));
    let swept = eval(&run, "--max-iter 1,3");
    let loss = |row: usize| swept["results"][row]["test_loss"].as_f64();
    assert_ne!(loss(0), loss(1));
    let test = parse(&run.join("test.json"));
    assert_eq!(loss(1), test["test"]["test_loss"].as_f64(), "as trained");
}

/// Built-in samples in MOGONET's layout.
fn write_mogonet(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let views = GeneratedViews {
        train: 20,
        test: 6,
        classes: 2,
        widths: vec![5, 4],
        ..GeneratedViews::default()
    };
    let data = views.generate(3).expect("built-in data");
    for (part, data) in [("tr", &data.train), ("te", &data.test)] {
        let Targets::Classes { of_sample, .. } = data.targets() else {
            panic!("they have classes");
        };
        let labels = of_sample.iter().map(|class| format!("{class}.0\n"));
        let path = folder.join(format!("labels_{part}.csv"));
        std::fs::write(path, labels.collect::<String>()).expect("written");
        for (index, modality) in data.modalities().iter().enumerate() {
            let rows = data.values(index).chunks(modality.width).map(|row| {
                let cells: Vec<String> = row.iter().map(f32::to_string).collect();
                cells.join(",") + "\n"
            });
            let path = folder.join(format!("{}_{part}.csv", index + 1));
            std::fs::write(path, rows.collect::<String>()).expect("written");
        }
    }
}

#[test]
fn data_in_mogonets_layout_are_read_and_fitted_to() {
    let dir = folder();
    write_mogonet(&dir.path().join("rosmap/ROSMAP"));
    let out = dir.path().join("run");
    let solve = "--set network.fusion.solve.forward.threshold=4 --set network.fusion.solve.backward.threshold=4";
    let options = format!(
        "deq-fusion --data-dir {} --steps 2 --set network.hidden=8 {solve}",
        text(dir.path())
    );
    train(&options, &out).success();
    let config = read(&out.join("config.toml"));
    for line in [
        "name = \"deq-fusion-rosmap\"",
        "kind = \"rosmap\"",
        "classes = 2",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let test = parse(&out.join("test.json"));
    assert!(test["test"]["test_auc"].as_f64().is_some(), "{test}");

    // A recipe's sizes are not changed, but compared.
    let file = dir.path().join("fixed.toml");
    std::fs::write(&file, config.replace("classes = 2", "classes = 3")).expect("written");
    let options = format!(
        "deq-fusion --config {} --data-dir {}",
        text(&file),
        text(dir.path())
    );
    let other = dir.path().join("other");
    refused(
        &options,
        &other,
        &["classes = 3", "classes = 2", "[network]"],
    );
    assert!(!other.exists());
}

/// Sequences in two modalities with numbers, with a validation part.
fn write_features(path: &Path) {
    let part = |samples: usize, shift: f32| {
        let modality = |name: &str, width: usize| Modality {
            length: 5,
            ..Modality::vector(name, width)
        };
        let values = |width: usize| -> Vec<f32> {
            let numbers = 0..samples * 5 * width;
            numbers.map(|n| (n as f32 * 0.37 + shift).sin()).collect()
        };
        let targets = (0..samples).map(|j| (j as f32 + shift).sin() * 3.0);
        MultimodalData::new(
            vec![modality("text", 6), modality("sound", 3)],
            vec![values(6), values(3)],
            Targets::Values(targets.collect()),
        )
        .expect("valid data")
    };
    let data = MultimodalSplit {
        train: part(8, 0.0),
        validation: Some(part(4, 0.5)),
        test: part(4, 0.9),
    };
    features::save(path, &data).expect("written");
}

#[test]
fn a_file_of_features_is_read_and_fitted_to() {
    let dir = folder();
    write_features(&dir.path().join("cmu-mosi.safetensors"));
    let out = dir.path().join("run");
    let small = "--set batch=4 --set network.projection=2 --set train.evaluate_every=1 --set network.fusion.solve.forward.threshold=4 --set network.fusion.solve.backward.threshold=4";
    let data = text(dir.path());
    let options = format!("deq-fusion --preset cmu-mosi --data-dir {data} --steps 2 {small}");
    train(&options, &out).success();
    let test = parse(&out.join("test.json"));
    for name in ["test_mae", "test_accuracy_7", "test_f1", "test_correlation"] {
        assert!(test["test"][name].as_f64().is_some(), "{name}: {test}");
    }
    let config = read(&out.join("config.toml"));
    for line in [
        "text = 6",
        "positions = 5",
        "file = \"cmu-mosi.safetensors\"",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    // There are two parts to select models by.
    let other = dir.path().join("other");
    let options = format!("{options} --set validation=0.2");
    refused(&options, &other, &["validation part", "set it to 0"]);
}

#[test]
fn what_cannot_be_trained_is_refused_and_leaves_nothing() {
    let dir = folder();
    let out = dir.path().join("run");
    let refuse = |options: &str, words: &[&str]| refused(options, &out, words);
    refuse("deq-fusion --preset huge", &["huge", "rosmap", "cmu-mosi"]);
    refuse("deq-fusion --data imdb", &["imdb", "generated", "features"]);
    refuse(
        "deq-fusion --fusion sum",
        &["sum", "weighted-sum", "low-rank"],
    );
    refuse(
        "deq-fusion --data rosmap",
        &["ROSMAP", "--data-dir", "DEQ_ZOO_DATA"],
    );
    refuse(
        "deq-fusion --preset mm-imdb",
        &["`multi_label` learns labels", "have classes", "--preset"],
    );
    let options = fusion(dir.path());
    for (setting, words) in [
        ("batch=0", ["batch is 0", "at least 1"]),
        ("batch=100", ["`batch` is 100", "number of samples"]),
        ("validation=1.0", ["validation is 1", "below 1"]),
        ("validation=0.0", ["train.best", "validation to 0.2"]),
        ("max_iter=0", ["max_iter is 0", "at least 1"]),
        ("network.hidden=9", ["groups", "divisor"]),
        ("network.classes=3", ["classes = 3", "classes = 2"]),
        ("data.views.clases=2", ["clases", "classes"]),
    ] {
        refuse(&format!("{options} --set {setting}"), &words);
    }
    let options = format!("{options} --fusion tensor --set max_iter=3");
    refuse(&options, &["max_iter", "`tensor` has none"]);
    assert!(!out.exists(), "nothing is left behind");
}

#[test]
fn a_fixture_is_verified() {
    let fixture = "zoo/deq-fusion/tests/fixtures/layer_default_eval.safetensors";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(fixture);
    deq_zoo(&["verify", "deq-fusion", "--fixture", text(&path)]).success();
}

/// The arguments of a study in this folder; options stand between spaces.
fn study<'a>(out: &'a Path, options: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["study", "fusion", "--out", text(out)];
    arguments.extend(options.split_whitespace());
    arguments
}

#[test]
fn methods_are_compared_and_the_study_goes_on_where_it_was() {
    for device in devices() {
        let dir = folder();
        let out = dir.path().join("study");
        let options = format!("--methods equilibrium,weight-tied,low-rank --seeds 1 {device}");
        let assert = deq_zoo(&study(&out, &options)).success();
        assert!(stderr(&assert).contains("3 runs, 0 of them done"));
        let shown = stdout(&assert);
        for words in [
            "## built-in correlated modalities",
            "| DEQ fusion | 1 |",
            "| low rank | 1 |",
            "| weight-tied, 2 |",
            "AUC (%)",
            "2306.16645",
            "residual against step",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }

        let run = out.join("runs/generated-equilibrium-seed0.json");
        let first = read(&run);
        let record: Value = serde_json::from_str(&first).expect("JSON");
        let measured = &record["measured"];
        assert_eq!(measured["samples"], serde_json::json!([40, 10, 20]));
        assert_eq!(measured["curve"].as_array().map(Vec::len), Some(3));
        assert_eq!(measured["modalities"].as_array().map(Vec::len), Some(3));
        let points = measured["convergence"].as_array().expect("points");
        assert!(points.len() > 6, "past the cap of the training: {points:?}");
        let share = |index: usize| measured["modalities"][index]["gates"]["share"].as_f64();
        assert!(share(0).is_some_and(|share| (0.0..=1.0).contains(&share)));

        let page = read(&out.join("report.html"));
        assert_eq!(page.matches("<svg").count(), 4);
        for name in [
            "accuracy-generated.svg",
            "convergence-relative-generated.svg",
            "convergence-absolute-generated.svg",
            "ablation-generated.svg",
        ] {
            assert!(read(&out.join(name)).contains("DEQ fusion"), "{name}");
        }
        assert!(read(&out.join("table.csv")).contains("\ngenerated,weight-tied,1,"));
        let contributions = read(&out.join("contributions.csv"));
        assert!(contributions.contains("\ngenerated,equilibrium,2,1,"));

        let more = format!("--methods equilibrium,tensor --seeds 2 {device}");
        let assert = deq_zoo(&study(&out, &more)).success();
        assert!(stderr(&assert).contains("4 runs, 1 of them done"));
        assert_eq!(read(&run), first);
        assert!(stdout(&assert).contains("| low rank | 1 |"));

        let changed = first.replace("\"validation\": 0.2", "\"validation\": 0.5");
        assert_ne!(changed, first);
        std::fs::write(&run, changed).expect("a file");
        let message = stderr(&deq_zoo(&study(&out, &options)).code(2));
        let words = [
            "generated-equilibrium-seed0",
            "setup.validation",
            "0.5",
            "--out",
        ];
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

#[test]
fn a_study_refuses_what_it_cannot_do() {
    let dir = folder();
    let out = dir.path().join("study");
    let refuse = |options: &str, words: &[&str]| {
        let message = stderr(&deq_zoo(&study(&out, options)).code(2));
        for word in words {
            assert!(message.contains(word), "{options}: {message}");
        }
    };
    refuse("--scale huge", &["huge", "smoke", "small", "full"]);
    refuse("--methods sum", &["sum", "equilibrium", "weight-tied"]);
    refuse("--data imdb", &["imdb", "rosmap", "brca"]);
    refuse("--data rosmap", &["smoke", "rosmap", "generated"]);
    refuse("--seeds 0", &["0", "1"]);
    refuse("--device gpu", &["gpu", "flex"]);
    refuse("--data-dir .", &["built in", "--data-dir", "--scale small"]);
    refuse(
        "--scale small",
        &["ROSMAP", "--data-dir", "DEQ_ZOO_DATA", "--scale smoke"],
    );
    let absent = "--scale small --data-dir /no/such/folder";
    refuse(absent, &["/no/such/folder", "does not exist"]);
    let empty = text(dir.path());
    let brca = format!("--scale small --data brca --data-dir {empty}");
    refuse(&brca, &["BRCA/labels_tr.csv"]);
    // Another data set under that name.
    write_mogonet(&dir.path().join("ROSMAP"));
    let rosmap = format!("--scale small --data-dir {empty}");
    refuse(&rosmap, &["[200, 200, 200]", "[5, 4]"]);
}

#[test]
fn a_table_is_made_by_the_study() {
    let dir = folder();
    let out = dir.path().join("table");
    let mut arguments = vec!["reproduce", "--table", "fusion", "--out", text(&out)];
    arguments.extend(["--only", "rosmap-equilibrium,brca-low-rank"]);
    let shown = stdout(&deq_zoo(&arguments).success());
    assert!(shown.contains("ROSMAP, DEQ fusion"), "{shown}");
    for name in ["generated-equilibrium-seed0", "generated-low-rank-seed0"] {
        let run = out.join(format!("study-fusion/runs/{name}.json"));
        assert!(run.is_file(), "{}", run.display());
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_finished_runs() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let dir = folder();
    let options = "--methods concatenation --seeds 1000";
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
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
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("interrupted"), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let run = dir.path().join("runs/generated-concatenation-seed0.json");
    assert!(run.exists() && dir.path().join("report.html").exists());
}
