//! Studies: what a paper claims, measured.

pub(crate) mod collapse;
pub(crate) mod efficient_training;
mod folder;
pub(crate) mod fusion;
mod group;
mod images;
mod landscape;
mod log;
mod progress;
mod runner;
mod scale;
mod settings;

use std::process::ExitCode;

use anyhow::Result;

/// What a run measured, by name; `None` where it could not be.
pub(crate) type Values = Vec<(&'static str, Option<f64>)>;

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
    /// Train explicit networks and DEQs on balanced and imbalanced classes, and measure how far
    /// their features collapse (the claims of arXiv 2410.23391); and compare a fixed simplex
    /// classifier with a learned one.
    ///
    /// Each finished run is kept in the folder; the same command goes on where it was stopped.
    /// Exit codes: 0 when all runs are there, 1 when Ctrl-C stopped it before, 2 when it could not
    /// be carried out.
    Collapse(collapse::Arguments),
    /// Look for critical points of the unconstrained feature model, and say what each is (the
    /// theorem of arXiv 2407.10702).
    ///
    /// Each finished run is kept in the folder; the same command goes on where it was stopped.
    /// Exit codes: 0 when all runs are there, 1 when Ctrl-C stopped it before, 2 when it could not
    /// be carried out.
    Landscape(landscape::Arguments),
    /// Train the same network with DEQ fusion, with its weight-tied version and with other ways to
    /// join modalities, and compare accuracy, residuals and what each modality adds (arXiv
    /// 2306.16645).
    ///
    /// Each finished run is kept in the folder; the same command goes on where it was stopped.
    /// Exit codes: 0 when all runs are there, 1 when Ctrl-C stopped it before, 2 when it could not
    /// be carried out.
    Fusion(fusion::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.study {
        Study::EfficientTraining(arguments) => efficient_training::run(arguments),
        Study::Collapse(arguments) => collapse::run(arguments),
        Study::Landscape(arguments) => landscape::run(arguments),
        Study::Fusion(arguments) => fusion::run(arguments),
    }
}
