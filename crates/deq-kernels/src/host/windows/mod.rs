//! Bilinear values in windows around moving centres: the look-up of RAFT (Teed and Deng, ECCV 2020,
//! section 3.2).
//!
//! The $(2r + 1)^2$ sample points of a window lie on a lattice of step 1, so all of them lie equally
//! far beyond whole pixels, and the pixels around them are $(2r + 2)^2$: each is read once, and the
//! values between them are interpolated along x and then along y, for several windows at a time.

mod features;
mod lanes;
mod parts;
mod place;
mod planes;

pub use features::Features;
use lanes::{Cell, LANES, Share, load};
use parts::{Part, for_each_part, parts};
use place::Source;

use super::parallel::{assert_length, is_large, rows_in_chunk};
use super::simd::{Arithmetic, Kernel, vectorised};
use super::{Real, scratch};

/// Windows around centres in maps.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a, T> {
    /// The centres `[samples, 2, positions]`, x first, in pixels of the maps.
    pub centres: &'a [T],
    /// Samples.
    pub samples: usize,
    /// Windows of a sample.
    pub positions: usize,
    /// Rows and columns of a map.
    pub size: [usize; 2],
    /// How many sample points lie on each side of the centre, along each axis.
    pub radius: usize,
}

impl<T: Real> Windows<'_, T> {
    /// Windows of all samples.
    fn windows(&self) -> usize {
        self.samples * self.positions
    }

    /// Pixels of a window along each axis.
    fn side(&self) -> usize {
        2 * self.radius + 2
    }

    /// Sample points of a window.
    fn points(&self) -> usize {
        (self.side() - 1) * (self.side() - 1)
    }

    /// Numbers of a map.
    fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn check(&self, output: usize) {
        let windows = self.windows();
        assert_length("centres", self.centres.len(), 2 * windows);
        assert_length("values in windows", output, windows * self.points());
    }

    fn is_large(&self) -> bool {
        is_large(self.windows() * self.points())
    }

    /// The windows of one task.
    fn in_part(&self) -> usize {
        rows_in_chunk(self.points()).next_multiple_of(LANES)
    }

    /// Lends the cells of as many windows as are interpolated at a time.
    fn with_cells<R>(&self, work: impl FnOnce(&mut [Cell<T>]) -> R) -> R {
        let side = self.side();
        scratch::with::<T, _, 1>([side * side * LANES], |[cells]| {
            work(cells.as_chunks_mut().0)
        })
    }

    /// The values between those of the source, `[samples, points, positions]`.
    fn interpolate(&self, source: impl Source<T>, output: &mut [T]) {
        self.check(output.len());
        let parts = parts(output, self.points(), self.positions, self.in_part());
        for_each_part(parts, self.is_large(), |part| {
            self.with_cells(|cells| {
                vectorised(Interpolate {
                    windows: self,
                    source,
                    part,
                    cells,
                });
            });
        });
    }

    /// The gradient in the centres from that in [`Windows::interpolate`]'s output.
    fn centres_gradient(&self, source: impl Source<T>, gradient: &[T]) -> Vec<T> {
        self.check(gradient.len());
        let mut output = vec![T::ZERO; self.centres.len()];
        let parts = parts(&mut output, 2, self.positions, self.in_part());
        for_each_part(parts, self.is_large(), |part| {
            self.with_cells(|cells| {
                vectorised(Slopes {
                    windows: self,
                    source,
                    gradient,
                    part,
                    cells,
                });
            });
        });
        output
    }

    /// Numbers of several windows in the gradient, for one sample point.
    #[inline(always)]
    fn of_point(&self, gradient: &[T], sample: usize, point: usize, first: usize) -> Cell<T> {
        let row = (sample * self.points() + point) * self.positions;
        load(&gradient[row + first..row + self.positions])
    }

    /// The gradient in the pixels of several windows, `[side, side]`, from that in the values
    /// between them.
    #[inline(always)]
    fn spread<A: Arithmetic>(
        &self,
        gradient: &[T],
        sample: usize,
        first: usize,
        [x, y]: &[Share<T>; 2],
        cells: &mut [Cell<T>],
    ) {
        let side = self.side();
        for row in cells.chunks_exact_mut(side) {
            row[0] = [T::ZERO; LANES];
        }
        for i in 0..side - 1 {
            let mut above = [T::ZERO; LANES];
            for (j, row) in cells.chunks_exact_mut(side).enumerate() {
                let below = if j < side - 1 {
                    self.of_point(gradient, sample, i * (side - 1) + j, first)
                } else {
                    [T::ZERO; LANES]
                };
                // As a pixel is the lower one of a point and the upper one of the next.
                let slope = y.blend::<A>(&below, &above);
                row[i] = x.add_rest::<A>(&slope, &row[i]);
                row[i + 1] = x.share_of(&slope);
                above = below;
            }
        }
    }
}

