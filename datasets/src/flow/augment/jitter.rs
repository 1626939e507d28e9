use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::check;
use crate::DataError;
use crate::flow::random::between;

/// Random changes of colour, in random order, each clamped to [0, 1]:
///
/// - brightness: $v \leftarrow f v$;
/// - contrast: $v \leftarrow m + f (v - m)$ with the mean $m$ of the frames' grey values;
/// - saturation: $v \leftarrow g + f (v - g)$ with the pixel's grey value
///   $g = 0.299 R + 0.587 G + 0.114 B$;
/// - hue: turned by $f$ of a full circle.
///
/// Every $f$ is uniform in $[\max(0, 1 - a), 1 + a]$, that of the hue in $[-a, a]$. Grey frames
/// have neither saturation nor hue. The reference rounds to 8 bits after each step; this does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorJitter {
    /// $a$ of the brightness, from 0 to 10.
    pub brightness: f64,
    /// $a$ of the contrast, from 0 to 10.
    pub contrast: f64,
    /// $a$ of the saturation, from 0 to 10.
    pub saturation: f64,
    /// $a$ of the hue, from 0 to 0.5.
    pub hue: f64,
}

#[derive(Clone, Copy)]
enum Step {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

impl ColorJitter {
    /// No change at all.
    pub fn none() -> Self {
        Self::uniform(0.0, 0.0)
    }

    /// One $a$ for brightness, contrast and saturation, and one for the hue.
    pub fn uniform(amount: f64, hue: f64) -> Self {
        Self {
            brightness: amount,
            contrast: amount,
            saturation: amount,
            hue,
        }
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        check("jitter.brightness", self.brightness, 0.0..=10.0)?;
        check("jitter.contrast", self.contrast, 0.0..=10.0)?;
        check("jitter.saturation", self.saturation, 0.0..=10.0)?;
        check("jitter.hue", self.hue, 0.0..=0.5)
    }

    /// Changes frames alike; pixels are channels last.
    pub(super) fn apply<R: Rng + ?Sized>(
        &self,
        frames: &mut [&mut [f32]],
        channels: usize,
        rng: &mut R,
    ) {
        let mut steps = [
            Step::Brightness,
            Step::Contrast,
            Step::Saturation,
            Step::Hue,
        ];
        steps.shuffle(rng);
        for step in steps {
            match step {
                Step::Brightness => {
                    let factor = factor(self.brightness, rng);
                    each_value(frames, |value| factor * value);
                }
                Step::Contrast => {
                    let factor = factor(self.contrast, rng);
                    let mean = mean_grey(frames, channels);
                    each_value(frames, |value| mean + factor * (value - mean));
                }
                Step::Saturation => {
                    let factor = factor(self.saturation, rng);
                    each_color(frames, channels, |color| {
                        let grey = grey(&color);
                        color.map(|value| (grey + factor * (value - grey)).clamp(0.0, 1.0))
                    });
                }
                Step::Hue => {
                    let turn = between(rng, -self.hue, self.hue) as f32;
                    if turn != 0.0 {
                        each_color(frames, channels, |color| turn_hue(color, turn));
                    }
                }
            }
        }
    }
}

fn factor<R: Rng + ?Sized>(amount: f64, rng: &mut R) -> f32 {
    between(rng, (1.0 - amount).max(0.0), 1.0 + amount) as f32
}

fn each_value(frames: &mut [&mut [f32]], change: impl Fn(f32) -> f32) {
    for value in frames.iter_mut().flat_map(|frame| frame.iter_mut()) {
        *value = change(*value).clamp(0.0, 1.0);
    }
}

fn each_color(frames: &mut [&mut [f32]], channels: usize, change: impl Fn([f32; 3]) -> [f32; 3]) {
    if channels != 3 {
        return;
    }
    for frame in frames {
        for pixel in frame.chunks_exact_mut(3) {
            pixel.copy_from_slice(&change([pixel[0], pixel[1], pixel[2]]));
        }
    }
}

fn mean_grey(frames: &[&mut [f32]], channels: usize) -> f32 {
    let (mut sum, mut count) = (0.0f64, 0usize);
    for pixel in frames.iter().flat_map(|frame| frame.chunks_exact(channels)) {
        sum += f64::from(grey(pixel));
        count += 1;
    }
    (sum / count.max(1) as f64) as f32
}

/// The grey value of a pixel (ITU-R BT.601).
fn grey(pixel: &[f32]) -> f32 {
    match pixel {
        [red, green, blue] => 0.299 * red + 0.587 * green + 0.114 * blue,
        _ => pixel[0],
    }
}

/// Turns a colour's hue, keeping its largest and smallest channel's values.
fn turn_hue([red, green, blue]: [f32; 3], turn: f32) -> [f32; 3] {
    let high = red.max(green).max(blue);
    let range = high - red.min(green).min(blue);
    if range <= 0.0 {
        return [red, green, blue];
    }
    let sixths = if high == red {
        (green - blue) / range
    } else if high == green {
        2.0 + (blue - red) / range
    } else {
        4.0 + (red - green) / range
    };
    let sixths = (sixths + 6.0 * turn).rem_euclid(6.0);
    // Each channel falls from its largest value as the hue leaves it (Smith, SIGGRAPH 1978).
    [5.0, 3.0, 1.0].map(|offset| {
        let distance = (offset + sixths).rem_euclid(6.0);
        high - range * distance.min(4.0 - distance).clamp(0.0, 1.0)
    })
}
