//! The same images, sampled in all ways.

use anyhow::Result;
use deq::prelude::{SolveStats, SolverConfig};
use deq::solvers::{AndersonConfig, Mixing};

use super::sampling::{self, Sampled, Start};
use crate::commands::diffusion::{Opened, Options};
use crate::commands::pixels::sheet;
use crate::commands::say;
use crate::output::{self, Grid};

/// Where there is nothing to tell.
const NOTHING: &str = "–";

/// Prints and writes the table, and returns the images of the recipe's solver.
pub(super) fn run(options: &Options, opened: &Opened, start: &Start) -> Result<Sampled> {
    let model = &opened.model;
    let twice = options.device.backend.is_gpu();
    let timed = |sample: &dyn Fn() -> Result<Sampled>| -> Result<Sampled> {
        if twice {
            // The first time pays for compiling what runs on the device.
            sample()?;
        }
        sample()
    };
    let own = &model.config().equilibrium;
    let steps = model.chain().steps();
    let sequential = timed(&|| sampling::sequential(model, start))?;

    let mut grid = Grid::new([
        "way",
        "iterations",
        "network calls in series",
        "seconds",
        "residual",
        "converged",
        "largest difference",
    ]);
    grid.push(row("one step after the other", &sequential, None));
    let mut first = None;
    for solver in solvers(&own.deq.forward.solver) {
        let name = solver.name();
        eprintln!("{steps} steps at once by {name}");
        let mut config = own.clone();
        let forward = &mut config.deq.forward;
        forward.solver = solver;
        forward.termination.max_iter = forward.termination.max_iter.min(2 * steps);
        let sampled = timed(&|| sampling::equilibrium(model, &config, start))?;
        let difference = sampled.images.difference(&sequential.images);
        grid.push(row(name, &sampled, Some(difference)));
        first.get_or_insert(sampled);
    }
    let sampled = first.expect("the recipe has a solver");
    say(grid.text().trim_end())?;
    say(format_args!(
        "by the recipe's solver, the largest difference of two numbers in [-1, 1] is {:.2e}",
        sampled.images.difference(&sequential.images)
    ))?;
    output::write(&options.file("compare.md"), &grid.markdown())?;
    let pictures = sequential.images.pictures()?;
    sheet(&pictures)?.save_png(&options.file("sequential.png"))?;
    Ok(sampled)
}

/// The recipe's solver, and those of the usual ones that are of another kind.
fn solvers(own: &SolverConfig) -> Vec<SolverConfig> {
    let anderson = AndersonConfig {
        mixing: Mixing::Qr,
        ..AndersonConfig::default()
    };
    let usual = [
        SolverConfig::picard(),
        SolverConfig::Anderson(anderson),
        SolverConfig::broyden(),
    ];
    let others = usual.into_iter();
    let others = others.filter(|solver| solver.name() != own.name());
    std::iter::once(own.clone()).chain(others).collect()
}

fn row(name: &str, sampled: &Sampled, difference: Option<f64>) -> [String; 7] {
    let solve = |cell: fn(&SolveStats) -> String| match &sampled.solve {
        Some(stats) => cell(stats),
        None => NOTHING.to_owned(),
    };
    [
        name.to_owned(),
        solve(|stats| stats.steps.to_string()),
        sampled.calls.to_string(),
        format!("{:.3}", sampled.seconds),
        solve(|stats| format!("{:.2e}", stats.max_residual())),
        solve(|stats| {
            let converged = stats.status.iter().filter(|status| status.is_converged());
            format!("{} of {}", converged.count(), stats.status.len())
        }),
        difference.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.2e}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_solver_is_there_once() {
        let names = |own: &SolverConfig| -> Vec<&'static str> {
            solvers(own).iter().map(SolverConfig::name).collect()
        };
        let usual = ["picard", "anderson", "broyden"];
        assert_eq!(names(&SolverConfig::picard()), usual);
        assert_eq!(
            names(&SolverConfig::broyden()),
            ["broyden", "picard", "anderson"]
        );
        let mut four = vec!["gmres"];
        four.extend(usual);
        assert_eq!(names(&SolverConfig::gmres()), four);
        // The recipe's own options are kept.
        let own = SolverConfig::anderson();
        assert_eq!(solvers(&own)[0], own);
    }
}
