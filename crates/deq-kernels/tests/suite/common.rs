//! Numbers, and comparisons of them.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Uniform numbers in `[-scale, scale)`.
pub(crate) fn numbers(count: usize, seed: u64, scale: f64) -> Vec<f64> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|_| rng.random_range(-scale..scale))
        .collect()
}

/// A tensor of [`numbers`].
pub(crate) fn noise<const D: usize>(
    shape: [usize; D],
    seed: u64,
    scale: f64,
    options: (&Device, DType),
) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed, scale);
    Tensor::from_data(TensorData::new(values, shape), options)
}

/// Every device with each number type that it computes in, and the tolerance of gradients in it.
pub(crate) fn precisions() -> Vec<(Device, DType, f64)> {
    let single = deq_devices::all().into_iter();
    let double = deq_devices::double_precision().into_iter();
    single
        .map(|device| (device, DType::F32, 1e-5))
        .chain(double.map(|device| (device, DType::F64, 1e-10)))
        .collect()
}

/// The tolerance of values in a number type.
pub(crate) fn value_tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-13 } else { 2e-6 }
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Both NaN, the same infinity, or apart by at most the tolerance, absolutely below 1 and
/// relatively above.
pub(crate) fn assert_close<const D: usize>(
    found: Tensor<D>,
    expected: Tensor<D>,
    tolerance: f64,
    what: &str,
) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shapes");
    assert_eq!(found.dtype(), expected.dtype(), "{what}: number types");
    let (found, expected) = (values(found), values(expected));
    for (place, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        let same = found == expected || (found.is_nan() && expected.is_nan());
        let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(
            same || close,
            "{what}: {found} instead of {expected} at {place}"
        );
    }
}

/// The gradients of the sum of `output` times fixed numbers.
pub(crate) fn gradients<const D: usize>(output: Tensor<D>) -> Gradients {
    let options = (&output.device(), output.dtype());
    let cotangent = noise(output.dims(), 99, 1.0, options);
    (output * cotangent).sum().backward()
}

/// A leaf on the autodiff device.
pub(crate) fn leaf<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.autodiff().require_grad()
}

/// Whether the device has kernels of this crate. Elsewhere burn's operations are compared with
/// themselves, and a few shapes do.
pub(crate) fn runs_kernels(device: &Device) -> bool {
    format!("{device:?}").to_lowercase().contains("flex")
}

/// As many cases as make sense on a device.
pub(crate) fn cases<'a, C>(all: &'a [C], device: &Device) -> &'a [C] {
    let few = all.len().min(3);
    if runs_kernels(device) {
        all
    } else {
        &all[..few]
    }
}

/// The tolerance of sums of some hundred products.
pub(crate) fn product_tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 2e-5 }
}
