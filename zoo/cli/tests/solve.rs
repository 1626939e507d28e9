//! `deq-zoo solve` as a user meets it.

mod common;

use burn::tensor::{DType, Tensor};
use deq_testproblems::{Affine, Spectrum};

use common::{deq_zoo, json, refused, stdout, text};

/// The arguments of `deq-zoo solve`, which stand between spaces.
fn solve(options: &str) -> Vec<&str> {
    let options = options.split_whitespace();
    std::iter::once("solve").chain(options).collect()
}

#[test]
fn a_solve_shows_its_trace_and_its_end() {
    for backend in deq::devices::compiled() {
        let options = format!(
            "--rho 0.5 --dim 8 --batch 2 --solver picard --tolerance 1e-5 --device {}",
            backend.name()
        );
        let shown = stdout(&deq_zoo(&solve(&options)).code(0));
        for words in [
            "affine, symmetric, rho 0.5, dim 8; batch 2, f32",
            "step  evaluations  max residual  mean residual  ratio",
            "2 converged; ",
            "distance to the solution",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
}

#[test]
fn the_defaults_converge() {
    let shown = stdout(&deq_zoo(&["solve"]).code(0));
    assert!(shown.contains("4 converged; "), "{shown}");
}

#[test]
fn long_traces_are_cut() {
    let options = "--problem rotation --rho 0.9 --dim 8 --dtype f64 --solver picard";
    let shown = stdout(&deq_zoo(&solve(options)).code(0));
    // Title, header, both ends with an ellipsis between them, summary.
    assert_eq!(shown.lines().count(), 2 + 20 + 1 + 20 + 1, "{shown}");
    assert!(shown.contains('…'), "{shown}");
    let options = format!("{options} --all");
    let shown = stdout(&deq_zoo(&solve(&options)).code(0));
    assert!(shown.lines().count() > 100 && !shown.contains('…'));
}

#[test]
fn a_solve_that_does_not_converge_exits_with_1() {
    for (options, status) in [
        ("--rho 2 --dim 8 --solver picard", "4 diverged"),
        ("--dim 8 --max-iter 3", "4 max iterations"),
        ("--dim 8 --time-budget 0", "4 timed out"),
        ("--problem classic:boggs --max-iter 1", "1 max iterations"),
    ] {
        let shown = stdout(&deq_zoo(&solve(options)).code(1));
        assert!(shown.contains(status), "{options}: {shown}");
    }
}

#[test]
fn json_has_the_whole_record() {
    let options = r#"--problem kinsol --batch 2 --options {"window":3} --norm max --json"#;
    let record = json(&deq_zoo(&solve(options)).code(0));
    assert_eq!(record["problem"], "KINSOL analytic, batch 2");
    assert_eq!(record["dtype"], "f32");
    assert_eq!(record["solver"]["kind"], "anderson");
    assert_eq!(record["solver"]["window"], 3);
    assert_eq!(record["termination"]["norm"], "max");
    assert_eq!(record["converged"], true);
    assert_eq!(record["stats"]["status"][1], "converged");
    assert!(record["error"].as_f64().is_some_and(|error| error < 1e-4));
}

#[test]
fn residuals_of_a_rotation_fall_by_rho() {
    let options =
        "--problem rotation --rho 0.5 --dim 8 --dtype f64 --solver picard --json --check-every 2";
    let record = json(&deq_zoo(&solve(options)).code(0));
    let trace = record["stats"]["trace"].as_array().expect("a trace");
    assert!(trace.len() > 8);
    for pair in trace.windows(2) {
        let value = |index: usize, field: &str| pair[index][field].as_f64().expect("a number");
        let evaluations = value(1, "evaluations") - value(0, "evaluations");
        let ratio = value(1, "max_residual") / value(0, "max_residual");
        assert!(
            (ratio - 0.5_f64.powf(evaluations)).abs() <= 1e-6,
            "{pair:?}"
        );
    }
}

#[test]
fn systems_of_equations_run_in_f64() {
    for (name, title) in [
        ("classic:22", "classic 22, Boggs, dim 2"),
        ("classic:boggs", "classic 22, Boggs, dim 2"),
        (
            "minpack:1:2:10",
            "MINPACK 1, generalized Rosenbrock, dim 2, factor 10",
        ),
    ] {
        let options = format!("--problem {name} --solver newton_krylov --max-iter 5 --json");
        let record = json(&deq_zoo(&solve(&options)));
        assert_eq!(record["problem"], title);
        assert_eq!(record["dtype"], "f64");
    }
    for backend in deq::devices::compiled() {
        if backend.computes_f64() {
            continue;
        }
        let words = ["f64", "--device flex", "--dtype f32"];
        for options in ["--problem classic:22", "--dtype f64"] {
            let options = format!("{options} --device {}", backend.name());
            refused(&solve(&options), &words);
        }
    }
}

#[test]
fn solvers_are_compared_in_a_table_and_a_plot() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("residuals.svg");
    let options = "--compare picard,anderson,broyden --rho 0.5 --dim 8 --tolerance 1e-5";
    let mut arguments = solve(options);
    arguments.extend(["--svg", text(&path)]);
    let shown = stdout(&deq_zoo(&arguments).code(0));
    let svg = std::fs::read_to_string(&path).expect("the plot");
    assert!(svg.contains("<svg"));
    for solver in ["picard", "anderson", "broyden"] {
        assert!(shown.contains(&format!("\n{solver} ")), "{shown}");
        assert!(svg.contains(solver), "{solver}");
    }
    for words in [
        "affine, symmetric, rho 0.5, dim 8",
        "function evaluations",
        "max residual",
        "tolerance",
        "1e-5",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    let options = format!("{options} --json");
    let records = json(&deq_zoo(&solve(&options)).code(0));
    assert_eq!(records.as_array().expect("records").len(), 3);
    // One that fails among others.
    let options = "--compare picard,broyden --problem rotation --rho 2 --dim 4 --max-iter 50";
    let shown = stdout(&deq_zoo(&solve(options)).code(1));
    assert!(shown.contains("4 diverged"), "{shown}");
}

#[test]
fn the_list_names_all_problems() {
    let shown = stdout(&deq_zoo(&["solve", "--list"]).code(0));
    for words in [
        "non-normal",
        "--coupling",
        "classic:22",
        "classic:boggs",
        "minpack:1:2 ",
        "minpack:14:N",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

/// The first row of a Markdown table that begins with this cell.
fn cells<'a>(tables: &'a str, first: &str) -> Vec<&'a str> {
    let lines = tables.lines();
    let mut rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<&str>>());
    let found = rows.find(|row| row.get(1).is_some_and(|cell| *cell == first));
    found.expect("a row of this solver")
}

#[test]
fn the_table_counts_evaluations() {
    let options = "--table --rho 0.5 --dim 8 --batch 1 --max-iter 40";
    let shown = stdout(&deq_zoo(&solve(options)).code(0));
    let command = format!("Made by `deq-zoo solve {options}`.\n");
    assert!(shown.starts_with(&command), "{shown}");
    for words in ["1e-6, in f64", "batch 1, dim 8, seed 0", "## rho 0.5\n"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let row = |solver: &str| cells(&shown, solver);
    let columns = row("solver");
    for solver in ["gmres", "bicgstab"] {
        for (column, cell) in columns.iter().zip(row(solver)).skip(2) {
            let nonlinear = ["tanh", "attention", "convolution"].contains(column);
            assert_eq!(cell == "n/a", nonlinear, "{solver}, {column}: {cell}");
        }
    }
    for splitting in ["forward_backward", "peaceman_rachford"] {
        assert_eq!(row(&format!("{splitting}, anderson, qr")).len(), 6);
        assert_eq!(row(&format!("{splitting}, picard")).len(), 6);
    }
    assert!(shown.contains("– (max iterations)"), "{shown}");

    // The residual is |b| at the first evaluation of the plain iteration, and half at each next.
    let device = deq::devices::parse("flex").expect("compiled in");
    let problem = Affine::new(Spectrum::Rotation, 0.5, 1, 8, 0).expect("a valid problem");
    let start: Tensor<2> = problem.start(&device, DType::F64);
    let bias = problem.map(&device, DType::F64)(start).into_data();
    let norm = bias.iter::<f64>().map(|b| b * b).sum::<f64>().sqrt();
    let expected = 1.0 + (norm / 1e-6).log2().ceil();
    let rotation = columns.iter().position(|column| *column == "rotation");
    let counted = row("picard")[rotation.expect("a column")];
    assert_eq!(counted, format!("{expected}"));
}

#[test]
fn solve_refuses_what_it_cannot_do() {
    let refuse = |options: &str, words: &[&str]| refused(&solve(options), words);
    refuse("--solver newton", &["newton", "newton_krylov", "picard"]);
    refuse("--compare picard,newton", &["newton", "newton_krylov"]);
    refuse("--compare picard,picard", &["picard twice"]);
    refuse("--problem lorenz", &["lorenz", "--list"]);
    refuse("--problem classic:24", &["24", "1 to 23", "--list"]);
    refuse("--problem minpack:1:3", &["3 unknowns", "--list"]);
    refuse("--problem minpack:1", &["minpack:K:N:FACTOR"]);
    refuse(
        "--problem kinsol --rho 0.5",
        &["kinsol", "--rho", "--batch"],
    );
    refuse("--problem classic:1 --dim 4", &["classic:1", "--dim"]);
    refuse("--coupling 1", &["symmetric", "--coupling", "--rho"]);
    refuse("--rho -1", &["rho", "at least 0"]);
    refuse("--dim 0", &["dim", "at least 1"]);
    refuse("--problem convolution --dim 12", &["12", "multiple of 8"]);
    refuse(r#"--options {"windw":3}"#, &["anderson", "windw", "window"]);
    refuse(r#"--options {"window":1}"#, &["anderson", "at least 2"]);
    refuse(r#"--options {"kind":"picard"}"#, &["--solver"]);
    refuse("--options [3]", &["--options", r#"{"window": 10}"#]);
    let both = "--compare picard --options {}";
    refuse(both, &["cannot be used with"]);
    refuse("--compare picard --all", &["cannot be used with"]);
    refuse("--table --solver picard", &["cannot be used with"]);
    refuse("--list --json", &["cannot be used with"]);
    refuse("--norm l3", &["l3", "rms"]);
    refuse("--mode scaled", &["scaled", "absolute_relative"]);
    refuse("--tolerance -1", &["tolerance", "at least 0"]);
    refuse("--check-every 0", &["check_every", "at least 1"]);
    refuse("--time-budget -1", &["time_budget", "at least 0"]);
    refuse("--device gpu", &["gpu", "flex"]);
    let svg = "--rho 0.5 --dim 8 --solver picard --svg /no/such/plot.svg";
    refuse(svg, &["cannot write", "/no/such/plot.svg"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_solve_and_prints_what_was_reached() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    // A rotation that does not shrink comes no closer.
    let options = "--problem rotation --rho 1 --dim 8 --solver picard --max-iter 1000000000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_deq-zoo"))
        .args(solve(options))
        .args(["--time-budget", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    // The first line comes once Ctrl-C is listened for.
    let mut shown = String::new();
    output.read_line(&mut shown).expect("a line");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    output.read_to_string(&mut shown).expect("the rest");
    assert!(shown.contains("4 interrupted; "), "{shown}");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
}
