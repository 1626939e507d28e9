//! `deq-zoo report` as a user meets it.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::Path;

use common::{stderr, stdout, text};
use recipes::{CHAINS, TEXT, deq_zoo, folder, images, train, write_graphs};

/// The page of a single run, and what was printed.
fn report(run: &Path, more: &[&str]) -> (String, String) {
    let mut arguments = vec!["report", text(run)];
    arguments.extend(more);
    let shown = stdout(&deq_zoo(&arguments).success());
    assert!(shown.contains("wrote "), "{shown}");
    (read(&run.join("report.html")), shown)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

/// A refused report: exit code 2 and a message with all of these words.
fn refused(arguments: &[&str], words: &[&str]) {
    let mut whole = vec!["report"];
    whole.extend(arguments);
    let message = stderr(&deq_zoo(&whole).code(2));
    for word in words {
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}

fn has(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "{word}");
    }
}

/// The cells of the row of this name.
fn cells(page: &str, row: &str) -> Vec<String> {
    let start = format!("<tr><th scope=\"row\">{row}</th>");
    let (_, after) = page.split_once(&start).expect("a row");
    let (line, _) = after.split_once("</tr>").expect("its end");
    let cells = line.split("<td>").skip(1);
    cells
        .map(|cell| cell.trim_end_matches("</td>").to_owned())
        .collect()
}

/// The largest spectral radius in the row of a run's equilibria.
fn radius(page: &str, row: &str) -> f64 {
    let cells = cells(page, row);
    let last = cells.last().expect("a cell");
    last.parse().unwrap_or_else(|_| panic!("{cells:?}"))
}

const PICTURE: &str = "src=\"data:image/png;base64,";

