use burn::tensor::Device;
use deq::prelude::*;
use serde::{Deserialize, Serialize};

use crate::equilibrium::Equilibrium;
use crate::error::require;
use crate::{Ddim, DdimError};

/// A growth of residuals that ends no solve: TOML cannot say that there is no bound.
pub(crate) const UNBOUNDED: f64 = 1e30;

/// Groups of every group norm.
pub(crate) const GROUPS: usize = 32;

/// The hyper-parameters of a [`UNet`](crate::UNet).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the images: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height and width of the images, which are square; a multiple of 2 to the number of
    /// `multipliers` less one.
    pub image_size: usize,
    /// Channels at the highest resolution, a multiple of 32: every group norm has 32 groups. At 32
    /// channels a group is one channel, and the group norm behind the shift by the time step removes
    /// it: the time step then enters only at resolutions with more.
    pub width: usize,
    /// Channels at each resolution as multiples of `width`, highest resolution first, 1 to 8 of
    /// them. Each further resolution is half of the one before.
    pub multipliers: Vec<usize>,
    /// Residual blocks at each resolution on the way down; one more on the way up. At least 1.
    pub res_blocks: usize,
    /// The resolutions, in pixels a side, with self-attention after every block. The lowest
    /// resolution has one between its two middle blocks in any case.
    pub attention_resolutions: Vec<usize>,
    /// The probability with which training drops a number inside a residual block, in [0, 1).
    pub dropout: f64,
}

/// The diffusion: how noise is added to images in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffusionConfig {
    /// $N$, the steps from an image to noise, at least 1.
    pub steps: usize,
    /// $\beta_0$, above 0.
    pub beta_start: f64,
    /// $\beta_{N-1}$, at least `beta_start` and below 1; the others lie on a line between.
    pub beta_end: f64,
}

/// Which steps sampling visits, and how much noise it adds on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingConfig {
    /// $T$, at least 1 and at most the diffusion's steps.
    pub steps: usize,
    /// How they are spaced.
    pub spacing: Spacing,
    /// $\eta$ in [0, 1]: 0 is deterministic DDIM, 1 has the variance of DDPM.
    pub eta: f64,
}

/// How the visited steps are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// $0, s, 2s, \dots < N$ with $s = \lfloor N / T \rfloor$. Where $T$ does not divide $N$ these
    /// are more than $T$ steps, as in the reference.
    #[default]
    Uniform,
    /// $\lfloor (i \sqrt{0.8 N} / (T - 1))^2 \rfloor$ for $i = 0, \dots, T - 1$: denser near the
    /// image. Steps repeat when there are many; a repeated step changes nothing.
    Quadratic,
}

/// How the joint equilibrium of a trajectory is found and differentiated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EquilibriumConfig {
    /// What is one sample to the solver.
    pub samples: Samples,
    /// How many rows (an image at a step) the network sees at once, at least 1; `None` is all of
    /// them in one call. It bounds the memory of the network's activations, in the solve and in
    /// the adjoint, and does not change the numbers beyond rounding.
    pub chunk: Option<usize>,
    /// Solver, termination and gradient, with one returned state.
    pub deq: DeqConfig,
}

/// What is one sample to the solver: what has a residual, a mixture and an end of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Samples {
    /// An image with its whole trajectory: each image stops when it has converged.
    #[default]
    Images,
    /// An image at one step, as in the reference: Anderson mixes each step of a trajectory on its
    /// own. Rows depend on each other, so none can be frozen, and all go on until the last has
    /// converged. An implicit gradient then needs an adjoint solve of `finish = "final"`.
    Steps,
}

/// The hyper-parameters of a [`Ddim`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DdimConfig {
    /// The network that estimates the noise.
    pub network: UNetConfig,
    /// The diffusion it is trained on.
    #[serde(default)]
    pub diffusion: DiffusionConfig,
    /// The steps that sampling visits.
    #[serde(default)]
    pub sampling: SamplingConfig,
    /// How the joint equilibrium is found.
    #[serde(default)]
    pub equilibrium: EquilibriumConfig,
}

/// That of DDPM: 1000 steps, $\beta$ from 1e-4 to 0.02.
impl Default for DiffusionConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
        }
    }
}

/// 50 deterministic steps, evenly spaced.
impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            steps: 50,
            spacing: Spacing::default(),
            eta: 0.0,
        }
    }
}

/// Picard to a largest residual of 1e-4 in any pixel, images frozen as they converge, and the
/// Jacobian-free gradient. The cap of 1001 steps is never in the way: a chain of $T$ steps is at
/// its fixed point after $T$ of them.
impl Default for EquilibriumConfig {
    fn default() -> Self {
        let mut deq = DeqConfig::default()
            .with_max_iter(1001)
            .with_tolerance(1e-4)
            .with_gradient(Gradient::JacobianFree);
        deq.forward.termination.norm = deq::solvers::Norm::Max;
        // Residuals may grow on the way: a late step answers what the early ones still get wrong.
        deq.forward.termination.divergence = Some(UNBOUNDED);
        Self {
            samples: Samples::default(),
            chunk: None,
            deq,
        }
    }
}

