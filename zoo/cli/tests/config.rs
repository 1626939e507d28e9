//! `deq-zoo config` as a user meets it.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use std::path::{Path, PathBuf};

use common::{deq_zoo, refused, stdout, text};
use recipes::{IMAGES, folder};

/// The recipes that come with the project.
fn committed() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
    let entries = std::fs::read_dir(folder).expect("the recipes");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "{paths:?}");
    paths
}

fn show(path: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["config", "show", text(path)];
    arguments.extend(more);
    stdout(&deq_zoo(&arguments).success())
}

#[test]
fn every_committed_recipe_is_valid_without_its_data() {
    for path in committed() {
        let recipe = std::fs::read_to_string(&path).expect("a text");
        let recipe: toml::Table = recipe.parse().expect("TOML");
        let model = recipe["model"].as_str().expect("a name");
        let steps = &recipe["train"]["steps"];
        let said = stdout(&deq_zoo(&["config", "check", text(&path)]).success());
        let words = format!("{}: valid recipe for {model}, ", text(&path));
        assert!(said.starts_with(&words), "{said}");
        assert!(
            said.contains(&format!(" parameters, {steps} steps on ")),
            "{said}"
        );
    }
}

#[test]
fn a_recipe_is_shown_with_its_defaults_and_means_the_same() {
    let dir = folder();
    let copy = dir.path().join("copy.toml");
    for path in committed() {
        let shown = show(&path, &[]);
        for key in ["log_every = 10", "checkpoint_seconds = 600.0"] {
            assert!(shown.contains(key), "{key}: {shown}");
        }
        // The cap on the solver's steps has another name where a whole batch is solved as one.
        let mut caps = ["max_iter = ", "threshold = "].into_iter();
        assert!(caps.any(|cap| shown.contains(cap)), "{shown}");
        std::fs::write(&copy, &shown).expect("written");
        assert_eq!(show(&copy, &[]), shown);
    }
    let changed = show(
        &copy,
        &["--set", "train.steps=7", "--set", "train.log_every=2"],
    );
    for line in ["steps = 7", "log_every = 2"] {
        assert!(changed.lines().any(|found| found == line), "{changed}");
    }
}

#[test]
fn the_recipe_of_a_fit_is_checked_as_well() {
    let dir = folder();
    let run = dir.path().join("run");
    let arguments = ["fit", "--size", "16", "--steps", "1", "--out", text(&run)];
    deq_zoo(&arguments).success();
    let recipe = run.join("config.toml");
    let said = stdout(&deq_zoo(&["config", "check", text(&recipe)]).success());
    assert!(said.contains("valid recipe for deq-inr, "), "{said}");
    let table = |text: &str| text.parse::<toml::Table>().expect("TOML");
    let written = std::fs::read_to_string(&recipe).expect("a text");
    assert_eq!(table(&show(&recipe, &[])), table(&written));
    let refuse = |setting: &str, words: &[&str]| {
        refused(&["config", "check", text(&recipe), "--set", setting], words);
    };
    refuse(
        "model.widht=3",
        &["unknown key `widht` in [model]: did you mean `width`?"],
    );
    refuse("model.width=0", &["width", "at least 1"]);
    refuse("fit.chunk=0", &["chunk", "at least 1"]);
    refuse("steps=0", &["steps is 0"]);
}

#[test]
fn what_is_wrong_is_named_with_what_was_meant() {
    let dir = folder();
    let path = dir.path().join("recipe.toml");
    let check = |recipe: &str, words: &[&str]| {
        std::fs::write(&path, recipe).expect("written");
        for command in ["check", "show"] {
            refused(&["config", command, text(&path)], words);
        }
    };
    let line = IMAGES.lines().position(|line| line == "log_every = 1");
    let line = format!("line {}", line.expect("the line") + 1);
    let sentence = "unknown key `log_evry` in [train]: did you mean `log_every`?";
    let misspelt = IMAGES.replace("log_every", "log_evry");
    check(
        &misspelt,
        &["recipe.toml", "no recipe for mdeq", line.as_str(), sentence],
    );
    let misspelt = IMAGES.replace("expansion", "expantion");
    check(
        &misspelt,
        &["unknown key `expantion` in [network]: did you mean `expansion`?"],
    );
    let misspelt = IMAGES.replace("\"sgd\"", "\"sdg\"");
    check(
        &misspelt,
        &["unknown value `sdg`", "optimizer.method", "`sgd`"],
    );
    check(
        &IMAGES.replace("steps = 6", "steps = \"six\""),
        &["line ", "invalid type", "six"],
    );
    check(
        &IMAGES.replace("mdeq", "mdq"),
        &["unknown value `mdq` for `model`", "`mdeq`"],
    );
    check(
        &IMAGES.replace("model = \"mdeq\"", ""),
        &["names no `model`", "ignn, mdeq"],
    );
    check(
        &IMAGES.replace("batch = 4\n", ""),
        &["missing field `batch`"],
    );
    check("model = [", &["recipe.toml", "line 1"]);
    check(
        &IMAGES.replace("steps = 6\n", "steps = 0\n"),
        &["recipe.toml", "steps", "at least 1"],
    );
    refused(
        &["config", "check", "/no/such/file"],
        &["/no/such/file", "cannot read"],
    );
}

