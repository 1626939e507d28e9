//! `invert`: from a picture to the noise that a trained diffusion model makes it of.

mod picture;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use deq_ddim::{Inversion, InversionConfig, InversionStart, InversionStep, Inverted, Method};
use deq_train::{Tensors, write_tensors};

use self::picture::Source;
use super::diffusion::{self, Opened, Options};
use super::interrupt;
use super::memory::{MemoryKind, Meter};
use super::pixels::Pixels;
use super::say;
use super::train::plain;
use crate::output::{self, Grid};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A PNG or JPEG file in the size of the model's pictures, or a picture of the run's test part
    /// by its number, such as test:17.
    #[arg(value_name = "IMAGE")]
    picture: Source,
    /// Gradient steps.
    #[arg(long, value_name = "N", default_value_t = 100)]
    gradient_steps: usize,
    /// The learning rate of Adam.
    #[arg(long, value_name = "RATE", default_value_t = InversionConfig::default().learning_rate)]
    learning_rate: f64,
    /// How the generated picture is differentiated with respect to its noise.
    #[arg(long, value_enum, default_value_t = Way::Equilibrium)]
    method: Way,
    /// Where the search begins.
    #[arg(long, value_enum, default_value_t = Begin::Encoded)]
    start: Begin,
    /// The folder that holds the data sets, for a test picture that is not built in [default: the
    /// environment variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Way {
    /// Through the joint equilibrium of all steps.
    Equilibrium,
    /// Through the chain, step by step, with all of it in memory.
    Unrolled,
    /// Both, one after the other.
    Both,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Begin {
    /// At the picture's encoding by the reversed chain.
    Encoded,
    /// At noise from the seed.
    Noise,
}

/// A way that was gone to its end.
struct Done {
    name: &'static str,
    first_error: f64,
    steps: usize,
    inverted: Inverted,
    seconds: f64,
    /// In bytes.
    peak: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let options = &arguments.options;
    ensure!(
        arguments.gradient_steps >= 1,
        "--gradient-steps is 0, but must be at least 1"
    );
    let opened = options.open(None)?;
    let picture = arguments
        .picture
        .load(&opened, arguments.data_dir.as_deref())?;
    let target = Pixels::of_picture(&picture);
    let noise = diffusion::noise(&opened.model, 1, options.seed, &opened.device)?;
    let ways = arguments.method.parts();
    let mut inversions = Vec::new();
    for &(name, method) in ways {
        // All of what was asked for is checked before any of it is done.
        let config = arguments.config(method);
        let images = target.tensor(&opened.device);
        let inversion = Inversion::new(&opened.model, images, noise.clone(), config)?;
        inversions.push((name, inversion));
    }
    options.make_folder()?;
    picture.save_png(&options.file("original.png"))?;
    interrupt::listen()?;

    let mut done = Vec::new();
    for (name, inversion) in inversions {
        let found = search(name, inversion, &opened)?;
        write(options, &found)?;
        done.push(found);
        if interrupt::interrupted() {
            break;
        }
    }
    let grid = table(&done, &opened);
    say(grid.text().trim_end())?;
    output::write(&options.file("inversion.md"), &grid.markdown())?;
    say(format_args!("wrote {}", options.out.display()))?;
    let finished = done.len() == ways.len()
        && done
            .iter()
            .all(|done| done.steps == arguments.gradient_steps);
    Ok(if finished {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Way {
    /// Its parts by the names of their files.
    fn parts(self) -> &'static [(&'static str, Method)] {
        const EQUILIBRIUM: (&str, Method) =
            ("equilibrium", Method::Equilibrium { warm_start: true });
        const UNROLLED: (&str, Method) = ("unrolled", Method::Unrolled {});
        match self {
            Self::Equilibrium => &[EQUILIBRIUM],
            Self::Unrolled => &[UNROLLED],
            Self::Both => &[EQUILIBRIUM, UNROLLED],
        }
    }
}

impl Arguments {
    fn config(&self, method: Method) -> InversionConfig {
        InversionConfig {
            steps: self.gradient_steps,
            learning_rate: self.learning_rate,
            method,
            start: match self.start {
                Begin::Encoded => InversionStart::Encoded {},
                Begin::Noise => InversionStart::Noise {
                    seed: self.options.seed,
                },
            },
            tolerance: None,
        }
    }
}

/// All gradient steps, or as many as there are before Ctrl-C.
fn search(name: &'static str, mut inversion: Inversion, opened: &Opened) -> Result<Done> {
    // What earlier work left in a pool must not count.
    opened.device.memory_cleanup();
    let meter = Meter::start(&opened.device);
    let started = Instant::now();
    let (mut first_error, mut steps) = (f64::NAN, 0);
    while !inversion.is_done() && !interrupt::interrupted() {
        let step = inversion.step()?;
        steps = step.step;
        if steps == 1 {
            first_error = step.errors[0];
        }
        say(line(name, &step, opened))?;
    }
    let (seconds, peak) = (started.elapsed().as_secs_f64(), meter.peak());
    Ok(Done {
        name,
        first_error,
        steps,
        inverted: inversion.finish()?,
        seconds,
        peak,
    })
}

/// A gradient step in a line: the error before it, as the method samples the picture.
fn line(name: &str, step: &InversionStep, opened: &Opened) -> String {
    let error = step.errors[0];
    let line = format!(
        "{name}, step {}: error {error:.4} ({:.2e} a pixel)",
        step.step,
        error / pixels(opened) as f64
    );
    match &step.stats {
        Some(stats) => format!(
            "{line}, {} iterations to a residual of {:.1e}",
            stats.steps,
            stats.max_residual()
        ),
        None => line,
    }
}

/// Numbers of a picture.
fn pixels(opened: &Opened) -> usize {
    let network = &opened.model.config().network;
    network.channels * network.image_size * network.image_size
}

fn table(done: &[Done], opened: &Opened) -> Grid {
    let memory = match MemoryKind::of(&opened.device) {
        MemoryKind::HostPeak => "peak memory (MB)",
        MemoryKind::DevicePool => "memory pool (MB)",
    };
    let mut grid = Grid::new([
        "method",
        "chain",
        "gradient steps",
        "error at the start",
        "error at the end",
        "PSNR (dB)",
        "seconds",
        memory,
    ]);
    for done in done {
        grid.push([
            done.name.to_owned(),
            opened.model.chain().steps().to_string(),
            done.steps.to_string(),
            format!("{:.4}", done.first_error),
            format!("{:.4}", done.inverted.errors[0]),
            format!("{:.2}", done.inverted.psnr[0]),
            format!("{:.2}", done.seconds),
            format!("{:.2}", done.peak as f64 / 1e6),
        ]);
    }
    grid
}

/// The noise, and the picture that sequential sampling makes of it.
fn write(options: &Options, done: &Done) -> Result<()> {
    let read = |images: &Tensor<4>| Pixels::read(images.clone());
    let latents = read(&done.inverted.latents).data();
    let latents = Tensors::from([("latents".to_owned(), latents)]);
    let file = options.file(format!("latent-{}.safetensors", done.name));
    write_tensors(&file, &latents).map_err(plain)?;
    let file = options.file(format!("reconstruction-{}.png", done.name));
    for picture in read(&done.inverted.images).pictures()? {
        picture.save_png(&file)?;
    }
    Ok(())
}
