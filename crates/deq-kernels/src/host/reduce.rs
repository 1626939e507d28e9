//! Sums and maxima in lanes.
//!
//! The numbers at places $i, i + 32, i + 64, \dots$ are summed in lane $i$, and the lanes then
//! pairwise. The compiler may not reorder a sum, but it can keep lanes in vectors, and the order is
//! the same for every width of these.

use super::scalar::Scalar;

/// Enough for two vectors of AVX-512, or four of AVX2, in single precision: one addition waits for
/// the one before it in its own lane alone.
const LANES: usize = 32;

/// $\sum_i a_i$.
#[inline(always)]
pub(crate) fn sum<T: Scalar>(a: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (blocks, rest) = a.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &a) in lanes.iter_mut().zip(block) {
            *lane += a;
        }
    }
    for (lane, &a) in lanes.iter_mut().zip(rest) {
        *lane += a;
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
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += a * b;
    }
    total(lanes)
}

/// The largest number; NaN is passed over, and an empty slice has $-\infty$.
#[inline(always)]
pub(crate) fn maximum<T: Scalar>(a: &[T]) -> T {
    let lowest = T::of(f64::NEG_INFINITY);
    let mut lanes = [lowest; LANES];
    let (blocks, rest) = a.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &a) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, a);
        }
    }
    for (lane, &a) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, a);
    }
    let mut result = lowest;
    for lane in lanes {
        result = larger(result, lane);
    }
    result
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
        let (low, high) = lanes.split_at_mut(width);
        for (low, &high) in low.iter_mut().zip(high.iter()) {
            *low += high;
        }
    }
    lanes[0]
}