#[test]
fn graphs_have_curves_and_an_equilibrium() {
    let dir = folder();
    let out = dir.path().join("chains");
    let steps = "--steps 4 --set train.log_every=1 --set train.evaluate_every=2";
    train(&format!("{CHAINS} {steps}"), &out).success();
    let (page, shown) = report(&out, &[]);
    let words = [
        "name=\"viewport\"",
        "prefers-color-scheme: dark",
        "<td>ignn-chains-10</td>",
        "<td>finished</td>",
        "<td>4 of 4</td>",
        "test_accuracy",
        "<figcaption>Loss</figcaption>",
        "<figcaption>Learning rate</figcaption>",
        "Steps of the forward solver",
        "Evaluations of the map in a training step",
        "Convergence on one batch: mean residual of the samples",
        "max_iter = 4",
        "&quot;device&quot;: &quot;flex&quot;",
    ];
    has(&page, &words);
    for elsewhere in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(cells(&page, "parameters"), ["3504"]);
    // The weights are projected so that the map contracts.
    let radius = radius(&page, "chains");
    assert!(radius > 0.0 && radius < 1.0, "{radius}");
    for words in ["ignn-chains-10", "4 of 4", "3504", "test_accuracy"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    // Everything but the model is there without a whole checkpoint.
    for entry in std::fs::read_dir(out.join("checkpoints")).expect("checkpoints") {
        let weights = entry.expect("an entry").path().join("model.safetensors");
        std::fs::write(&weights, "cut").expect("written");
    }
    refused(&[text(&out)], &["--no-model", "no checkpoint of", "whole"]);
    let (page, _) = report(&out, &["--no-model"]);
    has(
        &page,
        &["left out by --no-model", "<figcaption>Loss</figcaption>"],
    );
    assert!(!page.contains("Convergence on one batch"));
    assert_eq!(cells(&page, "parameters"), ["–"]);
}

#[test]
fn images_are_shown_with_their_classes() {
    let dir = folder();
    let out = dir.path().join("images");
    train(&images(dir.path()), &out).success();
    let (page, _) = report(&out, &[]);
    let words = [
        "<figcaption>Accuracy</figcaption>",
        "Samples of images",
        ", predicted ",
        "10 test images",
    ];
    has(&page, &words);
    // All images of the test.
    assert_eq!(page.matches(PICTURE).count(), 10);
    assert!(radius(&page, "images") > 0.0);
}

#[test]
fn texts_go_on_and_runs_are_compared() {
    let dir = folder();
    let (deq, explicit) = (dir.path().join("deq"), dir.path().join("explicit"));
    let steps = "--steps 2 --set train.log_every=1 --set train.evaluate_every=1";
    train(&format!("{TEXT} {steps}"), &deq).success();
    train(&format!("{TEXT} {steps} --explicit"), &explicit).success();
    let (page, _) = report(&deq, &[]);
    let words = [
        "<figcaption>Perplexity</figcaption>",
        "continued at temperature 0.5",
        "Samples of deq",
        "2 streams of",
    ];
    has(&page, &words);
    assert!(radius(&page, "deq") > 0.0);

    let both = [text(&deq), text(&explicit)];
    refused(&both, &["2 runs", "--out"]);
    let out = dir.path().join("both.html");
    let mut arguments = vec!["report"];
    arguments.extend(both);
    arguments.extend(["--out", text(&out)]);
    let shown = stdout(&deq_zoo(&arguments).success());
    assert!(shown.contains("both.html"), "{shown}");
    let page = read(&out);
    let words = [
        "<h1>deq, explicit</h1>",
        "explicit: the model solves for nothing.",
        "deq, training",
        "explicit, evaluation",
        "Configuration of deq",
        "Configuration of explicit",
    ];
    has(&page, &words);
    assert_eq!(cells(&page, "model"), ["deq-lm", "deq-lm"]);
    assert_eq!(cells(&page, "test_loss").len(), 2);
}

#[test]
fn a_fit_shows_its_reconstruction() {
    let dir = folder();
    let out = dir.path().join("fit");
    let options = "fit --size 16 --steps 4 --eval-every 2 --out";
    let mut arguments: Vec<&str> = options.split(' ').collect();
    arguments.push(text(&out));
    deq_zoo(&arguments).success();
    let (page, _) = report(&out, &[]);
    let words = [
        "<td>deq-inr</td>",
        "<td>finished</td>",
        "PSNR (dB)",
        "solved from zero",
        "original",
        "reconstruction",
        "256 points of the signal",
    ];
    has(&page, &words);
    assert_eq!(page.matches(PICTURE).count(), 2);
    assert!(radius(&page, "fit") > 0.0);
    // The pictures are in the folder, and need no model.
    let (page, _) = report(&out, &["--no-model"]);
    assert_eq!(page.matches(PICTURE).count(), 2);

    let out = dir.path().join("stopped");
    let options = "fit --size 16 --steps 4 --time-budget 0.001s --out";
    let mut arguments: Vec<&str> = options.split(' ').collect();
    arguments.push(text(&out));
    deq_zoo(&arguments).code(1);
    let (page, _) = report(&out, &[]);
    has(
        &page,
        &["stopped is unfinished", "256 points of the signal"],
    );
    assert_eq!(page.matches(PICTURE).count(), 1, "the original");
    std::fs::remove_dir_all(out.join("checkpoints")).expect("removed");
    let (page, _) = report(&out, &[]);
    has(&page, &["there is no checkpoint yet"]);
}

#[test]
fn a_stopped_run_is_said_to_be_unfinished() {
    let dir = folder();
    let out = dir.path().join("run");
    let options = format!("{CHAINS} --set train.log_every=1");
    let budget = "--steps 5 --time-budget 0.001s";
    train(&format!("{options} {budget}"), &out).code(1);
    let (page, _) = report(&out, &[]);
    let words = [
        "<td>unfinished</td>",
        "the last measurement is of step 1, and 5 are planned",
    ];
    has(&page, &words);
    train(&format!("{options} --steps 5"), &out).success();
    has(&report(&out, &[]).0, &["<td>finished</td>"]);
    // A finished run that goes on is unfinished again, though its first test is still there.
    let budget = "--steps 9 --time-budget 0.001s";
    train(&format!("{options} {budget}"), &out).code(1);
    assert!(out.join("test.json").is_file());
    has(&report(&out, &[]).0, &["<td>unfinished</td>"]);
}

#[test]
fn data_in_files_are_asked_for() {
    let dir = folder();
    write_graphs(dir.path());
    let data = ["--data-dir", text(dir.path())];
    let small = "--set data.folds=2 --set data.batch=2 --set network.hidden=4 --steps 3";
    let out = dir.path().join("fold");
    let options = format!("ignn --data mutag {small} {}", data.join(" "));
    train(&options, &out).success();
    refused(&[text(&out)], &["--data-dir", "DEQ_ZOO_DATA", "--no-model"]);
    let (page, _) = report(&out, &data);
    // Whole graphs go through three equilibria.
    has(&page, &["fold, layer 1", "fold, layer 3"]);
    report(&out, &["--no-model"]);
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = folder();
    let run = dir.path().join("run");
    let write = |name: &str, content: &str| {
        std::fs::write(run.join(name), content).expect("written");
    };
    refused(&[], &["<RUN>"]);
    refused(&["/no/such/run"], &["no folder /no/such/run"]);
    std::fs::create_dir(&run).expect("a folder");
    refused(&[text(&run)], &["holds no run", "config.toml"]);
    write("config.toml", "steps = = 3");
    refused(&[text(&run)], &["config.toml is damaged"]);
    write("config.toml", "steps = 3");
    refused(&[text(&run)], &["config.toml", "names no `model`"]);
    write("config.toml", "model = \"resnet\"");
    refused(&[text(&run)], &["config.toml", "resnet", "deq-lm"]);
    write("config.toml", "model = \"ignn\"");
    refused(&[text(&run)], &["config.toml", "train.steps"]);
    let config = "model = \"ignn\"\nname = \"mine\"\ntrain = { steps = 3 }\n";
    write("config.toml", config);
    refused(&[text(&run)], &["cannot read", "environment.json"]);
    write("environment.json", "{}");
    refused(&[text(&run)], &["cannot read", "metrics.jsonl"]);
    write(
        "metrics.jsonl",
        "{\"step\": 1, \"train/loss\": 2.0}\n{nonsense\n",
    );
    refused(&[text(&run)], &["metrics.jsonl", "line 2"]);
    write("metrics.jsonl", "{\"train/loss\": 2.0}\n");
    refused(&[text(&run)], &["metrics.jsonl", "line 1 has no `step`"]);
    assert!(!run.join("report.html").exists());

    // A last line that a kill cut short is left out.
    write("metrics.jsonl", "{\"step\": 1, \"train/loss\": 2.0}\n{\"st");
    let (page, _) = report(&run, &[]);
    has(&page, &["mine", "run is unfinished", "no checkpoint yet"]);
    write("test.json", "{\"seconds\": 1.0");
    refused(&[text(&run)], &["test.json is damaged"]);
    std::fs::remove_file(run.join("test.json")).expect("removed");

    let data = ["--data-dir", text(dir.path())];
    refused(
        &[text(&run), "--no-model", data[0], data[1]],
        &["--no-model"],
    );
    refused(&[text(&run), "--device", "gpu"], &["gpu", "flex"]);
    refused(&[text(&run), "--out", text(dir.path())], &["is a folder"]);
    let nowhere = dir.path().join("none/report.html");
    refused(
        &[text(&run), "--out", text(&nowhere)],
        &["cannot write", "none/report.html"],
    );
    refused(
        &[text(&run), text(&run), "--out", text(&nowhere)],
        &["given twice"],
    );

    let chains = dir.path().join("chains");
    train(&format!("{CHAINS} --steps 1"), &chains).success();
    refused(
        &[text(&chains), data[0], data[1]],
        &["chains", "leave --data-dir out"],
    );
}
