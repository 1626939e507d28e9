//! A classical method to beat: pyramidal Lucas–Kanade. It is no part of any model.

use serde::{Deserialize, Serialize};

use super::FlowField;
use super::sample::bilinear;
use crate::{DataError, Image};

/// No update of an iteration is longer, in pixels of its level.
const LONGEST_UPDATE: f64 = 1.0;
/// Added to the structure tensor's diagonal, in squared grey values per squared pixel: flat parts
/// keep the flow they have.
const DAMPING: f64 = 1e-6;

/// Options of [`lucas_kanade`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LucasKanade {
    /// Levels of the pyramid, at least 1; each halves the one before. Levels with a side below 8
    /// pixels are not made.
    pub levels: usize,
    /// The window reaches so many pixels to each side, at least 1.
    pub radius: usize,
    /// Iterations on each level, at least 1.
    pub iterations: usize,
}

impl Default for LucasKanade {
    fn default() -> Self {
        Self {
            levels: 2,
            radius: 5,
            iterations: 8,
        }
    }
}

/// Dense optical flow by Lucas and Kanade (IJCAI 1981), from coarse to fine (Bouguet, 2001). On
/// each level every pixel's displacement $f$ is replaced, some times over, by
///
/// $$f' = \Big(\overline{\nabla I \nabla I^\top} + \epsilon\Big)^{-1}
/// \Big(\overline{\nabla I \big(\nabla I^\top f + I(x) - J(x + f)\big)} + \epsilon f\Big)$$
///
/// with the first frame $I$, the second $J$ and means over a square window, in which $f'$ is taken
/// to be constant. No step is longer than a pixel.
///
/// # Errors
/// [`DataError::Request`] when the frames differ in size, or an option is 0.
pub fn lucas_kanade(
    first: &Image,
    second: &Image,
    options: &LucasKanade,
) -> Result<FlowField, DataError> {
    if options.levels == 0 || options.radius == 0 || options.iterations == 0 {
        return Err(DataError::Request(format!(
            "Lucas-Kanade needs at least one level, a radius and an iteration, but got {options:?}"
        )));
    }
    if (first.width(), first.height()) != (second.width(), second.height()) {
        return Err(DataError::Request(format!(
            "frames of {}x{} and {}x{} pixels make no pair",
            first.width(),
            first.height(),
            second.width(),
            second.height()
        )));
    }
    let mut pyramid = vec![[first, second].map(|image| Plane::grey(image).blur())];
    for level in 1..options.levels {
        let [first, second] = &pyramid[level - 1];
        if first.width.min(first.height) < 16 {
            break;
        }
        let halves = [first.halve(), second.halve()];
        pyramid.push(halves);
    }
    let mut flow: Option<[Plane; 2]> = None;
    for [first, second] in pyramid.iter().rev() {
        let mut finer = match flow {
            None => [first.like(0.0), first.like(0.0)],
            Some(coarse) => coarse.map(|plane| plane.double(first)),
        };
        refine(first, second, &mut finer, options);
        flow = Some(finer);
    }
    let [u, v] = flow.expect("the pyramid has a level");
    let data = u.values.iter().zip(&v.values).flat_map(|(&u, &v)| [u, v]);
    FlowField::new(first.width(), first.height(), data.collect(), None)
}

