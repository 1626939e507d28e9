//! The map whose fixed point is a whole trajectory.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::{Prepared, Transpose};
use deq::prelude::*;

use crate::error::{require, shaped};
use crate::sequential::check_noise;
use crate::unet::PreparedUNet;
use crate::{Chain, DdimError, UNet};

/// Everything that the joint map of a chain reads: the network, the latents $x_T$, the noises and
/// the chain's coefficients.
///
/// With $r$, $c$ and $s$ of the [`Chain`] and its noises $n$ (absent when $\eta = 0$), the map takes
/// the trajectory $x_{T-1}, \dots, x_0$ to
///
/// $$f(x)_{t'} = r_t\, x_T + s_t \sum_{k \ge t}
///   \Bigl(c_k\, \epsilon_\theta(x_k, k) + \frac{\sigma_k}{\sqrt{\bar\alpha_{k'}}} n_k\Bigr)$$
///
/// (Pokle, Geng and Kolter, NeurIPS 2022, arXiv 2210.12867): the linear part of all DDIM steps is
/// summed up, and what is left of the chain is the dependence of each estimate on its state. That is
/// triangular, so the sequential trajectory is the only fixed point, and $T$ applications reach it
/// from anywhere.
#[derive(Module, Debug)]
pub struct JointArgs {
    network: UNet,
    latents: Param<Tensor<4>>,
    /// Of each step, `[steps, width]`.
    sinusoids: Tensor<2>,
    /// $r$, `[1, steps, 1]`.
    latent_shares: Tensor<3>,
    /// $c$, `[1, steps, 1]`.
    estimate_shares: Tensor<3>,
    /// $s$, `[1, steps, 1]`.
    sum_shares: Tensor<3>,
    /// The noises times their shares, `[images, steps, features]`.
    noise: Option<Tensor<3>>,
    #[module(skip)]
    chunk: Option<usize>,
}

/// What the map computes once for many evaluations.
struct Reused {
    network: PreparedUNet,
    /// What the network reads of each step, `[steps, features]`.
    time: Tensor<2>,
}

/// The joint map on trajectories `[images, steps, channels, size, size]`: an image is a sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct JointMap;

/// The joint map on rows `[images · steps, channels, size, size]`: an image at a step is a sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowMap;

impl JointArgs {
    /// `latents` are `[images, channels, size, size]`, `noise` is
    /// `[images, steps, channels, size, size]` and needed for a stochastic chain alone. The network
    /// sees at most `chunk` rows at once, all of them with `None`.
    ///
    /// # Errors
    /// [`DdimError`] for latents or noise of another shape, noise missing or of no use, and a chunk
    /// of 0.
    pub fn new(
        network: &UNet,
        chain: &Chain,
        latents: Tensor<4>,
        noise: Option<Tensor<5>>,
        chunk: Option<usize>,
    ) -> Result<Self, DdimError> {
        require(chunk != Some(0), "chunk", 0, "at least 1")?;
        network.check_images("latents", &latents)?;
        let shape = latents.dims();
        check_noise(chain, noise.as_ref(), shape)?;
        let (images, steps) = (shape[0], chain.steps());
        // On an autodiff device they would put all of the network's evaluation on its graph.
        let device = latents.clone().inner().device();
        let shares = |values: Vec<f64>| column(&values, &device);
        Ok(Self {
            network: network.clone(),
            sinusoids: network.sinusoids(chain.time_steps(), &device),
            latent_shares: shares(chain.latent_shares()),
            estimate_shares: shares(chain.estimate_shares()),
            sum_shares: shares(chain.sum_shares()),
            noise: noise.map(|noise| {
                let features = shape[1] * shape[2] * shape[3];
                noise.reshape([images, steps, features]) * shares(chain.noise_shares())
            }),
            latents: input(latents),
            chunk,
        })
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.sinusoids.dims()[0]
    }

    /// The shape of a trajectory.
    pub fn shape(&self) -> [usize; 5] {
        let [images, channels, height, width] = self.latents.val().dims();
        [images, self.steps(), channels, height, width]
    }

    /// The latents, `[images, channels, size, size]`.
    pub fn latents(&self) -> Tensor<4> {
        self.latents.val()
    }

