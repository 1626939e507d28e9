//! Where windows lie.

use std::ops::Range;

use super::super::Real;
use super::super::simd::Arithmetic;
use super::Windows;
use super::lanes::{Cell, LANES, Share};

/// The pixels of one window.
#[derive(Clone, Copy)]
pub(super) struct Place<T> {
    /// The first column and the first row; they may lie outside the map.
    first: [isize; 2],
    /// How far the sample points lie beyond whole pixels, along x and y.
    beyond: [T; 2],
    /// Pixels along each axis.
    pub(super) side: usize,
    /// Rows and columns of the map.
    size: [usize; 2],
}

impl<T> Place<T> {
    /// The columns of the window that lie on the map.
    #[inline(always)]
    pub(super) fn columns(&self) -> Range<usize> {
        inside(self.first[0], self.side, self.size[1])
    }

    /// The rows of the window that lie on the map.
    #[inline(always)]
    pub(super) fn rows(&self) -> Range<usize> {
        inside(self.first[1], self.side, self.size[0])
    }

    /// The place in the map of a pixel on it.
    #[inline(always)]
    pub(super) fn on_map(&self, row: usize, column: usize) -> usize {
        let row = (self.first[1] + row as isize) as usize;
        row * self.size[1] + self.column_on_map(column)
    }

    /// The column of the map of a pixel on it.
    #[inline(always)]
    pub(super) fn column_on_map(&self, column: usize) -> usize {
        (self.first[0] + column as isize) as usize
    }

    /// The row of the window that is this row of the map.
    #[inline(always)]
    pub(super) fn row_of_map(&self, row: usize) -> Option<usize> {
        let row = row as isize - self.first[1];
        (0..self.side as isize)
            .contains(&row)
            .then_some(row as usize)
    }
}

/// Which steps from `first` on lie between 0 and `length`.
#[inline(always)]
fn inside(first: isize, side: usize, length: usize) -> Range<usize> {
    let side = side as isize;
    let from = (-first).clamp(0, side);
    let to = (length as isize - first).clamp(0, side);
    from as usize..to as usize
}

/// What the pixels of a window are read from.
pub(super) trait Source<T>: Copy + Send + Sync {
    /// Writes the pixels on the map to one lane of the cells `[side, side]`. `position` counts
    /// through all samples.
    fn read<A: Arithmetic>(
        &self,
        sample: usize,
        position: usize,
        place: &Place<T>,
        cells: &mut [Cell<T>],
        lane: usize,
    );
}

impl<T: Real> Windows<'_, T> {
    #[inline(always)]
    pub(super) fn place(&self, sample: usize, position: usize) -> Place<T> {
        let [rows, columns] = self.size;
        let x = 2 * sample * self.positions + position;
        let (left, beyond_x) = self.along(self.centres[x], columns);
        let (top, beyond_y) = self.along(self.centres[x + self.positions], rows);
        Place {
            first: [left, top],
            beyond: [beyond_x, beyond_y],
            side: self.side(),
            size: self.size,
        }
    }

    /// The first pixel of a window along one axis, and how far points lie beyond whole pixels: NaN
    /// for a centre that is.
    #[inline(always)]
    fn along(&self, centre: T, length: usize) -> (isize, T) {
        // Beyond this margin every pixel is outside, and numbers stay small enough for integers.
        let margin = (self.radius + 2) as f64;
        let centre = centre.to_f64().clamp(-margin, length as f64 + margin);
        let whole = centre.floor();
        (whole as isize - self.radius as isize, T::of(centre - whole))
    }

    /// Reads the pixels of at most [`LANES`] windows into the cells `[side, side]`, 0 outside the
    /// map, and returns where the sample points lie between them, along x and y. The windows are
    /// some of those from `first` on.
    #[inline(always)]
    pub(super) fn read<A: Arithmetic, S: Source<T>>(
        &self,
        source: S,
        sample: usize,
        first: usize,
        windows: Range<usize>,
        cells: &mut [Cell<T>],
    ) -> [Share<T>; 2] {
        cells.fill([T::ZERO; LANES]);
        let mut beyond = [[T::ZERO; LANES]; 2];
        for (lane, window) in windows.enumerate() {
            let place = self.place(sample, first + window);
            let lane = lane % LANES;
            for (beyond, &of_window) in beyond.iter_mut().zip(&place.beyond) {
                beyond[lane] = of_window;
            }
            let position = sample * self.positions + first + window;
            source.read::<A>(sample, position, &place, cells, lane);
        }
        beyond.map(Share::new)
    }

    /// Where the sample points of at most [`LANES`] windows lie between pixels.
    #[inline(always)]
    pub(super) fn shares(&self, sample: usize, windows: Range<usize>) -> [Share<T>; 2] {
        let mut beyond = [[T::ZERO; LANES]; 2];
        for (lane, window) in windows.enumerate() {
            let place = self.place(sample, window);
            for (beyond, &of_window) in beyond.iter_mut().zip(&place.beyond) {
                beyond[lane % LANES] = of_window;
            }
        }
        beyond.map(Share::new)
    }
}
