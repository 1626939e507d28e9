use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};
use deq_nn::Draw;
use rand_distr::Normal;

/// Draws weights of one standard deviation.
pub(crate) struct Init<'a> {
    numbers: deq_nn::Init<'a>,
    std: f64,
}

impl<'a> Init<'a> {
    pub(crate) fn new(device: &'a Device, seed: u64, std: f64) -> Self {
        Self {
            numbers: deq_nn::Init::new(device, seed),
            std,
        }
    }

    /// The same numbers with another standard deviation of weights.
    pub(crate) fn with_std(&mut self, std: f64) -> &mut Self {
        self.std = std;
        self
    }

    /// A parameter of normal numbers.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        mean: f64,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let normal = Normal::new(mean, self.std).expect("the deviation was validated");
        let values = self.numbers.sample(shape.iter().product(), &normal);
        self.numbers.param(values, shape)
    }

    /// A parameter of uniform numbers in `[-bound, bound)`.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        bound: f64,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let values = self.numbers.uniform(shape.iter().product(), bound);
        self.numbers.param(values, shape)
    }

    /// A parameter of zeros.
    pub(crate) fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.numbers.param(vec![0.0; shape.iter().product()], shape)
    }

    /// A linear layer: normal weights, and a bias of zeros where there is one.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let weight = Draw::Normal { std: self.std };
        let bias = bias.then_some(Draw::Zeros);
        self.numbers.linear_from(inputs, outputs, weight, bias)
    }

    /// Layer norm with gains around 1.
    pub(crate) fn layer_norm(&mut self, width: usize) -> LayerNorm {
        let mut norm = LayerNormConfig::new(width).init(self.numbers.device());
        norm.gamma = self.normal(1.0, [width]);
        norm
    }
}