struct Interpolate<'a, T, S> {
    windows: &'a Windows<'a, T>,
    source: S,
    part: Part<'a, T>,
    cells: &'a mut [Cell<T>],
}

impl<T: Real, S: Source<T>> Kernel for Interpolate<'_, T, S> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Part {
            sample,
            first,
            mut rows,
        } = self.part;
        let (cells, side) = (self.cells, self.windows.side());
        let count = rows[0].len();
        for start in (0..count).step_by(LANES) {
            let lanes = start..count.min(start + LANES);
            let [x, y] = self
                .windows
                .read::<A, S>(self.source, sample, first, lanes, cells);
            for i in 0..side - 1 {
                let mut low = x.blend::<A>(&cells[i], &cells[i + 1]);
                for j in 0..side - 1 {
                    let row = &cells[(j + 1) * side..(j + 2) * side];
                    let high = x.blend::<A>(&row[i], &row[i + 1]);
                    let value = y.blend::<A>(&low, &high);
                    lanes::store(&value, &mut rows[i * (side - 1) + j][start..]);
                    low = high;
                }
            }
        }
    }
}

struct Slopes<'a, T, S> {
    windows: &'a Windows<'a, T>,
    source: S,
    gradient: &'a [T],
    part: Part<'a, T>,
    cells: &'a mut [Cell<T>],
}

impl<T: Real, S: Source<T>> Kernel for Slopes<'_, T, S> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Part {
            sample,
            first,
            mut rows,
        } = self.part;
        let (cells, side) = (self.cells, self.windows.side());
        let count = rows[0].len();
        for start in (0..count).step_by(LANES) {
            let lanes = start..count.min(start + LANES);
            let [x, y] = self
                .windows
                .read::<A, S>(self.source, sample, first, lanes, cells);
            let mut along_x = [T::ZERO; LANES];
            let mut along_y = [T::ZERO; LANES];
            for i in 0..side - 1 {
                let mut above = [T::ZERO; LANES];
                let mut low = [T::ZERO; LANES];
                for (j, row) in cells.chunks_exact(side).enumerate() {
                    let below = if j < side - 1 {
                        let point = i * (side - 1) + j;
                        let first = first + start;
                        self.windows.of_point(self.gradient, sample, point, first)
                    } else {
                        [T::ZERO; LANES]
                    };
                    let slope = y.blend::<A>(&below, &above);
                    lanes::add_rise::<T, A>(&mut along_x, &slope, &row[i], &row[i + 1]);
                    let high = x.blend::<A>(&row[i], &row[i + 1]);
                    if j > 0 {
                        lanes::add_rise::<T, A>(&mut along_y, &above, &low, &high);
                    }
                    (above, low) = (below, high);
                }
            }
            for (row, values) in rows.iter_mut().zip([along_x, along_y]) {
                lanes::store(&values, &mut row[start..]);
            }
        }
    }
}