#[test]
fn what_cannot_be_built_is_refused_without_data() {
    let recipes = committed();
    let recipe = |name: &str| {
        let path = recipes
            .iter()
            .find(|path| path.ends_with(format!("{name}.toml")));
        path.unwrap_or_else(|| panic!("no {name}"))
    };
    for (name, setting, words) in [
        ("ignn-cora", "network.kappa=2", ["kappa", "below 1"]),
        (
            "ignn-cora",
            "network.architecture={kind=\"graph\",dropout=0.5}",
            ["`graph`", "does not go with"],
        ),
        ("ignn-mutag", "data.batch=0", ["data.batch", "at least 1"]),
        (
            "ignn-mutag",
            "optimizer.accumulate=0",
            ["accumulate", "at least 1"],
        ),
        (
            "ignn-chains-10",
            "network.inputs=7",
            ["network.inputs is 7", "100 features"],
        ),
        (
            "mdeq-fashion-tiny",
            "network.groups=1",
            ["groups", "at least 2"],
        ),
        (
            "mdeq-fashion-tiny",
            "network.deq.forward.termination.tolerance=-1",
            ["tolerance", "at least 0"],
        ),
        ("mdeq-fashion-tiny", "batch=0", ["batch is 0", "at least 1"]),
        (
            "mdeq-fashion-tiny",
            "jacobian.weight=-1",
            ["weight", "at least 0"],
        ),
        (
            "deq-ddim-fashion-16",
            "network.width=48",
            ["width", "multiple of 32"],
        ),
        (
            "deq-ddim-fashion-16",
            "equilibrium.samples=steps",
            ["finish", "best or final"],
        ),
        (
            "deq-flow-shapes-tiny",
            "data.pairs=0",
            ["data.pairs is 0", "from 1"],
        ),
        (
            "deq-flow-shapes-tiny",
            "tests=[]",
            ["lucas_kanade", "`tests`"],
        ),
        (
            "deq-flow-chairs-b",
            "augmentation.crop=[0, 4]",
            ["`crop` is [0, 4]", "at least 1"],
        ),
        (
            "deq-flow-chairs-b",
            "network.motion.out=2",
            ["motion.out", "at least 3"],
        ),
        (
            "deq-flow-things-b",
            "data={kind=\"kitti\"}",
            ["test `kitti`", "are trained on"],
        ),
        (
            "deq-lm-shakespeare-small",
            "network.n_head=7",
            ["d_head", "n_head"],
        ),
        (
            "deq-lm-shakespeare-small",
            "validation_tokens=1",
            ["validation_tokens", "at least 2"],
        ),
        (
            "deq-lm-shakespeare-small",
            "network.deq.forward.termination.tolerance=-1",
            ["tolerance", "at least 0"],
        ),
        (
            "deq-lm-shakespeare-small",
            "name=../up",
            ["../up", "folder"],
        ),
        (
            "deq-lm-shakespeare-small",
            "train.keep_lst=3",
            [
                "unknown key `keep_lst` in [train]",
                "did you mean `keep_last`?",
            ],
        ),
        (
            "deq-lm-shakespeare-small",
            "network.deq.forward.solver.kind=andersn",
            ["unknown value `andersn`", "did you mean `anderson`?"],
        ),
    ] {
        refused(
            &["config", "check", text(recipe(name)), "--set", setting],
            &words,
        );
    }
}
