use std::f64::consts::PI;

use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{InvalidProblem, MapProblem, dense};

/// The eigenvalues and the normality of the matrix of an [`Affine`] map. All of them have the
/// spectral radius $\rho$.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spectrum {
    /// Symmetric, with eigenvalues spread evenly over $-\rho, \dots, \rho$; the single one of a
    /// 1 by 1 matrix is $\rho$.
    Symmetric,
    /// Normal, with all eigenvalues on the circle of radius $\rho$: $\rho$ times plane rotations by
    /// the angles $\pi (k + 1/2) / m$ for $k = 0, \dots, m - 1$. At odd dimensions the last
    /// eigenvalue is $\rho$.
    Rotation,
    /// The eigenvalues of [`Spectrum::Symmetric`], and eigenvectors that are the closer to
    /// parallel the larger the coupling is.
    NonNormal {
        /// What stands next to the eigenvalues in the triangular form. Errors may grow by up to
        /// $\rho + |\text{coupling}|$ per step before they shrink.
        coupling: f64,
    },
}

impl Spectrum {
    fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Rotation => "rotation",
            Self::NonNormal { .. } => "non-normal",
        }
    }

    fn coupling(self) -> f64 {
        match self {
            Self::NonNormal { coupling } => coupling,
            Self::Symmetric | Self::Rotation => 0.0,
        }
    }

    /// $M$, the matrix in the basis that $Q$ turns.
    fn canonical(self, rho: f64, dim: usize) -> Vec<f64> {
        let mut matrix = vec![0.0; dim * dim];
        if self == Self::Rotation {
            let blocks = dim / 2;
            for block in 0..blocks {
                let angle = PI * (block as f64 + 0.5) / blocks as f64;
                let (sin, cos) = angle.sin_cos();
                let first = 2 * block * (dim + 1);
                matrix[first] = rho * cos;
                matrix[first + 1] = -rho * sin;
                matrix[first + dim] = rho * sin;
                matrix[first + dim + 1] = rho * cos;
            }
            if dim % 2 == 1 {
                matrix[dim * dim - 1] = rho;
            }
            return matrix;
        }
        for row in 0..dim {
            matrix[row * (dim + 1)] = match dim {
                1 => rho,
                _ => rho * (2.0 * row as f64 / (dim - 1) as f64 - 1.0),
            };
            if row + 1 < dim {
                matrix[row * (dim + 1) + 1] = self.coupling();
            }
        }
        matrix
    }
}

/// The affine map $f(z) = A z + b$ with a prescribed spectrum and a known fixed point.
///
/// $A = Q M Q^\top$ with a random orthogonal $Q$ and an $M$ that holds the [`Spectrum`]. The fixed
/// point $z^\star$ is standard normal for every sample, and $b = (I - A) z^\star$. All samples
/// share $A$. The plain iteration reduces the error by the factor $\rho$ per step in the long run,
/// whatever the coupling; Anderson acceleration with a full window equals GMRES.
///
/// Everything is `f64`; tensors hold it rounded. In `f32` the fixed point of the rounded map
/// differs from $z^\star$ by up to about $10^{-7} \lVert (I - A)^{-1} \rVert$ times the size of
/// $A$, $b$ and $z^\star$.
#[derive(Clone, Debug)]
pub struct Affine {
    spectrum: Spectrum,
    rho: f64,
    shape: [usize; 2],
    matrix: Vec<f64>,
    bias: Vec<f64>,
    solution: Vec<f64>,
}

impl Affine {
    /// A random map of spectral radius `rho`; the same for the same arguments, on every device.
    ///
    /// At `rho` of 1 or more the map is no contraction. Where 1 is an eigenvalue the fixed point
    /// is not unique.
    ///
    /// # Errors
    /// [`InvalidProblem`] when `rho` is not a finite number of at least 0, the coupling is not
    /// finite, or `batch` or `dim` is 0.
    pub fn new(
        spectrum: Spectrum,
        rho: f64,
        batch: usize,
        dim: usize,
        seed: u64,
    ) -> Result<Self, InvalidProblem> {
        InvalidProblem::require_size("rho", rho)?;
        let coupling = spectrum.coupling();
        InvalidProblem::require(coupling.is_finite(), "coupling", coupling, "finite")?;
        InvalidProblem::require_length("batch", batch)?;
        InvalidProblem::require_length("dim", dim)?;

        let mut rng = StdRng::seed_from_u64(seed);
        let basis = dense::orthonormal_rows(dim, dim, &mut rng);
        let inverse = dense::transposed(&basis, dim);
        let turned = dense::product(&inverse, &spectrum.canonical(rho, dim), dim);
        let matrix = dense::product(&turned, &basis, dim);
        let solution = dense::gaussian(batch * dim, &mut rng);
        let image = dense::product(&solution, &dense::transposed(&matrix, dim), dim);
        Ok(Self {
            spectrum,
            rho,
            shape: [batch, dim],
            bias: dense::difference(&solution, &image),
            matrix,
            solution,
        })
    }

    /// $A$, row by row.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// The spectral radius of $A$.
    pub fn rho(&self) -> f64 {
        self.rho
    }

    /// A Lipschitz constant: $\lVert A \rVert_2 = \rho$ for the normal spectra, and the bound
    /// $\rho + |\text{coupling}|$ else.
    pub fn lipschitz(&self) -> f64 {
        self.rho + self.spectrum.coupling().abs()
    }

    /// $z \mapsto z A^\top + b$ for the whole batch.
    pub fn map(
        &self,
        device: &Device,
        dtype: DType,
    ) -> impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + use<> {
        let dim = self.shape[1];
        let transposed = dense::transposed(&self.matrix, dim);
        let weight: Tensor<2> = dense::tensor(&transposed, [dim, dim], device, dtype);
        let bias: Tensor<2> = dense::tensor(&self.bias, self.shape, device, dtype);
        move |z: Tensor<2>| z.matmul(weight.clone()) + bias.clone()
    }

    /// Zeros, `[batch, dim]`.
    pub fn start(&self, device: &Device, dtype: DType) -> Tensor<2> {
        Tensor::zeros(self.shape, (device, dtype))
    }

    /// $z^\star$, `[batch, dim]`.
    pub fn solution(&self, device: &Device, dtype: DType) -> Tensor<2> {
        dense::tensor(&self.solution, self.shape, device, dtype)
    }

    /// $\lVert z - z^\star \rVert_2$ of every sample, in `f64`.
    ///
    /// # Panics
    /// When `z` is not `[batch, dim]`.
    pub fn error(&self, z: &Tensor<2>) -> Vec<f64> {
        assert_eq!(z.dims(), self.shape, "a state of the problem");
        dense::difference(&dense::values(z), &self.solution)
            .chunks(self.shape[1])
            .map(dense::norm)
            .collect()
    }

    /// The map with its start, its solution and its Lipschitz constant.
    pub fn problem(&self, device: &Device, dtype: DType) -> MapProblem {
        let name = format!(
            "affine, {}, rho {}, dim {}",
            self.spectrum.name(),
            self.rho,
            self.shape[1]
        );
        MapProblem::new(name, self.start(device, dtype), self.map(device, dtype))
            .with_solution(self.solution(device, dtype))
            .with_rho(self.lipschitz())
    }
}
