use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;

use crate::draw::normal;

/// Standard normal numbers, drawn on the host so that devices agree.
pub fn gaussian<const D: usize>(shape: [usize; D], rng: &mut StdRng, device: &Device) -> Tensor<D> {
    let values = normal(rng, shape.iter().product(), 1.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}
