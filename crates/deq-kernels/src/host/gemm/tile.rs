//! The innermost loops of a product.
//!
//! A tile of the product stays in registers while one factor's numbers are multiplied with the
//! other's vectors: 12 rows of two vectors where there are 32 registers, 6 where there are 16. The
//! blocking is that of Goto and van de Geijn, ACM Trans. Math. Softw. 34(3), 2008.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::super::Real;

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

/// A product of packed factors.
pub(crate) struct Product<'a, 'r, T> {
    /// The left factor, `depth` rows of it for each group of the tile's rows.
    pub(crate) left: &'a [T],
    /// The right factor.
    pub(crate) right: &'a [T],
    /// The length of the sums; above 0.
    pub(crate) depth: usize,
    /// Where the product goes.
    pub(crate) rows: &'a mut [&'r mut [T]],
    /// Whether it is added to what is there.
    pub(crate) adds: bool,
}

impl<T: Real> Product<'_, '_, T> {
    pub(crate) fn run(self) {
        if self.depth > 0 {
            Arch::new().dispatch(self);
        } else if !self.adds {
            for row in self.rows {
                row.fill(T::ZERO);
            }
        }
    }
}

impl<T: Real> WithSimd for Product<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if has_many_registers::<S>() {
            multiply::<S, T, 12>(simd, self);
        } else {
            multiply::<S, T, 6>(simd, self);
        }
    }
}

#[inline(always)]
fn multiply<S: Simd, T: Real, const ROWS: usize>(simd: S, product: Product<'_, '_, T>) {
    let Product {
        left,
        right,
        depth,
        rows,
        adds,
    } = product;
    let columns = columns::<S, T>();
    for start in (0..depth).step_by(DEPTH) {
        let end = depth.min(start + DEPTH);
        let adds = adds || start > 0;
        for (group, right) in right.chunks_exact(depth * columns).enumerate() {
            let right = &right[start * columns..end * columns];
            let strips = left.chunks_exact(depth * ROWS);
            for (rows, left) in rows.chunks_mut(ROWS).zip(strips) {
                let left = &left[start * ROWS..end * ROWS];
                let mut sums = [[T::splat(simd, T::ZERO); WIDE]; ROWS];
                sum_tile::<S, T, ROWS>(simd, left, right, &mut sums);
                for (row, sums) in rows.iter_mut().zip(&sums) {
                    store::<S, T>(simd, &mut row[group * columns..], sums, adds);
                }
            }
        }
    }
}

/// The sums are a local array that nothing borrows and only constants index once the loops over
/// the tile are unrolled: that is what lets the compiler keep them in registers.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "iterators over the sums would borrow them"
)]
fn sum_tile<S: Simd, T: Real, const ROWS: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    result: &mut [[T::Vector<S>; WIDE]; ROWS],
) {
    let mut sums = [[T::splat(simd, T::ZERO); WIDE]; ROWS];
    let (left, _) = left.as_chunks::<ROWS>();
    let (right, _) = T::vectors::<S>(right).as_chunks::<WIDE>();
    for (left, right) in left.iter().zip(right) {
        for row in 0..ROWS {
            let value = T::splat(simd, left[row]);
            for column in 0..WIDE {
                let sum = sums[row][column];
                sums[row][column] = T::times_plus(simd, value, right[column], sum);
            }
        }
    }
    *result = sums;
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
