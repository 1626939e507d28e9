use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq_kernels::layers::linear;
use deq_nn::Init;

use crate::backbone::Trunk;
use crate::block::InjectedBlock;
use crate::error::fits;
use crate::{
    Classifier, CollapseError, LastBlock, LinearHead, Matrix, NetworkConfig, TrunkNorm, etf,
};

/// A ResNet whose last block is explicit or an equilibrium. Built by [`NetworkConfig::init`].
///
/// The features are the last block's output, averaged over all pixels.
#[derive(Module, Debug)]
pub struct Network {
    /// Everything in front of the last block.
    pub trunk: Trunk,
    /// The last block: one for an equilibrium, one for each layer of an explicit stack.
    pub blocks: Vec<InjectedBlock>,
    /// The trained classifier; `None` with a fixed one.
    pub classifier: Option<Linear>,
    #[module(skip)]
    deq: Option<Deq>,
    #[module(skip)]
    config: NetworkConfig,
}

/// What a network returns.
#[derive(Clone, Debug)]
pub struct NetworkOutput {
    /// The logits, `[samples, classes]`.
    pub logits: Tensor<2>,
    /// The features in front of the classifier, `[samples, features]`.
    pub features: Tensor<2>,
    /// What the features are averages of: the last block's output, `[samples, features, height,
    /// width]`.
    pub state: Tensor<4>,
    /// The forward solve; `None` for an explicit network.
    pub stats: Option<SolveStats>,
}

