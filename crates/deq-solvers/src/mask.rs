//! Choices between rows by mask. Never by arithmetic: 0 times NaN is NaN.

use burn::tensor::{Bool, Device, Tensor, TensorData};

/// One flag per row, as a mask of one column.
pub(crate) fn rows(flags: Vec<bool>, device: &Device) -> Tensor<2, Bool> {
    let shape = [flags.len(), 1];
    Tensor::from_data(TensorData::new(flags, shape), device)
}

/// `yes` where the mask (one column) is set, `no` elsewhere.
pub(crate) fn choose(mask: &Tensor<2, Bool>, yes: &Tensor<2>, no: Tensor<2>) -> Tensor<2> {
    let mask = mask.clone().expand(no.shape());
    no.mask_where(mask, yes.clone())
}

/// One number per row, as a column.
pub(crate) fn column(values: Vec<f64>, like: &Tensor<2>) -> Tensor<2> {
    let data = TensorData::new(values.clone(), [values.len(), 1]).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// $a / b$, and 0 where that is not finite.
pub(crate) fn safe_ratio(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    finite_or_zero(a / b)
}

/// Zeroes what is not finite, so that a vanishing denominator drops a correction instead of
/// poisoning its sample.
pub(crate) fn finite_or_zero<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let broken = tensor.clone().is_finite().bool_not();
    tensor.mask_fill(broken, 0.0)
}

/// $a \cdot b$ of each row.
pub(crate) fn dot(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone() * b.clone()).sum_dim(1)
}

/// The Euclidean norm of each row.
pub(crate) fn norm(a: &Tensor<2>) -> Tensor<2> {
    a.clone().square().sum_dim(1).sqrt()
}
