//! The cases that are compared, by name.

use anyhow::{Result, bail};

use super::workloads::{Kernel, Workload};

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// A solve, or a training step around one.
    Solve {
        workload: Workload,
        solver: Solver,
        mode: Mode,
    },
    /// A single operation.
    Kernel(Kernel),
}

/// A solver, under TorchDEQ's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Solver {
    /// Fixed-point iteration.
    Fp,
    Anderson,
    Broyden,
}

/// What is done with a solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The solve, without gradients.
    Forward,
    /// A training step with a phantom gradient of so many steps: undamped if it is one, with
    /// damping 0.5 if they are more.
    Phantom(usize),
    /// A training step with the implicit gradient.
    Implicit,
}

impl Solver {
    const ALL: [Self; 3] = [Self::Fp, Self::Anderson, Self::Broyden];

    fn name(self) -> &'static str {
        match self {
            Self::Fp => "fp",
            Self::Anderson => "anderson",
            Self::Broyden => "broyden",
        }
    }
}

impl Mode {
    fn name(self) -> String {
        match self {
            Self::Forward => "fwd".to_owned(),
            Self::Phantom(steps) => format!("pg{steps}"),
            Self::Implicit => "ift".to_owned(),
        }
    }
}

impl Case {
    /// Every case, in the order of the table.
    pub(super) fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for workload in Workload::ALL {
            let solvers: &[Solver] = match workload {
                Workload::Tanh128 | Workload::Tanh1024 | Workload::TanhHard => &Solver::ALL,
                _ => &[Solver::Fp],
            };
            let modes: &[Mode] = match workload {
                Workload::Tanh128 | Workload::Tanh1024 | Workload::TanhHard | Workload::Graph => {
                    &[Mode::Forward, Mode::Phantom(1), Mode::Implicit]
                }
                Workload::Mdeq => &[Mode::Forward, Mode::Phantom(1), Mode::Phantom(5)],
                _ => &[Mode::Forward, Mode::Phantom(1)],
            };
            for &solver in solvers {
                cases.extend(modes.iter().map(|&mode| Self::Solve {
                    workload,
                    solver,
                    mode,
                }));
            }
        }
        cases.extend(Kernel::ALL.map(Self::Kernel));
        cases
    }

    /// Its name, such as `W1/d128/anderson/ift` or `W6/tanh-4m`.
    pub(super) fn name(self) -> String {
        match self {
            Self::Solve {
                workload,
                solver,
                mode,
            } => format!("{}/{}/{}", workload.name(), solver.name(), mode.name()),
            Self::Kernel(kernel) => format!("W6/{}", kernel.name()),
        }
    }

    /// The name of its workload, which cases of other solvers and modes share.
    pub(super) fn workload(self) -> String {
        match self {
            Self::Solve { workload, .. } => workload.name().to_owned(),
            Self::Kernel(kernel) => format!("W6/{}", kernel.name()),
        }
    }

    /// The same steps as a plain loop, which only the other side runs.
    pub(super) fn plain_loop(self) -> Option<String> {
        match self {
            Self::Solve {
                workload,
                solver: Solver::Fp,
                mode: Mode::Forward,
            } if workload != Workload::Flow => Some(format!("{}/loop/fwd", workload.name())),
            _ => None,
        }
    }

    /// Whether the geometric mean and the least ratio are taken over it: the hard problem, five
    /// phantom steps and single operations are shown beside.
    pub(super) fn is_judged(self) -> bool {
        match self {
            Self::Solve { workload, mode, .. } => {
                workload != Workload::TanhHard && mode != Mode::Phantom(5)
            }
            Self::Kernel(_) => false,
        }
    }
}

/// The name of the file of a case's, or a workload's, arrays.
pub(super) fn file_name(name: &str) -> String {
    format!("{}.safetensors", name.replace('/', "-"))
}

/// The cases that these names mean: `all`, a case, or the beginning of some up to a slash.
pub(super) fn select(names: &[String]) -> Result<Vec<Case>> {
    let all = Case::all();
    let means = |name: &str, case: &Case| {
        let whole = case.name();
        let rest = whole.strip_prefix(name);
        name == "all" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if names.is_empty() {
        return Ok(all);
    }
    for name in names {
        if !all.iter().any(|case| means(name, case)) {
            let known: Vec<String> = all.into_iter().map(Case::name).collect();
            bail!(
                "no case is named `{name}`: use all, or a case or the beginning of its name, of {}",
                known.join(", ")
            );
        }
    }
    let chosen = |case: &Case| names.iter().any(|name| means(name, case));
    Ok(all.into_iter().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        let of: Vec<String> = of.iter().map(|&name| name.to_owned()).collect();
        let cases = select(&of).expect("known names");
        cases.into_iter().map(Case::name).collect()
    }

    #[test]
    fn names_are_unique_and_found() {
        let all = names(&["all"]);
        for name in &all {
            assert_eq!(all.iter().filter(|other| *other == name).count(), 1);
            assert_eq!(names(&[name]), std::slice::from_ref(name));
        }
    }

    #[test]
    fn the_beginning_of_a_name_chooses_all_that_begin_so() {
        assert_eq!(names(&["W2"]), ["W2/block/fp/fwd", "W2/block/fp/pg1"]);
        assert_eq!(names(&["W1/d128"]).len(), 9);
        // In the order of the table, and each once.
        let both = ["W5b/gru/fp/fwd", "W5a", "W5b/gru/fp"];
        let expected = [
            "W5a/flow/fp/fwd",
            "W5a/flow/fp/pg1",
            "W5b/gru/fp/fwd",
            "W5b/gru/fp/pg1",
        ];
        assert_eq!(names(&both), expected);
        // Not in the middle of a word.
        let error = select(&["W1/d1".to_owned()]).expect_err("must be refused");
        assert!(error.to_string().contains("W1/d128/fp/fwd"), "{error}");
    }

    #[test]
    fn what_is_judged_and_what_has_a_loop() {
        let all = Case::all();
        let judged = |name: &str| {
            let case = all.iter().find(|case| case.name() == name);
            case.expect(name).is_judged()
        };
        for name in ["W1/d1024/broyden/ift", "W4/graph/fp/ift", "W7/d32/fp/pg1"] {
            assert!(judged(name), "{name}");
        }
        for name in ["W1/hard/fp/fwd", "W3/mdeq/fp/pg5", "W6/spmm"] {
            assert!(!judged(name), "{name}");
        }
        let loops = all.iter().filter_map(|case| case.plain_loop());
        let loops: Vec<String> = loops.collect();
        assert!(loops.contains(&"W4/graph/loop/fwd".to_owned()));
        assert_eq!(loops.len(), 8);
        assert_eq!(
            file_name("W4/graph/loop/fwd"),
            "W4-graph-loop-fwd.safetensors"
        );
    }
}
