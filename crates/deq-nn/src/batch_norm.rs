use burn::module::{Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor, TensorData};

/// What distinguishes one [`BatchNorm`] from another. The default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormConfig {
    /// With gains and shifts, which are trained.
    pub affine: bool,
    /// The weight of a new batch in the running statistics, 0 to 1.
    pub momentum: f64,
    /// $\epsilon$, above 0.
    pub epsilon: f64,
    /// Normalises with the running statistics in training as well, and leaves them.
    pub frozen: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self {
            affine: true,
            momentum: 0.1,
            epsilon: 1e-5,
            frozen: false,
        }
    }
}

impl BatchNormConfig {
    /// A layer for so many channels, with mean 0 and variance 1.
    ///
    /// # Panics
    /// Without a channel, and when an option is out of its range.
    pub fn init(self, channels: usize, device: &Device) -> BatchNorm {
        assert!(channels > 0, "batch norm without a channel");
        assert!(
            (0.0..=1.0).contains(&self.momentum) && self.epsilon > 0.0 && self.epsilon.is_finite(),
            "{self:?} is out of range"
        );
        let param = |value: f32| {
            let values = TensorData::new(vec![value; channels], [channels]);
            self.affine.then(|| Param::from_data(values, device))
        };
        BatchNorm {
            weight: param(1.0),
            bias: param(0.0),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            config: self,
        }
    }
}

/// Batch norm as in PyTorch, over all axes but the second:
///
/// $$\gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta.$$
///
/// On an autodiff device $\mu$ and $\sigma^2$ are the batch's mean and biased variance, and the
/// running statistics move towards that mean and the *unbiased* variance; burn's own move towards
/// the biased one. Elsewhere, as after `valid()`, and everywhere once frozen, they are the running
/// statistics.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// $\gamma$, `[channels]`.
    pub weight: Option<Param<Tensor<1>>>,
    /// $\beta$, `[channels]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    #[module(skip)]
    config: BatchNormConfig,
}

impl BatchNorm {
    /// Normalises `[samples, channels, …]`.
    ///
    /// A training batch with a single value a channel leaves the running variance as it is: its
    /// unbiased variance is undefined.
    ///
    /// # Panics
    /// When `x` has other channels than the layer, or fewer than two axes.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mean = self.running_mean.value_sync();
        let variance = self.running_var.value_sync();
        let value = |param: &Param<Tensor<1>>| param.val();
        let weight = self.weight.as_ref().map_or_else(|| mean.ones_like(), value);
        let bias = self.bias.as_ref().map_or_else(|| mean.zeros_like(), value);
        let BatchNormConfig {
            momentum, epsilon, ..
        } = self.config;
        if self.config.frozen || !mean.is_autodiff() {
            // Running statistics are no part of the graph.
            let (mean, variance) = (mean.detach(), variance.detach());
            return batch_norm(x, weight, bias, mean, variance, epsilon);
        }
        let count = x.shape().num_elements() / x.dims()[1].max(1);
        let result = batch_norm_train(x, weight, bias, epsilon);
        let (old, new) = (1.0 - momentum, momentum);
        self.running_mean
            .update((mean * old + result.mean.detach() * new).detach());
        if count > 1 {
            let unbiased = result.variance.detach() * (count as f64 / (count - 1) as f64);
            self.running_var
                .update((variance * old + unbiased * new).detach());
        }
        result.output
    }
}
