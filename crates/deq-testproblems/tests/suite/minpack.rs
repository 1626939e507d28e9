//! The systems against MINPACK's reference output (fixtures/SOURCE.txt).

use deq_testproblems::{MINPACK_CASES, RootProblem, minpack};

const REFERENCE: &str = include_str!("../fixtures/hybdrv.ref");

/// One run of MINPACK's test driver.
struct Run {
    number: usize,
    dimension: usize,
    factor: f64,
    initial: f64,
    last: f64,
    exit: usize,
    solution: Vec<f64>,
    /// What each component of the solution may be off by: half a unit of its last digit.
    rounding: Vec<f64>,
}

impl Run {
    fn problem(&self) -> RootProblem {
        minpack(self.number, self.dimension, self.factor).expect("a run of the driver")
    }

    fn label(&self) -> String {
        let Self {
            number,
            dimension,
            factor,
            ..
        } = self;
        format!("problem {number}, dimension {dimension}, factor {factor}")
    }
}

fn float(word: &str) -> f64 {
    word.replace('D', "E").parse().expect("a Fortran number")
}

fn integer(word: &str) -> usize {
    word.parse().expect("a count")
}

/// Half a unit of the seventh digit; the mantissa is from 0.1 to 1.
fn half_unit(word: &str) -> f64 {
    let (_, exponent) = word.split_once('D').expect("an exponent");
    0.5e-7 * 10_f64.powi(exponent.parse().expect("an integer"))
}

fn runs() -> Vec<Run> {
    let (report, _) = REFERENCE.split_once("summary").expect("the runs end there");
    let mut runs: Vec<Run> = Vec::new();
    for block in report.split("problem ").skip(1) {
        // "1 dimension 2 initial l2 norm of the residuals 0.5D+01 final l2 norm of the residuals
        // 0.0D+00 number of function evaluations 22 exit parameter 1 final approximate solution"
        // and the solution.
        let words: Vec<&str> = block.split_whitespace().collect();
        let (number, dimension) = (integer(words[0]), integer(words[2]));
        let factor = match runs.last() {
            Some(last) if (last.number, last.dimension) == (number, dimension) => {
                10.0 * last.factor
            }
            _ => 1.0,
        };
        let solution = &words[28..28 + dimension];
        runs.push(Run {
            number,
            dimension,
            factor,
            initial: float(words[9]),
            last: float(words[16]),
            exit: integer(words[24]),
            solution: solution.iter().map(|word| float(word)).collect(),
            rounding: solution.iter().map(|word| half_unit(word)).collect(),
        });
    }
    runs
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn the_cases_are_the_runs_of_the_driver() {
    let listed: Vec<(usize, usize, f64)> = MINPACK_CASES
        .iter()
        .flat_map(|&(number, dimension, tries)| {
            [1.0, 10.0, 100.0]
                .into_iter()
                .take(tries)
                .map(move |factor| (number, dimension, factor))
        })
        .collect();
    let run: Vec<(usize, usize, f64)> = runs()
        .iter()
        .map(|run| (run.number, run.dimension, run.factor))
        .collect();
    assert_eq!(run.len(), 55);
    assert_eq!(listed, run);
}

#[test]
fn the_residual_at_the_start_has_the_reference_norm() {
    for run in runs() {
        let problem = run.problem();
        let initial = norm(&problem.residual(problem.start()));
        let error = (initial - run.initial).abs();
        // Seven digits are printed.
        assert!(error <= 1e-6 * run.initial, "{}: {initial}", run.label());
    }
}

#[test]
fn the_residual_at_the_end_has_the_reference_norm() {
    for run in runs() {
        let problem = run.problem();
        let residual = problem.residual(&run.solution);
        // The printed digits move the residual by at most the sum of what each of them moves it
        // by, to first order; the factor 2 covers the rest, and the last term the digits of the
        // norm itself.
        let sensitivity: f64 = (0..run.dimension)
            .map(|index| {
                let mut moved = run.solution.clone();
                moved[index] += run.rounding[index];
                let moved = problem.residual(&moved);
                let change: Vec<f64> = moved.iter().zip(&residual).map(|(a, b)| a - b).collect();
                norm(&change)
            })
            .sum();
        let error = (norm(&residual) - run.last).abs();
        let bound = 2.0 * sensitivity + 1e-6 * run.last;
        assert!(error <= bound, "{}: {error} > {bound}", run.label());
        if run.exit == 1 {
            let largest = problem.residual_norm_max(&run.solution);
            assert!(largest <= 1e-4, "{}: {largest}", run.label());
        }
    }
}

#[test]
fn unknown_numbers_and_dimensions_are_refused() {
    for (number, dimension) in [(0, 2), (1, 3), (2, 2), (5, 4), (6, 1), (7, 0), (15, 2)] {
        assert!(minpack(number, dimension, 1.0).is_none(), "{number}");
    }
}
