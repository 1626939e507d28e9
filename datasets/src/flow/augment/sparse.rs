use rand::Rng;
use serde::{Deserialize, Serialize};

use super::window::Window;
use super::{ColorJitter, Eraser, check, check_fit, check_window};
use crate::DataError;
use crate::flow::FramePair;
use crate::flow::random::{between, chance, whole};

/// 0.3 / 3.14, as in the reference.
const HUE: f64 = 0.095_541_401_3;

/// Augmentation of pairs whose flow is known at some pixels only, as KITTI's and HD1K's: colours,
/// the same change for both frames, eraser, resizing, a flip and a crop, in this order.
///
/// The scale is $2^s$ with $s$ uniform from `min_scale` to `max_scale`, and at least what leaves a
/// pixel more than the crop. Resizing moves every known vector to the pixel nearest to its new
/// place, $\operatorname{round}((x + \tfrac12) 2^s - \tfrac12)$, multiplied by the scale, and
/// mixes none. (The reference rounds $2^s x$, which lies up to half an enlarged pixel beside the
/// frames, and drops the first row and column.) The crop's place is drawn from a range that is
/// wider than the frame by `margin`, downwards and to both sides, and then moved into the frame,
/// so that borders occur often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseFlowAugmentor {
    /// Height and width of what comes out, at most those of the frames.
    pub crop: [usize; 2],
    /// The smallest $s$, at least −4.
    pub min_scale: f64,
    /// The largest $s$, from `min_scale` to 4.
    pub max_scale: f64,
    /// How often pairs are resized.
    pub resize_probability: f64,
    /// How often left and right are mirrored.
    pub horizontal_flip: f64,
    /// Pixels downwards and sideways, at most 10000.
    pub margin: [usize; 2],
    /// Changes of colour.
    pub jitter: ColorJitter,
    /// Erased parts of the second frame.
    pub eraser: Eraser,
}

impl SparseFlowAugmentor {
    /// The reference's augmentation to a crop (height, width), with $s$ in that range, and a flip
    /// with probability 0.5 or none.
    pub fn new(crop: [usize; 2], [min_scale, max_scale]: [f64; 2], flip: bool) -> Self {
        Self {
            crop,
            min_scale,
            max_scale,
            resize_probability: 0.8,
            horizontal_flip: if flip { 0.5 } else { 0.0 },
            margin: [20, 50],
            jitter: ColorJitter::uniform(0.3, HUE),
            eraser: Eraser::default(),
        }
    }

    /// What the reference fine-tunes on KITTI with: $s$ in [−0.2, 0.4], no flips.
    pub fn kitti(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.2, 0.4], false)
    }

    /// What the reference uses for KITTI in the mixture of its Sintel stage: $s$ in [−0.3, 0.5].
    pub fn kitti_in_mixture(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.3, 0.5], true)
    }

    /// What the reference uses for HD1K in the mixture of its Sintel stage: $s$ in [−0.5, 0.2].
    pub fn hd1k(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.5, 0.2], true)
    }

    /// Says which option is out of its range.
    ///
    /// # Errors
    /// [`DataError::Request`].
    pub fn validate(&self) -> Result<(), DataError> {
        check_window(self.crop, [self.min_scale, self.max_scale])?;
        check("resize_probability", self.resize_probability, 0.0..=1.0)?;
        check("horizontal_flip", self.horizontal_flip, 0.0..=1.0)?;
        for margin in self.margin {
            check("margin", margin as f64, 0.0..=10_000.0)?;
        }
        self.jitter.check()?;
        self.eraser.check()
    }

    /// Augments a pair. What comes out depends on the pair and the generator alone.
    ///
    /// # Errors
    /// [`DataError::Request`] as [`validate`](Self::validate), and for frames smaller than the
    /// crop.
    pub fn apply<R: Rng + ?Sized>(
        &self,
        pair: &FramePair,
        rng: &mut R,
    ) -> Result<FramePair, DataError> {
        self.validate()?;
        check_fit(self.crop, pair)?;
        let mut window = Window::new(pair);
        let [first, second] = &mut window.frames;
        let channels = first.shape[2];
        self.jitter.apply(
            &mut [first.values.as_mut_slice(), second.values.as_mut_slice()],
            channels,
            rng,
        );
        self.eraser.apply(&mut second.values, second.shape, rng);
        let [height, width] = window.size();
        let least = |crop: usize, side: usize| (crop + 1) as f64 / side as f64;
        let least = least(self.crop[0], height).max(least(self.crop[1], width));
        let scale = between(rng, self.min_scale, self.max_scale).exp2();
        if chance(rng, self.resize_probability) {
            window.resize_sparse([scale.max(least); 2]);
        }
        if chance(rng, self.horizontal_flip) {
            window.flip_horizontally();
        }
        let [height, width] = window.size();
        let (lowest, rightmost) = (height - self.crop[0], width - self.crop[1]);
        let top = whole(rng, 0, lowest + self.margin[0]).min(lowest);
        let left = whole(rng, 0, rightmost + 2 * self.margin[1]);
        let left = left.saturating_sub(self.margin[1]).min(rightmost);
        window.crop(top, left, self.crop);
        window.into_pair()
    }
}
