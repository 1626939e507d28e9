//! A bias and an activation in one pass.

use std::marker::PhantomData;

use pulp::Simd;

use super::Real;
use super::elementwise::apply;
use super::layer_norm::{add, add_to};
use super::output::Output;
use super::parallel::{
    assert_length, for_each_chunk, is_large, part, rows_in_block, rows_in_chunk,
};
use super::pointwise::{Activation, Pointwise, with_pointwise};
use super::reduce::total_of;
use super::simd::{Arithmetic, Kernel, SumKernel, vectorised, vectorised_sums};

/// One bias a channel for numbers laid out as `[samples, channels, positions]`.
#[derive(Clone, Copy, Debug)]
pub struct Bias<'a, T> {
    /// The biases.
    pub bias: &'a [T],
    /// The numbers of one channel; 1 when channels are the last axis.
    pub positions: usize,
}

impl<T: Real> Bias<'_, T> {
    /// `activation` of every number plus its channel's bias.
    ///
    /// # Panics
    /// When the lengths differ or are no whole number of samples.
    pub fn activate<'a>(
        &self,
        activation: Activation,
        input: Option<&[T]>,
        output: impl Into<Output<'a, T>>,
    ) {
        let output = output.into();
        if let Some(input) = input {
            assert_length("input", input.len(), output.len());
        }
        check(output.len(), self.bias.len(), self.positions);
        if output.is_empty() {
            return;
        }
        with_pointwise!(activation, Function => self.activate_with::<Function>(input, output));
    }

    fn activate_with<F: Pointwise>(&self, input: Option<&[T]>, output: Output<'_, T>) {
        let row = if self.positions == 1 {
            self.bias.len()
        } else {
            self.positions
        };
        output.fill(row, |start, values| {
            vectorised(Activate::<T, F> {
                bias: *self,
                first: start / row,
                input: part(input, start, values.len()),
                values,
                function: PhantomData,
            });
        });
    }
}

/// The sum of each channel of numbers laid out as `[samples, channels, positions]`: the gradient
/// in a bias.
///
/// # Panics
/// When the numbers are no whole number of samples.
pub fn sum_channels<T: Real>(values: &[T], channels: usize, positions: usize) -> Vec<T> {
    check(values.len(), channels, positions);
    let mut result = vec![T::ZERO; channels];
    if values.is_empty() {
        return result;
    }
    let parallel = is_large(values.len());
    // Rows of one number a channel, which are then summed.
    let sums = if positions == 1 {
        let rows = values.len() / channels;
        let block = rows_in_block(rows, channels);
        let mut sums = vec![T::ZERO; rows.div_ceil(block) * channels];
        for_each_chunk(&mut sums, channels, parallel, |start, sums| {
            let start = start / channels * block * channels;
            let end = values.len().min(start + block * channels);
            vectorised(SumRows {
                values: &values[start..end],
                sums,
            });
        });
        sums
    } else {
        let mut sums = vec![T::ZERO; values.len() / positions];
        for_each_chunk(
            &mut sums,
            rows_in_chunk(positions),
            parallel,
            |start, sums| {
                let values = &values[start * positions..(start + sums.len()) * positions];
                vectorised_sums(SumPositions { values, sums });
            },
        );
        sums
    };
    for sums in sums.chunks_exact(channels) {
        add(&mut result, sums);
    }
    result
}

fn check(count: usize, channels: usize, positions: usize) {
    let sample = channels * positions;
    let whole = count == 0 || (sample > 0 && count.is_multiple_of(sample));
    assert!(
        whole,
        "{count} numbers are no samples of {channels} channels and {positions} positions"
    );
}

struct Activate<'a, T, F> {
    bias: Bias<'a, T>,
    /// The first row of the chunk: a sample, or a channel of one.
    first: usize,
    input: Option<&'a [T]>,
    values: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for Activate<'_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Bias { bias, positions } = self.bias;
        let width = if positions == 1 {
            bias.len()
        } else {
            positions
        };
        for (index, row) in self.values.chunks_exact_mut(width).enumerate() {
            let input = part(self.input, index * width, width);
            if positions == 1 {
                add_to(input, bias, row);
                continue;
            }
            let bias = bias[(self.first + index) % bias.len()];
            match input {
                Some(input) => {
                    for (value, &x) in row.iter_mut().zip(input) {
                        *value = x + bias;
                    }
                }
                None => {
                    for value in row {
                        *value += bias;
                    }
                }
            }
        }
        apply::<T, F, A>(self.values);
    }
}

struct SumRows<'a, T> {
    values: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Kernel for SumRows<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        for row in self.values.chunks_exact(self.sums.len()) {
            add(self.sums, row);
        }
    }
}

struct SumPositions<'a, T> {
    values: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> SumKernel for SumPositions<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let positions = self.values.len() / self.sums.len();
        let rows = self.values.chunks_exact(positions);
        for (total, row) in self.sums.iter_mut().zip(rows) {
            *total = total_of(simd, row);
        }
    }
}
