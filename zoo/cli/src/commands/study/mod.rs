//! Studies: what a paper claims, measured.

pub(crate) mod efficient_training;

use std::process::ExitCode;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    study: Study,
}

#[derive(clap::Subcommand)]
enum Study {
    /// Train with the exact gradient and with five cheaper ones, and compare accuracy, time,
    /// memory and direction (the claim of arXiv 2304.11663).
    ///
    /// Each finished run is kept in the folder; the same command goes on where it was stopped.
    /// Exit codes: 0 when all runs are there, 1 when Ctrl-C stopped it before, 2 when it could not
    /// be carried out.
    EfficientTraining(efficient_training::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.study {
        Study::EfficientTraining(arguments) => efficient_training::run(arguments),
    }
}