    /// The latent in place of every state, plain: where a solve starts.
    pub(crate) fn copies_of_latents(&self) -> Tensor<5> {
        let [images, steps, channels, height, width] = self.shape();
        let latents = self.latents.val().inner();
        let latents = latents.reshape([images, 1, channels, height, width]);
        latents.repeat_dim(1, steps)
    }

    /// One application to a trajectory.
    ///
    /// # Errors
    /// [`DdimError::Shape`] for a trajectory of another shape than [`JointArgs::shape`].
    pub fn forward(&self, trajectory: Tensor<5>) -> Result<Tensor<5>, DdimError> {
        shaped("trajectories", self.shape(), trajectory.dims())?;
        Ok(self.apply(&self.reused(), trajectory))
    }

    fn reused(&self) -> Reused {
        Reused {
            network: self.network.prepare(),
            time: self.network.time(self.sinusoids.clone()),
        }
    }

    fn apply(&self, reused: &Reused, trajectory: Tensor<5>) -> Tensor<5> {
        let steps = self.steps();
        let rest = (steps > 1).then(|| trajectory.narrow(1, 0, steps - 1));
        self.update_with(reused, self.latents.val(), rest)
    }

    fn apply_to_rows(&self, reused: &Reused, rows: Tensor<4>) -> Tensor<4> {
        let shape = rows.dims();
        self.apply(reused, rows.reshape(self.shape()))
            .reshape(shape)
    }

    /// One application, given the states at which the network is evaluated: $x_T$, and
    /// $x_{T-1}, \dots, x_1$ if there are further steps.
    pub(crate) fn update(&self, first: Tensor<4>, rest: Option<Tensor<5>>) -> Tensor<5> {
        self.update_with(&self.reused(), first, rest)
    }

    fn update_with(&self, reused: &Reused, first: Tensor<4>, rest: Option<Tensor<5>>) -> Tensor<5> {
        let shape = self.shape();
        let [images, steps, channels, height, width] = shape;
        let features = channels * height * width;
        let first = first.reshape([images, 1, features]);
        let rest = rest.map(|rest| rest.reshape([images, steps - 1, features]));
        let estimates = match rest {
            None => self.estimates(reused, first, 0),
            // One call for all steps would put all of them on the graph of the one that is tracked.
            Some(rest) if first.is_tracked() != rest.is_tracked() => {
                let first = self.estimates(reused, first, 0);
                Tensor::cat(vec![first, self.estimates(reused, rest, 1)], 1)
            }
            Some(rest) => self.estimates(reused, Tensor::cat(vec![first, rest], 1), 0),
        };
        let terms = estimates * self.estimate_shares.clone();
        let terms = match &self.noise {
            Some(noise) => terms + noise.clone(),
            None => terms,
        };
        let latents = self.latents.val().reshape([images, 1, features]);
        let linear = latents * self.latent_shares.clone();
        (linear + terms.cumsum(1) * self.sum_shares.clone()).reshape(shape)
    }

    /// The network at states `[images, count, features]`, which belong to the steps from `begin` on.
    fn estimates(&self, reused: &Reused, states: Tensor<3>, begin: usize) -> Tensor<3> {
        let [images, count, features] = states.dims();
        // burn keeps the graph of untracked operations too.
        let constant = !states.is_tracked() && !self.network.is_autodiff();
        let lifted = constant && states.device().is_autodiff();
        let states = if constant { states.inner() } else { states };
        let rows = self.rows(states);
        let time = self.times(reused, images, begin, count);
        let parts = self.parts(images * count).map(|(start, length)| {
            let rows = rows.clone().narrow(0, start, length);
            let time = time.clone().narrow(0, start, length);
            reused.network.forward(rows, &time, None)
        });
        let estimates = joined(parts.collect()).reshape([images, count, features]);
        if lifted {
            estimates.autodiff()
        } else {
            estimates
        }
    }

    /// States as rows of images.
    fn rows(&self, states: Tensor<3>) -> Tensor<4> {
        let [images, count, _] = states.dims();
        let [_, _, channels, height, width] = self.shape();
        states.reshape([images * count, channels, height, width])
    }

