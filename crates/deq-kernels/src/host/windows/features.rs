//! Windows of products of features: no map of the products is ever made.

use super::super::parallel::{assert_length, for_each_chunk, is_large};
use super::super::reduce::dot;
use super::super::simd::{Arithmetic, Kernel, vectorised};
use super::super::{Real, scratch};
use super::Windows;
use super::lanes::{Cell, LANES};
use super::place::{Place, Source};

/// Features that [`Windows`] multiplies.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a, T> {
    /// Of every position, `[samples, positions, channels]`.
    pub first: &'a [T],
    /// Of every pixel of a sample's map, `[samples, rows, columns, channels]`.
    pub second: &'a [T],
    /// Numbers of a position and of a pixel.
    pub channels: usize,
}

impl<T: Real> Windows<'_, T> {
    /// As [`Windows::sample`] with the products of a position's features and those of every pixel
    /// for its plane.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn correlate(&self, features: Features<'_, T>, output: &mut [T]) {
        self.interpolate(self.products(features), output);
    }

    /// The gradient in the centres of [`Windows::correlate`].
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn correlate_centres_gradient(&self, features: Features<'_, T>, gradient: &[T]) -> Vec<T> {
        self.centres_gradient(self.products(features), gradient)
    }

    /// The gradient of [`Windows::correlate`] in the features of the positions from those of the
    /// pixels, `[samples, rows, columns, channels]`.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn correlate_first_gradient(
        &self,
        second: &[T],
        channels: usize,
        gradient: &[T],
    ) -> Vec<T> {
        self.check(gradient.len());
        let of_sample = self.places() * channels;
        assert_length("second features", second.len(), self.samples * of_sample);
        let mut output = vec![T::ZERO; self.windows() * channels];
        if output.is_empty() {
            return output;
        }
        let parallel = self.is_large_product(channels);
        let (all, part) = (self.positions * channels, LANES * channels);
        for_each_chunk(&mut output, all, parallel, |start, output| {
            let sample = start / all;
            let second = &second[sample * of_sample..][..of_sample];
            for_each_chunk(output, part, parallel, |start, output| {
                self.with_cells(|cells| {
                    vectorised(OfFirst {
                        windows: self,
                        second,
                        channels,
                        gradient,
                        sample,
                        first: start / channels,
                        output,
                        cells,
                    });
                });
            });
        });
        output
    }

    /// The gradient of [`Windows::correlate`] in the features of the pixels from those of the
    /// positions, `[samples, positions, channels]`. Windows add up in the order of positions.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn correlate_second_gradient(
        &self,
        first: &[T],
        channels: usize,
        gradient: &[T],
    ) -> Vec<T> {
        self.check(gradient.len());
        let of_sample = self.positions * channels;
        assert_length("first features", first.len(), self.samples * of_sample);
        let mut output = vec![T::ZERO; self.samples * self.places() * channels];
        if output.is_empty() || first.is_empty() {
            return output;
        }
        let parallel = self.is_large_product(channels);
        let window = self.side() * self.side();
        let row = self.size[1] * channels;
        let all = self.size[0] * row;
        for_each_chunk(&mut output, all, parallel, |start, output| {
            let sample = start / all;
            let first = &first[sample * of_sample..][..of_sample];
            scratch::with::<T, _, 1>([self.positions * window], |[pixels]| {
                let part = LANES * window;
                for_each_chunk(pixels, part, parallel, |start, pixels| {
                    self.with_cells(|cells| {
                        vectorised(Pixels {
                            windows: self,
                            gradient,
                            sample,
                            first: start / window,
                            pixels,
                            cells,
                        });
                    });
                });
                let pixels = &*pixels;
                for_each_chunk(output, row, parallel, |start, output| {
                    vectorised(OfSecond {
                        windows: self,
                        first,
                        channels,
                        pixels,
                        sample,
                        row: start / row,
                        output,
                    });
                });
            });
        });
        output
    }

    fn is_large_product(&self, channels: usize) -> bool {
        is_large(self.windows() * self.points() * channels)
    }

    fn products<'a>(&self, features: Features<'a, T>) -> Products<'a, T> {
        let places = self.places();
        let Features {
            first,
            second,
            channels,
        } = features;
        assert_length("first features", first.len(), self.windows() * channels);
        let expected = self.samples * places * channels;
        assert_length("second features", second.len(), expected);
        Products { features, places }
    }
}

