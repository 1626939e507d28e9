//! `deq-zoo train`, `eval` and `sample` as a user meets them.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::Path;

use serde_json::Value;

use common::{json, stderr, stdout, text};
use recipes::{CHAINS, IMAGES, TEXT, deq_zoo, folder, images, refused, train, write_graphs};

#[test]
fn a_run_is_trained_tested_and_evaluated() {
    let dir = folder();
    let out = dir.path().join("chains");
    let options = format!("{CHAINS} --steps 4 --seed 3 --set train.log_every=2");
    let trained = train(&options, &out).success();
    assert!(stderr(&trained).contains("3504 parameters"));
    let shown = stdout(&trained);
    for words in ["ignn-chains-10", "after 4 steps", "test_accuracy"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for name in [
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "test.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let config = std::fs::read_to_string(out.join("config.toml")).expect("a file");
    for line in ["seed = 3", "steps = 4", "log_every = 2", "max_iter = 4"] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let metrics = deq_train::read_metrics(&out.join("metrics.jsonl")).expect("metrics");
    let steps: Vec<_> = metrics
        .iter()
        .filter(|record| record.contains_key("train/loss"))
        .map(|record| record["step"].as_u64())
        .collect();
    assert_eq!(steps, [Some(2), Some(4)]);

    // The same numbers as at the end of the training, and other ones for other solves.
    let test = std::fs::read_to_string(out.join("test.json")).expect("a file");
    let test: Value = serde_json::from_str(&test).expect("JSON");
    let eval = |more: &[&str]| {
        let mut arguments = vec!["eval", "ignn", "--run", text(&out)];
        arguments.extend(more);
        deq_zoo(&arguments).success()
    };
    let found = json(&eval(&["--json"]));
    assert_eq!(found["step"], 4);
    assert_eq!(found["results"][0], test["test"]);
    let swept = json(&eval(&["--json", "--max-iter", "1,4"]));
    assert_eq!(swept["results"][0]["max_iter"], 1);
    assert_ne!(swept["results"][0]["test_loss"], test["test"]["test_loss"]);
    assert_eq!(swept["results"][1]["test_loss"], test["test"]["test_loss"]);
    let table = stdout(&eval(&["--max-iter", "1,4"]));
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn the_time_budget_ends_a_run_that_goes_on() {
    let dir = folder();
    let out = dir.path().join("run");
    let options = format!("{CHAINS} --steps 5");
    let stopped = train(&format!("{options} --time-budget 0.001s"), &out).code(1);
    let message = stderr(&stopped);
    assert!(message.contains("the same command goes on"), "{message}");
    assert!(!out.join("test.json").exists());
    let resumed = train(&options, &out).success();
    assert!(stderr(&resumed).contains("goes on after step 1"));
    assert!(out.join("test.json").exists());
    // A finished run is only tested again; with more steps it goes on.
    let again = train(&options, &out).success();
    assert!(stdout(&again).contains("test_accuracy"));
    let longer = train(&format!("{CHAINS} --steps 6"), &out).success();
    assert!(stderr(&longer).contains("goes on after step 5"));
    let config = std::fs::read_to_string(out.join("config.toml")).expect("a file");
    assert!(config.contains("steps = 6"), "{config}");
    refused(&options, &out, &["6 steps", "only be raised"]);
}

#[test]
fn other_settings_are_refused_and_a_recipe_repeats_its_run() {
    let dir = folder();
    let first = dir.path().join("first");
    let options = images(dir.path());
    train(&format!("{options} --steps 2"), &first).success();
    // `--steps` has stretched the schedule.
    let words = ["train.schedule.steps", "2 there and 3 now", "--out"];
    refused(&format!("{options} --steps 3"), &first, &words);
    let other = format!("{options} --steps 2 --set optimizer.clip_norm=0.5");
    refused(&other, &first, &["optimizer.clip_norm", "1.0", "0.5"]);
    refused(
        &format!("{options} --steps 2 --seed 1"),
        &first,
        &["train.seed"],
    );

    let again = dir.path().join("again");
    let own = format!("mdeq --config {}", text(&first.join("config.toml")));
    train(&own, &again).success();
    let read = |run: &Path| {
        let path = run.join("checkpoints/step-00000002/model.safetensors");
        std::fs::read(path).expect("weights")
    };
    assert!(read(&first) == read(&again));
    let swept = deq_zoo(&[
        "eval",
        "mdeq",
        "--run",
        text(&again),
        "--max-iter",
        "1,2,4",
        "--json",
    ]);
    let swept = json(&swept.success());
    let results = swept["results"].as_array().expect("results");
    let evaluations: Vec<_> = results
        .iter()
        .map(|row| row["evaluations"].as_f64())
        .collect();
    assert!(
        evaluations.is_sorted() && evaluations.len() == 3,
        "{evaluations:?}"
    );
}

#[test]
fn a_setting_has_an_effect() {
    let dir = folder();
    let loss = |more: &str, name: &str| {
        let out = dir.path().join(name);
        train(&format!("{CHAINS} --steps 2 {more}"), &out).success();
        let metrics = deq_train::read_metrics(&out.join("metrics.jsonl")).expect("metrics");
        let last = metrics
            .iter()
            .rev()
            .find_map(|record| record.get("train/loss"));
        last.and_then(Value::as_f64).expect("a loss")
    };
    let base = loss("", "base");
    assert_eq!(base, loss("--seed 0", "again"));
    for (index, more) in [
        "--seed 1",
        "--length 12",
        "--set network.hidden=8",
        "--set data.features=50",
        "--set normalisation=raw",
        "--set optimizer.method.weight_decay=0.1",
        "--set optimizer.method.kind=sgd",
        "--set train.schedule.rate=0.5",
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(base, loss(more, &index.to_string()), "{more}");
    }
}

#[test]
fn every_split_is_a_run_and_their_mean_is_printed() {
    let dir = folder();
    write_graphs(dir.path());
    let out = dir.path().join("folds");
    let small = "--set data.folds=2 --set data.batch=2 --set network.hidden=4 --steps 3";
    let data = format!("--data-dir {}", text(dir.path()));
    let options = format!("ignn --data mutag --split all {small} {data}");
    let shown = stdout(&train(&options, &out).success());
    assert!(shown.contains("of 2 splits"), "{shown}");
    let result = std::fs::read_to_string(out.join("test.json")).expect("a file");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    let values: Vec<f64> = [0, 1]
        .map(|split| {
            let path = out.join(format!("split-{split}/test.json"));
            let test = std::fs::read_to_string(path).expect("a file");
            let test: Value = serde_json::from_str(&test).expect("JSON");
            test["test"]["test_accuracy"].as_f64().expect("an accuracy")
        })
        .to_vec();
    assert_eq!(result["values"], serde_json::json!(values));
    let mean = result["spread"]["mean"].as_f64().expect("a mean");
    assert!((mean - (values[0] + values[1]) / 2.0).abs() < 1e-12);

    let eval = |run: &Path| {
        deq_zoo(&[
            "eval",
            "ignn",
            "--run",
            text(run),
            "--data-dir",
            text(dir.path()),
        ])
    };
    eval(&out.join("split-1")).success();
    let message = stderr(&eval(&out).code(2));
    assert!(message.contains("one of the folders in it"), "{message}");
    let absent = format!("ignn --data mutag --split 2 {small} {data}");
    refused(
        &absent,
        &dir.path().join("absent"),
        &["no split 2", "2 folds"],
    );
    let large = format!("ignn --data mutag --set data.folds=2 {data}");
    refused(
        &large,
        &dir.path().join("large"),
        &["data.batch", "5 training graphs"],
    );
    let single = out.join("split-0");
    let before = std::fs::read(single.join("test.json")).expect("a file");
    refused(&options, &single, &["single run", "--out"]);
    let after = std::fs::read(single.join("test.json")).expect("a file");
    assert_eq!(after, before);
}

#[test]
fn text_is_sampled_and_an_explicit_model_trained() {
    let dir = folder();
    let out = dir.path().join("run");
    train(&format!("{TEXT} --steps 2"), &out).success();
    let sample = |more: &[&str]| {
        let mut arguments = vec!["sample", "--run", text(&out), "--prompt", "the f"];
        arguments.extend(more);
        deq_zoo(&arguments)
    };
    let drawn = |more: &[&str]| {
        let shown = stdout(&sample(more).success());
        assert!(shown.starts_with("the f"), "{shown}");
        shown
    };
    // The prompt, what was drawn, and the end of the line.
    assert_eq!(drawn(&["--count", "12"]).chars().count(), 5 + 12 + 1);
    assert_eq!(
        drawn(&["--count", "12", "--seed", "1"]),
        drawn(&["--count", "12", "--seed", "1"])
    );
    assert_ne!(
        drawn(&["--count", "30", "--seed", "1"]),
        drawn(&["--count", "30"])
    );
    let likeliest = drawn(&["--count", "9", "--temperature", "0"]);
    assert_eq!(
        likeliest,
        drawn(&["--count", "9", "--top-k", "1", "--seed", "5"])
    );
    let message = stderr(&sample(&["--top-k", "0"]).code(2));
    assert!(message.contains("top_k"), "{message}");
    let odd = deq_zoo(&["sample", "--run", text(&out), "--prompt", "§"]).code(2);
    assert!(stderr(&odd).contains('§'));

    let eval = |more: &[&str]| {
        let mut arguments = vec!["eval", "deq-lm", "--run", text(&out), "--json"];
        arguments.extend(more);
        let found = json(&deq_zoo(&arguments).success());
        found["results"][0]["test_loss"].as_f64().expect("a loss")
    };
    let base = eval(&[]);
    assert_ne!(base, eval(&["--mem-len", "1"]));
    assert_ne!(base, eval(&["--max-iter", "1"]));
    assert!((base - eval(&["--batch", "1"])).abs() < 1e-5);

    let explicit = dir.path().join("explicit");
    let trained = train(&format!("{TEXT} --steps 2 --explicit"), &explicit).success();
    let config = std::fs::read_to_string(explicit.join("config.toml")).expect("a file");
    assert!(config.contains("untied_layers = 2"), "{config}");
    assert!(stdout(&trained).contains("explicit"));
    let arguments = [
        "eval",
        "deq-lm",
        "--run",
        text(&explicit),
        "--max-iter",
        "3",
    ];
    let message = stderr(&deq_zoo(&arguments).code(2));
    assert!(message.contains("explicit"), "{message}");
}

/// A folder in another order, or another text, would give the model's numbers another meaning.
#[test]
fn a_run_keeps_to_its_classes_and_its_symbols() {
    let dir = folder();
    let swapped = |run: &Path, name: &str, [one, other]: [&str; 2]| {
        let path = run.join(name);
        let text = std::fs::read_to_string(&path).expect("a file");
        let text = text.replace(one, "?").replace(other, one);
        std::fs::write(&path, text.replace('?', other)).expect("written");
    };
    for (model, options, name, symbols, words) in [
        (
            "mdeq",
            images(dir.path()),
            "classes.json",
            ["\"disc\"", "\"ring\""],
            "has learnt the classes",
        ),
        (
            "deq-lm",
            TEXT.to_owned(),
            "vocabulary.json",
            ["\"a\"", "\"e\""],
            "made with another text",
        ),
    ] {
        let run = dir.path().join(model);
        train(&format!("{options} --steps 1"), &run).success();
        let eval = || deq_zoo(&["eval", model, "--run", text(&run)]);
        eval().success();
        if model == "mdeq" {
            // Its rate falls to its last step.
            let more = format!("{options} --steps 2");
            refused(&more, &run, &["planned to its last step", "--out"]);
        }
        swapped(&run, name, symbols);
        let message = stderr(&eval().code(2));
        assert!(message.contains(words), "{message}");
        refused(&format!("{options} --steps 1"), &run, &[words]);
    }
}

#[test]
fn what_cannot_be_trained_is_refused_and_leaves_nothing() {
    let dir = folder();
    let out = dir.path().join("run");
    let refuse = |options: &str, words: &[&str]| refused(options, &out, words);
    refuse("resnet", &["resnet"]);
    refuse(
        "mdeq --preset huge",
        &["huge", "fashion-tiny", "cifar-small"],
    );
    refuse("ignn --preset huge", &["huge", "chains", "mutag"]);
    refuse("deq-lm --preset huge", &["huge", "shakespeare-small"]);
    refuse("mdeq --data imagenet", &["imagenet", "fashion-mnist"]);
    refuse("ignn --data karate", &["karate", "cora", "proteins"]);
    refuse("deq-lm --data bible", &["bible", "wikitext-2"]);
    refuse("mdeq --device gpu", &["gpu", "flex"]);
    refuse("mdeq --steps 0", &["0", "1"]);
    refuse("mdeq --time-budget soon", &["soon", "20m"]);

    refuse(
        "mdeq --data mnist",
        &["MNIST", "--data-dir", "DEQ_ZOO_DATA"],
    );
    refuse("ignn --preset cora", &["cora", "--data-dir"]);
    refuse("ignn --preset webkb", &["cornell", "texas"]);
    refuse(
        "mdeq --data mnist --data-dir /no/such",
        &["/no/such", "not exist"],
    );
    let data = format!("--data-dir {}", text(dir.path()));
    refuse(&format!("mdeq {data}"), &["fashion-mnist", "train-images"]);
    refuse(
        &format!("mdeq --data cifar10 {data}"),
        &["cifar-10-batches-bin", "cifar10-lossless-5k"],
    );
    refuse(&format!("deq-lm {data}"), &["tinyshakespeare"]);
    refuse(
        &format!("ignn --data chains {data}"),
        &["built-in chains", "--data-dir"],
    );

    refuse("ignn --data cora --length 5", &["--length", "cora"]);
    refuse("ignn --split 1", &["one split", "--split"]);
    refuse(
        "ignn --data mutag --preset cora",
        &["cora", "MUTAG", "mutag"],
    );
    refuse("ignn --set train.stepz=3", &["stepz", "steps"]);
    refuse("ignn --set nonsense", &["nonsense", "train.steps=500"]);
    refuse("ignn --set name.of=3", &["name.of", "`name` is a value"]);
    refuse(
        "ignn --set network.inputs=7",
        &["network.inputs is 7", "100 features"],
    );
    refuse("ignn --set network.kappa=2", &["kappa", "2", "below 1"]);
    refuse(
        "ignn --set network.kappa=nan",
        &["network.kappa", "not a number"],
    );
    refuse("ignn --set model=mdeq", &["--set model=mdeq", "one model"]);
    refuse(
        "ignn --steps 2 --set train.steps=7",
        &["--steps", "train.steps=7", "one of them"],
    );
    refuse(
        "ignn --seed 2 --set train.seed=7",
        &["--seed", "one of them"],
    );
    refuse("ignn --set data={a", &["`{a` is no TOML"]);
    refuse(
        "ignn --set train.seed=9999999999999999999",
        &["9999999999999999999", "no TOML"],
    );
    refuse("ignn --seed -1", &["-1", "--seed"]);
    refuse("ignn --set train.log_every=0", &["log_every", "at least 1"]);
    refuse(
        "ignn --set optimizer.accumulate=0",
        &["accumulate", "at least 1"],
    );
    refuse("ignn --set name=../up", &["../up", "folder"]);
    refuse("ignn --set data.train=300", &["at most 400"]);
    refuse(
        "mdeq --set validation=2000",
        &["validation is 2000", "2000 training images"],
    );
    refuse("mdeq --set jacobian.weight=-1", &["weight", "at least 0"]);
    refuse(
        "deq-lm --set network.n_token=3",
        &["network.n_token is 3", "symbols"],
    );

    let recipe = dir.path().join("recipe.toml");
    let config = format!("--config {}", text(&recipe));
    refuse(&format!("ignn {config}"), &["recipe.toml", "cannot read"]);
    std::fs::write(&recipe, IMAGES).expect("written");
    refuse(&format!("ignn {config}"), &["it is for `mdeq`"]);
    refuse(
        &format!("mdeq {config} --preset fashion-tiny"),
        &["cannot be used with"],
    );
    std::fs::write(&recipe, IMAGES.replace("log_every", "log_evry")).expect("written");
    refuse(
        &format!("mdeq {config}"),
        &["recipe.toml", "log_evry", "log_every"],
    );
    std::fs::write(&recipe, IMAGES.replace("classes = 10", "classes = 9")).expect("written");
    refuse(&format!("mdeq {config}"), &["network.classes is 9", "10"]);
    assert!(!out.exists(), "a refused training leaves nothing behind");

    let eval = deq_zoo(&["eval", "mdeq", "--run", text(dir.path())]).code(2);
    assert!(stderr(&eval).contains("holds no run"));
    let sample = deq_zoo(&["sample", "--run", text(dir.path()), "--prompt", "a"]).code(2);
    assert!(stderr(&sample).contains("holds no run"));
    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(out.join("notes.txt"), "mine").expect("written");
    refuse(&format!("{CHAINS} --steps 1"), &["not empty"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_checkpoint() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let dir = folder();
    let out = dir.path().join("run");
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .arg("train")
        .args(CHAINS.split_whitespace())
        .args(["--steps", "1000000", "--out", text(&out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut shown = String::new();
    while !shown.contains("step 1/") {
        let read = output.read_line(&mut shown).expect("a line");
        assert!(read > 0, "{shown}");
    }
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("interrupted"), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let kept = std::fs::read_dir(out.join("checkpoints")).expect("a folder");
    assert!(kept.count() >= 1);
}

#[test]
fn every_committed_recipe_is_valid() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
    let dir = folder();
    let mut count = 0;
    for entry in std::fs::read_dir(recipes).expect("the recipes") {
        let path = entry.expect("an entry").path();
        let recipe = std::fs::read_to_string(&path).expect("a text");
        let recipe: toml::Table = recipe.parse().expect("TOML");
        let model = recipe["model"].as_str().expect("a name").to_owned();
        let name = recipe["name"].as_str().expect("a name").to_owned();
        assert_eq!(
            path.file_stem().and_then(|stem| stem.to_str()),
            Some(&*name)
        );
        let out = dir.path().join(&name);
        let options = format!("{model} --config {} --steps 1", text(&path));
        match (model.as_str(), recipe["data"]["kind"].as_str()) {
            (_, Some("chains")) | ("deq-fusion", Some("generated")) => {
                train(&options, &out).code(0);
            }
            ("deq-flow", Some("shapes")) => {
                // As it is but for a schedule that ends so soon, and for fewer pairs to measure.
                let one = r#"data={kind="shapes",pairs=1,scenes={width=96,height=64}}"#;
                let tests = format!(r#"--set tests=[{{name="test",{one}}}] --set validation=1"#);
                let schedule = r#"--set train.schedule={kind="constant",rate=1e-4}"#;
                train(&format!("{options} {tests} {schedule}"), &out).code(0);
            }
            // It is read, checked, and stops where its data are looked for.
            _ => refused(&options, &out, &["--data-dir"]),
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
