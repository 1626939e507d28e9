//! Which problem, from the command line.

use anyhow::{Result, bail};
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_testproblems::{MapProblem, RootProblem, classic, minpack};

use super::family::{Family, Parameters};
use crate::commands::precision::Precision;

#[derive(clap::Args)]
pub(crate) struct ProblemOptions {
    /// The problem: a map, `classic:K` (K from 1 to 23, or a name) or `minpack:K:N[:FACTOR]`.
    /// --list prints them all.
    #[arg(long, value_name = "NAME", default_value = "symmetric", value_parser = Kind::parse)]
    problem: Kind,
    /// The map's spectral radius or Lipschitz constant [default: 0.9; with --table 0.5, 0.9, 0.99
    /// and 0.999].
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub(crate) rho: Option<f64>,
    /// What stands beside the eigenvalues of non-normal [default: 0.5].
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    coupling: Option<f64>,
    /// The features of a sample [default: 32].
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// The samples [default: 4].
    #[arg(long, value_name = "B")]
    batch: Option<usize>,
    /// Seeds the problem's numbers [default: 0].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

impl ProblemOptions {
    /// What was asked for, and defaults for the rest.
    pub(crate) fn parameters(&self) -> Parameters {
        let default = Parameters::default();
        Parameters {
            rho: self.rho.unwrap_or(default.rho),
            coupling: self.coupling.unwrap_or(default.coupling),
            dim: self.dim.unwrap_or(default.dim),
            batch: self.batch.unwrap_or(default.batch),
            seed: self.seed.unwrap_or(default.seed),
        }
    }

    /// `f64` for the systems of equations, which are badly scaled, and `f32` else.
    pub(crate) fn default_precision(&self) -> Precision {
        match self.problem {
            Kind::Map(_) => Precision::F32,
            Kind::Root(_) => Precision::F64,
        }
    }

    /// The problem itself.
    pub(crate) fn build(&self, device: &Device, dtype: DType) -> Result<MapProblem> {
        self.refuse_unused()?;
        match &self.problem {
            Kind::Map(family) => family.build(&self.parameters(), device, dtype),
            Kind::Root(root) => Ok(root.build(device, dtype)),
        }
    }

    fn refuse_unused(&self) -> Result<()> {
        let (name, used) = match &self.problem {
            Kind::Map(family) => (family.name(), family.options()),
            Kind::Root(root) => (root.name.as_str(), &[][..]),
        };
        let given = [
            ("rho", self.rho.is_some()),
            ("coupling", self.coupling.is_some()),
            ("dim", self.dim.is_some()),
            ("batch", self.batch.is_some()),
            ("seed", self.seed.is_some()),
        ];
        for (option, given) in given {
            if given && !used.contains(&option) {
                let used: Vec<String> = used.iter().map(|option| format!("--{option}")).collect();
                let used = if used.is_empty() {
                    "no such options".to_owned()
                } else {
                    used.join(", ")
                };
                bail!("{name} has no --{option}: leave it out; {name} takes {used}");
            }
        }
        Ok(())
    }
}

/// A problem by its name.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Map(Family),
    Root(Root),
}

impl Kind {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(which) = name.strip_prefix("classic:") {
            return classic_problem(name, which).map(Self::Root);
        }
        if let Some(which) = name.strip_prefix("minpack:") {
            return minpack_problem(name, which).map(Self::Root);
        }
        let named = |family: &Family| family.name() == name;
        let family = Family::ALL.into_iter().find(named);
        family.map(Self::Map).ok_or_else(|| {
            format!("no problem is named `{name}`: `deq-zoo solve --list` prints them all")
        })
    }
}

/// A system of equations.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// As on the command line.
    name: String,
    title: String,
    problem: RootProblem,
}

impl Root {
    /// Its fixed-point map, from its standard start.
    fn build(&self, device: &Device, dtype: DType) -> MapProblem {
        let problem = &self.problem;
        let start = problem.start_tensor(device, dtype);
        let mut map = MapProblem::new(self.title.clone(), start, problem.fixed_point_map());
        map.solution = problem.solution().map(|known| {
            let data = TensorData::new(known.to_vec(), [1, known.len()]);
            Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
        });
        map
    }
}

fn classic_problem(name: &str, which: &str) -> Result<Root, String> {
    let problems = classic();
    let index = match which.parse::<usize>() {
        Ok(number) => number.checked_sub(1),
        Err(_) => problems
            .iter()
            .position(|problem| dashed(problem.name()) == which),
    };
    let found = index.and_then(|index| Some((index, problems.get(index)?)));
    let (index, problem) = found.ok_or_else(|| {
        format!(
            "there is no classic problem `{which}`: they are numbered from 1 to {}, and `deq-zoo solve --list` prints their names",
            problems.len()
        )
    })?;
    let (number, title, dim) = (index + 1, problem.name(), problem.dimension());
    Ok(Root {
        name: name.to_owned(),
        title: format!("classic {number}, {title}, dim {dim}"),
        problem: problem.clone(),
    })
}

fn minpack_problem(name: &str, which: &str) -> Result<Root, String> {
    let form = || {
        "write minpack:K:N or minpack:K:N:FACTOR, such as minpack:1:2:10 for problem 1 of 2 unknowns from 10 times its start"
            .to_owned()
    };
    let parts: Vec<&str> = which.split(':').collect();
    let (number, dim, factor) = match parts.as_slice() {
        [number, dim] => (*number, *dim, "1"),
        [number, dim, factor] => (*number, *dim, *factor),
        _ => return Err(form()),
    };
    let number: usize = number.parse().map_err(|_| form())?;
    let dim: usize = dim.parse().map_err(|_| form())?;
    let factor: f64 = factor.parse().map_err(|_| form())?;
    if !factor.is_finite() {
        return Err(form());
    }
    let problem = minpack(number, dim, factor).ok_or_else(|| {
        format!(
            "MINPACK has no problem {number} of {dim} unknowns: `deq-zoo solve --list` prints those it has"
        )
    })?;
    let mut title = format!("MINPACK {number}, {}, dim {dim}", problem.name());
    if factor != 1.0 {
        title.push_str(&format!(", factor {factor}"));
    }
    Ok(Root {
        name: name.to_owned(),
        title,
        problem,
    })
}

/// A problem's name in lower case, with a dash for whatever is neither letter nor digit.
pub(crate) fn dashed(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_with_dashes() {
        assert_eq!(dashed("Freudenstein and Roth"), "freudenstein-and-roth");
        assert_eq!(dashed("scalar x (x - 5)^2"), "scalar-x-x-5-2");
    }

    #[test]
    fn every_classic_problem_is_found_by_its_name() {
        for problem in classic() {
            let name = format!("classic:{}", dashed(problem.name()));
            match Kind::parse(&name) {
                Ok(Kind::Root(root)) => assert_eq!(root.problem.name(), problem.name()),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
