use anyhow::{Result, ensure};
use burn::tensor::DType;
use deq::devices::DeviceName;

/// The numbers that a command computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    F32,
    F64,
}

impl Precision {
    /// `f64` where the device computes in it.
    pub(crate) fn best(device: DeviceName) -> Self {
        match device.backend.computes_f64() {
            true => Self::F64,
            false => Self::F32,
        }
    }

    /// Refuses `f64` on a device that does not compute in it.
    pub(crate) fn require(self, device: DeviceName) -> Result<()> {
        ensure!(
            self == Self::F32 || device.backend.computes_f64(),
            "device `{device}` does not compute in f64: choose --device flex or --dtype f32"
        );
        Ok(())
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }
}
