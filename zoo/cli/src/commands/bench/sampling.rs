//! Repeated timing of one piece of work.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::statistics::{mad, median};
use crate::commands::interrupt;
use crate::commands::memory::Meter;

/// How long one cell is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// The work is done unmeasured until so much time has passed, at least once.
    pub(crate) warmup_seconds: f64,
    /// So many samples, if time allows.
    pub(crate) samples: usize,
    /// So many in any case.
    pub(crate) min_samples: usize,
    /// No further sample begins when the samples have taken so long.
    pub(crate) max_seconds: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// Seconds of each sample, in the order they were taken.
    pub(crate) seconds: Vec<f64>,
    /// The median of them.
    pub(crate) median: f64,
    /// The median absolute deviation from the median, not scaled.
    pub(crate) mad: f64,
    /// The shortest.
    pub(crate) min: f64,
    /// On devices in the host's memory, the most that the process held during the samples beyond
    /// what it held before them; elsewhere what the device's pool has reserved after them. `None`
    /// where nobody measured it, as for other programs.
    pub(crate) peak_bytes: Option<u64>,
}

/// Times `run`: warm-up first, then up to `budget.samples` samples, with the device synchronised
/// before and after each.
///
/// # Errors
/// What `run` returns, what the device reports, and Ctrl-C before `budget.min_samples` samples are
/// taken. After that, Ctrl-C ends the sampling with what there is.
pub(crate) fn sample(
    budget: &Budget,
    device: &Device,
    run: &mut dyn FnMut() -> Result<()>,
) -> Result<Sample> {
    let wanted = budget.samples.max(1);
    let least = budget.min_samples.clamp(1, wanted);
    // Pages that earlier work has left in the pool are not this work's.
    device.memory_cleanup();
    let start = Instant::now();
    loop {
        run()?;
        sync(device)?;
        if interrupt::interrupted() {
            bail!("stopped by Ctrl-C");
        }
        if start.elapsed().as_secs_f64() >= budget.warmup_seconds {
            break;
        }
    }

    // Room for them now, so that it is not counted as the work's memory.
    let mut seconds = Vec::with_capacity(wanted.min(1 << 16));
    let meter = Meter::start(device);
    let start = Instant::now();
    while seconds.len() < wanted {
        let stopped = interrupt::interrupted();
        if seconds.len() < least {
            if stopped {
                bail!("stopped by Ctrl-C");
            }
        } else if stopped || start.elapsed().as_secs_f64() >= budget.max_seconds {
            break;
        }
        sync(device)?;
        let clock = Instant::now();
        run()?;
        sync(device)?;
        seconds.push(clock.elapsed().as_secs_f64());
    }
    let peak_bytes = meter.peak();
    let middle = median(&seconds);
    Ok(Sample {
        median: middle,
        mad: mad(&seconds, middle),
        min: seconds.iter().copied().fold(f64::INFINITY, f64::min),
        seconds,
        peak_bytes: Some(peak_bytes),
    })
}

/// Waits for all that the device was told to do.
pub(super) fn sync(device: &Device) -> Result<()> {
    device.sync().map_err(|error| anyhow!("{error}"))
}
