use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Dropout whose mask stays the same during a solve (variational dropout, Gal and Ghahramani,
/// NeurIPS 2016, arXiv 1512.05287; TorchDEQ's `VariationalDropout*` and `VariationalDropToken*`):
///
/// $$d(z) = \frac{m}{1 - p} \odot z, \qquad m \sim \mathrm{Bernoulli}(1 - p).$$
///
/// A map with a new mask at every evaluation has no fixed point. So the mask is drawn once, outside
/// the map, and travels in its `args`:
///
/// ```
/// use burn::tensor::Tensor;
/// use deq_regularizers::{Drops, Layout, Mask, VariationalDropout};
/// use rand::{SeedableRng, rngs::StdRng};
///
/// let dropout = VariationalDropout {
///     p: 0.5,
///     drops: Drops::Channels { layout: Layout::ChannelsFirst },
/// };
/// let mut rng = StdRng::seed_from_u64(7);
/// let injection = Tensor::<4>::ones([2, 3, 4, 4], &burn::tensor::Device::flex());
/// let training = true;
/// // Once a solve:
/// let mask = if training { dropout.sample(&injection, &mut rng)? } else { Mask::none() };
/// let args = (injection, mask);
/// // Inside the map:
/// let map = |(x, mask): &(Tensor<4>, Mask<4>), z: Tensor<4>| mask.apply(z.tanh()) + x.clone();
/// let z = map(&args, args.0.zeros_like());
/// # assert_eq!(z.dims(), [2, 3, 4, 4]);
/// # Ok::<(), deq_regularizers::DropoutError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariationalDropout {
    /// The probability $p$ of being dropped, at least 0 and below 1.
    pub p: f64,
    /// What is dropped as a whole.
    pub drops: Drops,
}

/// What is dropped as a whole. Axis 0 counts samples, each with its own mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Drops {
    /// Each element by itself (`VariationalDropout`).
    Elements {},
    /// A channel at all positions: one draw for each sample and channel (`VariationalDropout1d`,
    /// `2d`, `3d`).
    Channels {
        /// Where the channels are.
        layout: Layout,
    },
    /// All channels at a position: one draw for each sample and position
    /// (`VariationalDropToken1d`, `2d`, `3d`).
    Tokens {
        /// Where the channels are.
        layout: Layout,
    },
}

/// The axis of the channels in a state of one, two or three spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[batch, channels, …]`, as convolutions take it (TorchDEQ's `token_first=False`).
    ChannelsFirst,
    /// `[batch, …, channels]`, as transformers take it (TorchDEQ's `token_first=True`).
    ChannelsLast,
}

/// A mask for one solve, a constant in the map's `args`. Drawn by [`VariationalDropout::sample`].
#[derive(Module, Debug)]
pub struct Mask<const D: usize> {
    /// 0 or $1 / (1 - p)$, of length 1 along the axes that share a draw; `None` leaves states as
    /// they are.
    tensor: Option<Tensor<D>>,
}

/// Why no mask could be drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DropoutError {
    /// The probability is out of its range.
    #[error("dropout's `p` is {0}, but must be at least 0 and below 1")]
    InvalidProbability(f64),
    /// The state has no axis of channels.
    #[error("a state of rank {0} has no channels: drop `elements` instead")]
    NoChannels(usize),
}

impl VariationalDropout {
    /// A mask for states like `like`: of its shape and type, on its device. The map's injection
    /// usually has that shape.
    ///
    /// The numbers come from `rng` on the host, so that a seed gives the same masks on every
    /// device. Draw anew for every solve. In evaluation use [`Mask::none`], which `p = 0` gives as
    /// well.
    ///
    /// # Errors
    /// [`DropoutError`] when `p` is out of its range, or a state without channels is to lose some.
    pub fn sample<const D: usize, R: Rng + ?Sized>(
        &self,
        like: &Tensor<D>,
        rng: &mut R,
    ) -> Result<Mask<D>, DropoutError> {
        if !(self.p >= 0.0 && self.p < 1.0) {
            return Err(DropoutError::InvalidProbability(self.p));
        }
        let shape = self.shape(like.dims())?;
        if self.p == 0.0 {
            return Ok(Mask::none());
        }
        let kept = 1.0 / (1.0 - self.p);
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count)
            .map(|_| if rng.random_bool(self.p) { 0.0 } else { kept })
            .collect();
        let options = (&like.device(), like.dtype());
        let mask = Tensor::from_data(TensorData::new(values, shape), options);
        Ok(Mask { tensor: Some(mask) })
    }

    /// The mask's shape: 1 along the axes that share a draw.
    fn shape<const D: usize>(&self, dims: [usize; D]) -> Result<[usize; D], DropoutError> {
        let (layout, of_channels) = match self.drops {
            Drops::Elements {} => return Ok(dims),
            Drops::Channels { layout } => (layout, true),
            Drops::Tokens { layout } => (layout, false),
        };
        if D < 2 {
            return Err(DropoutError::NoChannels(D));
        }
        let channels = match layout {
            Layout::ChannelsFirst => 1,
            Layout::ChannelsLast => D - 1,
        };
        let mut shape = dims;
        for (axis, length) in shape.iter_mut().enumerate().skip(1) {
            if (axis == channels) != of_channels {
                *length = 1;
            }
        }
        Ok(shape)
    }
}

impl<const D: usize> Mask<D> {
    /// The mask that drops nothing: for evaluation.
    pub fn none() -> Self {
        Self { tensor: None }
    }

    /// The state with the mask applied.
    ///
    /// # Panics
    /// When `z` has another shape than the tensor that the mask was drawn for.
    pub fn apply(&self, z: Tensor<D>) -> Tensor<D> {
        match &self.tensor {
            Some(mask) => z * mask.clone(),
            None => z,
        }
    }

    /// The factors, of length 1 along the axes that share a draw; `None` if nothing is dropped.
    pub fn factors(&self) -> Option<&Tensor<D>> {
        self.tensor.as_ref()
    }
}
