use burn::module::{Module, Param};
use burn::nn::pool::AvgPool2dConfig;
use burn::tensor::{Bool, Int, Tensor};
use deq::prelude::input;
use deq_kernels::matmul;
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
    /// frames in inference: in training autodiff keeps the features of every position looked up.
    /// Both give the same numbers up to rounding.
    OnDemand,
}

/// Rows read by one `select`. wgpu on software Vulkan silently drops rows of a selection beyond
/// 65,536, and the rows read also bound the memory of a lookup on demand.
const ROWS: usize = 32_768;

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

/// Where a lookup reads at one level. The integer positions around all $2r + 1$ by $2r + 1$ sample
/// points of a pixel form one window of $2r + 2$ by $2r + 2$, since the points lie on a lattice of
/// step 1; axis 1 goes along x and axis 2 along y.
struct Window {
    /// `[pixels, side, side]`, row-major positions in the level.
    index: Tensor<3, Int>,
    /// Which of them lie outside.
    outside: Tensor<3, Bool>,
    /// How far the sample points lie beyond the integer positions, `[pixels, 1, 1]`, along x and y.
    beyond: [Tensor<3>; 2],
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
        let pixels = samples * height * width;
        let coords: Tensor<2> = coords.permute([0, 2, 3, 1]).reshape([pixels, 2]);
        let values = self.sizes.iter().enumerate().map(|(level, &size)| {
            let scale = 1.0 / f64::from(1u32 << level);
            let window = window(coords.clone() * scale, size, self.radius);
            let values = self.read(level, window.index);
            interpolate(values.mask_fill(window.outside, 0.0), window.beyond)
        });
        let values = Tensor::cat(values.collect(), 1);
        let [_, planes] = values.dims();
        let values: Tensor<4> = values.reshape([samples, height, width, planes]);
        values.permute([0, 3, 1, 2])
    }

    /// The correlations at these positions of a level, `[pixels, side, side]`.
    fn read(&self, level: usize, index: Tensor<3, Int>) -> Tensor<3> {
        let [pixels, side, _] = index.dims();
        let kept = self.levels[level].val();
        match &self.first {
            None => {
                let index: Tensor<2, Int> = index.reshape([pixels, side * side]);
                kept.gather(1, index).reshape([pixels, side, side])
            }
            Some(first) => {
                let values = self.products(first.val(), kept, level, index);
                values.reshape([pixels, side, side])
            }
        }
    }

    /// Products of the first frame's features and those of the second at these positions,
    /// `[pixels, side²]`.
    fn products(
        &self,
        first: Tensor<2>,
        second: Tensor<2>,
        level: usize,
        index: Tensor<3, Int>,
    ) -> Tensor<2> {
        let [pixels, side, _] = index.dims();
        let [_, channels] = first.dims();
        let [rows, columns] = self.sizes[level];
        let (places, per_sample) = (side * side, pixels / self.samples);
        // Row numbers in the features of all samples.
        let sample = Tensor::<1, Int>::arange(0..self.samples as i64, &index.device());
        let sample: Tensor<2, Int> = sample.reshape([self.samples, 1]);
        let offset = sample.repeat_dim(1, per_sample) * (rows * columns) as i64;
        let offset: Tensor<2, Int> = offset.reshape([pixels, 1]);
        let index: Tensor<2, Int> = index.reshape([pixels, places]);
        let index = index + offset;

        let at_once = (ROWS / places).max(1);
        let parts = (0..pixels).step_by(at_once).map(|start| -> Tensor<2> {
            let count = at_once.min(pixels - start);
            let rows = index.clone().narrow(0, start, count);
            let rows: Tensor<1, Int> = rows.reshape([count * places]);
            let second = second.clone().select(0, rows);
            let second: Tensor<3> = second.reshape([count, places, channels]);
            let first = first.clone().narrow(0, start, count);
            let first: Tensor<3> = first.reshape([count, channels, 1]);
            second.matmul(first).reshape([count, places])
        });
        Tensor::cat(parts.collect(), 0)
    }
}

/// The window around each of the positions `[pixels, 2]` in a level of this height and width.
fn window(coords: Tensor<2>, [rows, columns]: [usize; 2], radius: usize) -> Window {
    let [pixels, _] = coords.dims();
    let side = 2 * radius + 2;
    let steps = Tensor::<1, Int>::arange(0..side as i64, &coords.device());
    let steps: Tensor<2, Int> = steps.reshape([1, side]);
    let steps = steps - radius as i64;
    let along = |axis: usize, length: usize| {
        // Beyond this margin every sample is outside, and numbers stay small enough for integers.
        let margin = (radius + 2) as f64;
        let position = coords.clone().narrow(1, axis, 1);
        let position = position.clamp(-margin, (length - 1) as f64 + margin);
        let base = position.clone().detach().floor();
        let beyond: Tensor<3> = (position - base.clone()).reshape([pixels, 1, 1]);
        let places: Tensor<2, Int> = base.int() + steps.clone();
        let inside = places.clone().clamp(0i64, length as i64 - 1);
        let outside = (places - inside.clone()).abs();
        (inside, outside, beyond)
    };
    let (x, outside_x, beyond_x) = along(0, columns);
    let (y, outside_y, beyond_y) = along(1, rows);
    let on_x = |places: Tensor<2, Int>| -> Tensor<3, Int> { places.reshape([pixels, side, 1]) };
    let on_y = |places: Tensor<2, Int>| -> Tensor<3, Int> { places.reshape([pixels, 1, side]) };
    Window {
        index: on_x(x) + on_y(y) * columns as i64,
        outside: (on_x(outside_x) + on_y(outside_y)).greater_elem(0i64),
        beyond: [beyond_x, beyond_y],
    }
}

/// The bilinear values `[pixels, (2r + 1)²]` between those of a window.
fn interpolate(values: Tensor<3>, [x, y]: [Tensor<3>; 2]) -> Tensor<2> {
    let [pixels, side, _] = values.dims();
    let between = |values: Tensor<3>, axis: usize, beyond: Tensor<3>| {
        let low = values.clone().narrow(axis, 0, side - 1);
        let high = values.narrow(axis, 1, side - 1);
        low * (beyond.clone().neg() + 1.0) + high * beyond
    };
    let values = between(between(values, 1, x), 2, y);
    values.reshape([pixels, (side - 1) * (side - 1)])
}
