//! `deq-zoo train deq-ddim`, `eval`, `generate` and `invert` as a user meets them.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use deq_datasets::Image;
use deq_train::read_tensors;
use serde_json::Value;

use common::{json, stderr, stdout, text};
use recipes::{CHAINS, deq_zoo, diffusion, folder, images, refused, train};

/// A run of two steps.
fn trained(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    train(&diffusion(folder), &run).success();
    run
}

/// A command on a run, with further options between spaces and an output folder.
fn on_run(command: &str, run: &Path, options: &str, out: &Path) -> Assert {
    let mut arguments: Vec<&str> = command.split_whitespace().collect();
    arguments.extend(["--run", text(run), "--out", text(out)]);
    arguments.extend(options.split_whitespace());
    deq_zoo(&arguments)
}

fn generate(run: &Path, options: &str, out: &Path) -> Assert {
    on_run("generate", run, options, out)
}

/// A refused request: exit code 2, a message with all of these words, and nothing left behind.
fn refuse(command: &str, run: &Path, options: &str, words: &[&str]) {
    let out = run.join("refused");
    let message = stderr(&on_run(command, run, options, &out).code(2));
    for word in words {
        assert!(message.contains(word), "{command} {options}: {message}");
    }
    assert!(!out.exists(), "{command} {options}");
}

fn picture(path: &Path) -> Image {
    Image::open(path).expect("a picture")
}

#[test]
fn a_run_is_trained_tested_and_evaluated() {
    let dir = folder();
    let run = trained(dir.path());
    let test = std::fs::read_to_string(run.join("test.json")).expect("a file");
    let test: Value = serde_json::from_str(&test).expect("JSON");
    let names = [
        "test_loss",
        "test_loss_per_pixel",
        "pixel_mean_error",
        "pixel_deviation_error",
        "generated_neighbour_distance",
        "unseen_neighbour_distance",
        "residual",
        "evaluations",
    ];
    for name in names {
        let value = test["test"][name].as_f64();
        assert!(value.is_some_and(|value| value >= 0.0), "{name}: {test}");
    }
    let measured = deq_train::read_metrics(&run.join("metrics.jsonl")).expect("metrics");
    let of = |name: &str| -> Vec<f64> {
        let values = measured.iter().filter_map(|record| record.get(name));
        values.filter_map(Value::as_f64).collect()
    };
    assert_eq!(of("train/loss").len(), 2);
    assert_eq!(of("evaluation/validation_loss").len(), 2);
    // An estimate of zero scores 1 for each pixel, and the network begins near it.
    let loss = of("evaluation/validation_loss_per_pixel")[0];
    assert!((0.5..2.0).contains(&loss), "{loss}");

    let eval = |options: &str| {
        let mut arguments = vec!["eval", "deq-ddim", "--run", text(&run), "--json"];
        arguments.extend(options.split_whitespace());
        json(&deq_zoo(&arguments).success())["results"].take()
    };
    assert_eq!(eval("")[0], test["test"]);
    let more = eval("--count 3 --steps 5");
    assert_eq!(more[0]["test_loss"], test["test"]["test_loss"]);
    assert_ne!(
        more[0]["pixel_mean_error"],
        test["test"]["pixel_mean_error"]
    );
    // One step of the solver is not enough for four of the chain, and five are.
    let swept = eval("--max-iter 1,5");
    assert_eq!(swept[1]["residual"], test["test"]["residual"]);
    let residual = |row: usize| swept[row]["residual"].as_f64().expect("a residual");
    assert!(residual(0) > 10.0 * residual(1), "{swept}");
    let refused = ["eval", "deq-ddim", "--run", text(&run), "--count", "0"];
    let message = stderr(&deq_zoo(&refused).code(2));
    assert!(message.contains("evaluation.generated is 0"), "{message}");
}

#[test]
fn settings_of_the_training_have_an_effect() {
    let dir = folder();
    let options = diffusion(dir.path());
    let weights = |more: &str, name: &str, file: &str| {
        let run = dir.path().join(name);
        if !run.exists() {
            train(&format!("{options} {more}"), &run).success();
        }
        let path = run.join("checkpoints/step-00000002").join(file);
        std::fs::read(path).expect("weights")
    };
    let (model, average) = ("model.safetensors", "average.safetensors");
    let base = weights("", "base", model);
    assert_ne!(base, weights("", "base", average));
    for (index, more) in [
        "--set flip=false",
        "--set network.dropout=0.0",
        "--set diffusion.beta_end=0.01",
        "--set validation=2",
        "--set data.side=12 --set preparation.side=8",
        "--set data.side=12 --set preparation.crop=8",
        "--seed 1",
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(base, weights(more, &index.to_string(), model), "{more}");
    }
    // The average does not change what is learnt, and without memory it is the model.
    let alone = "--set average=0.0";
    assert_eq!(base, weights(alone, "alone", model));
    assert_eq!(base, weights(alone, "alone", average));
}

