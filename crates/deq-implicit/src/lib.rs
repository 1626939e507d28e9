//! The equilibrium layer: a fixed point as the output of a layer, and its gradient.
//!
//! For a map $f(\theta, z)$ with fixed point $z^\star$, the layer's output is $z^\star$ and its
//! gradient follows from the implicit function theorem, without storing the iterations. How to
//! solve ([`deq_solvers::SolveConfig`]) and how to differentiate ([`Gradient`]) are separate
//! choices.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use deq_implicit::{DeqConfig, Gradient};
//!
//! let device = Device::flex().autodiff();
//! let x = Tensor::<2>::full([1, 1], 0.25, &device).require_grad();
//! let deq = DeqConfig::default().with_tolerance(1e-6).with_gradient(Gradient::implicit()).init()?;
//! let start = Tensor::zeros([1, 1], &device);
//! let solved = deq.solve(&x, start, |x: &Tensor<2>, z: Tensor<2>| z * 0.5 + x.clone())?;
//! let z = solved.into_last(); // the fixed point is 2x, so its derivative is 2
//! let gradients = z.sum().backward();
//! let dx = x.grad(&gradients).map(|g| g.into_scalar::<f32>());
//! assert!((dx.unwrap_or(0.0) - 2.0).abs() < 1e-4);
//! # Ok::<(), deq_implicit::SolveError>(())
//! ```
//!
//! # Training and inference
//! A solve is a training solve when `args` or the start live on an autodiff device, as burn's
//! modules do until `valid()` is called on them. Only then are gradients attached and several
//! [states](States) returned; inference returns the solver's output and obeys
//! [`DeqConfig::eval`].
//!
//! # Layers that switch between training and evaluation
//! The solve runs on plain copies of the arguments, where burn's `BatchNorm` and `Dropout` behave as
//! in evaluation; the tracked step runs on the originals, where they behave as in training. The
//! two maps then differ, and the gradient with them. Use group or layer norm inside the map, as
//! published DEQs do, and draw dropout masks outside and pass them through `args`.

mod adjoint;
mod arguments;
mod config;
mod deq;
mod forward;
mod gradient;
mod map;
mod node;
mod path;
mod phantom;
mod sampling;
mod training;
mod vjp;
mod warm_start;

pub use arguments::input;
pub use config::{Core, DeqConfig, Eval, States};
pub use deq::{CallOptions, Deq, Solved};
pub use deq_solvers::SolveError;
pub use gradient::{
    Adjoint, Emit, Gradient, Neumann, OnFailure, Phantom, ReuseInverse, Reversible, Unrolled,
};
pub use map::{EquilibriumMap, Prepared, Transpose, with_prepare};
pub use vjp::{check_prepared, check_transpose, vjp};
pub use warm_start::AdjointMemory;
