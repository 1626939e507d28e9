//! What `generate` and `invert` share: the model of a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor};
use deq::devices::DeviceName;
use deq_ddim::{Ddim, EquilibriumConfig, SamplingConfig, noise_for};
use deq_train::{load_module, rng_for};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::train::ddim::{AVERAGE, DdimRecipe};
use super::train::settings::{self, Setting, refuse_twice};
use super::train::{checkpoint, plain, read_run};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder of a run of deq-ddim. Its best checkpoint is taken where an evaluation decides,
    /// else the newest, and of that the averaged weights.
    #[arg(long, value_name = "DIR")]
    pub(crate) run: PathBuf,
    /// Steps of the chain from noise to image [default: the recipe's]. Evenly spaced ones divide the
    /// steps of the diffusion: of a number that does not, the next one up is taken.
    #[arg(long, value_name = "T")]
    steps: Option<usize>,
    /// Changes one setting under `sampling` or `equilibrium` of the recipe, such as
    /// sampling.spacing=quadratic, equilibrium.chunk=64 (rows that the network sees at once: less
    /// memory) or 'equilibrium.deq.forward.solver={kind="anderson"}'. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Seeds the noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The folder for what is made; it must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    pub(crate) device: DeviceName,
}

/// What can be changed of a recipe when its model is put to work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changeable {
    sampling: SamplingConfig,
    equilibrium: EquilibriumConfig,
}

/// The model of a run, ready to sample.
pub(crate) struct Opened {
    pub(crate) recipe: DdimRecipe,
    pub(crate) model: Ddim,
    pub(crate) device: Device,
}

impl Options {
    /// Loads the model, with `eta` in place of the recipe's where it is given.
    pub(crate) fn open(&self, eta: Option<f64>) -> Result<Opened> {
        if self.steps.is_some() {
            refuse_twice(&self.settings, "sampling.steps", "--steps")?;
        }
        if eta.is_some() {
            refuse_twice(&self.settings, "sampling.eta", "--eta")?;
        }
        let recipe: DdimRecipe = read_run(&self.run)?;
        let mut asked = Changeable {
            sampling: recipe.sampling.clone(),
            equilibrium: recipe.equilibrium.clone(),
        };
        asked.sampling.steps = self.steps.unwrap_or(asked.sampling.steps);
        asked.sampling.eta = eta.unwrap_or(asked.sampling.eta);
        let asked = settings::apply(&asked, &self.settings)?;
        let mut config = recipe.config();
        config.sampling = asked.sampling;
        config.equilibrium = asked.equilibrium;
        let device = self.device.open()?;
        let (path, _) = checkpoint(&self.run)?;
        let asked = config.sampling.steps;
        let model = load_module(&path.join(AVERAGE), config.init(&device, 0)?).map_err(plain)?;
        let taken = model.chain().steps();
        if taken != asked {
            eprintln!("a chain of {asked} steps is none of this diffusion: {taken} are taken");
        }
        Ok(Opened {
            recipe,
            model,
            device,
        })
    }

    /// Refuses settings of a part of the recipe that nothing uses.
    pub(crate) fn refuse(&self, part: &str, why: &str) -> Result<()> {
        let unused = self.settings.iter().find(|setting| setting.is_of(part));
        match unused {
            Some(setting) => bail!("--set {} would have no effect: {why}", setting.text()),
            None => Ok(()),
        }
    }

    /// Makes the folder for what is made.
    pub(crate) fn make_folder(&self) -> Result<()> {
        let shown = self.out.display();
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make the folder {shown}"))?;
        let mut entries =
            std::fs::read_dir(&self.out).with_context(|| format!("cannot read {shown}"))?;
        ensure!(
            entries.next().is_none(),
            "{shown} is not empty, and nothing is overwritten: choose another --out"
        );
        Ok(())
    }

    /// A file in it.
    pub(crate) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.out.join(name)
    }
}

/// The noise of a stochastic chain from a seed; none of a deterministic one. It differs from the
/// latents of the same seed.
pub(crate) fn noise(
    model: &Ddim,
    images: usize,
    seed: u64,
    device: &Device,
) -> Result<Option<Tensor<5>>> {
    let chain = model.chain();
    if chain.eta() == 0.0 {
        return Ok(None);
    }
    let seed = rng_for(seed, 0, "noise").random();
    let network = &model.config().network;
    Ok(Some(noise_for(&chain, network, images, seed, device)?))
}
