//! Sums and maxima in lanes.
//!
//! The numbers at places $i, i + 32, i + 64, \dots$ are summed in lane $i$, and the lanes then
//! pairwise. The compiler may not reorder a sum, but lanes can be kept in vectors, and the order is
//! the same for every width of these.
//!
//! In a loop over lanes the compiler finds vectors in some kernels and not in others: [`total_of`]
//! and [`product_of`] name them.

#![allow(
    clippy::needless_range_loop,
    reason = "iterators over the lanes would keep them out of registers"
)]

use pulp::Simd;

use super::scalar::Scalar;
use super::vector::Lanes;

/// Enough for two vectors of AVX-512, or four of AVX2, in single precision: one addition waits for
/// the one before it in its own lane alone.
const LANES: usize = 32;

/// $\sum_i a_i$.
#[inline(always)]
pub(crate) fn sum<T: Scalar>(a: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (blocks, rest) = a.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    if !rest.is_empty() {
        let block = padded(rest, T::ZERO);
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    total(lanes)
}

/// $\sum_i a_i b_i$ for slices of equal length.
#[inline(always)]
pub(crate) fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    if !a_rest.is_empty() {
        let (a, b) = (padded(a_rest, T::ZERO), padded(b_rest, T::ZERO));
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    total(lanes)
}

/// [`sum`] in vectors.
#[inline(always)]
pub(crate) fn total_of<S: Simd, T: Lanes>(simd: S, a: &[T]) -> T {
    match vectors_of_lanes::<S, T>() {
        2 => total_in::<S, T, 2>(simd, a),
        4 => total_in::<S, T, 4>(simd, a),
        8 => total_in::<S, T, 8>(simd, a),
        16 => total_in::<S, T, 16>(simd, a),
        _ => sum(a),
    }
}

/// [`dot`] in vectors, each product and sum rounded once where the processor can.
#[inline(always)]
pub(crate) fn product_of<S: Simd, T: Lanes>(simd: S, a: &[T], b: &[T]) -> T {
    match vectors_of_lanes::<S, T>() {
        2 => product_in::<S, T, 2>(simd, a, b),
        4 => product_in::<S, T, 4>(simd, a, b),
        8 => product_in::<S, T, 8>(simd, a, b),
        16 => product_in::<S, T, 16>(simd, a, b),
        _ => dot(a, b),
    }
}

#[inline(always)]
fn vectors_of_lanes<S: Simd, T: Lanes>() -> usize {
    LANES * size_of::<T>() / size_of::<T::Vector<S>>()
}

#[inline(always)]
fn total_in<S: Simd, T: Lanes, const V: usize>(simd: S, a: &[T]) -> T {
    let mut sums = [T::splat(simd, T::ZERO); V];
    let whole = a.len() / LANES * LANES;
    let (blocks, _) = T::vectors::<S>(&a[..whole]).as_chunks::<V>();
    for block in blocks {
        for i in 0..V {
            sums[i] = T::plus(simd, sums[i], block[i]);
        }
    }
    if whole < a.len() {
        let rest = padded(&a[whole..], T::ZERO);
        let rest = T::vectors::<S>(&rest);
        for i in 0..V {
            sums[i] = T::plus(simd, sums[i], rest[i]);
        }
    }
    total(unpacked::<S, T>(&sums))
}

#[inline(always)]
fn product_in<S: Simd, T: Lanes, const V: usize>(simd: S, a: &[T], b: &[T]) -> T {
    let mut sums = [T::splat(simd, T::ZERO); V];
    let whole = a.len() / LANES * LANES;
    let (a_blocks, _) = T::vectors::<S>(&a[..whole]).as_chunks::<V>();
    let (b_blocks, _) = T::vectors::<S>(&b[..whole]).as_chunks::<V>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..V {
            sums[i] = T::times_plus(simd, a[i], b[i], sums[i]);
        }
    }
    if whole < a.len() {
        let (a, b) = (padded(&a[whole..], T::ZERO), padded(&b[whole..], T::ZERO));
        let (a, b) = (T::vectors::<S>(&a), T::vectors::<S>(&b));
        for i in 0..V {
            sums[i] = T::times_plus(simd, a[i], b[i], sums[i]);
        }
    }
    total(unpacked::<S, T>(&sums))
}

#[inline(always)]
fn unpacked<S: Simd, T: Lanes>(sums: &[T::Vector<S>]) -> [T; LANES] {
    let mut lanes = [T::ZERO; LANES];
    T::vectors_mut::<S>(&mut lanes).copy_from_slice(sums);
    lanes
}

/// The largest number; NaN is passed over, and an empty slice has $-\infty$.
#[inline(always)]
pub(crate) fn maximum<T: Scalar>(a: &[T]) -> T {
    let lowest = T::of(f64::NEG_INFINITY);
    let mut lanes = [lowest; LANES];
    let (blocks, rest) = a.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], block[i]);
        }
    }
    if !rest.is_empty() {
        let block = padded(rest, lowest);
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], block[i]);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = larger(lanes[i], lanes[width + i]);
        }
    }
    lanes[0]
}

/// Numbers for all lanes: those of a last block, then others that change nothing.
#[inline(always)]
fn padded<T: Scalar>(rest: &[T], with: T) -> [T; LANES] {
    let mut block = [with; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[inline(always)]
fn larger<T: Scalar>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

#[inline(always)]
fn total<T: Scalar>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[width + i];
        }
    }
    lanes[0]
}
