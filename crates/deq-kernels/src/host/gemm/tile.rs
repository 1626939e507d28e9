//! The innermost loops of a product.
//!
//! A tile of the product stays in registers while one factor's numbers are multiplied with the
//! other's vectors: 12 rows of two vectors where there are 32 registers, 6 where there are 16. The
//! blocking is that of Goto and van de Geijn, ACM Trans. Math. Softw. 34(3), 2008.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::super::Real;
use super::Matrix;

/// Vectors beside each other in a tile.
const WIDE: usize = 2;

/// The terms that are summed up before a tile is left: of so many rows of the right factor a
/// group of columns fills at most 32 KiB, about a first cache.
const DEPTH: usize = 256;

/// At least as many numbers as a row of a tile has.
const SPARE: usize = 64;

/// The shape of a tile on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Tile {
    pub(crate) fn of<T: Real>() -> Self {
        Arch::new().dispatch(Measure::<T>(PhantomData))
    }
}

struct Measure<T>(PhantomData<T>);

impl<T: Real> WithSimd for Measure<T> {
    type Output = Tile;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Tile {
        let rows = if has_many_registers::<S>() { 12 } else { 6 };
        Tile {
            rows,
            columns: columns::<S, T>(),
        }
    }
}

#[inline(always)]
fn has_many_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// Numbers in a row of a tile.
#[inline(always)]
fn columns<S: Simd, T: Real>() -> usize {
    WIDE * size_of::<T::Vector<S>>() / size_of::<T>()
}

/// A left factor as the innermost loop reads it.
pub(crate) trait Left<T: Real>: Copy + Send + Sync {
    /// The factor from this row on, which is the first of a tile.
    fn below(self, row: usize, depth: usize) -> Self;

    /// The sums of a tile of `HEIGHT` rows, of which those that the factor does not have are
    /// anything.
    fn sums<S: Simd, const ROWS: usize, const HEIGHT: usize>(
        self,
        simd: S,
        strip: &Strip,
        right: &[T],
    ) -> [[T::Vector<S>; WIDE]; HEIGHT];
}

/// What a tile reads of a left factor.
pub(crate) struct Strip {
    /// How many groups of a tile's rows are above.
    index: usize,
    /// The terms that are summed up.
    terms: Range<usize>,
    /// And all there are.
    depth: usize,
}

/// A packed left factor: `depth` rows of it for each group of the tile's rows.
impl<T: Real> Left<T> for &[T] {
    fn below(self, row: usize, depth: usize) -> Self {
        &self[row * depth..]
    }

    /// The sums are a local array that nothing borrows and only constants index once the loops
    /// over the tile are unrolled: that is what lets the compiler keep them in registers.
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators over the sums would borrow them"
    )]
    fn sums<S: Simd, const ROWS: usize, const HEIGHT: usize>(
        self,
        simd: S,
        strip: &Strip,
        right: &[T],
    ) -> [[T::Vector<S>; WIDE]; HEIGHT] {
        let mut sums = [[T::splat(simd, T::ZERO); WIDE]; HEIGHT];
        let start = (strip.index * strip.depth + strip.terms.start) * ROWS;
        let (left, _) = self[start..start + strip.terms.len() * ROWS].as_chunks::<ROWS>();
        let (right, _) = T::vectors::<S>(right).as_chunks::<WIDE>();
        for (left, right) in left.iter().zip(right) {
            for row in 0..HEIGHT {
                let value = T::splat(simd, left[row]);
                for column in 0..WIDE {
                    let sum = sums[row][column];
                    sums[row][column] = T::times_plus(simd, value, right[column], sum);
                }
            }
        }
        sums
    }
}

/// A left factor as it is, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    values: &'a [T],
    /// How far rows are apart.
    stride: usize,
    count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// None where the numbers of a row are not next to each other.
    pub(crate) fn of(matrix: Matrix<'a, T>) -> Option<Self> {
        let ([count, depth], [stride, across]) = (matrix.shape(), matrix.strides());
        (across == 1 || depth == 1).then_some(Self {
            values: matrix.values(),
            stride,
            count,
        })
    }
}

