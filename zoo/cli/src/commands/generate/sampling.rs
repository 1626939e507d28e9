//! Images with what they cost.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Tensor;
use deq::prelude::SolveStats;
use deq_ddim::{Ddim, EquilibriumConfig};

use crate::commands::diffusion::{self, Opened};
use crate::commands::pixels::Pixels;

/// What images are made from, the same for every way to make them.
pub(super) struct Start {
    latents: Tensor<4>,
    noise: Option<Tensor<5>>,
}

/// Images that were sampled.
pub(super) struct Sampled {
    pub(super) images: Pixels,
    /// The solve; `None` of steps that were taken one after the other.
    pub(super) solve: Option<SolveStats>,
    /// Calls of the network, each of which waited for the one before.
    pub(super) calls: usize,
    /// From the latents to the images in the host's memory.
    pub(super) seconds: f64,
}

impl Start {
    pub(super) fn new(opened: &Opened, count: usize, seed: u64) -> Result<Self> {
        let (model, device) = (&opened.model, &opened.device);
        Ok(Self {
            latents: model.latents(count, seed, device)?,
            noise: diffusion::noise(model, count, seed, device)?,
        })
    }

    fn count(&self) -> usize {
        self.latents.dims()[0]
    }
}

/// Takes one step after the other.
pub(super) fn sequential(model: &Ddim, start: &Start) -> Result<Sampled> {
    let started = Instant::now();
    let images = model.sample(start.latents.clone(), start.noise.as_ref())?;
    let images = Pixels::read(images);
    Ok(Sampled {
        images,
        solve: None,
        calls: model.chain().steps(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Solves for all steps at once.
pub(super) fn equilibrium(
    model: &Ddim,
    config: &EquilibriumConfig,
    start: &Start,
) -> Result<Sampled> {
    let (sampler, chain) = (config.init()?, model.chain());
    let (latents, noise) = (start.latents.clone(), start.noise.clone());
    let started = Instant::now();
    let joint = sampler.sample(&model.network, &chain, latents, noise)?;
    let images = Pixels::read(joint.images());
    let seconds = started.elapsed().as_secs_f64();
    // An evaluation calls the network once for each chunk of its rows.
    let rows = start.count() * chain.steps();
    let chunks = config.chunk.map_or(1, |chunk| rows.div_ceil(chunk));
    Ok(Sampled {
        images,
        calls: joint.stats.evaluations * chunks,
        solve: Some(joint.stats),
        seconds,
    })
}