/// The updates of one level.
fn refine(first: &Plane, second: &Plane, flow: &mut [Plane; 2], options: &LucasKanade) {
    let (width, height) = (first.width, first.height);
    let difference = |dx: f64, dy: f64| {
        first.map(|x, y| (first.at(x + dx, y + dy) - first.at(x - dx, y - dy)) / 2.0)
    };
    let (ix, iy) = (difference(1.0, 0.0), difference(0.0, 1.0));
    let mean = |a: &Plane, b: &Plane| a.times(b).box_mean(options.radius);
    let (xx, xy, yy) = (mean(&ix, &ix), mean(&ix, &iy), mean(&iy, &iy));
    for _ in 0..options.iterations {
        let wanted = first.map(|x, y| {
            let pixel = y as usize * width + x as usize;
            let [u, v] = [0, 1].map(|i| flow[i].values[pixel]);
            let warped = second.at(x + f64::from(u), y + f64::from(v));
            ix.values[pixel] * u + iy.values[pixel] * v + first.values[pixel] - warped
        });
        let (xt, yt) = (mean(&ix, &wanted), mean(&iy, &wanted));
        for pixel in 0..width * height {
            let value = |plane: &Plane| f64::from(plane.values[pixel]);
            let (u, v) = (value(&flow[0]), value(&flow[1]));
            let (a, b, d) = (value(&xx) + DAMPING, value(&xy), value(&yy) + DAMPING);
            let (p, q) = (value(&xt) + DAMPING * u, value(&yt) + DAMPING * v);
            let determinant = a * d - b * b;
            let du = (d * p - b * q) / determinant - u;
            let dv = (a * q - b * p) / determinant - v;
            let part = (LONGEST_UPDATE / du.hypot(dv)).min(1.0);
            flow[0].values[pixel] = (u + part * du) as f32;
            flow[1].values[pixel] = (v + part * dv) as f32;
        }
    }
}

/// One value a pixel.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn grey(image: &Image) -> Self {
        let channels = image.channels();
        let pixels = image.pixels().chunks_exact(channels);
        Self {
            width: image.width(),
            height: image.height(),
            values: pixels
                .map(|pixel| pixel.iter().sum::<f32>() / channels as f32)
                .collect(),
        }
    }

    fn like(&self, value: f32) -> Self {
        self.map(|_, _| value)
    }

    fn at(&self, x: f64, y: f64) -> f32 {
        bilinear(&self.values, [self.height, self.width, 1], [x, y], 0)
    }

    /// A plane of this size with values by place.
    fn map(&self, value: impl Fn(f64, f64) -> f32) -> Self {
        let (width, height) = (self.width, self.height);
        let mut values = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                values.push(value(column as f64, row as f64));
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    fn times(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values);
        Self {
            values: values.map(|(a, b)| a * b).collect(),
            ..*self
        }
    }

    /// Weights 1, 4, 6, 4, 1 along both axes.
    fn blur(&self) -> Self {
        let taps: [(f64, f32); 5] = [(-2.0, 1.0), (-1.0, 4.0), (0.0, 6.0), (1.0, 4.0), (2.0, 1.0)];
        let sum = |value: &dyn Fn(f64) -> f32| {
            let sum: f32 = taps.iter().map(|&(tap, weight)| weight * value(tap)).sum();
            sum / 16.0
        };
        let rows = self.map(|x, y| sum(&|tap| self.at(x + tap, y)));
        rows.map(|x, y| sum(&|tap| rows.at(x, y + tap)))
    }

    /// Every other pixel of the blurred plane.
    fn halve(&self) -> Self {
        let blurred = self.blur();
        let size = Self {
            width: self.width.div_ceil(2),
            height: self.height.div_ceil(2),
            values: Vec::new(),
        };
        size.map(|x, y| blurred.at(2.0 * x, 2.0 * y))
    }

    /// Twice these values, on the finer grid of another plane.
    fn double(&self, fine: &Self) -> Self {
        fine.map(|x, y| 2.0 * self.at(x / 2.0, y / 2.0))
    }

    /// Means over square windows, cut off at the borders.
    fn box_mean(&self, radius: usize) -> Self {
        let columns = self.row_means(radius).transposed();
        columns.row_means(radius).transposed()
    }

    fn row_means(&self, radius: usize) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        let mut sums = vec![0.0f64; self.width + 1];
        for row in self.values.chunks_exact(self.width) {
            for (i, &value) in row.iter().enumerate() {
                sums[i + 1] = sums[i] + f64::from(value);
            }
            values.extend((0..self.width).map(|i| {
                let low = i.saturating_sub(radius);
                let high = i.saturating_add(radius).min(self.width - 1) + 1;
                ((sums[high] - sums[low]) / (high - low) as f64) as f32
            }));
        }
        Self { values, ..*self }
    }

    fn transposed(&self) -> Self {
        let column = |start: usize| self.values.iter().skip(start).step_by(self.width);
        Self {
            width: self.height,
            height: self.width,
            values: (0..self.width).flat_map(column).copied().collect(),
        }
    }
}