    /// What the network reads of the step of each row, for so many steps from `begin` on.
    fn times(&self, reused: &Reused, images: usize, begin: usize, count: usize) -> Tensor<2> {
        let time = reused.time.clone().narrow(0, begin, count);
        let [_, features] = time.dims();
        let time: Tensor<3> = time.reshape([1, count, features]);
        time.repeat_dim(0, images)
            .reshape([images * count, features])
    }

    /// Where each call of the network starts, and how many rows it has.
    fn parts(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let size = self.chunk.unwrap_or(rows).min(rows);
        (0..rows)
            .step_by(size)
            .map(move |start| (start, size.min(rows - start)))
    }

    /// $J^\top u$ at a trajectory, on plain tensors, chunk by chunk: only one chunk's activations
    /// are in memory.
    fn transposed(&self, reused: &Reused, trajectory: &Tensor<5>, u: Tensor<5>) -> Tensor<5> {
        let shape = self.shape();
        let [images, steps, channels, height, width] = shape;
        let features = channels * height * width;
        if steps == 1 {
            return u.zeros_like();
        }
        let u = u.reshape([images, steps, features]) * self.sum_shares.clone();
        let pulled = u.flip([1]).cumsum(1).flip([1]) * self.estimate_shares.clone();
        let count = steps - 1;
        // The state in row k is read by the step of row k + 1; nothing reads the last.
        let states = trajectory.clone().narrow(1, 0, count);
        let states = states.reshape([images, count, features]);
        let pulled = self.rows(pulled.narrow(1, 1, count));
        let rows = self.rows(states);
        let time = self.times(reused, images, 1, count);
        let parts = self.parts(images * count).map(|(start, length)| {
            let x = rows.clone().narrow(0, start, length);
            let x = x.autodiff().require_grad();
            let time = time.clone().narrow(0, start, length);
            let estimates = reused.network.forward(x.clone(), &time, None);
            let pulled = pulled.clone().narrow(0, start, length);
            let gradients = (estimates * pulled).sum().backward();
            x.grad(&gradients).expect("the network reads its input")
        });
        let read = joined(parts.collect()).reshape([images, count, channels, height, width]);
        let last = Tensor::zeros([images, 1, channels, height, width], &read.device());
        Tensor::cat(vec![read, last], 1)
    }
}

impl EquilibriumMap<JointArgs, Tensor<5>> for JointMap {
    fn forward(&self, args: &JointArgs, z: Tensor<5>) -> Tensor<5> {
        args.apply(&args.reused(), z)
    }

    fn transpose(&self, args: &JointArgs, z: &Tensor<5>) -> Option<Transpose<Tensor<5>>> {
        let (args, reused, z) = (args.clone(), args.reused(), z.clone());
        Some(Box::new(move |u: Tensor<5>| {
            args.transposed(&reused, &z, u)
        }))
    }

    fn prepare<'a>(&'a self, args: &'a JointArgs) -> Option<Prepared<'a, Tensor<5>>> {
        let reused = args.reused();
        Some(Box::new(move |z: Tensor<5>| args.apply(&reused, z)))
    }
}

impl EquilibriumMap<JointArgs, Tensor<4>> for RowMap {
    fn forward(&self, args: &JointArgs, z: Tensor<4>) -> Tensor<4> {
        args.apply_to_rows(&args.reused(), z)
    }

    fn transpose(&self, args: &JointArgs, z: &Tensor<4>) -> Option<Transpose<Tensor<4>>> {
        let (args, reused) = (args.clone(), args.reused());
        let z = z.clone().reshape(args.shape());
        Some(Box::new(move |u: Tensor<4>| {
            let rows = u.dims();
            let u = u.reshape(args.shape());
            args.transposed(&reused, &z, u).reshape(rows)
        }))
    }

    fn prepare<'a>(&'a self, args: &'a JointArgs) -> Option<Prepared<'a, Tensor<4>>> {
        let reused = args.reused();
        Some(Box::new(move |z: Tensor<4>| args.apply_to_rows(&reused, z)))
    }
}

/// A coefficient for each step, `[1, steps, 1]`.
fn column(values: &[f64], device: &Device) -> Tensor<3> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let steps = values.len();
    Tensor::from_data(TensorData::new(values, [1, steps, 1]), device)
}

/// The parts one below the other.
fn joined(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}
