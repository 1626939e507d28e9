//! Samples that are seen in several modalities: readers, a generator, and what is done to them
//! before training.
//!
//! - [`mogonet`]: the csv layout of MOGONET (ROSMAP, BRCA).
//! - [`features`]: one safetensors file of features, for everything else (MM-IMDB, CMU-MOSI).
//! - [`GeneratedViews`]: correlated modalities with noisy and missing views, made by formula.
//! - [`MinMax`]: features to [0, 1] by the training part alone.
//! - [`MultimodalData::hold_out`]: a stratified part of the training samples, for model selection.
//!
//! ```
//! use deq_datasets::multimodal::{GeneratedViews, MinMax};
//!
//! let data = GeneratedViews::default().generate(0)?;
//! let scale = MinMax::fit(&data.train);
//! let (fit, validation) = scale.apply(data.train)?.hold_out(0.2, 0)?;
//! assert_eq!(fit.samples() + validation.samples(), 120);
//! let batch = fit.batch(&[0, 1, 2])?;
//! assert_eq!(batch.shapes[0], [3, 1, 12]);
//! # Ok::<(), deq_datasets::DataError>(())
//! ```

mod data;
pub mod features;
mod generated;
mod hold_out;
pub mod mogonet;
mod scale;

pub use data::{Modality, MultimodalData, Targets, ViewBatch};
pub use generated::GeneratedViews;
pub use scale::MinMax;

/// A data set in its official parts.
#[derive(Clone, Debug, PartialEq)]
pub struct MultimodalSplit {
    /// For fitting. Model selection takes a part of it: [`MultimodalData::hold_out`].
    pub train: MultimodalData,
    /// For model selection, where the data come with such a part.
    pub validation: Option<MultimodalData>,
    /// For reporting, and for nothing else.
    pub test: MultimodalData,
}
