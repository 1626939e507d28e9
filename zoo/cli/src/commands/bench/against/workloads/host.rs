//! The formulas of the layers once more, in f64 on the host: what maps are compared with. Slow and
//! plain on purpose, and without a line of the code that they check.

use burn::tensor::Tensor;

use super::equilibrium::host;
use super::layers::{bias, weight};
use crate::commands::bench::against::files::Arrays;

/// An array in f64.
pub(super) fn wide(arrays: &Arrays, name: &str) -> Vec<f64> {
    let (_, values) = arrays.floats(name).expect(name);
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Asserts that a tensor has these numbers to f32's accuracy.
pub(super) fn assert_close<const D: usize>(found: Tensor<D>, expected: &[f64]) {
    let found = host(found).expect("a tensor");
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 2e-5 * size, "{index}: {found}, not {expected}");
    }
}

/// $y = W x + b$ for each row of `x`, with $W$ of outputs by inputs.
pub(super) fn linear(arrays: &Arrays, weight: &str, bias: Option<&str>, x: &[f64]) -> Vec<f64> {
    let (shape, _) = arrays.floats(weight).expect(weight);
    let (outputs, inputs) = (shape[0], shape[1]);
    let w = wide(arrays, weight);
    let b = bias.map_or_else(|| vec![0.0; outputs], |bias| wide(arrays, bias));
    let mut y = Vec::new();
    for row in x.chunks_exact(inputs) {
        for output in 0..outputs {
            let terms = (0..inputs).map(|input| w[output * inputs + input] * row[input]);
            y.push(b[output] + terms.sum::<f64>());
        }
    }
    y
}

/// Rows less their mean, over their deviation, with gains and shifts.
pub(super) fn layer_norm(arrays: &Arrays, layer: &str, x: &[f64]) -> Vec<f64> {
    let (gains, shifts) = (wide(arrays, &weight(layer)), wide(arrays, &bias(layer)));
    let rows = x.chunks_exact(gains.len()).map(standardised);
    rows.flat_map(|row| {
        let scaled = row.iter().zip(gains.iter().zip(&shifts));
        let scaled = scaled.map(|(v, (gain, shift))| v * gain + shift);
        scaled.collect::<Vec<f64>>()
    })
    .collect()
}

/// The mean is 0 and the variance 1.
fn standardised(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    let root = (variance + 1e-5).sqrt();
    values.iter().map(|v| (v - mean) / root).collect()
}

/// Pictures, `[samples, channels, height, width]`.
#[derive(Clone, Debug)]
pub(super) struct Maps {
    pub(super) dims: [usize; 4],
    pub(super) values: Vec<f64>,
}

impl Maps {
    /// An array of a file.
    pub(super) fn of(arrays: &Arrays, name: &str) -> Self {
        let (shape, _) = arrays.floats(name).expect(name);
        Self {
            dims: shape.try_into().expect("rank 4"),
            values: wide(arrays, name),
        }
    }

    /// The value at a place, 0 outside.
    pub(super) fn at(&self, sample: usize, channel: usize, row: isize, column: isize) -> f64 {
        let [_, channels, height, width] = self.dims;
        match (usize::try_from(row), usize::try_from(column)) {
            (Ok(row), Ok(column)) if row < height && column < width => {
                self.values[((sample * channels + channel) * height + row) * width + column]
            }
            _ => 0.0,
        }
    }

    /// Pictures of these dimensions from the value at each place.
    pub(super) fn from_fn(
        dims: [usize; 4],
        mut value: impl FnMut(usize, usize, isize, isize) -> f64,
    ) -> Self {
        let [samples, channels, height, width] = dims;
        let mut values = Vec::new();
        for sample in 0..samples {
            for channel in 0..channels {
                for row in 0..height {
                    for column in 0..width {
                        values.push(value(sample, channel, row as isize, column as isize));
                    }
                }
            }
        }
        Self { dims, values }
    }

    pub(super) fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self {
            dims: self.dims,
            values: self.values.iter().map(|&value| function(value)).collect(),
        }
    }

    pub(super) fn relu(&self) -> Self {
        self.map(|value| value.max(0.0))
    }

    pub(super) fn sigmoid(&self) -> Self {
        self.map(|value| 1.0 / (1.0 + (-value).exp()))
    }

    /// Element by element.
    pub(super) fn with(&self, other: &Self, function: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.dims, other.dims);
        let pairs = self.values.iter().zip(&other.values);
        Self {
            dims: self.dims,
            values: pairs.map(|(&a, &b)| function(a, b)).collect(),
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    /// The channels of one after those of the other.
    pub(super) fn beside(&self, other: &Self) -> Self {
        let [samples, first, height, width] = self.dims;
        let dims = [samples, first + other.dims[1], height, width];
        Self::from_fn(dims, |sample, channel, row, column| {
            if channel < first {
                self.at(sample, channel, row, column)
            } else {
                other.at(sample, channel - first, row, column)
            }
        })
    }

    /// A layer's convolution, padded by half its kernel.
    pub(super) fn conv(&self, arrays: &Arrays, layer: &str, stride: usize) -> Self {
        let kernel = Self::of(arrays, &weight(layer));
        let [outputs, inputs, rows, columns] = kernel.dims;
        let shifts = match arrays.floats(&bias(layer)) {
            Ok(_) => wide(arrays, &bias(layer)),
            Err(_) => vec![0.0; outputs],
        };
        let [samples, _, height, width] = self.dims;
        let dims = [
            samples,
            outputs,
            height.div_ceil(stride),
            width.div_ceil(stride),
        ];
        let (above, left) = ((rows / 2) as isize, (columns / 2) as isize);
        let stride = stride as isize;
        Self::from_fn(dims, |sample, output, row, column| {
            let mut sum = shifts[output];
            for input in 0..inputs {
                for i in 0..rows as isize {
                    for j in 0..columns as isize {
                        let (row, column) = (row * stride + i - above, column * stride + j - left);
                        sum += kernel.at(output, input, i, j) * self.at(sample, input, row, column);
                    }
                }
            }
            sum
        })
    }

    /// A layer's group norm.
    pub(super) fn group_norm(&self, arrays: &Arrays, layer: &str, groups: usize) -> Self {
        let (gains, shifts) = (wide(arrays, &weight(layer)), wide(arrays, &bias(layer)));
        let [samples, channels, height, width] = self.dims;
        let group = self.values.len() / (samples * groups);
        let normed = self.values.chunks_exact(group).flat_map(standardised);
        let normed = Self {
            dims: self.dims,
            values: normed.collect(),
        };
        Self::from_fn([samples, channels, height, width], |s, c, row, column| {
            normed.at(s, c, row, column) * gains[c] + shifts[c]
        })
    }

    /// A GRU's new state, from the convolutions `z`, `r` and `q` with `suffix` to their names.
    pub(super) fn gru(&self, arrays: &Arrays, suffix: &str, x: &Self) -> Self {
        let layer = |gate: &str| format!("{gate}{suffix}");
        let joined = self.beside(x);
        let z = joined.conv(arrays, &layer("z"), 1).sigmoid();
        let r = joined.conv(arrays, &layer("r"), 1).sigmoid();
        let q = r.times(self).beside(x).conv(arrays, &layer("q"), 1);
        let q = q.map(f64::tanh);
        z.map(|z| 1.0 - z).times(self).plus(&z.times(&q))
    }
}
