//! `flow`: where every pixel of a frame is in the next, by a trained model.

mod film;
mod line;
mod matcher;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use deq::devices::DeviceName;
use deq_datasets::flow::{FlowField, FramePair, open_frame, warp_error_picture};
use deq_flow::WarmStart;
use serde_json::json;

use self::line::Line;
use self::matcher::Matcher;
use super::train::flow::{longest, scale};
use crate::commands::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Two frames (PNG, JPEG or PPM), or a folder with the frames of a sequence, in the order of
    /// their names.
    #[arg(required = true, num_args = 1..=2, value_name = "FRAMES")]
    frames: Vec<PathBuf>,
    /// The folder of a run of deq-flow. Its best checkpoint is taken where an evaluation decides,
    /// else the newest.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Where files go, named after the first frame of a pair: FRAME.flo, FRAME-flow.png in
    /// Middlebury's colours, and FRAME-warp.png, how much the second frame, warped back, differs
    /// from the first.
    #[arg(long, value_name = "DIR", default_value = "flow")]
    out: PathBuf,
    /// For a folder: where the solve of a pair starts [default: forward].
    #[arg(long, value_enum)]
    warm_start: Option<Start>,
    /// For two frames: the true flow (.flo, .pfm or KITTI's .png). Prints errors and writes
    /// FRAME-truth.png and FRAME-error.png.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// The cap on the solver's steps [default: the model's own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_iter: Option<u64>,
    /// The residual at which the solver stops [default: the model's own].
    #[arg(long, value_name = "R")]
    tolerance: Option<f64>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Where the solve of a pair starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Start {
    /// At the equilibrium of the pair before.
    Reuse,
    /// There, with the flow carried along itself.
    Forward,
    /// At that flow, with a hidden state of zero.
    FlowOnly,
    /// At no motion.
    None,
}

