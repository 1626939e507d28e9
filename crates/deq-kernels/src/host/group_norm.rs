//! Group norm of pictures.

use pulp::Simd;

use super::layer_norm::{PART, centre};
use super::output::Output;
use super::parallel::{assert_length, for_each_pair, part, rows_in_chunk};
use super::pointwise::{Pointwise, Relu};
use super::reduce::{product_of, total_of};
use super::scalar::Scalar;
use super::simd::{Arithmetic, SumKernel, vectorised_sums};
use super::vector::Lanes;
use super::{NormGradients, Real};

/// Group norm of `[samples, channels, positions]`: a group of channels of one sample is centred and
/// divided by $\sqrt{\sigma^2 + \epsilon}$, then each channel is multiplied by its gain and shifted
/// by its bias (Wu and He, arXiv 1803.08494, equations 1 to 7), and optionally rectified.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a, T> {
    /// The gains, one a channel.
    pub gamma: &'a [T],
    /// The biases, one a channel.
    pub beta: &'a [T],
    /// Into how many groups of consecutive channels a sample is divided.
    pub groups: usize,
    /// The numbers of one channel: height times width.
    pub positions: usize,
    /// What is added to the variance.
    pub epsilon: f64,
    /// Whether negative results become 0.
    pub relu: bool,
}

impl<T: Real> GroupNorm<'_, T> {
    /// The norm of every sample.
    ///
    /// # Panics
    /// When the lengths of input and output, or of gains and biases, differ, the groups do not
    /// divide the channels, or the input is no whole number of samples.
    pub fn forward<'a>(&self, input: Option<&[T]>, output: impl Into<Output<'a, T>>) {
        self.forward_with(input, None, output.into());
    }

    /// The norm of every sample plus a residual, which is added before negative results become 0.
    ///
    /// # Panics
    /// As [`GroupNorm::forward`], and when the residual has another length than the input.
    pub fn forward_add<'a>(
        &self,
        input: Option<&[T]>,
        residual: &[T],
        output: impl Into<Output<'a, T>>,
    ) {
        self.forward_with(input, Some(residual), output.into());
    }

    fn forward_with(&self, input: Option<&[T]>, residual: Option<&[T]>, output: Output<'_, T>) {
        self.check(output.len());
        for (name, input) in [("input", input), ("residual", residual)] {
            if let Some(input) = input {
                assert_length(name, input.len(), output.len());
            }
        }
        if output.is_empty() {
            return;
        }
        let row = self.row();
        output.fill(row, |start, values| {
            vectorised_sums(Forward {
                norm: *self,
                first: start / row,
                input: part(input, start, values.len()),
                residual: part(residual, start, values.len()),
                values,
            });
        });
    }

    /// The gradients; that of a group is as in [`LayerNorm::backward`](super::LayerNorm::backward).
    ///
    /// # Panics
    /// As [`GroupNorm::forward`].
    pub fn backward(&self, input: &[T], gradient: &[T]) -> NormGradients<T> {
        self.check(input.len());
        assert_length("gradient", gradient.len(), input.len());
        let channels = self.gamma.len();
        let mut result = NormGradients {
            input: vec![T::ZERO; input.len()],
            gamma: vec![T::ZERO; channels],
            beta: vec![T::ZERO; channels],
        };
        if input.is_empty() {
            return result;
        }
        let row = self.row();
        let rows = rows_in_chunk(row);
        // For every channel of every sample its part in the gradient of the gain and of the bias.
        let mut sums = vec![T::ZERO; input.len() / self.positions * 2];
        for_each_pair(
            (&mut result.input[..], rows * row),
            (&mut sums[..], rows * self.members() * 2),
            |index, values, sums| {
                let start = index * rows * row;
                let range = start..start + values.len();
                vectorised_sums(Backward {
                    norm: *self,
                    first: start / row,
                    input: &input[range.clone()],
                    gradient: &gradient[range],
                    values,
                    sums,
                });
            },
        );
        for sample in sums.chunks_exact(2 * channels) {
            let channels = result.gamma.iter_mut().zip(&mut result.beta);
            for ((gamma, beta), sums) in channels.zip(sample.chunks_exact(2)) {
                *gamma += sums[0];
                *beta += sums[1];
            }
        }
        result
    }

    /// Channels of a group.
    fn members(&self) -> usize {
        self.gamma.len() / self.groups
    }

    /// Numbers of a group.
    fn row(&self) -> usize {
        self.members() * self.positions
    }

    fn check(&self, count: usize) {
        let channels = self.gamma.len();
        assert_length("beta", self.beta.len(), channels);
        assert!(
            self.groups > 0 && channels.is_multiple_of(self.groups),
            "{} groups do not divide {channels} channels",
            self.groups
        );
        let sample = channels * self.positions;
        let whole = count == 0 || (sample > 0 && count.is_multiple_of(sample));
        assert!(whole, "{count} numbers are no samples of {sample}");
    }
}

struct Forward<'a, T> {
    norm: GroupNorm<'a, T>,
    /// The first group of the chunk, counted over all samples.
    first: usize,
    input: Option<&'a [T]>,
    residual: Option<&'a [T]>,
    values: &'a mut [T],
}

