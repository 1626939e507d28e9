//! What several families are made of where there is no kernel.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape};

/// Normalised rows with the reciprocals of their standard deviations.
pub(crate) struct Standardised<B: Backend> {
    /// The rows, of mean 0 and variance 1.
    pub(crate) rows: FloatTensor<B>,
    /// One number a row.
    pub(crate) scale: FloatTensor<B>,
}

/// Half precision as `f32`, where squares of its numbers do not overflow.
pub(crate) fn widened<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => B::float_cast(tensor, FloatDType::F32),
        _ => tensor,
    }
}

/// Back from what [`widened`] made of this type.
pub(crate) fn narrowed<B: Backend>(tensor: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    match dtype {
        DType::F16 | DType::BF16 => B::float_cast(tensor, dtype.into()),
        _ => tensor,
    }
}

/// Normalises over the last axis.
pub(crate) fn standardise<B: Backend>(rows: FloatTensor<B>, epsilon: f64) -> Standardised<B> {
    let dtype = rows.dtype();
    let rows = widened::<B>(rows);
    let last = rows.rank() - 1;
    let mean = B::float_mean_dim(rows.clone(), last);
    let centred = B::float_sub(rows, mean);
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), last);
    let scale = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    Standardised {
        rows: narrowed::<B>(B::float_mul(centred, scale.clone()), dtype),
        scale: narrowed::<B>(scale, dtype),
    }
}

impl<B: Backend> Standardised<B> {
    /// The gradient in the rows before normalisation from that in the normalised ones.
    pub(crate) fn backward(self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        let last = gradient.rank() - 1;
        let mean = B::float_mean_dim(gradient.clone(), last);
        let product = B::float_mul(gradient.clone(), self.rows.clone());
        let along = B::float_mul(self.rows, B::float_mean_dim(product, last));
        let change = B::float_sub(B::float_sub(gradient, mean), along);
        B::float_mul(change, self.scale)
    }
}

/// A vector, broadcast along every axis but one.
pub(crate) fn along<B: Backend>(
    vector: FloatTensor<B>,
    rank: usize,
    axis: usize,
) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[axis] = vector.shape()[0];
    B::float_reshape(vector, Shape::from(shape))
}

/// The sums over every axis but one, as a vector.
pub(crate) fn sum_except<B: Backend>(tensor: FloatTensor<B>, axis: usize) -> FloatTensor<B> {
    let length = tensor.shape()[axis];
    let others: Vec<usize> = (0..tensor.rank()).filter(|&other| other != axis).collect();
    let sums = if others.is_empty() {
        tensor
    } else {
        B::float_sum_dims(tensor, &others)
    };
    B::float_reshape(sums, Shape::from([length]))
}
