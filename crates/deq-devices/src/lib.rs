//! Names of devices, as written in configuration files and on the command line.
//!
//! burn 0.22 chooses the backend at run time, so a device is a value. Its name is that of the
//! Cargo feature that compiles it in (`flex`, `ndarray`, `wgpu`, `vulkan`, `cuda`), optionally
//! followed by an index for the GPU backends: `cuda:1`.
//!
//! ```
//! let device = deq_devices::parse("flex")?;
//! assert!(deq_devices::parse("gpu").unwrap_err().to_string().contains("flex"));
//! # Ok::<(), deq_devices::DeviceError>(())
//! ```

#![allow(
    deprecated,
    reason = "ndarray is deprecated upstream in burn 0.22 and stays offered until 0.23 removes it"
)]

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
use burn::tensor::DeviceKind;

/// The backends a device can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// burn-flex: the default CPU backend.
    Flex,
    /// burn-ndarray: an older CPU backend, deprecated upstream.
    NdArray,
    /// wgpu with the graphics API and the shader language it settles on.
    Wgpu,
    /// wgpu pinned to Vulkan and SPIR-V.
    Vulkan,
    /// CUDA.
    Cuda,
}

impl Backend {
    /// Every backend the project knows, compiled in or not.
    pub const ALL: [Self; 5] = [
        Self::Flex,
        Self::NdArray,
        Self::Wgpu,
        Self::Vulkan,
        Self::Cuda,
    ];

    /// The name, which is also that of the Cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// Whether this build contains the backend.
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// Whether it computes in `f64` throughout. burn says so of wgpu and ndarray too, but shaders
    /// have no elementary functions for it (`tanh` came out wrong by half on Mesa's software
    /// Vulkan), and ndarray's `sigmoid` is right to `f32` only.
    pub fn computes_f64(self) -> bool {
        matches!(self, Self::Flex | Self::Cuda)
    }

    /// Whether it computes on a GPU (or on software that stands in for one).
    pub fn is_gpu(self) -> bool {
        !matches!(self, Self::Flex | Self::NdArray)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A parsed device name: a backend and, on a GPU backend, an optional index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceName {
    /// The backend.
    pub backend: Backend,
    /// Which of several GPUs; `None` lets the backend choose.
    pub index: Option<usize>,
}

/// Why a device name did not give a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is not one of the known backends.
    #[error(
        "unknown device `{0}`: use flex, ndarray, wgpu, vulkan or cuda, on a GPU with an optional index such as cuda:1"
    )]
    Unknown(String),
    /// What follows the colon is not a number.
    #[error("`{0}`: what follows the colon must be a device number such as cuda:1")]
    BadIndex(String),
    /// The backend has a single device.
    #[error("`{0}` has a single device: leave the index out")]
    NoIndex(Backend),
    /// The backend is not part of this build.
    #[error("device `{0}` is not compiled in: rebuild with `--features {0}`")]
    NotCompiled(Backend),
    /// The backend is compiled in, but this machine has no such device.
    #[error("no `{0}` device found on this machine: {1}")]
    NotPresent(DeviceName, String),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}:{index}", self.backend),
            None => write!(f, "{}", self.backend),
        }
    }
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        let backend = Backend::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or_else(|| DeviceError::Unknown(text.to_owned()))?;
        let index = match index {
            None => None,
            Some(_) if !backend.is_gpu() => return Err(DeviceError::NoIndex(backend)),
            Some(digits) => Some(
                digits
                    .parse()
                    .map_err(|_| DeviceError::BadIndex(text.to_owned()))?,
            ),
        };
        Ok(Self { backend, index })
    }
}

impl DeviceName {
    /// The device itself, without autodiff.
    ///
    /// # Errors
    /// [`DeviceError::NotCompiled`] when the backend's feature is off. Whether the hardware is
    /// there shows at the first use; [`DeviceName::open`] asks at once.
    pub fn device(self) -> Result<Device, DeviceError> {
        match self.backend {
            #[cfg(feature = "flex")]
            Backend::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Backend::NdArray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => Ok(Device::wgpu(kind(self.index))),
            #[cfg(feature = "vulkan")]
            Backend::Vulkan => Ok(Device::vulkan(kind(self.index))),
            #[cfg(feature = "cuda")]
            Backend::Cuda => Ok(Device::cuda(self.index.unwrap_or(0))),
            #[allow(unreachable_patterns, reason = "reached when a feature is off")]
            backend => Err(DeviceError::NotCompiled(backend)),
        }
    }

