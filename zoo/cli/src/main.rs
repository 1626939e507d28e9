//! `deq-zoo`: the command line of DEQ Zoo.
//!
//! Exit codes: 0 when all went well, 1 when the answer is no or not complete (`verify` found a tensor
//! out of tolerance, a sample of `solve` did not converge, `bench --baseline` found something slower,
//! a long command was stopped before its end), 2 when the request could not be carried out (wrong
//! usage, a broken file, a missing device, a fit that failed).

mod allocator;
mod commands;
mod output;
mod zoo;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Deep equilibrium models: train them, verify them, list them, and try their solvers.
///
/// Exit codes: 0 success; 1 a verified tensor is out of tolerance, a sample of a solve did not
/// converge, a benchmark found something slower than its baseline, or a long command was stopped
/// before its end; 2 the request could not be carried out.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the models with their presets and parameter counts.
    List(commands::list::Arguments),
    /// Fit DEQ-INR to a picture, a sound or a video, and write its reconstruction; the same command
    /// goes on where it was stopped.
    ///
    /// Exit codes: 0 when the fit is finished, 1 when Ctrl-C or the time budget stopped it before,
    /// with a checkpoint, 2 when it could not be carried out.
    Fit(Box<commands::fit::Arguments>),
    /// Train a model; the same command goes on where it was stopped.
    ///
    /// Exit codes: 0 when the training is finished, 1 when Ctrl-C or the time budget stopped it
    /// before, with a checkpoint, 2 when it could not be carried out.
    Train(commands::train::Arguments),
    /// Measure a trained model on its test data, at as many solver steps as you like.
    Eval(commands::eval::Arguments),
    /// Draw text from a trained language model.
    Sample(commands::sample::Arguments),
    /// Say where every pixel of a frame is in the next, by a trained flow model.
    ///
    /// Of a folder of frames each pair starts from what the one before has found, which saves
    /// steps of the solver.
    Flow(Box<commands::flow::Arguments>),
    /// Generate images with a trained diffusion model, step by step or all steps at once.
    Generate(Box<commands::generate::Arguments>),
    /// Find the noise that a trained diffusion model makes a picture of.
    ///
    /// Exit codes: 0 when all gradient steps were taken, 1 when Ctrl-C came before, with what was
    /// found by then, 2 when it could not be carried out.
    Invert(Box<commands::invert::Arguments>),
    /// Compare a model with numbers of its reference implementation.
    Verify(commands::verify::Arguments),
    /// Solve a test problem and show how its residual falls.
    ///
    /// Ctrl-C ends the solve and prints what was reached. Exit codes: 0 when every sample of every
    /// solver converged, 1 when one did not, 2 when nothing could be solved. --list and --table
    /// exit with 0.
    Solve(Box<commands::solve::Arguments>),
    /// Measure what a paper claims.
    Study(Box<commands::study::Arguments>),
    /// Show what trainings and fits did, in one HTML page: curves, solver, samples, settings.
    Report(commands::report::Arguments),
    /// Print a paper's table with our column filled in.
    ///
    /// Each finished run is kept in the folder; the same command goes on where it was stopped.
    /// Exit codes: 0 when all runs are there that this version can make, 1 when Ctrl-C stopped it
    /// before, 2 when one could not be made. The table is written in any case.
    Reproduce(Box<commands::reproduce::Arguments>),
    /// Time every model on every device, forward and in a training step.
    ///
    /// Ctrl-C ends the run with what was measured so far. Exit codes: 0 when all was measured (a
    /// cell that fails says why, and the others go on); 1 when Ctrl-C came before the end, or, with
    /// --baseline, a cell has become slower beyond the noise or fails that did not; 2 when nothing
    /// could be measured.
    Bench(Box<commands::bench::Arguments>),
    /// List the devices: which are compiled in, and which this machine has.
    Devices(commands::devices::Arguments),
    /// Check a recipe, or print it with all its defaults.
    Config(commands::config::Arguments),
    /// Print what a shell needs to complete this program's commands and options.
    ///
    /// For bash: `deq-zoo completions bash > ~/.local/share/bash-completion/completions/deq-zoo`.
    Completions(commands::completions::Arguments),
    /// Print the manual.
    Man(commands::man::Arguments),
}

fn main() -> ExitCode {
    let matches = with_negative_numbers(Arguments::command()).get_matches();
    let command = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments.command,
        Err(error) => error.exit(),
    };
    let ready = allocator::keep_freed_memory().and_then(|()| join_workers());
    match ready.and_then(|()| run(command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// So that -1 is refused as a value, and not as an option.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .allow_negative_numbers(true)
        .mut_subcommands(with_negative_numbers)
}

/// Makes this one of rayon's threads: from any other, each operation that is shared out would cost
/// a switch of threads there and back.
fn join_workers() -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new()
        .use_current_thread()
        .build_global()
        .context("cannot start threads")
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => commands::list::run(&arguments),
        Command::Fit(arguments) => commands::fit::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Sample(arguments) => commands::sample::run(&arguments),
        Command::Flow(arguments) => commands::flow::run(&arguments),
        Command::Generate(arguments) => commands::generate::run(&arguments),
        Command::Invert(arguments) => commands::invert::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Solve(arguments) => commands::solve::run(&arguments),
        Command::Study(arguments) => commands::study::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Reproduce(arguments) => commands::reproduce::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Devices(arguments) => commands::devices::run(&arguments),
        Command::Config(arguments) => commands::config::run(&arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
        Command::Man(arguments) => commands::man::run(&arguments),
    }
}
