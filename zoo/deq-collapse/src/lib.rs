//! Neural collapse: explicit networks and DEQs side by side, and the unconstrained feature model.
//!
//! Late in training the last-layer features of a classifier collapse to their class means, and
//! these, with the classifier, to a simplex equiangular tight frame (Papyan, Han and Donoho, PNAS
//! 117, 2020),
//!
//! $$M = \sqrt{\tfrac{K}{K-1}}\, P \bigl(I_K - \tfrac1K 1 1^\top\bigr), \qquad P^\top P = I.$$
//!
//! This crate holds what two papers study of it: whether the features of a deep equilibrium model
//! collapse as those of an explicit network do, on balanced and imbalanced classes (Sun and Shi,
//! *Understanding Representation of Deep Equilibrium Models from Neural Collapse Perspective*,
//! NeurIPS 2024, arXiv 2410.23391), and the landscape of the model with free features,
//!
//! $$\min_{W, H, b} \frac1N \sum_i \ell(W h_i + b, y_i) + \frac{\lambda_W}{2} \lVert W \rVert^2
//!   + \frac{\lambda_H}{2} \lVert H \rVert^2 + \frac{\lambda_b}{2} \lVert b \rVert^2$$
//!
//! with as many features as classes (Shen and Gu, *Geometric Analysis of Unconstrained Feature
//! Models with d = K*, arXiv 2407.10702).
//!
//! ```
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::Device;
//! use deq_collapse::{
//!     Batch, Center, Imbalance, Loss, NetworkConfig, Objective, Pair, Preset, collapse, evaluate,
//!     subset, train_loss,
//! };
//! use deq_datasets::{Augment, LabelledImages};
//!
//! // Three majority classes of 4 images, and one image in each of the others.
//! let imbalance = Imbalance::Step { majority: 3, samples: 4, ratio: 4.0 };
//! let images = LabelledImages::shapes(200, 16, 1, 0)?;
//! let images = subset(&images, &imbalance.sample(images.labels(), 10, 0)?)?;
//! let augment = Augment::normalize(&images);
//! let device = Device::flex().autodiff();
//! let all: Vec<usize> = (0..images.count()).collect();
//! let batch = Batch::new(images.batch(&all, &augment, 0)?, &device)?;
//!
//! let narrow = NetworkConfig { width: 2, features: 16, ..Preset::Narrow.config().for_images(1, 10) };
//! let pair = Pair::new(narrow, Pair::default_deq());
//! let [explicit, mut deq] = pair.init(&device, 0)?;
//! assert_eq!(explicit.parameters(), deq.parameters());
//!
//! let step = train_loss(&deq, &batch, &Objective::default())?;
//! let gradients = GradientsParams::from_grads(step.loss.backward(), &deq);
//! deq = AdamConfig::new().init().step(1e-3, deq, gradients);
//!
//! let scores = evaluate(&deq, [batch.clone()], Loss::CrossEntropy, imbalance.majority(10))?;
//! let found = collapse(&deq, [batch], Center::ClassMeans)?;
//! assert!(scores.accuracy.minority.is_some() && found.measures.nc1 > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`NetworkConfig`], [`Pair`], [`Preset`]: the networks; [`Network`]: images in, logits and
//!   features out.
//! - [`Imbalance`], [`subset`]: which images are trained on. [`train_loss`], [`evaluate`],
//!   [`collapse`]: loss, accuracy and collapse of [`Batch`]es.
//! - [`etf`]: the simplex. [`Moments`], [`measures()`]: the measures, in one pass.
//! - [`FeatureSample`]: Gram matrices and planes to draw.
//! - [`ufm`]: the unconstrained feature model.
//! - [`parity`]: replays the project's fixtures.

mod accuracy;
mod backbone;
mod block;
mod config;
mod error;
pub mod etf;
mod imbalance;
mod matrix;
mod measures;
mod model;
mod pair;
pub mod parity;
mod picture;
mod symmetric;
mod task;
pub mod ufm;

pub use accuracy::{Accuracy, Tally};
pub use backbone::{BasicBlock, Norm, Shortcut, Trunk};
pub use block::InjectedBlock;
pub use config::{Classifier, LastBlock, NetworkConfig, Preset, TrunkNorm};
pub use error::CollapseError;
pub use imbalance::{Imbalance, subset};
pub use matrix::Matrix;
pub use measures::{Center, ClassStatistics, LinearHead, Measures, Moments, measures};
pub use model::{Network, NetworkOutput};
pub use pair::Pair;
pub use picture::{FeatureSample, GramPicture, PlanePicture};
pub use task::{
    Batch, Collapse, Evaluation, Evaluator, Loss, Objective, TrainLoss, collapse, evaluate,
    train_loss,
};
