//! The kernels themselves, on slices of `f32` or `f64`.
//!
//! Where a function takes `input: Option<&[T]>`, `None` means in place: it reads what `output`
//! holds. Where it takes an [`Output`], slices are one, and [`Output::New`] is faster than zeros that
//! are overwritten. Matrices are row-major. Empty slices are allowed everywhere.
//!
//! # Accuracy
//! Largest distance from the exact value in units in the last place, over all inputs, for both
//! types, with fused multiply-add and without. Estimated by evaluating the same formulas against
//! double and multiple precision, and held by `tests/suite/accuracy.rs`:
//!
//! | function | ulp | range |
//! |---|---|---|
//! | [`exp`] | 2 | all; infinite above 88.72 (709.78), gradual underflow below −87.3 (−708.4) |
//! | [`tanh`], [`sigmoid`] | 3 | all |
//! | [`silu`] | 4 | above −88.72 (−709.78); 0 below, where the exact value is above −2.7·10⁻³⁷ (−4.0·10⁻³⁰⁶); −∞ gives NaN, as burn's formula does |
//! | [`sin`] | 3 | up to [`SINE_LIMIT`] in absolute value; the standard library's beyond |
//! | [`gelu`] | 8 | all; −∞ gives NaN, as burn's formula does |
//!
//! NaN gives NaN, and signed zeros and infinities what the function's limit says.
//!
//! A matrix product of $k$ terms is right to $2 k \epsilon$ times the sum of the terms' absolute
//! values, with the unit roundoff $\epsilon$ (half a unit in the last place; Higham, *Accuracy and
//! Stability of Numerical Algorithms*, 2002, section 3.5), and so are convolutions and sparse
//! products. The factor 2 is for processors without fused multiply-add.
//!
//! Sums within a row run in 32 interleaved lanes that are then added pairwise, whatever the
//! processor's vectors hold; sums over rows, samples and channels run in their order, in parts of a
//! fixed size. So the order is the same everywhere. In norms and the gradient of softmax a product is
//! added with one rounding where the processor can.
//!
//! # Sources
//! Exponential: argument reduction by multiples of $\ln 2$ in two parts (W. J. Cody and W. Waite,
//! *Software Manual for the Elementary Functions*, 1980, chapter 6) and a polynomial: in double
//! precision Taylor's, in single the one that interpolates at the Chebyshev nodes. Sine:
//! reduction by multiples of $\pi$ (the same, chapter 8) and the Taylor polynomial. Normal
//! distribution: $\Phi(-a)\,e^{a^2/2}$, a rational function; see `scalar/single.rs`.

mod attention;
mod bias;
mod convolution;
mod elementwise;
mod finish;
mod functions;
mod gemm;
mod group_norm;
mod layer_norm;
mod output;
mod parallel;
mod pointwise;
mod reduce;
mod residual;
mod scalar;
mod scratch;
mod simd;
mod softmax;
mod sparse;
mod vector;
mod windows;

pub use attention::{Attention, AttentionGradients, ScoreBias};
pub use bias::{Bias, sum_channels};
pub use convolution::{Geometry, convolve, convolve_input_gradient, convolve_kernel_gradient};
pub use elementwise::{exp, gelu, map, map_gradient, map_sum, sigmoid, silu, sin, tanh};
pub use finish::{Addend, Finish};
pub use gemm::{Matrix, Panels, Stack, multiply, multiply_once, multiply_stacks};
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use output::Output;
pub use parallel::PARALLEL_FROM;
pub use pointwise::{Activation, SINE_LIMIT};
pub use residual::{RowNorm, residual_norms};
pub use softmax::{softmax, softmax_gradient};
pub use sparse::{Entry, SparseRows};
pub use windows::{Features, Windows};

/// The numbers the kernels compute with: `f32` and `f64`.
pub trait Real: scratch::Scratch {}

impl Real for f32 {}
impl Real for f64 {}

/// Gradients of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradients<T> {
    /// Of the loss in the input, and in what was added to it.
    pub input: Vec<T>,
    /// In the gains.
    pub gamma: Vec<T>,
    /// In the biases.
    pub beta: Vec<T>,
}
