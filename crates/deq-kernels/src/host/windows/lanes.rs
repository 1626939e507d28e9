//! Numbers of several windows side by side.

use super::super::scalar::Scalar;
use super::super::simd::Arithmetic;

/// Windows interpolated at a time: a vector of AVX-512 in single precision, a line of the cache.
pub(super) const LANES: usize = 16;

/// One number of each of so many windows.
pub(super) type Cell<T> = [T; LANES];

/// How far the sample points of each window lie beyond whole pixels along one axis: the share $f$
/// of the pixel after, and $1 - f$, that of the one before.
pub(super) struct Share<T> {
    after: Cell<T>,
    before: Cell<T>,
}

impl<T: Scalar> Share<T> {
    #[inline(always)]
    pub(super) fn new(after: Cell<T>) -> Self {
        let mut before = after;
        for value in &mut before {
            *value = T::ONE - *value;
        }
        Self { after, before }
    }

    /// $(1 - f)\, a + f\, b$.
    #[inline(always)]
    pub(super) fn blend<A: Arithmetic>(&self, a: &Cell<T>, b: &Cell<T>) -> Cell<T> {
        self.add_rest::<A>(a, &self.share_of(b))
    }

    /// $f\, a$.
    #[inline(always)]
    pub(super) fn share_of(&self, a: &Cell<T>) -> Cell<T> {
        let mut values = self.after;
        for (value, &a) in values.iter_mut().zip(a) {
            *value = *value * a;
        }
        values
    }

    /// $(1 - f)\, a + b$.
    #[inline(always)]
    pub(super) fn add_rest<A: Arithmetic>(&self, a: &Cell<T>, b: &Cell<T>) -> Cell<T> {
        let mut values = self.before;
        for ((value, &a), &b) in values.iter_mut().zip(a).zip(b) {
            *value = A::mul_add(*value, a, b);
        }
        values
    }
}

/// Adds $g\,(b - a)$ to the sums.
#[inline(always)]
pub(super) fn add_rise<T: Scalar, A: Arithmetic>(
    sums: &mut Cell<T>,
    g: &Cell<T>,
    a: &Cell<T>,
    b: &Cell<T>,
) {
    for (((sum, &g), &a), &b) in sums.iter_mut().zip(g).zip(a).zip(b) {
        *sum = A::mul_add(g, b - a, *sum);
    }
}

/// The first numbers of a slice, and 0 where it ends before.
#[inline(always)]
pub(super) fn load<T: Scalar>(values: &[T]) -> Cell<T> {
    if let Some(whole) = values.first_chunk() {
        return *whole;
    }
    let mut cell = [T::ZERO; LANES];
    for (number, &value) in cell.iter_mut().zip(values) {
        *number = value;
    }
    cell
}

/// Writes as many numbers as there is room for.
#[inline(always)]
pub(super) fn store<T: Scalar>(cell: &Cell<T>, output: &mut [T]) {
    if let Some(whole) = output.first_chunk_mut() {
        *whole = *cell;
        return;
    }
    for (value, &number) in output.iter_mut().zip(cell) {
        *value = number;
    }
}