#[test]
fn inversion_can_be_part_of_the_test() {
    let dir = folder();
    let run = dir.path().join("run");
    let options = diffusion(dir.path());
    let inversion = "--set evaluation.inversion={images=1,steps=2}";
    train(&format!("{options} {inversion}"), &run).success();
    let test = std::fs::read_to_string(run.join("test.json")).expect("a file");
    let test: Value = serde_json::from_str(&test).expect("JSON");
    let value = |name: &str| test["test"][name].as_f64().expect("a number");
    let (loss, psnr) = (value("test_inversion_loss"), value("test_inversion_psnr"));
    // Of one image, 4 / MSE in dB.
    let expected = 10.0 * (4.0 * 64.0 / loss).log10();
    assert!((psnr - expected).abs() < 1e-6, "{psnr} {expected}");
}

#[test]
fn both_samplers_make_the_same_images() {
    let dir = folder();
    let run = trained(dir.path());
    let make = |options: &str, name: &str| {
        let out = dir.path().join(name);
        let said = stdout(&generate(&run, options, &out).success());
        (out, said)
    };
    let few = "--count 3 --steps 5 --seed 5";
    let (joint, said) = make(few, "joint");
    for words in [
        "3 images, 5 steps at once by picard",
        "network calls in series",
        "residual",
        "the residual is within the tolerance",
        "wrote ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (sequential, said) = make(&format!("{few} --sampler sequential"), "sequential");
    let words = "3 images, 5 steps one after the other: 5 network calls in series";
    assert!(said.contains(words), "{said}");
    for index in 0..3 {
        let file = format!("{index:04}.png");
        let (one, other) = (
            picture(&joint.join(&file)),
            picture(&sequential.join(&file)),
        );
        assert_eq!((one.width(), one.height(), one.channels()), (8, 8, 1));
        let pairs = one.pixels().iter().zip(other.pixels());
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // One of 255 steps of grey.
        assert!(largest < 1.5 / 255.0, "{largest}");
    }
    assert!(!joint.join("0003.png").exists());
    // Two rows of two pictures with two pixels between.
    let sheet = picture(&joint.join("grid.png"));
    assert_eq!((sheet.width(), sheet.height()), (18, 18));

    let bytes = |out: &Path| std::fs::read(out.join("grid.png")).expect("a file");
    let (again, _) = make(few, "again");
    assert!(bytes(&joint) == bytes(&again));
    for (name, options) in [
        ("seed", "--count 3 --steps 5 --seed 6"),
        ("steps", "--count 3 --steps 2 --seed 5"),
        ("eta", "--count 3 --steps 5 --seed 5 --eta 0.9"),
        (
            "spacing",
            "--count 3 --steps 5 --seed 5 --set sampling.spacing=quadratic",
        ),
    ] {
        let (other, _) = make(options, name);
        assert!(bytes(&joint) != bytes(&other), "{options}");
    }
    // Chunks make more calls of the same evaluations.
    let (_, said) = make(&format!("{few} --set equilibrium.chunk=6"), "chunk");
    let number = |said: &str, unit: &str| -> usize {
        let (before, _) = said.split_once(unit).expect("the unit");
        let word = before.split_whitespace().last().expect("a number");
        word.parse().expect("a number")
    };
    let calls = number(&said, " network calls");
    // 15 rows in chunks of 6.
    assert_eq!(calls % 3, 0, "{said}");
    assert!(calls >= 3 * number(&said, " iterations"), "{said}");
}

#[test]
fn samplers_are_compared_on_the_same_noise() {
    let dir = folder();
    let run = trained(dir.path());
    let out = dir.path().join("compare");
    for (name, options) in [("fixed", ""), ("random", "--eta 0.5")] {
        let out = out.join(name);
        let options = format!("--count 2 --steps 4 --compare {options}");
        let said = stdout(&generate(&run, &options, &out).success());
        assert!(said.contains("the largest difference of two numbers"));
        let table = std::fs::read_to_string(out.join("compare.md")).expect("a table");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .map(|line| line.split('|').map(str::trim).skip(1).collect())
            .collect();
        let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        let expected = ["one step after the other", "picard", "anderson", "broyden"];
        assert_eq!(names, expected);
        assert_eq!((rows[0][1], rows[0][2]), ("–", "4"));
        // The chain is at its fixed point after as many evaluations as it has steps.
        let iterations: usize = rows[1][1].parse().expect("a number");
        assert!((1..=5).contains(&iterations), "{table}");
        assert_eq!(rows[1][5], "2 of 2");
        let difference: f64 = rows[1][6].parse().expect("a number");
        assert!(difference < 1e-3, "{table}");
        for name in ["0001.png", "grid.png", "sequential.png"] {
            assert!(out.join(name).is_file(), "{name}");
        }
    }
    // The recipe's own solver comes first, with its options.
    let out = out.join("own");
    let own = "--set equilibrium.deq.forward.solver={kind=\"sor\"}";
    let said = stdout(&generate(&run, &format!("--count 1 --compare {own}"), &out).success());
    let names: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names[1..6], ["one", "sor", "picard", "anderson", "broyden"]);
}