impl Start {
    fn warm(self) -> Option<WarmStart> {
        match self {
            Self::Reuse => Some(WarmStart::Reuse),
            Self::Forward => Some(WarmStart::Forward),
            Self::FlowOnly => Some(WarmStart::FlowOnly),
            Self::None => None,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.frames.as_slice() {
        [folder] => arguments.film(folder),
        [first, second] => arguments.pair(first, second),
        _ => bail!("give two frames, or a folder of frames"),
    }
}

impl Arguments {
    fn matcher(&self, warm_start: Option<WarmStart>) -> Result<Matcher> {
        Matcher::open(
            &self.run,
            self.max_iter.map(|steps| steps as usize),
            self.tolerance,
            warm_start,
            self.device.open()?,
        )
    }

    fn pair(&self, first: &Path, second: &Path) -> Result<ExitCode> {
        for path in [first, second] {
            ensure!(
                !path.is_dir(),
                "{} is a folder: give two frames, or one folder alone",
                path.display()
            );
        }
        ensure!(
            self.warm_start.is_none(),
            "--warm-start is for a folder of frames, whose pairs follow each other: leave it out"
        );
        let inputs = [first, second].into_iter().chain(self.truth.as_deref());
        self.refuse_to_replace(&film::name(first), inputs)?;
        let pair = open_pair(first, second)?;
        let truth = self.truth.as_deref().map(|file| -> Result<FlowField> {
            let truth = FlowField::open(file)?;
            let size = |width: usize, height: usize| format!("{width}x{height}");
            let (flow, frames) = (
                size(truth.width(), truth.height()),
                size(pair.width(), pair.height()),
            );
            ensure!(
                flow == frames,
                "the flow in {} has {flow} pixels, but the frames have {frames}: give the truth of this pair",
                file.display()
            );
            Ok(truth)
        });
        let truth = truth.transpose()?;
        let mut matcher = self.matcher(None)?;
        let (flow, mut line) = matcher.find(&pair, [first, second])?;
        self.write(&pair, &flow, &line)?;
        if let Some(truth) = &truth {
            line.compare(&flow, truth)?;
            let file = |name: &str| self.out.join(format!("{}-{name}.png", line.name));
            let longest = scale(longest(truth));
            flow.picture(longest)?.save_png(&file("flow"))?;
            truth.picture(longest)?.save_png(&file("truth"))?;
            flow.error_picture(truth, None)?.save_png(&file("error"))?;
        }
        self.tell(&[line])
    }

    fn film(&self, folder: &Path) -> Result<ExitCode> {
        ensure!(
            folder.is_dir(),
            "{} is no folder: give the second frame too, or a folder of frames",
            folder.display()
        );
        ensure!(
            self.truth.is_none(),
            "--truth is for two frames, and {} holds a sequence: leave it out",
            folder.display()
        );
        let frames = film::frames(folder)?;
        make(&self.out)?;
        ensure!(
            self.out.canonicalize().ok() != folder.canonicalize().ok(),
            "--out is the folder of the frames, and pictures of flow would be taken for frames the next time: choose another"
        );
        for first in frames.iter().rev().skip(1) {
            self.refuse_to_replace(&film::name(first), [])?;
        }
        let start = self.warm_start.unwrap_or(Start::Forward);
        let mut matcher = self.matcher(start.warm())?;
        let mut lines = Vec::new();
        for ends in frames.windows(2) {
            let pair = open_pair(&ends[0], &ends[1])?;
            let (flow, line) = matcher.find(&pair, [&ends[0], &ends[1]])?;
            self.write(&pair, &flow, &line)?;
            if !self.json {
                say(&line)?;
            }
            lines.push(line);
        }
        self.tell(&lines)
    }

    /// Refuses to write over what it was given, and over a flow that no earlier command of this
    /// kind has written: true flows often have their frame's name.
    fn refuse_to_replace<'a>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<()> {
        let inputs: Vec<_> = inputs.into_iter().map(Path::canonicalize).collect();
        for end in [".flo", "-flow.png", "-warp.png", "-truth.png", "-error.png"] {
            let file = self.out.join(format!("{name}{end}"));
            let place = file.canonicalize();
            let is_input = inputs
                .iter()
                .flatten()
                .any(|input| place.as_ref().is_ok_and(|place| place == input));
            let is_foreign = end == ".flo"
                && file.exists()
                && !self.out.join(format!("{name}-flow.png")).exists();
            ensure!(
                !is_input && !is_foreign,
                "{} would be overwritten, and no earlier `deq-zoo flow` has written it: choose another --out",
                file.display()
            );
        }
        Ok(())
    }

    fn write(&self, pair: &FramePair, flow: &FlowField, line: &Line) -> Result<()> {
        make(&self.out)?;
        let file = |end: &str| self.out.join(format!("{}{end}", line.name));
        flow.save_flo(&file(".flo"))?;
        flow.picture(None)?.save_png(&file("-flow.png"))?;
        warp_error_picture(pair, flow, None)?.save_png(&file("-warp.png"))?;
        Ok(())
    }

    /// What became of all pairs; lines of a film have been shown one by one.
    fn tell(&self, lines: &[Line]) -> Result<ExitCode> {
        if self.json {
            let result = json!({
                "run": self.run.display().to_string(),
                "device": self.device.to_string(),
                "out": self.out.display().to_string(),
                "pairs": lines,
            });
            say(serde_json::to_string_pretty(&result)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        match lines {
            [line] if self.frames.len() == 2 => say(line)?,
            lines => {
                let steps: usize = lines.iter().map(|line| line.steps).sum();
                let seconds: f64 = lines.iter().map(|line| line.seconds).sum();
                let pairs = match lines.len() {
                    1 => "1 pair".to_owned(),
                    count => format!("{count} pairs"),
                };
                say(format_args!(
                    "{pairs}: {steps} solver steps, {seconds:.2} s"
                ))?;
            }
        }
        say(format_args!("wrote {}", self.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn open_pair(first: &Path, second: &Path) -> Result<FramePair> {
    let (one, other) = (open_frame(first)?, open_frame(second)?);
    FramePair::new(one, other, None)
        .with_context(|| format!("{} and {} make no pair", first.display(), second.display()))
}
