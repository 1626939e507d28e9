//! Products whose right factor is read where it lies.
//!
//! A row of the right factor is a window on a slice, and neighbouring rows may overlap: what one
//! tap of a kernel sees of a padded picture is contiguous, and so is what another sees a column
//! further on. Nothing is packed but the left factor. The tiles are those of
//! [`gemm`](super::super::gemm).

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::super::Real;
use super::super::gemm::Tile;

/// The terms that are summed up before a tile is left, so that what they read of the right factor
/// stays in the first cache.
pub(super) const DEPTH: usize = 256;

/// At least as many numbers as a vector has.
const SPARE: usize = 32;

/// The factors of a product, or a part of its sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows<'a, T> {
    /// The left factor, packed.
    pub(super) left: &'a [T],
    /// The length of its sums,
    pub(super) depth: usize,
    /// and the first of those terms that are summed up here.
    pub(super) first: usize,
    /// What the right factor is read from: the number in a term's row and a lane of a vector lies
    /// at the sum of the term's place, the vector's place and the lane. Whole vectors are read.
    pub(super) values: &'a [T],
    /// A place a term.
    pub(super) terms: &'a [usize],
    /// A place a vector of the product's rows.
    pub(super) vectors: &'a [usize],
    /// Whether it is added to what is there.
    pub(super) adds: bool,
}

impl<T: Real> Windows<'_, T> {
    /// Writes the product to rows, over whose end the last vector may reach.
    pub(super) fn run(self, rows: &mut [&mut [T]]) {
        if !self.terms.is_empty() {
            Arch::new().dispatch(Run(self, rows));
        } else if !self.adds {
            for row in rows {
                row.fill(T::ZERO);
            }
        }
    }
}

struct Run<'a, 'r, T>(Windows<'a, T>, &'a mut [&'r mut [T]]);

/// The numbers in a vector of this processor.
pub(super) fn lanes<T: Real>() -> usize {
    Arch::new().dispatch(Count::<T>(PhantomData))
}

struct Count<T>(PhantomData<T>);

impl<T: Real> WithSimd for Count<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        in_vector::<S, T>()
    }
}

#[inline(always)]
fn in_vector<S: Simd, T: Real>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

impl<T: Real> WithSimd for Run<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            multiply::<S, T, 12>(simd, self.0, self.1);
        } else {
            multiply::<S, T, 6>(simd, self.0, self.1);
        }
    }
}

#[inline(always)]
fn multiply<S: Simd, T: Real, const ROWS: usize>(
    simd: S,
    product: Windows<'_, T>,
    rows: &mut [&mut [T]],
) {
    let Windows {
        left,
        depth,
        first,
        values,
        terms,
        vectors,
        adds,
    } = product;
    debug_assert_eq!(ROWS, Tile::of::<T>().rows, "the left factor's strips");
    for (part, terms) in terms.chunks(DEPTH).enumerate() {
        let start = (first + part * DEPTH) * ROWS;
        let end = start + terms.len() * ROWS;
        let adds = adds || part > 0;
        for (tile, vectors) in vectors.chunks(2).enumerate() {
            let strips = left.chunks_exact(depth * ROWS);
            for (rows, left) in rows.chunks_mut(ROWS).zip(strips) {
                let (left, _) = left[start..end].as_chunks::<ROWS>();
                if let &[one, other] = vectors {
                    let values = [&values[one..], &values[other..]];
                    let mut sums = [[T::splat(simd, T::ZERO); 2]; ROWS];
                    sum_tile::<S, T, ROWS, 2>(simd, left, values, terms, &mut sums);
                    store::<S, T, 2>(simd, rows, 2 * tile, &sums, adds);
                } else {
                    let values = [&values[vectors[0]..]];
                    let mut sums = [[T::splat(simd, T::ZERO); 1]; ROWS];
                    sum_tile::<S, T, ROWS, 1>(simd, left, values, terms, &mut sums);
                    store::<S, T, 1>(simd, rows, 2 * tile, &sums, adds);
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
fn sum_tile<S: Simd, T: Real, const ROWS: usize, const WIDE: usize>(
    simd: S,
    left: &[[T; ROWS]],
    values: [&[T]; WIDE],
    terms: &[usize],
    result: &mut [[T::Vector<S>; WIDE]; ROWS],
) {
    let mut sums = [[T::splat(simd, T::ZERO); WIDE]; ROWS];
    for (left, &term) in left.iter().zip(terms) {
        let mut right = [T::splat(simd, T::ZERO); WIDE];
        for column in 0..WIDE {
            right[column] = load::<S, T>(values[column], term);
        }
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

#[inline(always)]
fn load<S: Simd, T: Real>(values: &[T], start: usize) -> T::Vector<S> {
    let lanes = in_vector::<S, T>();
    T::vectors::<S>(&values[start..][..lanes])[0]
}

/// Writes a tile from the vector `first` of each row on, or as much of it as there is room for.
#[inline(always)]
fn store<S: Simd, T: Real, const WIDE: usize>(
    simd: S,
    rows: &mut [&mut [T]],
    first: usize,
    sums: &[[T::Vector<S>; WIDE]],
    adds: bool,
) {
    let lanes = in_vector::<S, T>();
    for (row, sums) in rows.iter_mut().zip(sums) {
        for (row, &sum) in row[first * lanes..].chunks_mut(lanes).zip(sums) {
            if let Some(place) = T::vectors_mut::<S>(row).first_mut() {
                *place = if adds {
                    T::plus(simd, *place, sum)
                } else {
                    sum
                };
                continue;
            }
            let mut spare = [T::ZERO; SPARE];
            T::vectors_mut::<S>(&mut spare)[0] = sum;
            for (place, &sum) in row.iter_mut().zip(&spare) {
                *place = if adds { *place + sum } else { sum };
            }
        }
    }
}