impl<T: Real> SumKernel for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let norm = self.norm;
        let length = norm.row();
        for (index, row) in self.values.chunks_exact_mut(length).enumerate() {
            let input = part(self.input, index * length, length);
            let scale = centre(simd, input, row, T::of(norm.epsilon));
            let start = (self.first + index) % norm.groups * norm.members();
            let affine = norm.gamma[start..].iter().zip(&norm.beta[start..]);
            let channels = row.chunks_exact_mut(norm.positions);
            for (place, (channel, (&gamma, &beta))) in channels.zip(affine).enumerate() {
                if let Some(residual) = self.residual {
                    let start = index * length + place * norm.positions;
                    let residual = &residual[start..start + norm.positions];
                    for (value, &residual) in channel.iter_mut().zip(residual) {
                        *value = A::mul_add(*value * scale, gamma, beta) + residual;
                    }
                    if norm.relu {
                        for value in channel {
                            *value = Relu::value::<T, A>(*value);
                        }
                    }
                } else if norm.relu {
                    for value in channel {
                        let y = A::mul_add(*value * scale, gamma, beta);
                        *value = Relu::value::<T, A>(y);
                    }
                } else {
                    for value in channel {
                        *value = A::mul_add(*value * scale, gamma, beta);
                    }
                }
            }
        }
    }
}

struct Backward<'a, T> {
    norm: GroupNorm<'a, T>,
    first: usize,
    input: &'a [T],
    gradient: &'a [T],
    /// Gradients in the input.
    values: &'a mut [T],
    /// For each channel the gradient in its gain and in its bias.
    sums: &'a mut [T],
}

impl<T: Real> SumKernel for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Simd, A: Arithmetic>(self, simd: S) {
        let norm = self.norm;
        let (members, positions) = (norm.members(), norm.positions);
        let rows = self.values.chunks_exact_mut(norm.row());
        let inputs = self.input.chunks_exact(norm.row());
        let rows = rows.zip(inputs.zip(self.gradient.chunks_exact(norm.row())));
        let rows = rows.zip(self.sums.chunks_exact_mut(2 * members));
        for (index, ((row, (input, gradient)), sums)) in rows.enumerate() {
            let scale = centre(simd, Some(input), row, T::of(norm.epsilon));
            let start = (self.first + index) % norm.groups * members;
            let gammas = &norm.gamma[start..start + members];
            let betas = &norm.beta[start..start + members];
            let count = T::of(row.len() as f64);

            let (mut mean, mut along) = (T::ZERO, T::ZERO);
            let parts = row.chunks_exact_mut(positions);
            let parts = parts.zip(gradient.chunks_exact(positions));
            let parts = parts.zip(sums.chunks_exact_mut(2));
            for (((channel, gradient), sums), (&gamma, &beta)) in
                parts.zip(gammas.iter().zip(betas))
            {
                for value in channel.iter_mut() {
                    *value = *value * scale;
                }
                let (product, total) = if norm.relu {
                    passed_sums::<S, T, A>(simd, channel, gradient, gamma, beta)
                } else {
                    (
                        product_of(simd, channel, gradient),
                        total_of(simd, gradient),
                    )
                };
                sums[0] = product;
                sums[1] = total;
                along += gamma * sums[0];
                mean += gamma * sums[1];
            }
            let (mean, along) = (mean / count, along / count);

            let parts = row.chunks_exact_mut(positions);
            let parts = parts.zip(gradient.chunks_exact(positions));
            for ((channel, gradient), (&gamma, &beta)) in parts.zip(gammas.iter().zip(betas)) {
                let pairs = channel.iter_mut().zip(gradient);
                if norm.relu {
                    for (value, &g) in pairs {
                        let g = passed::<T, A>(*value, g, gamma, beta) * gamma;
                        *value = scale * (g - mean - *value * along);
                    }
                } else {
                    for (value, &g) in pairs {
                        *value = scale * (g * gamma - mean - *value * along);
                    }
                }
            }
        }
    }
}

/// The gradient of a normalised value, where the forward pass has let it through the rectifier.
#[inline(always)]
fn passed<T: Scalar, A: Arithmetic>(value: T, gradient: T, gamma: T, beta: T) -> T {
    Relu::gradient::<T, A>(A::mul_add(value, gamma, beta), gradient)
}

/// The sums over a channel of gradient times value, and of the gradient, behind a rectifier.
#[inline(always)]
fn passed_sums<S: Simd, T: Lanes, A: Arithmetic>(
    simd: S,
    channel: &[T],
    gradient: &[T],
    gamma: T,
    beta: T,
) -> (T, T) {
    let (mut product, mut total) = (T::ZERO, T::ZERO);
    for (channel, gradient) in channel.chunks(PART).zip(gradient.chunks(PART)) {
        let mut gradients = [T::ZERO; PART];
        let gradients = &mut gradients[..channel.len()];
        for ((passing, &value), &g) in gradients.iter_mut().zip(channel).zip(gradient) {
            *passing = passed::<T, A>(value, g, gamma, beta);
        }
        product += product_of(simd, channel, gradients);
        total += total_of(simd, gradients);
    }
    (product, total)
}