impl UNetConfig {
    /// The same for images of other channels and sides.
    #[must_use]
    pub fn for_images(mut self, channels: usize, image_size: usize) -> Self {
        self.channels = channels;
        self.image_size = image_size;
        self
    }

    /// The sides of the images at each resolution, highest first.
    pub fn resolutions(&self) -> Vec<usize> {
        let levels = 0..self.multipliers.len();
        levels.map(|level| self.image_size >> level).collect()
    }

    /// The channels at each resolution, highest first.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let multipliers = self.multipliers.iter();
        multipliers.map(|factor| self.width * factor).collect()
    }

    pub(crate) fn validate(&self) -> Result<(), DdimError> {
        for (field, value) in [
            ("channels", self.channels),
            ("image_size", self.image_size),
            ("res_blocks", self.res_blocks),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        require(
            self.width >= GROUPS && self.width.is_multiple_of(GROUPS),
            "width",
            self.width,
            "a multiple of 32, the groups of the norms",
        )?;
        let levels = self.multipliers.len();
        require(
            (1..=8).contains(&levels) && self.multipliers.iter().all(|&factor| factor >= 1),
            "multipliers",
            format!("{:?}", self.multipliers),
            "a list of 1 to 8 numbers of at least 1",
        )?;
        let multiple = 1 << (levels - 1);
        require(
            self.image_size.is_multiple_of(multiple),
            "image_size",
            self.image_size,
            format!(
                "a multiple of {multiple}: the network halves it {} times",
                levels - 1
            ),
        )?;
        let resolutions = self.resolutions();
        let mut seen = Vec::new();
        for &resolution in &self.attention_resolutions {
            require(
                resolutions.contains(&resolution) && !seen.contains(&resolution),
                "attention_resolutions",
                format!("{:?}", self.attention_resolutions),
                format!("a list of resolutions of the network, {resolutions:?}, each once"),
            )?;
            seen.push(resolution);
        }
        require(
            (0.0..1.0).contains(&self.dropout),
            "dropout",
            self.dropout,
            "at least 0 and below 1",
        )
    }
}

impl DiffusionConfig {
    pub(crate) fn validate(&self) -> Result<(), DdimError> {
        require(self.steps >= 1, "diffusion.steps", self.steps, "at least 1")?;
        require(
            self.beta_start > 0.0,
            "beta_start",
            self.beta_start,
            "above 0",
        )?;
        require(
            self.beta_end >= self.beta_start && self.beta_end < 1.0,
            "beta_end",
            self.beta_end,
            "at least `beta_start` and below 1",
        )
    }
}

impl SamplingConfig {
    /// So many deterministic steps, evenly spaced.
    pub fn steps(steps: usize) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }

    pub(crate) fn validate(&self, diffusion_steps: usize) -> Result<(), DdimError> {
        require(
            (1..=diffusion_steps).contains(&self.steps),
            "sampling.steps",
            self.steps,
            format!("at least 1 and at most the diffusion's {diffusion_steps}"),
        )?;
        require(
            (0.0..=1.0).contains(&self.eta),
            "eta",
            self.eta,
            "at least 0 and at most 1",
        )
    }
}

impl EquilibriumConfig {
    /// Checks all options and makes the sampler.
    ///
    /// # Errors
    /// [`DdimError::InvalidConfig`] and [`DdimError::Solve`] for the first option out of range.
    pub fn init(&self) -> Result<Equilibrium, DdimError> {
        require(self.chunk != Some(0), "chunk", 0, "at least 1")?;
        require(
            self.deq.states == States::Count(1),
            "equilibrium.deq.states",
            format!("{:?}", self.deq.states),
            "a count of 1: sampling and inversion use the last state alone",
        )?;
        require(
            self.samples == Samples::Images
                || self.deq.forward.termination.finish != Finish::Freeze,
            "equilibrium.deq.forward.termination.finish",
            "freeze",
            "best or final when `samples` is steps: a step that stands still moves again with the steps before it",
        )?;
        if let (Samples::Steps, Gradient::Implicit(adjoint)) = (self.samples, &self.deq.gradient) {
            let finish = adjoint.backward.termination.finish;
            require(
                finish == Finish::Final,
                "equilibrium.deq.gradient.backward.termination.finish",
                format!("{finish:?}"),
                "final when `samples` is steps: the adjoint of all steps but the last is 0 at first, and must not be taken for solved",
            )?;
        }
        Ok(Equilibrium::new(self, self.deq.init()?))
    }
}

impl DdimConfig {
    /// Checks all options and makes the model, with weights drawn from `seed`: PyTorch's default
    /// initialisation, the same on every device.
    ///
    /// # Errors
    /// [`DdimError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Ddim, DdimError> {
        Ddim::new(self, device, seed)
    }
}
