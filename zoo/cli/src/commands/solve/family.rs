//! The test problems that are maps, by name.

use anyhow::{Result, ensure};
use burn::tensor::{DType, Device};
use deq_testproblems::{Affine, MapProblem, Monotone, Spectrum, maps};

use super::monotone;

/// What shapes a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) rho: f64,
    pub(crate) coupling: f64,
    pub(crate) dim: usize,
    pub(crate) batch: usize,
    pub(crate) seed: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            rho: 0.9,
            coupling: 0.5,
            dim: 32,
            batch: 4,
            seed: 0,
        }
    }
}

/// A kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Symmetric,
    Rotation,
    NonNormal,
    Tanh,
    Attention,
    Convolution,
    Kinsol,
    Monotone,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Symmetric,
        Self::Rotation,
        Self::NonNormal,
        Self::Tanh,
        Self::Attention,
        Self::Convolution,
        Self::Kinsol,
        Self::Monotone,
    ];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Rotation => "rotation",
            Self::NonNormal => "non-normal",
            Self::Tanh => "tanh",
            Self::Attention => "attention",
            Self::Convolution => "convolution",
            Self::Kinsol => "kinsol",
            Self::Monotone => "monotone",
        }
    }

    /// What it is, in a line.
    pub(crate) fn summary(self) -> &'static str {
        match self {
            Self::Symmetric => "affine: symmetric matrix, eigenvalues spread over -rho, …, rho",
            Self::Rotation => "affine: rotations times rho, eigenvalues all around a circle",
            Self::NonNormal => "affine: the eigenvalues of symmetric, eigenvectors nearly parallel",
            Self::Tanh => "tanh(A z + b) with Lipschitz constant rho",
            Self::Attention => "attention to fixed keys and values, Lipschitz constant rho",
            Self::Convolution => "tanh of a 3 by 3 convolution, Lipschitz constant rho",
            Self::Kinsol => "the analytic fixed-point problem of KINSOL, 3 unknowns",
            Self::Monotone => "relu(W z + b), strongly monotone and no contraction",
        }
    }

    /// The command line's options that shape it.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::NonNormal => &["rho", "coupling", "dim", "batch", "seed"],
            Self::Kinsol => &["batch"],
            Self::Monotone => &["dim", "batch", "seed"],
            _ => &["rho", "dim", "batch", "seed"],
        }
    }

    /// Whether its maps are affine.
    pub(crate) fn is_affine(self) -> bool {
        matches!(self, Self::Symmetric | Self::Rotation | Self::NonNormal)
    }

    /// The map itself.
    pub(crate) fn build(
        self,
        parameters: &Parameters,
        device: &Device,
        dtype: DType,
    ) -> Result<MapProblem> {
        let &Parameters {
            rho,
            coupling,
            dim,
            batch,
            seed,
        } = parameters;
        let affine = |spectrum| -> Result<MapProblem> {
            let affine = Affine::new(spectrum, rho, batch, dim, seed)?;
            Ok(affine.problem(device, dtype))
        };
        let shape = [batch, dim];
        Ok(match self {
            Self::Symmetric => affine(Spectrum::Symmetric)?,
            Self::Rotation => affine(Spectrum::Rotation)?,
            Self::NonNormal => affine(Spectrum::NonNormal { coupling })?,
            Self::Tanh => maps::tanh(rho, shape, seed, device, dtype)?,
            Self::Attention => {
                let slots = (dim / 2).max(1);
                maps::attention(rho, shape, slots, seed, device, dtype)?
            }
            Self::Convolution => {
                ensure!(
                    dim >= 8 && dim.is_multiple_of(8),
                    "--dim is {dim}, but must be a multiple of 8: convolution has 2 channels of images 4 wide"
                );
                maps::convolution(rho, [batch, 2, dim / 8, 4], seed, device, dtype)?
            }
            Self::Kinsol => maps::kinsol(batch, device, dtype)?,
            Self::Monotone => {
                let layer = Monotone::new(monotone::MARGIN, monotone::SCALE, batch, dim, seed)?;
                layer.problem(device, dtype)
            }
        })
    }
}