impl Network {
    pub(crate) fn new(
        config: &NetworkConfig,
        device: &Device,
        seed: u64,
    ) -> Result<Self, CollapseError> {
        let (layers, deq) = match &config.last {
            LastBlock::Explicit { layers } => (*layers, None),
            LastBlock::Equilibrium { deq } => (1, Some(deq.init()?)),
        };
        let mut init = Init::new(device, seed);
        let trunk = Trunk::new(config, &mut init);
        // In front of the blocks, so that a deeper stack has the same classifier.
        let classifier = match config.classifier {
            Classifier::Learned { bias } => {
                Some(init.linear(config.features, config.classes, bias))
            }
            Classifier::FixedEtf {} => None,
        };
        let mut blocks = Vec::with_capacity(layers);
        for _ in 0..layers {
            let block = InjectedBlock::new(config.features, config.groups, &mut init);
            blocks.push(match &config.weight_norm {
                Some(norm) => norm.apply(block)?,
                None => block,
            });
        }
        Ok(Self {
            trunk,
            blocks,
            classifier,
            deq,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The number of trainable numbers. [`Module::num_params`] counts the running statistics of
    /// the batch norms as well.
    pub fn parameters(&self) -> usize {
        deq_nn::parameters(self)
    }

    /// Logits and features of normalised images, `[samples, in_channels, height, width]`.
    ///
    /// On an autodiff device gradients are attached, batch norms use the batch's statistics and
    /// move the running ones; `valid()` gives the network for inference.
    ///
    /// # Errors
    /// [`CollapseError`] for an empty batch, for images of other channels or too small ones, and
    /// [`CollapseError::Solve`].
    pub fn forward(&self, images: Tensor<4>) -> Result<NetworkOutput, CollapseError> {
        self.forward_with(images, CallOptions::default())
    }

    /// The same with options for this call's solve: `max_iter` steps, an observer. An explicit
    /// network has no use for them.
    ///
    /// # Errors
    /// As [`Network::forward`], and [`CollapseError::InvalidConfig`] for options given to an
    /// explicit network.
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        options: CallOptions<'_>,
    ) -> Result<NetworkOutput, CollapseError> {
        self.check(&images)?;
        let x = self.trunk.forward(images);
        let (z, stats) = match (&self.deq, self.blocks.as_slice()) {
            (Some(deq), [block]) => {
                type Args = (InjectedBlock, Param<Tensor<4>>);
                let start = Tensor::<4>::zeros(x.shape(), (&x.device().inner(), x.dtype()));
                let args: Args = (block.clone(), input(x));
                let map = with_prepare(
                    |(f, x): &Args, z: Tensor<4>| f.forward(z, x.val()),
                    |(f, x): &Args| Box::new(f.prepare(x.val())),
                );
                let solved = deq.solve_map(options, &args, start, map)?;
                let stats = solved.stats.clone();
                (solved.into_last(), Some(stats))
            }
            (_, blocks) => {
                let given = options.max_iter.is_some()
                    || options.observer.is_some()
                    || options.adjoint_memory.is_some();
                crate::error::require(
                    !given,
                    "options",
                    "given",
                    "left out for an explicit network, which solves nothing",
                )?;
                let layer = |z, block: &InjectedBlock| block.forward(z, x.clone());
                (blocks.iter().fold(x.clone(), layer), None)
            }
        };
        let [samples, channels, height, width] = z.dims();
        let pixels: Tensor<3> = z.clone().reshape([samples, channels, height * width]);
        let features: Tensor<2> = pixels.mean_dim(2).reshape([samples, channels]);
        Ok(NetworkOutput {
            logits: self.classify(features.clone()),
            features,
            state: z,
            stats,
        })
    }

    /// The logits of features `[samples, features]`.
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        match &self.classifier {
            Some(classifier) => linear(classifier, features, None),
            // With P = I the frame takes the mean off and scales.
            None => {
                let classes = self.config.classes as f64;
                let mean = features.clone().mean_dim(1);
                (features - mean) * (classes / (classes - 1.0)).sqrt()
            }
        }
    }

    /// The classifier on the host, as [`measures`](crate::measures()) takes it.
    pub fn head(&self) -> LinearHead {
        let (classes, features) = (self.config.classes, self.config.features);
        let Some(linear) = &self.classifier else {
            return LinearHead::from_parts(etf::standard(classes), vec![0.0; classes]);
        };
        // burn's weight is [features, classes].
        let weight: Vec<f64> = linear.weight.val().into_data().iter::<f64>().collect();
        let bias = match &linear.bias {
            Some(bias) => bias.val().into_data().iter::<f64>().collect(),
            None => vec![0.0; classes],
        };
        let weight = Matrix::from_fn(classes, features, |i, j| weight[j * classes + i]);
        LinearHead::from_parts(weight, bias)
    }

    fn check(&self, images: &Tensor<4>) -> Result<(), CollapseError> {
        let [samples, channels, height, width] = images.dims();
        if images.shape().num_elements() == 0 {
            return Err(SolveError::Empty(vec![images.shape()]).into());
        }
        fits("channels an image", self.config.in_channels, channels)?;
        let pixels = self.config.pixels([height, width]);
        let groups_of_last = (
            pixels[pixels.len() - 1],
            self.config.features,
            self.config.groups,
        );
        group_norm_works("last block", groups_of_last)?;
        match self.config.norm {
            TrunkNorm::Batch {} => {
                let trains = self.trunk.stem.weight.val().is_autodiff();
                let values = samples * pixels[pixels.len() - 1];
                let least = if trains { 2 } else { 1 };
                enough("batch norms of the last stage", values, least)
            }
            TrunkNorm::Group { groups } => {
                let stages = pixels.into_iter().zip(self.config.channels());
                for (pixels, channels) in stages {
                    group_norm_works("group norms of a stage", (pixels, channels, groups))?;
                }
                Ok(())
            }
        }
    }
}

/// Two values in each group: a single one is its own mean.
fn group_norm_works(
    place: &'static str,
    (pixels, channels, groups): (usize, usize, usize),
) -> Result<(), CollapseError> {
    enough(place, pixels * channels / groups, 2)
}

fn enough(place: &'static str, values: usize, least: usize) -> Result<(), CollapseError> {
    if values >= least {
        return Ok(());
    }
    Err(CollapseError::TooFewValues {
        place,
        values,
        least,
    })
}
