//! Windows of planes: every position has a map of its own.

use super::super::Real;
use super::super::parallel::{assert_length, for_each_chunk};
use super::super::simd::{Arithmetic, Kernel, vectorised};
use super::Windows;
use super::lanes::{Cell, LANES};
use super::place::{Place, Source};

impl<T: Real> Windows<'_, T> {
    /// The bilinear values of planes `[samples, positions, rows, columns]`, 0 outside, at the
    /// sample points of each position's window: `[samples, (2r + 1)², positions]`, whose points
    /// are in the order of their offsets along x and then along y.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn sample(&self, planes: &[T], output: &mut [T]) {
        self.interpolate(self.planes(planes), output);
    }

    /// The gradient in the centres of [`Windows::sample`].
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn sample_centres_gradient(&self, planes: &[T], gradient: &[T]) -> Vec<T> {
        self.centres_gradient(self.planes(planes), gradient)
    }

    /// The gradient in the planes of [`Windows::sample`].
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn sample_planes_gradient(&self, gradient: &[T]) -> Vec<T> {
        self.check(gradient.len());
        let mut output = vec![T::ZERO; self.windows() * self.places()];
        if output.is_empty() {
            return output;
        }
        let (all, part) = (
            self.positions * self.places(),
            self.in_part() * self.places(),
        );
        let parallel = self.is_large();
        for_each_chunk(&mut output, all, parallel, |start, planes| {
            let sample = start / all;
            for_each_chunk(planes, part, parallel, |start, planes| {
                self.with_cells(|cells| {
                    vectorised(Spread {
                        windows: self,
                        gradient,
                        sample,
                        first: start / self.places(),
                        planes,
                        cells,
                    });
                });
            });
        });
        output
    }

    fn planes<'a>(&self, values: &'a [T]) -> Planes<'a, T> {
        let places = self.places();
        assert_length("planes", values.len(), self.windows() * places);
        Planes { values, places }
    }
}

#[derive(Clone, Copy)]
struct Planes<'a, T> {
    values: &'a [T],
    places: usize,
}

impl<T: Real> Source<T> for Planes<'_, T> {
    #[inline(always)]
    fn read<A: Arithmetic>(
        &self,
        _sample: usize,
        position: usize,
        place: &Place<T>,
        cells: &mut [Cell<T>],
        lane: usize,
    ) {
        let plane = &self.values[position * self.places..][..self.places];
        let columns = place.columns();
        if columns.is_empty() {
            return;
        }
        for row in place.rows() {
            let values = &plane[place.on_map(row, columns.start)..][..columns.len()];
            let cells = &mut cells[row * place.side..][columns.clone()];
            for (cell, &value) in cells.iter_mut().zip(values) {
                cell[lane] = value;
            }
        }
    }
}

struct Spread<'a, T> {
    windows: &'a Windows<'a, T>,
    gradient: &'a [T],
    sample: usize,
    /// The first of these positions.
    first: usize,
    /// Their gradients; 0 as yet.
    planes: &'a mut [T],
    cells: &'a mut [Cell<T>],
}

impl<T: Real> Kernel for Spread<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let (windows, sample, cells) = (self.windows, self.sample, self.cells);
        let places = windows.places();
        for (block, planes) in self.planes.chunks_mut(LANES * places).enumerate() {
            let first = self.first + block * LANES;
            let shares = windows.shares(sample, first..first + planes.len() / places);
            windows.spread::<A>(self.gradient, sample, first, &shares, cells);
            for (lane, plane) in planes.chunks_exact_mut(places).enumerate() {
                let place = windows.place(sample, first + lane);
                let lane = lane % LANES;
                let columns = place.columns();
                if columns.is_empty() {
                    continue;
                }
                for row in place.rows() {
                    let values = &mut plane[place.on_map(row, columns.start)..][..columns.len()];
                    let cells = &cells[row * place.side..][columns.clone()];
                    for (value, cell) in values.iter_mut().zip(cells) {
                        *value = cell[lane];
                    }
                }
            }
        }
    }
}