    /// The device, after one small computation on it, so that missing hardware or a missing
    /// driver is an error here and not a panic in the middle of a run.
    ///
    /// # Errors
    /// As [`DeviceName::device`], and [`DeviceError::NotPresent`] with the driver's own words.
    pub fn open(self) -> Result<Device, DeviceError> {
        let device = self.device()?;
        if !self.backend.is_gpu() {
            return Ok(device);
        }
        // GPU runtimes report a missing adapter by panicking on a worker or on first use. The
        // hook is silenced for the probe: its message goes into the error instead.
        let probe = device.clone();
        // The hook is the whole process's: two probes at once would leave the silent one behind.
        static PROBING: Mutex<()> = Mutex::new(());
        let _turn = PROBING.lock().unwrap_or_else(PoisonError::into_inner);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let one = burn::tensor::Tensor::<1>::ones([1], &probe);
            one.into_data().iter::<f32>().next()
        }));
        std::panic::set_hook(hook);
        match outcome {
            Ok(Some(1.0)) => Ok(device),
            Ok(other) => Err(DeviceError::NotPresent(
                self,
                format!("a probe computed {other:?} instead of 1"),
            )),
            Err(panic) => Err(DeviceError::NotPresent(self, panic_text(&*panic))),
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn kind(index: Option<usize>) -> DeviceKind {
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the driver gave no reason".to_owned())
}

/// Parses a device name and returns the device, without autodiff.
///
/// # Errors
/// See [`DeviceName::from_str`] and [`DeviceName::device`].
pub fn parse(name: &str) -> Result<Device, DeviceError> {
    name.parse::<DeviceName>()?.device()
}

/// The backends of this build, in the order of [`Backend::ALL`].
pub fn compiled() -> Vec<Backend> {
    Backend::ALL
        .into_iter()
        .filter(|backend| backend.is_compiled())
        .collect()
}

/// The first device of every compiled-in backend.
///
/// Tests that touch tensors run once per element, so that each body is written once:
///
/// ```
/// for device in deq_devices::all() {
///     let one = burn::tensor::Tensor::<1>::ones([1], &device);
///     assert_eq!(one.into_scalar::<f32>(), 1.0);
/// }
/// ```
///
/// The environment variable [`TEST_DEVICES`] leaves out all but those that it names, so that a
/// long suite runs on one backend at a time: `DEQ_ZOO_TEST_DEVICES=ndarray,wgpu`.
///
/// # Panics
/// When no backend is compiled in, or the variable names one that is not: a loop over no device
/// would make every test pass.
pub fn all() -> Vec<Device> {
    let named = std::env::var(TEST_DEVICES).ok().map(|names| {
        let backend = |name: &str| named_backend(name.trim());
        names.split(',').map(backend).collect::<Vec<_>>()
    });
    let devices = default_devices(|backend| named.as_ref().is_none_or(|n| n.contains(&backend)));
    assert!(
        !devices.is_empty(),
        "no backend is compiled in: enable a feature of deq-devices such as `flex`"
    );
    devices
}

/// The name of the environment variable that limits [`all`].
pub const TEST_DEVICES: &str = "DEQ_ZOO_TEST_DEVICES";

fn named_backend(name: &str) -> Backend {
    let compiled = compiled();
    let found = compiled.iter().find(|backend| backend.name() == name);
    *found.unwrap_or_else(|| {
        let names: Vec<_> = compiled.iter().map(|backend| backend.name()).collect();
        panic!(
            "{TEST_DEVICES} names `{name}`, but this build has {}",
            names.join(", ")
        )
    })
}

/// Those devices of [`all`] that compute in `f64`; none in a build without flex and CUDA.
pub fn double_precision() -> Vec<Device> {
    default_devices(Backend::computes_f64)
}

fn default_devices(suits: impl Fn(Backend) -> bool) -> Vec<Device> {
    compiled()
        .into_iter()
        .filter(|&backend| suits(backend))
        .filter_map(|backend| {
            let name = DeviceName {
                backend,
                index: None,
            };
            name.device().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in ["flex", "ndarray", "wgpu", "wgpu:0", "cuda:3", "vulkan"] {
            let name: DeviceName = text.parse().expect("a known name");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn wrong_names_say_what_to_write() {
        let error = |text: &str| {
            text.parse::<DeviceName>()
                .expect_err("must be refused")
                .to_string()
        };
        assert!(error("gpu").contains("flex, ndarray, wgpu"));
        assert!(error("cuda:x").contains("cuda:1"));
        assert!(error("flex:0").contains("leave the index out"));
    }

    #[test]
    fn a_backend_outside_the_build_names_its_feature() {
        for backend in Backend::ALL.into_iter().filter(|b| !b.is_compiled()) {
            let error = parse(backend.name()).expect_err("not compiled in");
            assert_eq!(error, DeviceError::NotCompiled(backend));
            assert!(error.to_string().contains("--features"));
        }
    }
}
