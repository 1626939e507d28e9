//! The memory of a training step.

use burn::tensor::Device;
use peak_alloc::PeakAlloc;
use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemoryKind {
    /// The largest amount that the process allocates in a step, beyond what it held before: on
    /// devices that share the host's memory.
    HostPeak,
    /// What the device's pool has reserved after a step, weights and images included. It grows by
    /// pages, and its pages are given back before each run only.
    DevicePool,
}

impl MemoryKind {
    /// What is counted on this device.
    pub(crate) fn of(device: &Device) -> Self {
        match device.memory_pool_usage() {
            Some(_) => Self::DevicePool,
            None => Self::HostPeak,
        }
    }
}

/// Watches one step.
pub(crate) struct Meter<'a> {
    device: &'a Device,
    before: usize,
}

impl<'a> Meter<'a> {
    /// Begins to watch. The program's allocator must be [`PeakAlloc`].
    pub(crate) fn start(device: &'a Device) -> Self {
        PeakAlloc.reset_peak_usage();
        Self {
            device,
            before: PeakAlloc.current_usage(),
        }
    }

    /// Bytes since the start, as [`MemoryKind`] counts them.
    pub(crate) fn peak(&self) -> u64 {
        match self.device.memory_pool_usage() {
            Some(pool) => pool.bytes_reserved,
            None => PeakAlloc.peak_usage().saturating_sub(self.before) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    #[test]
    fn a_step_s_tensors_are_counted() {
        let mut devices = deq::devices::all().into_iter();
        let Some(device) = devices.find(|d| MemoryKind::of(d) == MemoryKind::HostPeak) else {
            return; // a build without a CPU backend
        };
        let meter = Meter::start(&device);
        let ones = Tensor::<1>::ones([1 << 22], &device);
        assert!((ones.clone() + 1.0).sum().into_scalar::<f32>() > 0.0);
        // Other tests of this process allocate too, and may reset the peak while it stands higher,
        // but what is held now is always counted.
        assert!(meter.peak() >= 4 << 21, "{}", meter.peak());
        drop(ones);
    }
}
