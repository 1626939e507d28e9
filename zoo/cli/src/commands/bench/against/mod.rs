//! `bench --against torchdeq`: the same workloads here and in PyTorch with TorchDEQ.
//!
//! This program draws weights and inputs and writes them to files, which both sides read. Each
//! case is measured on both sides in turn, and the results are compared before the times are.

mod case;
mod files;
mod measure;
mod python;
mod table;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use self::case::{Case, file_name};
use self::python::Start;
use self::table::{Folder, Report, milliseconds};
use super::environment::Machine;
use super::sampling::Budget;
use crate::commands::{interrupt, say};

const PYTHON: &str = "python3";
const THREADS: usize = 2;
const SCRIPT: &str = "benchmarks/compare/torchdeq_compare.py";

/// Options of `bench --against`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// With --against: the cases, between commas, such as W2,W1/d128/fp/fwd: names of cases, or
    /// the beginning of some up to a slash [default: all].
    #[arg(
        long,
        value_name = "all|NAMES",
        value_delimiter = ',',
        requires = "against"
    )]
    cases: Vec<String>,
    /// With --against: the Python that has PyTorch and TorchDEQ (benchmarks/compare/README.md)
    /// [default: python3].
    #[arg(long, value_name = "PATH", requires = "against")]
    python: Option<PathBuf>,
    /// With --against: threads of both sides. This program's are set by RAYON_NUM_THREADS, or are
    /// as many as the machine's cores; with another number it refuses [default: 2].
    #[arg(long, value_name = "N", requires = "against")]
    threads: Option<usize>,
    /// With --against: the other side's script, here or in a folder above [default:
    /// benchmarks/compare/torchdeq_compare.py].
    #[arg(long, value_name = "FILE", requires = "against")]
    script: Option<PathBuf>,
    /// With --against: short samples, for a first look.
    #[arg(long, requires = "against")]
    quick: bool,
}

impl Options {
    /// Refuses all of them: without --against they would have no effect. clap sees that they
    /// require it only where no option is given that --against conflicts with.
    pub(super) fn refuse(&self) -> Result<()> {
        let given = [
            ("--cases", !self.cases.is_empty()),
            ("--python", self.python.is_some()),
            ("--threads", self.threads.is_some()),
            ("--script", self.script.is_some()),
            ("--quick", self.quick),
        ];
        for (option, is_given) in given {
            ensure!(!is_given, "{option} is for --against: leave it out");
        }
        Ok(())
    }

    fn budget(&self) -> Budget {
        if self.quick {
            return Budget {
                warmup_seconds: 0.02,
                samples: 100,
                min_samples: 2,
                max_seconds: 0.1,
            };
        }
        // Threads of the other side spin for a while after their work: the warm-up outlasts it.
        Budget {
            warmup_seconds: 0.4,
            samples: 2000,
            min_samples: 3,
            max_seconds: 1.0,
        }
    }
}

