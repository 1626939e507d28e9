//! What the fusion layer is compared with. Each takes `[samples, positions, widths[i]]` for every
//! modality and gives `[samples, positions, features]`. The fusion layer with tied weights is
//! [`DeqFusion::weight_tied`](crate::DeqFusion::weight_tied).

mod concatenation;
mod low_rank;
mod tensor;
mod weighted_sum;

pub use concatenation::Concatenation;
pub use low_rank::LowRankFusion;
pub use tensor::TensorFusion;
pub use weighted_sum::WeightedSum;
