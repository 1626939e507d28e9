//! Softmax of rows.

use pulp::Simd;

use super::Real;
use super::functions::normal_exp;
use super::output::Output;
use super::parallel::{assert_length, part};
use super::reduce::{maximum, product_of, total_of};
use super::simd::{Arithmetic, SumKernel, vectorised_sums};

/// The softmax of each row of `row` numbers,
///
/// $$y_i = \frac{e^{x_i - \max_j x_j}}{\sum_k e^{x_k - \max_j x_j}}.$$
///
/// Exponentials below $e^{-87}$ ($e^{-708}$ in `f64`) are 0, as nearly all are that would be no normal
/// numbers. NaN or $\infty$ in a row, or $-\infty$
/// alone, makes the row NaN.
///
/// # Panics
/// When the lengths differ or are no multiple of `row`.
pub fn softmax<'a, T: Real>(input: Option<&[T]>, output: impl Into<Output<'a, T>>, row: usize) {
    let output = output.into();
    check(input, output.len(), row);
    if output.is_empty() {
        return;
    }
    output.fill(row, |start, values| {
        vectorised_sums(Softmax {
            input: part(input, start, values.len()),
            values,
            row,
        });
    });
}

/// The gradient in the input of [`softmax`] from what it returned,
/// $y_i (g_i - \sum_k g_k y_k)$.
///
/// # Panics
/// When the lengths differ or are no multiple of `row`.
pub fn softmax_gradient<'a, T: Real>(
    saved: &[T],
    gradient: Option<&[T]>,
    output: impl Into<Output<'a, T>>,
    row: usize,
) {
    let output = output.into();
    check(gradient, output.len(), row);
    assert_length("saved", saved.len(), output.len());
    if output.is_empty() {
        return;
    }
    output.fill(row, |start, values| {
        vectorised_sums(Gradient {
            saved: &saved[start..start + values.len()],
            gradient: part(gradient, start, values.len()),
            values,
            row,
        });
    });
}

fn check<T>(input: Option<&[T]>, count: usize, row: usize) {
    if let Some(input) = input {
        assert_length("input", input.len(), count);
    }
    let whole = count == 0 || (row > 0 && count.is_multiple_of(row));
    assert!(whole, "{count} numbers are no rows of {row}");
}

struct Softmax<'a, T> {
    input: Option<&'a [T]>,
    values: &'a mut [T],
    row: usize,
}

impl<T: Real> SumKernel for Softmax<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        for (index, row) in self.values.chunks_exact_mut(self.row).enumerate() {
            // Three loops: only a loop without a sum vectorises with the exponential in it.
            match part(self.input, index * self.row, self.row) {
                Some(input) => {
                    let largest = maximum(input);
                    for (value, &x) in row.iter_mut().zip(input) {
                        *value = normal_exp::<T, A>(x - largest);
                    }
                }
                None => {
                    let largest = maximum(row);
                    for value in row.iter_mut() {
                        *value = normal_exp::<T, A>(*value - largest);
                    }
                }
            }
            let scale = T::ONE / total_of(simd, row);
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

impl<T: Real> SumKernel for Gradient<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let rows = self.values.chunks_exact_mut(self.row);
        for (index, (row, saved)) in rows.zip(self.saved.chunks_exact(self.row)).enumerate() {
            match part(self.gradient, index * self.row, self.row) {
                Some(gradient) => {
                    let product = product_of(simd, gradient, saved);
                    for ((value, &g), &y) in row.iter_mut().zip(gradient).zip(saved) {
                        *value = y * (g - product);
                    }
                }
                None => {
                    let product = product_of(simd, row, saved);
                    for (value, &y) in row.iter_mut().zip(saved) {
                        *value = y * (*value - product);
                    }
                }
            }
        }
    }
}