#[test]
fn a_picture_is_inverted_in_both_ways() {
    let dir = folder();
    let run = trained(dir.path());
    let made = dir.path().join("made");
    generate(&run, "--count 1 --seed 3", &made).success();
    let file = made.join("0000.png");
    let out = dir.path().join("inverted");
    let options = "--gradient-steps 4 --learning-rate 0.2 --start noise --method both";
    let command = format!("invert {}", text(&file));
    let said = stdout(&on_run(&command, &run, options, &out).success());
    let errors = |method: &str| -> Vec<f64> {
        let lines = said.lines();
        let lines = lines.filter(|line| line.starts_with(&format!("{method}, step ")));
        let errors = lines.map(|line| {
            let (_, rest) = line.split_once("error ").expect("an error");
            let error = rest.split_whitespace().next().expect("a number");
            error.parse().expect("a number")
        });
        errors.collect()
    };
    let table = std::fs::read_to_string(out.join("inversion.md")).expect("a table");
    for (index, method) in ["equilibrium", "unrolled"].into_iter().enumerate() {
        let errors = errors(method);
        assert_eq!(errors.len(), 4, "{said}");
        assert!(errors[3] < errors[0], "{said}");
        let row = table.lines().nth(2 + index).expect("a row");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1..4], [method, "4", "4"]);
        let number = |cell: usize| -> f64 { cells[cell].parse().expect("a number") };
        assert!((number(4) - errors[0]).abs() < 1e-3);
        assert!(number(5) < errors[0], "{table}");
        assert!(number(8) > 0.0, "{table}");

        let latents = out.join(format!("latent-{method}.safetensors"));
        let latents = read_tensors(&latents).expect("tensors");
        assert_eq!(latents["latents"].shape().as_slice(), [1, 1, 8, 8]);
        let reconstruction = picture(&out.join(format!("reconstruction-{method}.png")));
        assert_eq!((reconstruction.width(), reconstruction.height()), (8, 8));
    }
    // Both begin at the same noise.
    let (joint, unrolled) = (errors("equilibrium")[0], errors("unrolled")[0]);
    assert!((joint - unrolled).abs() < 1e-3 * joint, "{said}");
    assert_eq!(picture(&out.join("original.png")), picture(&file));

    // A picture of the test part, from its encoding, which is near already.
    let out = dir.path().join("test");
    let options = "--gradient-steps 1 --steps 4";
    let encoded = stdout(&on_run("invert test:2", &run, options, &out).success());
    assert!(encoded.contains("equilibrium, step 1: error"), "{encoded}");
    assert!(!out.join("latent-unrolled.safetensors").exists());
}

