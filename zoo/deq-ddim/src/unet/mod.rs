//! The U-Net of DDPM, with the names of the published weights.

mod attention;
mod blocks;
mod embedding;
mod init;
mod prepared;

use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use deq_kernels::silu;
use deq_nn::Init;
use rand::rngs::StdRng;

pub use attention::AttentionBlock;
pub use blocks::{Down, Downsample, Middle, ResnetBlock, Up, Upsample};
pub use embedding::TimeEmbedding;

pub(crate) use prepared::PreparedUNet;

use init::{conv, group_norm};

use crate::error::shaped;
use crate::{DdimError, UNetConfig};

/// The network $\epsilon_\theta(x_t, t)$ that estimates the noise in an image (Ho, Jain and Abbeel,
/// NeurIPS 2020, appendix B): residual blocks from the highest resolution to the lowest and back,
/// where each block on the way up reads what one on the way down left. Built by [`UNet::new`].
///
/// Its parts have the names of the published state dicts, so that weights load by name.
#[derive(Module, Debug)]
pub struct UNet {
    /// From the time step to features.
    pub temb: TimeEmbedding,
    /// From the image to features.
    pub conv_in: Conv2d,
    /// The way down, highest resolution first.
    pub down: Vec<Down>,
    /// Between the ways.
    pub mid: Middle,
    /// The way up, highest resolution first: they are used from the last to the first.
    pub up: Vec<Up>,
    /// Normalises the last features.
    pub norm_out: GroupNorm,
    /// From features to the estimate.
    pub conv_out: Conv2d,
    #[module(skip)]
    config: UNetConfig,
}

impl UNet {
    /// A network with weights drawn from `seed`: PyTorch's default initialisation, the same on
    /// every device.
    ///
    /// # Errors
    /// [`DdimError::InvalidConfig`] when an option is out of range.
    pub fn new(config: &UNetConfig, device: &Device, seed: u64) -> Result<Self, DdimError> {
        config.validate()?;
        let init = &mut Init::new(device, seed);
        let time = 4 * config.width;
        let (widths, sizes) = (config.widths(), config.resolutions());
        let attends = |level: usize| config.attention_resolutions.contains(&sizes[level]);
        let last = widths.len() - 1;

        let temb = TimeEmbedding::new(config.width, init);
        let conv_in = conv(init, [config.channels, config.width], 3, 1);
        // What each block and halving leaves for the way up.
        let mut kept = vec![config.width];
        let mut channels = config.width;
        let mut down = Vec::with_capacity(widths.len());
        for (level, &width) in widths.iter().enumerate() {
            let (mut block, mut attn) = (Vec::new(), Vec::new());
            for _ in 0..config.res_blocks {
                block.push(ResnetBlock::new([channels, width], time, init));
                channels = width;
                kept.push(channels);
                if attends(level) {
                    attn.push(AttentionBlock::new(channels, init));
                }
            }
            let downsample = (level < last).then(|| Downsample::new(channels, init));
            if downsample.is_some() {
                kept.push(channels);
            }
            down.push(Down {
                block,
                attn,
                downsample,
            });
        }
        let mid = Middle::new(channels, time, init);
        let mut up = Vec::with_capacity(widths.len());
        for (level, &width) in widths.iter().enumerate().rev() {
            let (mut block, mut attn) = (Vec::new(), Vec::new());
            for _ in 0..=config.res_blocks {
                let joined = channels + kept.pop().expect("one is kept for each block");
                block.push(ResnetBlock::new([joined, width], time, init));
                channels = width;
                if attends(level) {
                    attn.push(AttentionBlock::new(channels, init));
                }
            }
            let upsample = (level > 0).then(|| Upsample::new(channels, init));
            up.push(Up {
                block,
                attn,
                upsample,
            });
        }
        up.reverse();
        Ok(Self {
            temb,
            conv_in,
            down,
            mid,
            up,
            norm_out: group_norm(init, channels),
            conv_out: conv(init, [channels, config.channels], 3, 1),
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Whether its weights may be differentiated.
    pub(crate) fn is_autodiff(&self) -> bool {
        self.conv_in.weight.lazy_device().is_autodiff()
    }

    /// The shape of so many images.
    pub(crate) fn image_shape(&self, images: usize) -> [usize; 4] {
        let side = self.config.image_size;
        [images, self.config.channels, side, side]
    }

    /// Refuses images of another kind than the network's.
    pub(crate) fn check_images(
        &self,
        what: &'static str,
        images: &Tensor<4>,
    ) -> Result<(), DdimError> {
        let found = images.dims();
        shaped(what, self.image_shape(found[0]), found)
    }

    /// $\epsilon_\theta(x, t)$ for images `[images, channels, size, size]` and one step each,
    /// without dropout on every device.
    ///
    /// # Errors
    /// [`DdimError`] for an empty batch, images of other channels or sides, and another number of
    /// steps than of images.
    pub fn forward(&self, x: Tensor<4>, steps: &[usize]) -> Result<Tensor<4>, DdimError> {
        self.run(x, steps, None)
    }

    /// The same with dropout, its masks drawn from `rng`.
    ///
    /// # Errors
    /// As [`UNet::forward`].
    pub fn forward_training(
        &self,
        x: Tensor<4>,
        steps: &[usize],
        rng: &mut StdRng,
    ) -> Result<Tensor<4>, DdimError> {
        self.run(x, steps, Some(rng))
    }

    fn run(
        &self,
        x: Tensor<4>,
        steps: &[usize],
        rng: Option<&mut StdRng>,
    ) -> Result<Tensor<4>, DdimError> {
        self.check_images("images", &x)?;
        let images = x.dims()[0];
        if steps.len() != images {
            return Err(DdimError::Count {
                what: "time steps",
                expected: images,
                found: steps.len(),
            });
        }
        let time = self.time(self.sinusoids(steps, &x.device()));
        Ok(self.prepare().forward(x, &time, rng))
    }

    /// The network for many evaluations.
    pub(crate) fn prepare(&self) -> PreparedUNet {
        PreparedUNet::new(self, self.config.dropout)
    }

    /// The sines and cosines of these steps, `[steps, width]`.
    pub(crate) fn sinusoids(&self, steps: &[usize], device: &Device) -> Tensor<2> {
        let width = self.config.width;
        let values = embedding::sinusoids(steps, width);
        Tensor::from_data(TensorData::new(values, [steps.len(), width]), device)
    }

    /// [`UNet::time`] of all these images at one step.
    pub(crate) fn time_of(&self, step: usize, images: &Tensor<4>) -> Tensor<2> {
        let time = self.time(self.sinusoids(&[step], &images.device()));
        time.repeat_dim(0, images.dims()[0])
    }

    /// What the blocks read of steps given by their sines and cosines: swish of the time
    /// embedding, `[steps, 4 width]`.
    pub(crate) fn time(&self, sinusoids: Tensor<2>) -> Tensor<2> {
        silu(self.temb.forward(sinusoids))
    }
}
