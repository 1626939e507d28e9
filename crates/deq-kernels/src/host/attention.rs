//! Attention: softmax of the products of queries and keys, times values.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::gemm::{Matrix, Stack, is_large_product, product};
use super::parallel::{assert_length, for_each_chunk};
use super::simd::{Arithmetic, Kernel, vectorised};
use super::softmax::{softmax, softmax_gradient};
use super::{Real, scratch};

/// Queries of a task, whose scores stay in the second cache.
const QUERIES: usize = 128;

/// What is added to the scores, `[samples, heads, queries, keys]` with strides; a stride of 0
/// repeats the numbers along that axis.
#[derive(Clone, Copy, Debug)]
pub struct ScoreBias<'a, T> {
    /// The numbers.
    pub values: &'a [T],
    /// How far they are apart along each axis; 0 or 1 along the last.
    pub strides: [usize; 4],
}

/// Attention of every head of every sample,
///
/// $$O = \mathrm{softmax}(s\, Q K^\top + B)\, V,$$
///
/// with the softmax over the keys (Vaswani et al., arXiv 1706.03762, equation 1).
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a, T> {
    /// $Q$, `[samples, heads, queries, size]`.
    pub query: Stack<'a, T>,
    /// $K$, `[samples, heads, keys, size]`.
    pub key: Stack<'a, T>,
    /// $V$, `[samples, heads, keys, value size]`.
    pub value: Stack<'a, T>,
    /// $B$.
    pub bias: ScoreBias<'a, T>,
    /// $s$.
    pub scale: f64,
}

/// Gradients of [`Attention`], each in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGradients<T> {
    /// In the queries.
    pub query: Vec<T>,
    /// In the keys.
    pub key: Vec<T>,
    /// In the values.
    pub value: Vec<T>,
    /// In the scores with their bias, `[samples, heads, queries, keys]`; empty unless asked for.
    pub scores: Vec<T>,
}