#[derive(Clone, Copy)]
struct Products<'a, T> {
    features: Features<'a, T>,
    /// Pixels of a sample's map.
    places: usize,
}

impl<T: Real> Source<T> for Products<'_, T> {
    #[inline(always)]
    fn read<A: Arithmetic>(
        &self,
        sample: usize,
        position: usize,
        place: &Place<T>,
        cells: &mut [Cell<T>],
        lane: usize,
    ) {
        let channels = self.features.channels;
        let first = &self.features.first[position * channels..][..channels];
        let start = sample * self.places;
        for row in place.rows() {
            for column in place.columns() {
                let pixel = start + place.on_map(row, column);
                let second = &self.features.second[pixel * channels..][..channels];
                cells[row * place.side + column][lane] = dot(first, second);
            }
        }
    }
}

/// The gradient in the features of some positions.
struct OfFirst<'a, T> {
    windows: &'a Windows<'a, T>,
    /// Of this sample.
    second: &'a [T],
    channels: usize,
    gradient: &'a [T],
    sample: usize,
    /// The first of at most [`LANES`] positions.
    first: usize,
    /// 0 as yet.
    output: &'a mut [T],
    cells: &'a mut [Cell<T>],
}

impl<T: Real> Kernel for OfFirst<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let (windows, sample, channels) = (self.windows, self.sample, self.channels);
        let count = self.output.len() / channels;
        let shares = windows.shares(sample, self.first..self.first + count);
        windows.spread::<A>(self.gradient, sample, self.first, &shares, self.cells);
        for (lane, output) in self.output.chunks_exact_mut(channels).enumerate() {
            let place = windows.place(sample, self.first + lane);
            for row in place.rows() {
                for column in place.columns() {
                    let slope = self.cells[row * place.side + column][lane % LANES];
                    let second = &self.second[place.on_map(row, column) * channels..][..channels];
                    add_multiple::<T, A>(output, slope, second);
                }
            }
        }
    }
}

/// The gradient in the pixels of some positions' windows, a row each.
struct Pixels<'a, T> {
    windows: &'a Windows<'a, T>,
    gradient: &'a [T],
    sample: usize,
    /// The first of at most [`LANES`] positions.
    first: usize,
    pixels: &'a mut [T],
    cells: &'a mut [Cell<T>],
}

impl<T: Real> Kernel for Pixels<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let (windows, sample) = (self.windows, self.sample);
        let window = self.cells.len();
        let count = self.pixels.len() / window;
        let shares = windows.shares(sample, self.first..self.first + count);
        windows.spread::<A>(self.gradient, sample, self.first, &shares, self.cells);
        for (lane, pixels) in self.pixels.chunks_exact_mut(window).enumerate() {
            for (pixel, cell) in pixels.iter_mut().zip(&*self.cells) {
                *pixel = cell[lane % LANES];
            }
        }
    }
}

/// The gradient in the features of one row of pixels.
struct OfSecond<'a, T> {
    windows: &'a Windows<'a, T>,
    /// Of this sample.
    first: &'a [T],
    channels: usize,
    /// The gradients in the pixels of every window.
    pixels: &'a [T],
    sample: usize,
    row: usize,
    /// 0 as yet.
    output: &'a mut [T],
}

impl<T: Real> Kernel for OfSecond<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let (windows, channels) = (self.windows, self.channels);
        let side = windows.side();
        let firsts = self.first.chunks_exact(channels);
        let pixels = self.pixels.chunks_exact(side * side);
        for (position, (first, pixels)) in firsts.zip(pixels).enumerate() {
            let place = windows.place(self.sample, position);
            let Some(row) = place.row_of_map(self.row) else {
                continue;
            };
            for column in place.columns() {
                let start = place.column_on_map(column) * channels;
                let output = &mut self.output[start..][..channels];
                add_multiple::<T, A>(output, pixels[row * side + column], first);
            }
        }
    }
}

/// Adds $fb$ to the numbers.
#[inline(always)]
fn add_multiple<T: Real, A: Arithmetic>(values: &mut [T], factor: T, others: &[T]) {
    for (value, &other) in values.iter_mut().zip(others) {
        *value = A::mul_add(factor, other, *value);
    }
}
