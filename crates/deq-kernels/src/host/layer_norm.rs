//! Layer norm of rows, and what it shares with group norm.

use pulp::Simd;

use super::output::Output;
use super::parallel::{assert_length, for_each_pair, part, rows_in_block};
use super::reduce::{product_of, total_of};
use super::scalar::Scalar;
use super::simd::{Arithmetic, SumKernel, vectorised_sums};
use super::vector::Lanes;
use super::{NormGradients, Real};

/// How many intermediate numbers are kept on the stack.
pub(crate) const PART: usize = 256;

/// Layer norm of rows as long as the gains,
///
/// $$y = \gamma \odot \frac{s - \bar s}{\sqrt{\frac1d \lVert s - \bar s \rVert^2 + \epsilon}} +
///   \beta, \qquad s = x + r,$$
///
/// with the mean $\bar s$ of a row and an optional residual $r$ (Ba, Kiros and Hinton,
/// arXiv 1607.06450, equation 4).
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a, T> {
    /// The gains $\gamma$.
    pub gamma: &'a [T],
    /// The biases $\beta$.
    pub beta: &'a [T],
    /// $\epsilon$.
    pub epsilon: f64,
}

impl<T: Real> LayerNorm<'_, T> {
    /// The layer norm of each row of `input` plus `residual`.
    ///
    /// # Panics
    /// When the lengths of the inputs, or of gains and biases, differ, or the former are no
    /// multiple of the latter.
    pub fn forward<'a>(
        &self,
        input: Option<&[T]>,
        residual: Option<&[T]>,
        output: impl Into<Output<'a, T>>,
    ) {
        let output = output.into();
        self.check(output.len());
        for (name, input) in [("input", input), ("residual", residual)] {
            if let Some(input) = input {
                assert_length(name, input.len(), output.len());
            }
        }
        if output.is_empty() {
            return;
        }
        let row = self.gamma.len();
        output.fill(row, |start, values| {
            vectorised_sums(Forward {
                norm: *self,
                input: part(input, start, values.len()),
                residual: part(residual, start, values.len()),
                values,
            });
        });
    }

    /// The gradients. With the normalised row $\hat s$, its standard deviation $\sigma$ and
    /// $h = g \odot \gamma$, that of the row is $(h - \bar h - \hat s\, \overline{h \odot \hat s}) / \sigma$.
    ///
    /// # Panics
    /// As [`LayerNorm::forward`].
    pub fn backward(
        &self,
        input: &[T],
        residual: Option<&[T]>,
        gradient: &[T],
    ) -> NormGradients<T> {
        self.check(input.len());
        assert_length("gradient", gradient.len(), input.len());
        if let Some(residual) = residual {
            assert_length("residual", residual.len(), input.len());
        }
        let row = self.gamma.len();
        let mut result = NormGradients {
            input: vec![T::ZERO; input.len()],
            gamma: vec![T::ZERO; row],
            beta: vec![T::ZERO; row],
        };
        if input.is_empty() {
            return result;
        }
        let rows = input.len() / row;
        let block_rows = rows_in_block(rows, row);
        let block = block_rows * row;
        let mut sums = vec![T::ZERO; rows.div_ceil(block_rows) * 2 * row];
        for_each_pair(
            (&mut result.input[..], block),
            (&mut sums[..], 2 * row),
            |index, values, sums| {
                let range = index * block..index * block + values.len();
                vectorised_sums(Backward {
                    norm: *self,
                    input: &input[range.clone()],
                    residual: residual.map(|residual| &residual[range.clone()]),
                    gradient: &gradient[range],
                    values,
                    sums,
                });
            },
        );
        for sums in sums.chunks_exact(2 * row) {
            let (gamma, beta) = sums.split_at(row);
            add(&mut result.gamma, gamma);
            add(&mut result.beta, beta);
        }
        result
    }

    fn check(&self, count: usize) {
        assert_length("beta", self.beta.len(), self.gamma.len());
        let row = self.gamma.len();
        let whole = count == 0 || (row > 0 && count.is_multiple_of(row));
        assert!(whole, "{count} numbers are no rows of {row}");
    }
}

struct Forward<'a, T> {
    norm: LayerNorm<'a, T>,
    input: Option<&'a [T]>,
    residual: Option<&'a [T]>,
    values: &'a mut [T],
}