impl<T: Real> Attention<'_, T> {
    /// The attended values, `[samples, heads, queries, value size]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn forward(&self, output: &mut [T]) {
        self.check(output.len());
        if output.is_empty() {
            return;
        }
        let [_, _, queries, _] = self.query.shape();
        let [_, _, keys, width] = self.value.shape();
        let parallel = is_large_product(output.len(), keys, 2);
        for_each_chunk(output, queries * width, parallel, |start, output| {
            let index = start / (queries * width);
            for_each_chunk(output, QUERIES * width, parallel, |start, output| {
                let first = start / width;
                let rows = first..first + output.len() / width;
                scratch::with::<T, _, 1>([rows.len() * keys], |[scores]| {
                    self.weights(index, rows, scores);
                    let weights = Matrix::new(scores, [scores.len() / keys, keys]);
                    product(weights, self.value.matrix(index), output);
                });
            });
        });
    }

    /// The gradients, from that in the output; that in the scores where `with_scores` asks for
    /// it. With the weights $P$ and $g$ in the output, $S = P \odot (g V^\top - \mathrm{rows}(P
    /// \odot g V^\top))$ is that in the scores, and $s\, S K$, $s\, S^\top Q$ and $P^\top g$ are
    /// those in queries, keys and values.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn backward(&self, gradient: &[T], with_scores: bool) -> AttentionGradients<T> {
        self.check(gradient.len());
        let [samples, heads, queries, size] = self.query.shape();
        let [_, _, keys, width] = self.value.shape();
        let count = samples * heads;
        let zeros = |rows: usize, columns: usize| vec![T::ZERO; count * rows * columns];
        let mut result = AttentionGradients {
            query: zeros(queries, size),
            key: zeros(keys, size),
            value: zeros(keys, width),
            scores: if with_scores {
                zeros(queries, keys)
            } else {
                Vec::new()
            },
        };
        if count * queries * keys * size * width == 0 {
            return result;
        }
        let gradient = Stack::new(gradient, [samples, heads, queries, width]);
        let mut scores = result.scores.chunks_exact_mut(queries * keys);
        let heads: Vec<Head<'_, T>> = result
            .query
            .chunks_exact_mut(queries * size)
            .zip(result.key.chunks_exact_mut(keys * size))
            .zip(result.value.chunks_exact_mut(keys * width))
            .map(|((query, key), value)| Head {
                query,
                key,
                value,
                scores: scores.next(),
            })
            .collect();
        let work = |(index, head): (usize, Head<'_, T>)| self.head_backward(index, gradient, head);
        if is_large_product(count * queries, keys, size + width) {
            heads.into_par_iter().enumerate().for_each(work);
        } else {
            heads.into_iter().enumerate().for_each(work);
        }
        result
    }

    /// The softmax of some queries' scores, a row a query.
    fn weights(&self, index: usize, queries: Range<usize>, scores: &mut [T]) {
        let [_, heads, _, _] = self.query.shape();
        let [_, _, keys, _] = self.key.shape();
        let query = self.query.matrix(index).rows(queries.start, queries.len());
        product(query, self.key.matrix(index).transposed(), scores);
        let [by_sample, by_head, ..] = self.bias.strides;
        vectorised(Scores {
            values: &mut *scores,
            keys,
            scale: T::of(self.scale),
            bias: self.bias,
            start: index / heads * by_sample + index % heads * by_head,
            first: queries.start,
        });
        softmax(None, scores, keys);
    }

    fn head_backward(&self, index: usize, gradient: Stack<'_, T>, head: Head<'_, T>) {
        let [_, _, queries, _] = self.query.shape();
        let [_, _, keys, _] = self.value.shape();
        let gradient = gradient.matrix(index);
        let shape = [queries, keys];
        scratch::with::<T, _, 2>([queries * keys; 2], |[weights, slopes]| {
            self.weights(index, 0..queries, weights);
            let value = self.value.matrix(index);
            product(gradient, value.transposed(), slopes);
            softmax_gradient(weights, None, &mut *slopes, keys);
            let weights = Matrix::new(weights, shape);
            product(weights.transposed(), gradient, head.value);
            if let Some(scores) = head.scores {
                scores.copy_from_slice(slopes);
            }
            let slopes = Matrix::new(slopes, shape);
            product(slopes, self.key.matrix(index), head.query);
            product(slopes.transposed(), self.query.matrix(index), head.key);
        });
        for values in [head.query, head.key] {
            vectorised(Scale {
                values,
                factor: T::of(self.scale),
            });
        }
    }

    fn check(&self, output: usize) {
        let [samples, heads, queries, size] = self.query.shape();
        let [_, _, keys, width] = self.value.shape();
        assert!(
            self.key.shape() == [samples, heads, keys, size]
                && self.value.shape() == [samples, heads, keys, width],
            "queries {:?}, keys {:?} and values {:?} do not fit",
            self.query.shape(),
            self.key.shape(),
            self.value.shape()
        );
        assert!(
            keys > 0 || output == 0,
            "attention needs at least one key to attend to"
        );
        assert_length("output", output, samples * heads * queries * width);
    }
}

/// Gradients of one head.
struct Head<'a, T> {
    query: &'a mut [T],
    key: &'a mut [T],
    value: &'a mut [T],
    scores: Option<&'a mut [T]>,
}

/// Scales scores and adds their bias.
struct Scores<'a, T> {
    values: &'a mut [T],
    keys: usize,
    scale: T,
    bias: ScoreBias<'a, T>,
    /// Where this head's bias begins.
    start: usize,
    /// The first of these queries.
    first: usize,
}

impl<T: Real> Kernel for Scores<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let [_, _, down, across] = self.bias.strides;
        for (index, row) in self.values.chunks_exact_mut(self.keys).enumerate() {
            let bias = &self.bias.values[self.start + (self.first + index) * down..];
            if across == 0 {
                for value in row {
                    *value = A::mul_add(*value, self.scale, bias[0]);
                }
            } else {
                for (value, &bias) in row.iter_mut().zip(&bias[..self.keys]) {
                    *value = A::mul_add(*value, self.scale, bias);
                }
            }
        }
    }
}

struct Scale<'a, T> {
    values: &'a mut [T],
    factor: T,
}

impl<T: Real> Kernel for Scale<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        for value in self.values {
            *value = *value * self.factor;
        }
    }
}
