//! The memory of a training step.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::allocator::Count;

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

/// Watches one step. There is one meter at a time; others wait.
pub(crate) struct Meter<'a> {
    device: &'a Device,
    host: Count,
}

impl<'a> Meter<'a> {
    /// Begins to watch.
    pub(crate) fn start(device: &'a Device) -> Self {
        let host = Count::start();
        Self { device, host }
    }

    /// Bytes since the start, as [`MemoryKind`] counts them.
    pub(crate) fn peak(&self) -> u64 {
        match self.device.memory_pool_usage() {
            Some(pool) => pool.bytes_reserved,
            None => self.host.peak(),
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
        let both = meter.peak();
        drop(meter);
        // Other tests of this process free memory meanwhile.
        assert!(both >= 4 << 21, "{both}");
        drop(ones);
    }
}