impl<T: Real> Left<T> for Rows<'_, T> {
    fn below(self, row: usize, _depth: usize) -> Self {
        Self {
            values: self.values.get(row * self.stride..).unwrap_or_default(),
            count: self.count - row,
            ..self
        }
    }

    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators over the sums would borrow them"
    )]
    fn sums<S: Simd, const ROWS: usize, const HEIGHT: usize>(
        self,
        simd: S,
        strip: &Strip,
        right: &[T],
    ) -> [[T::Vector<S>; WIDE]; HEIGHT] {
        let mut sums = [[T::splat(simd, T::ZERO); WIDE]; HEIGHT];
        let (right, _) = T::vectors::<S>(right).as_chunks::<WIDE>();
        let mut rows: [&[T]; HEIGHT] = [&[]; HEIGHT];
        for index in 0..HEIGHT {
            let row = (strip.index * ROWS + index).min(self.count - 1);
            let terms = &self.values[row * self.stride..][strip.terms.clone()];
            // Lengths known to be the same: the loop below checks no bounds.
            rows[index] = &terms[..right.len()];
        }
        for term in 0..right.len() {
            for row in 0..HEIGHT {
                let value = T::splat(simd, rows[row][term]);
                for column in 0..WIDE {
                    let (sum, right) = (sums[row][column], right[term][column]);
                    sums[row][column] = T::times_plus(simd, value, right, sum);
                }
            }
        }
        sums
    }
}

/// A product with a packed right factor.
pub(crate) struct Product<'a, 'r, T, L = &'a [T]> {
    pub(crate) left: L,
    /// The right factor.
    pub(crate) right: &'a [T],
    /// The length of the sums; above 0.
    pub(crate) depth: usize,
    /// Where the product goes.
    pub(crate) rows: &'a mut [&'r mut [T]],
}

impl<T: Real, L: Left<T>> Product<'_, '_, T, L> {
    pub(crate) fn run(self) {
        if self.depth > 0 {
            Arch::new().dispatch(self);
        } else {
            for row in self.rows {
                row.fill(T::ZERO);
            }
        }
    }
}

impl<T: Real, L: Left<T>> WithSimd for Product<'_, '_, T, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if has_many_registers::<S>() {
            multiply::<S, T, L, 12>(simd, self);
        } else {
            multiply::<S, T, L, 6>(simd, self);
        }
    }
}

#[inline(always)]
fn multiply<S: Simd, T: Real, L: Left<T>, const ROWS: usize>(
    simd: S,
    product: Product<'_, '_, T, L>,
) {
    let Product {
        left,
        right,
        depth,
        rows,
    } = product;
    let columns = columns::<S, T>();
    for start in (0..depth).step_by(DEPTH) {
        let terms = start..depth.min(start + DEPTH);
        let adds = start > 0;
        for (group, right) in right.chunks_exact(depth * columns).enumerate() {
            let right = &right[terms.start * columns..terms.end * columns];
            for (index, rows) in rows.chunks_mut(ROWS).enumerate() {
                let terms = terms.clone();
                let strip = Strip {
                    index,
                    terms,
                    depth,
                };
                let mut tile = Tiled {
                    left,
                    right,
                    rows,
                    column: group * columns,
                    adds,
                };
                // The last rows take as low a tile as there is for them.
                match tile.rows.len() {
                    1 => tile.write::<S, ROWS, 1>(simd, &strip),
                    2 => tile.write::<S, ROWS, 2>(simd, &strip),
                    3..=4 => tile.write::<S, ROWS, 4>(simd, &strip),
                    5..=8 if ROWS > 8 => tile.write::<S, ROWS, 8>(simd, &strip),
                    _ => tile.write::<S, ROWS, ROWS>(simd, &strip),
                }
            }
        }
    }
}

/// One tile of a product.
struct Tiled<'a, 'b, 'r, T, L> {
    left: L,
    right: &'a [T],
    rows: &'b mut [&'r mut [T]],
    /// Its first column.
    column: usize,
    /// Whether its sums are added to those of the terms before.
    adds: bool,
}

impl<T: Real, L: Left<T>> Tiled<'_, '_, '_, T, L> {
    #[inline(always)]
    fn write<S: Simd, const ROWS: usize, const HEIGHT: usize>(&mut self, simd: S, strip: &Strip) {
        let sums = self.left.sums::<S, ROWS, HEIGHT>(simd, strip, self.right);
        for (row, sums) in self.rows.iter_mut().zip(&sums) {
            store::<S, T>(simd, &mut row[self.column..], sums, self.adds);
        }
    }
}

/// Writes a row of a tile, or as much of it as there is room for.
#[inline(always)]
fn store<S: Simd, T: Real>(simd: S, row: &mut [T], sums: &[T::Vector<S>; WIDE], adds: bool) {
    if row.len() >= columns::<S, T>() {
        for (place, &sum) in T::vectors_mut::<S>(row).iter_mut().zip(sums) {
            *place = if adds {
                T::plus(simd, *place, sum)
            } else {
                sum
            };
        }
        return;
    }
    let mut spare = [T::ZERO; SPARE];
    for (place, &sum) in T::vectors_mut::<S>(&mut spare).iter_mut().zip(sums) {
        *place = sum;
    }
    for (place, &sum) in row.iter_mut().zip(&spare) {
        *place = if adds { *place + sum } else { sum };
    }
}
