use std::f64::consts::PI;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::{exp, sin};
use deq_nn::Init;
use rand_distr::Gamma;

use crate::Filter;
use crate::config::InrConfig;

/// How coordinates enter the map: one linear map of them, cut into a part for the start and one
/// for each layer, and the filter's own function of it.
#[derive(Module, Debug)]
pub struct Injection {
    /// Frequencies and phases.
    pub x_map: Linear,
    /// Gabor centres, `[(layers + 1) · width, coordinates]`.
    pub mu: Option<Param<Tensor<2>>>,
    /// Gabor widths, `[(layers + 1) · width]`.
    pub gamma: Option<Param<Tensor<1>>>,
    #[module(skip)]
    filter: Filter,
    #[module(skip)]
    parts: usize,
}

impl Injection {
    pub(crate) fn new(config: &InrConfig, init: &mut Init<'_>) -> Self {
        let (inputs, parts) = (config.in_channels, config.layers + 1);
        let outputs = parts * config.width;
        let scale = config.input_scale / (parts as f64).sqrt();

        let bound = (1.0 / inputs as f64).sqrt();
        let mut weight = init.uniform(inputs * outputs, bound * scale);
        let bias = init.uniform(outputs, PI);
        let (mut mu, mut gamma) = (None, None);
        if let Filter::Gabor { alpha } = config.filter {
            let centres = init.uniform(outputs * inputs, 1.0);
            let gammas = Gamma::new(alpha, 1.0).expect("the shape was validated");
            let widths = init.sample(outputs, &gammas);
            // Narrow envelopes go with high frequencies. The weight is `[inputs, outputs]`.
            for row in weight.chunks_mut(outputs) {
                for (value, width) in row.iter_mut().zip(&widths) {
                    *value *= width.sqrt();
                }
            }
            mu = Some(init.param(centres, [outputs, inputs]));
            gamma = Some(init.param(widths, [outputs]));
        }
        Self {
            x_map: Linear {
                weight: init.param(weight, [inputs, outputs]),
                bias: Some(init.param(bias, [outputs])),
            },
            mu,
            gamma,
            filter: config.filter,
            parts,
        }
    }

    /// The injections of points `[points, coordinates]`: one for the start and one for each layer,
    /// `[points, width]` each.
    pub fn forward(&self, coords: Tensor<2>) -> Vec<Tensor<2>> {
        let u = self.x_map.forward(coords.clone());
        let u = match self.filter {
            Filter::SirenLike {} => u,
            Filter::Fourier {} | Filter::Gabor { .. } => sin(u),
        };
        let u = match (&self.mu, &self.gamma) {
            (Some(mu), Some(gamma)) => {
                let distances = squared_distances(coords, mu.val());
                u * exp(distances * gamma.val().unsqueeze() * -0.5)
            }
            _ => u,
        };
        u.chunk(self.parts, 1)
    }
}

/// $\lVert x_i - y_j \rVert^2$ for the rows of two matrices.
fn squared_distances(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let x_squared = x.clone().square().sum_dim(1);
    let y_squared = y.clone().square().sum_dim(1).transpose();
    x_squared + y_squared - x.matmul(y.transpose()) * 2.0
}
