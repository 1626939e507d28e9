use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// The distribution of a layer's initial weights, by its numbers of inputs and outputs: of a
/// convolution, channels times the kernel's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// PyTorch's default for linear layers and convolutions: uniform in $[-b, b)$ with
    /// $b = 1 / \sqrt{\text{inputs}}$.
    Torch,
    /// He's, $\mathcal N(0, 2 / \text{outputs})$ (He et al., ICCV 2015): PyTorch's
    /// `kaiming_normal_` with `mode="fan_out"`, as in its ResNets.
    KaimingNormal,
    /// Glorot's, $\mathcal N(0, 2 / (\text{inputs} + \text{outputs}))$ (Glorot and Bengio,
    /// AISTATS 2010): PyTorch's `xavier_normal_`.
    XavierNormal,
    /// $\mathcal N(0, \text{std}^2)$.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Zero everywhere.
    Zeros,
}

impl Draw {
    /// So many numbers for a layer of `[inputs, outputs]`.
    pub(crate) fn numbers(
        self,
        rng: &mut StdRng,
        count: usize,
        [inputs, outputs]: [usize; 2],
    ) -> Vec<f32> {
        let [fan_in, fan_out] = [inputs as f64, outputs as f64];
        match self {
            Self::Torch => uniform(rng, count, (1.0 / fan_in).sqrt()),
            Self::KaimingNormal => normal(rng, count, (2.0 / fan_out).sqrt()),
            Self::XavierNormal => normal(rng, count, (2.0 / (fan_in + fan_out)).sqrt()),
            Self::Normal { std } => normal(rng, count, std),
            Self::Zeros => vec![0.0; count],
        }
    }
}

/// Numbers in `[-bound, bound)`.
pub(crate) fn uniform(rng: &mut StdRng, count: usize, bound: f64) -> Vec<f32> {
    (0..count)
        .map(|_| rng.random_range(-bound..bound) as f32)
        .collect()
}

/// Normal numbers of mean 0 and this standard deviation.
pub(crate) fn normal(rng: &mut StdRng, count: usize, std: f64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let draw: f64 = StandardNormal.sample(rng);
            (draw * std) as f32
        })
        .collect()
}
