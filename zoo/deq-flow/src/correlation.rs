use burn::module::{Module, Param};
use burn::nn::pool::AvgPool2dConfig;
use burn::tensor::Tensor;
use deq::prelude::input;
use deq_kernels::{correlate_windows, matmul, sample_windows};
use serde::{Deserialize, Serialize};

use crate::FlowError;
use crate::error::{fits, require};

/// How correlation is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// The correlation of all pairs of pixels is computed once a pair of frames: memory grows with
    /// the square of the number of pixels, a lookup reads.
    #[default]
    AllPairs,
    /// Features are kept, and every lookup computes the correlations it reads: memory grows with
    /// the number of pixels, and a lookup costs a product of features for each value. For large
    /// frames: on other backends than flex in inference alone, since in training autodiff keeps
    /// the features of every position looked up. Both give the same numbers up to rounding.
    OnDemand,
}

/// More levels than any frame has.
pub(crate) const MAX_LEVELS: usize = 16;

/// The correlation of two feature maps, to be looked up around moving positions (RAFT: Teed and
/// Deng, ECCV 2020, section 3.2). With features $g_1, g_2$ of $d$ channels,
///
/// $$C_l(p, q) = \frac{1}{\sqrt d}\, g_1(p)^\top P_l\, g_2(q),$$
///
/// where $P_l$ averages blocks of $2^l \times 2^l$ pixels of the second frame. Pooling the features
/// is pooling the correlation, and costs no volume in between: of all pairs, what the levels
/// themselves need is all there ever is, $4 b\, n \sum_l n_l$ bytes for $n$ pixels of the first
/// frame and $n_l$ of the second at level $l$ ([`FlowConfig::correlation_bytes`]).
///
/// [`FlowConfig::correlation_bytes`]: crate::FlowConfig::correlation_bytes
#[derive(Module, Debug)]
pub struct Correlation {
    /// All pairs: $C_l$, `[b · n, n_l]`. On demand: the second frame's features `[b · n_l, d]`.
    levels: Vec<Param<Tensor<2>>>,
    /// On demand: the first frame's features over $\sqrt d$, `[b · n, d]`.
    first: Option<Param<Tensor<2>>>,
    /// Height and width of the second frame at each level.
    #[module(skip)]
    sizes: Vec<[usize; 2]>,
    #[module(skip)]
    radius: usize,
    #[module(skip)]
    samples: usize,
}

impl Correlation {
    /// Prepares the lookup in two feature maps `[samples, channels, height, width]`.
    ///
    /// # Errors
    /// [`FlowError::Shape`] when the maps differ, and [`FlowError::InvalidConfig`] when they are
    /// too small for so many levels.
    pub fn new(
        first: Tensor<4>,
        second: Tensor<4>,
        levels: usize,
        radius: usize,
        lookup: Lookup,
    ) -> Result<Self, FlowError> {
        fits(
            "the second frame's feature map",
            &first.dims(),
            &second.dims(),
        )?;
        let [samples, channels, height, width] = first.dims();
        require(
            (1..=MAX_LEVELS).contains(&levels) && height.min(width) >> (levels - 1) >= 1,
            "corr_levels",
            levels,
            "at least 1, and at most as many as the features can be halved",
        )?;
        let pixels = height * width;
        let first: Tensor<3> = first.reshape([samples, channels, pixels]);
        let first = first.swap_dims(1, 2) * (1.0 / (channels as f64).sqrt());
        let halve = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();

        let mut kept = Vec::with_capacity(levels);
        let mut sizes = Vec::with_capacity(levels);
        let mut pooled = second;
        for level in 0..levels {
            if level > 0 {
                pooled = halve.forward(pooled);
            }
            let [_, _, rows, columns] = pooled.dims();
            let places = rows * columns;
            let second: Tensor<3> = pooled.clone().reshape([samples, channels, places]);
            let kept_level: Tensor<2> = match lookup {
                Lookup::AllPairs => {
                    let volume = matmul(first.clone(), second);
                    volume.reshape([samples * pixels, places])
                }
                Lookup::OnDemand => second.swap_dims(1, 2).reshape([samples * places, channels]),
            };
            kept.push(input(kept_level));
            sizes.push([rows, columns]);
        }
        Ok(Self {
            levels: kept,
            first: match lookup {
                Lookup::AllPairs => None,
                Lookup::OnDemand => Some(input(first.reshape([samples * pixels, channels]))),
            },
            sizes,
            radius,
            samples,
        })
    }

    /// $C_l$ as `[samples · pixels, 1, height >> l, width >> l]`; `None` on demand.
    pub fn volume(&self, level: usize) -> Option<Tensor<4>> {
        if self.first.is_some() {
            return None;
        }
        let [rows, columns] = *self.sizes.get(level)?;
        let volume = self.levels.get(level)?.val();
        let [pixels, _] = volume.dims();
        Some(volume.reshape([pixels, 1, rows, columns]))
    }

    /// The correlations around `coords`, `[samples, 2, height, width]`, x first, in pixels of the
    /// feature maps. The result is `[samples, levels · (2r + 1)², height, width]`: level by level,
    /// in each of them $(2r + 1)^2$ values, whose slower index is the offset along x and whose
    /// faster one that along y. (As in the reference, where the two are exchanged.)
    ///
    /// Values between pixels are bilinear, and zero outside.
    ///
    /// # Panics
    /// When `coords` is not of the feature maps' samples, height and width.
    pub fn lookup(&self, coords: Tensor<4>) -> Tensor<4> {
        let [samples, _, height, width] = coords.dims();
        let centres: Tensor<3> = coords.reshape([samples, 2, height * width]);
        let values = (0..self.sizes.len()).map(|level| {
            let scale = 1.0 / f64::from(1u32 << level);
            self.around(level, centres.clone() * scale)
        });
        let values = Tensor::cat(values.collect(), 1);
        let [_, planes, _] = values.dims();
        values.reshape([samples, planes, height, width])
    }

    /// The correlations around `centres`, `[samples, 2, pixels]`, of one level:
    /// `[samples, (2r + 1)², pixels]`.
    fn around(&self, level: usize, centres: Tensor<3>) -> Tensor<3> {
        let (samples, radius) = (self.samples, self.radius);
        let [rows, columns] = self.sizes[level];
        let [_, _, pixels] = centres.dims();
        let kept = self.levels[level].val();
        match &self.first {
            None => {
                let planes: Tensor<4> = kept.reshape([samples, pixels, rows, columns]);
                sample_windows(planes, centres, radius)
            }
            Some(first) => {
                let [_, channels] = kept.dims();
                let first: Tensor<3> = first.val().reshape([samples, pixels, channels]);
                let second: Tensor<4> = kept.reshape([samples, rows, columns, channels]);
                correlate_windows(first, second, centres, radius)
            }
        }
    }
}
