//! `generate`: images from a trained diffusion model.

mod compare;
mod sampling;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use self::sampling::{Sampled, Start};
use super::diffusion::{Opened, Options};
use super::pixels::sheet;
use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many images. All are made at once: memory grows with them and with the chain's steps.
    /// `--set equilibrium.chunk=64` bounds what the network sees at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    count: usize,
    /// How random the way from noise to image is, from 0 (deterministic DDIM) to 1 (as DDPM)
    /// [default: the recipe's].
    #[arg(long)]
    eta: Option<f64>,
    /// How the steps are taken.
    #[arg(long, value_enum, default_value_t = Sampler::Equilibrium)]
    sampler: Sampler,
    /// Samples the same images in all ways: one step after the other, and all steps at once by the
    /// recipe's solver and by Picard, Anderson (type II by QR) and Broyden.
    ///
    /// A solver may take twice as many iterations as the chain has steps; Picard needs no more than
    /// that half. On a GPU everything is done twice, and the second time counts.
    #[arg(long, conflicts_with = "sampler")]
    compare: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Sampler {
    /// One step after the other.
    Sequential,
    /// All steps at once, as a joint equilibrium.
    Equilibrium,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let options = &arguments.options;
    ensure!(arguments.count >= 1, "--count is 0, but must be at least 1");
    if let (false, Sampler::Sequential) = (arguments.compare, arguments.sampler) {
        options.refuse("equilibrium", "--sampler sequential solves no equilibrium")?;
    }
    let opened = options.open(arguments.eta)?;
    let start = Start::new(&opened, arguments.count, options.seed)?;
    options.make_folder()?;
    let sampled = if arguments.compare {
        compare::run(options, &opened, &start)?
    } else {
        let sampled = match arguments.sampler {
            Sampler::Sequential => sampling::sequential(&opened.model, &start)?,
            Sampler::Equilibrium => {
                let config = &opened.model.config().equilibrium;
                sampling::equilibrium(&opened.model, config, &start)?
            }
        };
        say(line(&opened, arguments.count, &sampled))?;
        sampled
    };
    write(options, &sampled)?;
    say(format_args!("wrote {}", options.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What was done, and what it cost.
fn line(opened: &Opened, count: usize, sampled: &Sampled) -> String {
    let steps = opened.model.chain().steps();
    let cost = format!(
        "{} network calls in series, {:.3} s",
        sampled.calls, sampled.seconds
    );
    match &sampled.solve {
        None => format!("{count} images, {steps} steps one after the other: {cost}"),
        Some(stats) => {
            let solver = opened.model.config().equilibrium.deq.forward.solver.name();
            format!(
                "{count} images, {steps} steps at once by {solver}: {} iterations, {cost}, residual {:.2e} ({})",
                stats.steps,
                stats.max_residual(),
                stats.worst_status()
            )
        }
    }
}

/// Every image as a file, and all of them on one sheet.
fn write(options: &Options, sampled: &Sampled) -> Result<()> {
    let pictures = sampled.images.pictures()?;
    for (index, picture) in pictures.iter().enumerate() {
        picture.save_png(&options.file(format!("{index:04}.png")))?;
    }
    sheet(&pictures)?.save_png(&options.file("grid.png"))?;
    Ok(())
}