#[test]
fn what_cannot_be_done_is_refused() {
    let dir = folder();
    let run = trained(dir.path());
    refuse("generate", &run, "--count 0", &["--count is 0"]);
    refuse(
        "generate",
        &run,
        "--steps 0",
        &["sampling.steps", "at least 1"],
    );
    refuse("generate", &run, "--steps 201", &["sampling.steps", "200"]);
    refuse("generate", &run, "--eta 1.5", &["eta", "at most 1"]);
    refuse(
        "generate",
        &run,
        "--sampler magic",
        &["magic", "sequential"],
    );
    let both = "--compare --sampler sequential";
    refuse("generate", &run, both, &["cannot be used with"]);
    // What belongs to the training cannot be changed any more.
    let width = "--set network.width=64";
    refuse("generate", &run, width, &["unknown key `network`"]);
    let chunk = "--set equilibrium.chunk=0";
    refuse("generate", &run, chunk, &["chunk", "at least 1"]);
    let unused = "--sampler sequential --set equilibrium.chunk=1";
    refuse("generate", &run, unused, &["chunk=1", "no effect"]);
    let twice = "--steps 4 --set sampling.steps=2";
    refuse("generate", &run, twice, &["--steps", "one of them"]);
    refuse("generate", &run, "--device tpu", &["tpu", "flex"]);

    let full = dir.path().join("full");
    std::fs::create_dir(&full).expect("a folder");
    std::fs::write(full.join("notes.txt"), "mine").expect("written");
    let message = stderr(&generate(&run, "--count 1", &full).code(2));
    assert!(message.contains("is not empty"), "{message}");
    assert_eq!(std::fs::read_dir(&full).expect("a folder").count(), 1);

    let nowhere = dir.path().join("nowhere");
    let other = dir.path().join("other");
    train(&images(dir.path()), &other).success();
    for command in ["generate", "invert test:0"] {
        refuse(command, &nowhere, "", &["holds no run"]);
        refuse(command, &other, "", &["no recipe for deq-ddim", "`mdeq`"]);
    }

    let save = |name: &str, width: usize, height: usize, channels: usize| {
        let pixels = vec![0.5; width * height * channels];
        let image = Image::new(width, height, channels, pixels).expect("a picture");
        let path = dir.path().join(name);
        image.save_png(&path).expect("written");
        format!("invert {}", text(&path))
    };
    let wide = save("wide.png", 12, 8, 1);
    refuse(&wide, &run, "", &["wide.png", "12x8", "8x8"]);
    let coloured = save("coloured.png", 8, 8, 3);
    let words = ["coloured.png", "3 channels", "1 channel"];
    refuse(&coloured, &run, "", &words);
    refuse("invert /no/such.png", &run, "", &["/no/such.png"]);
    refuse("invert test:5", &run, "", &["no test picture 5", "have 5"]);
    refuse("invert test:boot", &run, "", &["test:17"]);
    refuse(
        "invert test:0",
        &run,
        "--gradient-steps 0",
        &["--gradient-steps"],
    );
    let rate = "--learning-rate 0";
    refuse("invert test:0", &run, rate, &["learning_rate", "above 0"]);
    refuse("invert test:0", &run, "--data-dir .", &["--data-dir"]);
    let fitting = save("fitting.png", 8, 8, 1);
    refuse(
        &fitting,
        &run,
        "--data-dir .",
        &["--data-dir", "fitting.png"],
    );
}

#[test]
fn recipes_that_cannot_be_trained_are_refused() {
    let dir = folder();
    let out = dir.path().join("run");
    let options = diffusion(dir.path());
    let refuse = |more: &str, words: &[&str]| {
        refused(&format!("{options} {more}"), &out, words);
    };
    refuse("--set average=1.0", &["average is 1", "below 1"]);
    refuse("--set batch=0", &["batch is 0"]);
    refuse("--set validation=12", &["validation is 12"]);
    refuse("--set batch=9", &["batch", "number of samples"]);
    refuse("--set data.side=12", &["network.image_size is 8", "12"]);
    refuse("--set data.channels=3", &["network.channels is 1", "3"]);
    refuse("--set preparation.side=9", &["preparation.side is 9"]);
    refuse("--set preparation.crop=9", &["preparation.crop is 9"]);
    refuse("--set network.width=48", &["width", "multiple of 32"]);
    refuse("--set evaluation.batch=0", &["evaluation.batch is 0"]);
    refuse("--set evaluation.generated=0", &["evaluation.generated"]);
    let inversion = "--set evaluation.inversion={images=0,steps=1}";
    refuse(inversion, &["evaluation.inversion.images is 0"]);
    refuse("--set sampling.steps=0", &["sampling.steps"]);
    refuse("--set diffusion.beta_end=1.0", &["beta_end"]);
    refused("deq-ddim --preset huge", &out, &["huge", "fashion-16"]);
    refused("deq-ddim --data imagenet", &out, &["imagenet", "mnist"]);
    let words = ["MNIST", "--data-dir", "DEQ_ZOO_DATA"];
    refused("deq-ddim --data mnist", &out, &words);
    assert!(!out.exists(), "a refused training leaves nothing behind");
    let chains = dir.path().join("chains");
    train(&format!("{CHAINS} --steps 1"), &chains).success();
    let config = format!("deq-ddim --config {}", text(&chains.join("config.toml")));
    refused(&config, &out, &["it is for `ignn`"]);
}

#[test]
fn a_report_shows_generated_images() {
    let dir = folder();
    let run = trained(dir.path());
    deq_zoo(&["report", text(&run)]).success();
    let page = std::fs::read_to_string(run.join("report.html")).expect("a page");
    for words in [
        "<td>deq-ddim</td>",
        "<td>finished</td>",
        "12 trajectories of 4 steps",
        "generated, 12",
        "Samples of run",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let pictures = page.matches("src=\"data:image/png;base64,").count();
    assert_eq!(pictures, 12);
}

#[test]
fn the_model_is_listed_and_verified() {
    let listed = stdout(&deq_zoo(&["list"]).success());
    for word in ["deq-ddim", "fashion-16", "35,746,307"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    let fixture = "../deq-ddim/tests/fixtures/sampling_20.safetensors";
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    deq_zoo(&["verify", "deq-ddim", "--fixture", text(&fixture)]).success();
}
