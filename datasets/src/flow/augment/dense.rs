use rand::Rng;
use serde::{Deserialize, Serialize};

use super::window::Window;
use super::{ColorJitter, Eraser, check, check_fit, check_window};
use crate::DataError;
use crate::flow::FramePair;
use crate::flow::random::{between, chance, whole};

/// 0.5 / 3.14, as in the reference.
const HUE: f64 = 0.159_235_668_8;

/// Augmentation of pairs with dense flow: colours, eraser, resizing, flips and a crop, in this
/// order.
///
/// The scale is $2^s$ with $s$ uniform from `min_scale` to `max_scale`, stretched at random by
/// $2^{s_x}$ along x and $2^{s_y}$ along y with $s_x, s_y$ uniform in ± `max_stretch`, and at least
/// what leaves 8 pixels more than the crop. Flow is resized with the frames, u and v multiplied by
/// the scales of their axes. The crop may lie anywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowAugmentor {
    /// Height and width of what comes out, at most those of the frames.
    pub crop: [usize; 2],
    /// The smallest $s$, at least −4.
    pub min_scale: f64,
    /// The largest $s$, from `min_scale` to 4.
    pub max_scale: f64,
    /// How often pairs are resized.
    pub resize_probability: f64,
    /// How often the resizing stretches.
    pub stretch_probability: f64,
    /// The largest $|s_x|$ and $|s_y|$, from 0 to 4.
    pub max_stretch: f64,
    /// How often left and right are mirrored.
    pub horizontal_flip: f64,
    /// How often top and bottom are mirrored.
    pub vertical_flip: f64,
    /// Changes of colour.
    pub jitter: ColorJitter,
    /// How often the two frames' colours change independently instead of alike.
    pub asymmetric_probability: f64,
    /// Erased parts of the second frame.
    pub eraser: Eraser,
}

impl FlowAugmentor {
    /// The reference's augmentation to a crop (height, width), with $s$ in that range, and flips
    /// with probability 0.5 and 0.1 or none.
    pub fn new(crop: [usize; 2], [min_scale, max_scale]: [f64; 2], flip: bool) -> Self {
        Self {
            crop,
            min_scale,
            max_scale,
            resize_probability: 0.8,
            stretch_probability: 0.8,
            max_stretch: 0.2,
            horizontal_flip: if flip { 0.5 } else { 0.0 },
            vertical_flip: if flip { 0.1 } else { 0.0 },
            jitter: ColorJitter::uniform(0.4, HUE),
            asymmetric_probability: 0.2,
            eraser: Eraser::default(),
        }
    }

    /// What the reference trains FlyingChairs with: $s$ in [−0.1, 1].
    pub fn chairs(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.1, 1.0], true)
    }

    /// What the reference trains FlyingThings3D with: $s$ in [−0.4, 0.8].
    pub fn things(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.4, 0.8], true)
    }

    /// What the reference trains Sintel with: $s$ in [−0.2, 0.6].
    pub fn sintel(crop: [usize; 2]) -> Self {
        Self::new(crop, [-0.2, 0.6], true)
    }

    /// Says which option is out of its range.
    ///
    /// # Errors
    /// [`DataError::Request`].
    pub fn validate(&self) -> Result<(), DataError> {
        check_window(self.crop, [self.min_scale, self.max_scale])?;
        check("resize_probability", self.resize_probability, 0.0..=1.0)?;
        check("stretch_probability", self.stretch_probability, 0.0..=1.0)?;
        check("max_stretch", self.max_stretch, 0.0..=4.0)?;
        check("horizontal_flip", self.horizontal_flip, 0.0..=1.0)?;
        check("vertical_flip", self.vertical_flip, 0.0..=1.0)?;
        check(
            "asymmetric_probability",
            self.asymmetric_probability,
            0.0..=1.0,
        )?;
        self.jitter.check()?;
        self.eraser.check()
    }

    /// Augments a pair. What comes out depends on the pair and the generator alone. Where flow is
    /// not known everywhere, a resized pixel's is known if all that it is made of was.
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
        self.recolor(&mut window, rng);
        let second = &mut window.frames[1];
        self.eraser.apply(&mut second.values, second.shape, rng);
        let scale = self.draw_scale(&window, rng);
        if chance(rng, self.resize_probability) {
            window.resize(scale);
        }
        if chance(rng, self.horizontal_flip) {
            window.flip_horizontally();
        }
        if chance(rng, self.vertical_flip) {
            window.flip_vertically();
        }
        let [height, width] = window.size();
        let top = whole(rng, 0, height - self.crop[0]);
        let left = whole(rng, 0, width - self.crop[1]);
        window.crop(top, left, self.crop);
        window.into_pair()
    }

    fn recolor<R: Rng + ?Sized>(&self, window: &mut Window, rng: &mut R) {
        let [first, second] = &mut window.frames;
        let channels = first.shape[2];
        let (first, second) = (first.values.as_mut_slice(), second.values.as_mut_slice());
        if chance(rng, self.asymmetric_probability) {
            self.jitter.apply(&mut [first], channels, rng);
            self.jitter.apply(&mut [second], channels, rng);
        } else {
            self.jitter.apply(&mut [first, second], channels, rng);
        }
    }

    /// The scale along x and y.
    fn draw_scale<R: Rng + ?Sized>(&self, window: &Window, rng: &mut R) -> [f64; 2] {
        let [height, width] = window.size();
        let least = |crop: usize, side: usize| (crop + 8) as f64 / side as f64;
        let least = least(self.crop[0], height).max(least(self.crop[1], width));
        let scale = between(rng, self.min_scale, self.max_scale).exp2();
        let stretches = chance(rng, self.stretch_probability);
        [0, 1].map(|_| {
            let stretch = between(rng, -self.max_stretch, self.max_stretch).exp2();
            let scale = if stretches { scale * stretch } else { scale };
            scale.max(least)
        })
    }
}
