//! Softmax of rows.

use super::Real;
use super::elementwise::load;
use super::functions::exp;
use super::parallel::{assert_length, for_each_chunk, is_large, part, rows_in_chunk};
use super::reduce::{dot, maximum, sum};
use super::simd::{Arithmetic, Kernel, vectorised};

/// The softmax of each row of `row` numbers,
///
/// $$y_i = \frac{e^{x_i - \max_j x_j}}{\sum_k e^{x_k - \max_j x_j}}.$$
///
/// NaN or $\infty$ in a row, or $-\infty$ alone, makes the row NaN.
///
/// # Panics
/// When the lengths differ or are no multiple of `row`.
pub fn softmax<T: Real>(input: Option<&[T]>, output: &mut [T], row: usize) {
    check(input, output, row);
    if output.is_empty() {
        return;
    }
    let parallel = is_large(output.len());
    for_each_chunk(
        output,
        rows_in_chunk(row) * row,
        parallel,
        |start, values| {
            vectorised(Softmax {
                input: part(input, start, values.len()),
                values,
                row,
            });
        },
    );
}

/// The gradient in the input of [`softmax`] from what it returned,
/// $y_i (g_i - \sum_k g_k y_k)$.
///
/// # Panics
/// When the lengths differ or are no multiple of `row`.
pub fn softmax_gradient<T: Real>(
    saved: &[T],
    gradient: Option<&[T]>,
    output: &mut [T],
    row: usize,
) {
    check(gradient, output, row);
    assert_length("saved", saved.len(), output.len());
    if output.is_empty() {
        return;
    }
    let parallel = is_large(output.len());
    for_each_chunk(
        output,
        rows_in_chunk(row) * row,
        parallel,
        |start, values| {
            vectorised(Gradient {
                saved: &saved[start..start + values.len()],
                gradient: part(gradient, start, values.len()),
                values,
                row,
            });
        },
    );
}

fn check<T>(input: Option<&[T]>, output: &[T], row: usize) {
    if let Some(input) = input {
        assert_length("input", input.len(), output.len());
    }
    let whole = output.is_empty() || (row > 0 && output.len().is_multiple_of(row));
    assert!(whole, "{} numbers are no rows of {row}", output.len());
}

struct Softmax<'a, T> {
    input: Option<&'a [T]>,
    values: &'a mut [T],
    row: usize,
}

impl<T: Real> Kernel for Softmax<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        load(self.input, self.values);
        for row in self.values.chunks_exact_mut(self.row) {
            // Three loops: only a loop without a sum vectorises with the exponential in it.
            let largest = maximum(row);
            for value in row.iter_mut() {
                *value = exp::<T, A>(*value - largest);
            }
            let scale = T::ONE / sum(row);
            for value in row {
                *value = *value * scale;
            }
        }
    }
}

struct Gradient<'a, T> {
    saved: &'a [T],
    gradient: Option<&'a [T]>,
    values: &'a mut [T],
    row: usize,
}

impl<T: Real> Kernel for Gradient<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        load(self.gradient, self.values);
        let rows = self.values.chunks_exact_mut(self.row);
        for (row, saved) in rows.zip(self.saved.chunks_exact(self.row)) {
            let product = dot(row, saved);
            for (value, &y) in row.iter_mut().zip(saved) {
                *value = y * (*value - product);
            }
        }
    }
}
