//! Deep equilibrium models (DEQs) in Rust.
//!
//! A DEQ's layer outputs the fixed point $z^\star = f(z^\star, x)$ of a network, and is
//! differentiated through it without storing the iterations. This facade brings the parts
//! together: [`solvers`], [`implicit`] (the layer and its gradients), [`regularizers`] and
//! [`devices`].
//!
//! A layer `tanh(Wz + Ux + b)`, trained for a few steps:
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::{Device, Tensor};
//! use deq::prelude::*;
//!
//! #[derive(Module, Debug)]
//! struct Cell { w: Linear, u: Linear }
//!
//! let device = Device::flex().autodiff();
//! let mut cell = Cell { w: LinearConfig::new(8, 8).init(&device), u: LinearConfig::new(2, 8).init(&device) };
//! let (x, y) = (Tensor::ones([4, 2], &device), Tensor::full([4, 8], 0.5, &device));
//! let deq = DeqConfig::default().with_gradient(Gradient::implicit()).init()?;
//! let (mut adam, mut losses) = (AdamConfig::new().init(), Vec::new());
//! for _ in 0..20 {
//!     let args = (cell.clone(), x.clone());
//!     let solved = deq.solve(&args, Tensor::zeros([4, 8], &device), |(cell, x), z: Tensor<2>| {
//!         (cell.w.forward(z) + cell.u.forward(x.clone())).tanh()
//!     })?;
//!     let loss = (solved.into_last() - y.clone()).square().mean();
//!     let gradients = GradientsParams::from_grads(loss.backward(), &cell);
//!     losses.push(loss.into_scalar::<f32>());
//!     cell = adam.step(0.01, cell, gradients);
//! }
//! assert!(losses[19] < 0.5 * losses[0]);
//! # Ok::<(), deq::SolveError>(())
//! ```

pub use deq_devices as devices;
pub use deq_implicit as implicit;
pub use deq_regularizers as regularizers;
pub use deq_solvers as solvers;

mod gradient_check;
pub mod parity;
pub mod torchdeq;

pub use deq_solvers::SolveError;
pub use gradient_check::{GradientCheck, GradientReport, ParameterCheck, check_gradients};

/// What a model's code usually needs.
pub mod prelude {
    pub use deq_implicit::{
        CallOptions, Core, Deq, DeqConfig, EquilibriumMap, Gradient, Solved, States, input,
    };
    pub use deq_regularizers::{NormConfig, Selection, SpectralNormConfig, WeightNormConfig};
    pub use deq_solvers::{
        Finish, SolveConfig, SolveError, SolveStats, SolverConfig, State, Status, StopMode,
        Termination,
    };
}
