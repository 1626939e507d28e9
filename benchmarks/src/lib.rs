//! Benchmarks of DEQ Zoo: what they share. The benchmarks themselves are in `benches`.

use burn::tensor::{Device, Tensor, TensorData};

/// Numbers without structure between -1 and 1, the same on every device.
pub fn noise(shape: [usize; 2], seed: u64, device: &Device) -> Tensor<2> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
