use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::Activation;
use deq_kernels::layers::linear;
use deq_nn::Init;

/// From a time step to features: sines and cosines, then two linear layers.
///
/// $$e_i = \sin(t\, \omega_i), \quad e_{w/2 + i} = \cos(t\, \omega_i), \quad
///   \omega_i = 10000^{-i / (w/2 - 1)}, \qquad W_1\, \mathrm{swish}(W_0 e + b_0) + b_1$$
///
/// with $w$ the network's width; the layers have $4 w$ features.
#[derive(Module, Debug)]
pub struct TimeEmbedding {
    /// $W_0, b_0$ and $W_1, b_1$.
    pub dense: Vec<Linear>,
}

impl TimeEmbedding {
    pub(crate) fn new(width: usize, init: &mut Init<'_>) -> Self {
        let first = init.linear(width, 4 * width, true);
        let second = init.linear(4 * width, 4 * width, true);
        Self {
            dense: vec![first, second],
        }
    }

    /// Features `[rows, 4 width]` of sines and cosines `[rows, width]`.
    pub fn forward(&self, sinusoids: Tensor<2>) -> Tensor<2> {
        let hidden = linear(&self.dense[0], sinusoids, Some(Activation::Silu));
        linear(&self.dense[1], hidden, None)
    }
}

/// $e$ for each of the steps, row by row. In `f32` the phase of a late step would be off by 1e-5.
pub(crate) fn sinusoids(steps: &[usize], width: usize) -> Vec<f32> {
    let half = width / 2;
    let rate = 10_000f64.ln() / (half - 1) as f64;
    let frequencies: Vec<f64> = (0..half).map(|i| (-rate * i as f64).exp()).collect();
    let mut values = Vec::with_capacity(steps.len() * width);
    for &step in steps {
        let phases = frequencies.iter().map(|frequency| step as f64 * frequency);
        values.extend(phases.clone().map(|phase| phase.sin() as f32));
        values.extend(phases.map(|phase| phase.cos() as f32));
    }
    values
}
