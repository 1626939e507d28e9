//! What the steps of a training cost.

use std::time::Instant;

use anyhow::{Result, anyhow};
use burn::tensor::Device;

/// Until the device has done all that it was given.
pub(super) fn wait(device: &Device) -> Result<()> {
    let synced = device.sync();
    synced.map_err(|error| anyhow!("the device failed: {error}"))
}

/// What each step measured.
#[derive(Default)]
pub(super) struct Log {
    step_ms: Vec<f64>,
    /// The memory of a step, the largest of all.
    pub(super) peak_bytes: Option<u64>,
}

impl Log {
    pub(super) fn add(&mut self, started: Instant, peak: u64) {
        self.step_ms.push(started.elapsed().as_secs_f64() * 1e3);
        self.peak_bytes = self.peak_bytes.max(Some(peak));
    }

    /// How many steps were made.
    pub(super) fn steps(&self) -> usize {
        self.step_ms.len()
    }

    /// Milliseconds of a step; of an even number of steps, the upper one of the middle two.
    pub(super) fn median_ms(&self) -> Option<f64> {
        let mut sorted = self.step_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    /// Of all steps.
    pub(super) fn seconds(&self) -> f64 {
        self.step_ms.iter().sum::<f64>() / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_its_median_and_its_sum() {
        let mut log = Log::default();
        assert_eq!((log.median_ms(), log.seconds()), (None, 0.0));
        log.step_ms = vec![400.0, 100.0, 300.0, 200.0];
        assert_eq!((log.median_ms(), log.seconds()), (Some(300.0), 1.0));
        for peak in [3, 7, 5] {
            log.add(Instant::now(), peak);
        }
        assert_eq!((log.steps(), log.peak_bytes), (7, Some(7)));
    }
}