/// Runs the comparison. Exits with 1 when the results of a case that counts differ.
pub(crate) fn run(options: &Options, out: Option<&Path>, json: bool) -> Result<ExitCode> {
    let cases = case::select(&options.cases)?;
    let threads = options.threads.unwrap_or(THREADS);
    require_threads(threads)?;
    let script = options.script.as_deref();
    let script = find(script.unwrap_or(Path::new(SCRIPT)))?;
    let python = options.python.as_deref();
    let device = deq::devices::parse("flex")?;
    interrupt::listen()?;

    let folder = tempfile::Builder::new()
        .prefix("deq-zoo-against-")
        .tempdir()
        .context("cannot make a temporary folder for the workloads")?;
    let part = |name: &str| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(path)
    };
    let (workloads, results) = (part("workloads")?, part("results")?);
    let budget = options.budget();
    let (mut partner, versions) = Start {
        python: python.unwrap_or(Path::new(PYTHON)),
        script: &script,
        workloads: &workloads,
        results: &results,
        threads,
        budget: &budget,
    }
    .partner()?;
    let out = out.map(Folder::create).transpose()?;
    draw(&cases, &workloads)?;

    let mut report = Report {
        machine: Machine::here(BTreeMap::new()),
        versions,
        rows: Vec::new(),
    };
    for (index, &case) in cases.iter().enumerate() {
        let row = measure::row(case, &device, &mut partner, &budget, &workloads, &results)?;
        let (ours, theirs) = (row.ours.median, row.theirs.median);
        eprintln!(
            "[{}/{}] {}: ours {} ms, theirs {} ms",
            index + 1,
            cases.len(),
            row.case,
            milliseconds(ours),
            milliseconds(theirs)
        );
        report.rows.push(row);
    }
    drop(partner);
    report.machine.finish();
    if let Some(out) = &out {
        out.write(&report)?;
    }
    tell(&report, json)?;
    Ok(if report.fails() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Writes the files of the cases' workloads.
fn draw(cases: &[Case], folder: &Path) -> Result<()> {
    let mut written = BTreeSet::new();
    for case in cases {
        let name = file_name(&case.workload());
        if !written.contains(&name) {
            files::write(&folder.join(&name), &case.draw()?)?;
            written.insert(name);
        }
    }
    Ok(())
}

fn tell(report: &Report, json: bool) -> Result<()> {
    if json {
        say(report.json()?)?;
    } else {
        say(report.grid().text())?;
        for sentence in report.summary() {
            say(sentence)?;
        }
    }
    for warning in report.machine.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// Refuses when this program would use another number of threads: its pool is made at the first
/// use, from the environment.
fn require_threads(wanted: usize) -> Result<()> {
    ensure!(wanted >= 1, "--threads is 0, but must be at least 1");
    let set = std::env::var("RAYON_NUM_THREADS").ok();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads(set.as_deref(), cores);
    ensure!(
        threads == wanted,
        "this program runs {threads} threads, not {wanted}: set RAYON_NUM_THREADS={wanted} in its environment, or ask for --threads {threads}"
    );
    Ok(())
}

/// The threads of rayon's pool: those asked for, if that is a number above 0, or one a core.
fn threads(asked: Option<&str>, cores: usize) -> usize {
    let asked = asked.and_then(|asked| asked.parse().ok());
    asked.filter(|&count| count > 0).unwrap_or(cores)
}

/// A file by a path that starts here or in a folder above.
fn find(script: &Path) -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    for folder in here.ancestors() {
        let path = folder.join(script);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "there is no {} here or in a folder above: run this in the repository, or name the script with --script",
        script.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_those_of_rayon_s_pool() {
        assert_eq!(threads(Some("3"), 8), 3);
        for asked in [None, Some("0"), Some(""), Some("many")] {
            assert_eq!(threads(asked, 8), 8);
        }
    }

    #[test]
    fn a_workload_is_written_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cases = case::select(&["W7".to_owned(), "W6/sgemm-64x128x128".to_owned()]);
        let cases = cases.expect("known names");
        assert_eq!(cases.len(), 3);
        draw(&cases, dir.path()).expect("written");
        let names = ["W7-d32.safetensors", "W6-sgemm-64x128x128.safetensors"];
        for name in names {
            let arrays = files::read(&dir.path().join(name)).expect(name);
            let first = if name.starts_with("W7") { "w" } else { "a" };
            assert!(arrays.floats(first).is_ok(), "{name}");
        }
        let files = std::fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(files, names.len());
    }

    #[test]
    fn the_script_is_found_from_below() {
        // Tests run in the folder of this crate.
        let found = find(Path::new("benchmarks/compare/torchdeq_compare.py"));
        assert!(found.expect("the script").is_file());
        let error = find(Path::new("no/such/script.py")).expect_err("must be refused");
        assert!(error.to_string().contains("--script"), "{error}");
    }
}