impl<T: Real> SumKernel for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let LayerNorm {
            gamma,
            beta,
            epsilon,
        } = self.norm;
        let width = gamma.len();
        for (index, row) in self.values.chunks_exact_mut(width).enumerate() {
            let range = index * width..(index + 1) * width;
            let input = part(self.input, range.start, width);
            let scale = match self.residual {
                Some(residual) => {
                    add_to(input, &residual[range], row);
                    centre(simd, None, row, T::of(epsilon))
                }
                None => centre(simd, input, row, T::of(epsilon)),
            };
            for ((value, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
                *value = A::mul_add(*value * scale, gamma, beta);
            }
        }
    }
}

struct Backward<'a, T> {
    norm: LayerNorm<'a, T>,
    input: &'a [T],
    residual: Option<&'a [T]>,
    gradient: &'a [T],
    /// Gradients in the input.
    values: &'a mut [T],
    /// Gradients in the gains, then in the biases.
    sums: &'a mut [T],
}

impl<T: Real> SumKernel for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let gamma = self.norm.gamma;
        let width = gamma.len();
        let (gamma_sums, beta_sums) = self.sums.split_at_mut(width);
        let epsilon = T::of(self.norm.epsilon);
        let rows = self.values.chunks_exact_mut(width);
        let rows = rows.zip(self.gradient.chunks_exact(width));
        for (index, (row, gradient)) in rows.enumerate() {
            let range = index * width..(index + 1) * width;
            let input = Some(&self.input[range.clone()]);
            let scale = match self.residual {
                Some(residual) => {
                    add_to(input, &residual[range], row);
                    centre(simd, None, row, epsilon)
                }
                None => centre(simd, input, row, epsilon),
            };
            for value in row.iter_mut() {
                *value = *value * scale;
            }
            let sums = gamma_sums.iter_mut().zip(beta_sums.iter_mut());
            for ((sums, &value), &g) in sums.zip(row.iter()).zip(gradient) {
                *sums.0 += g * value;
                *sums.1 += g;
            }
            let count = T::of(width as f64);
            let (mean, along) = weighted_sums(simd, row, gradient, gamma);
            let (mean, along) = (mean / count, along / count);
            for ((value, &g), &gamma) in row.iter_mut().zip(gradient).zip(gamma) {
                *value = scale * (g * gamma - mean - *value * along);
            }
        }
    }
}

/// $\sum_i g_i \gamma_i$ and $\sum_i g_i \gamma_i \hat s_i$.
#[inline(always)]
fn weighted_sums<S: Simd, T: Lanes>(simd: S, row: &[T], gradient: &[T], gamma: &[T]) -> (T, T) {
    let (mut mean, mut along) = (T::ZERO, T::ZERO);
    let parts = gradient.chunks(PART).zip(gamma.chunks(PART));
    for (row, (gradient, gamma)) in row.chunks(PART).zip(parts) {
        let mut products = [T::ZERO; PART];
        let products = &mut products[..row.len()];
        for ((product, &g), &gamma) in products.iter_mut().zip(gradient).zip(gamma) {
            *product = g * gamma;
        }
        mean += total_of(simd, products);
        along += product_of(simd, products, row);
    }
    (mean, along)
}

/// Fills the row with `input`, or what it holds, less the mean, and returns the reciprocal of the
/// standard deviation.
#[inline(always)]
pub(crate) fn centre<S: Simd, T: Lanes>(
    simd: S,
    input: Option<&[T]>,
    row: &mut [T],
    epsilon: T,
) -> T {
    let count = T::of(row.len() as f64);
    let mean = total_of(simd, input.unwrap_or(row)) / count;
    match input {
        Some(input) => {
            for (value, &x) in row.iter_mut().zip(input) {
                *value = x - mean;
            }
        }
        None => {
            for value in row.iter_mut() {
                *value = *value - mean;
            }
        }
    }
    let variance = product_of(simd, row, row) / count;
    T::ONE / (variance + epsilon).sqrt()
}

/// Adds numbers to the input's, or to those in the row.
#[inline(always)]
pub(crate) fn add_to<T: Scalar>(input: Option<&[T]>, others: &[T], row: &mut [T]) {
    match input {
        Some(input) => {
            for ((value, &a), &b) in row.iter_mut().zip(input).zip(others) {
                *value = a + b;
            }
        }
        None => add(row, others),
    }
}

/// Adds numbers to those at equal places.
#[inline(always)]
pub(crate) fn add<T: Scalar>(values: &mut [T], others: &[T]) {
    for (value, &other) in values.iter_mut().zip(others) {
        *value += other;
    }
}
