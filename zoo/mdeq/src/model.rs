use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Shape, Tensor};
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq_kernels::layers::linear;
use deq_nn::Init;

use crate::error::fits;
use crate::head::{self, Bottleneck};
use crate::layers::{Layer, sequence};
use crate::map::MultiscaleMap;
use crate::{MdeqConfig, MdeqError, stem};

/// A multiscale deep equilibrium model for classification. Built by [`MdeqConfig::init`].
///
/// Its parts have the names of the reference's state dict, so that weights load by name.
#[derive(Module, Debug)]
pub struct Mdeq {
    /// The stem.
    pub downsample: Vec<Layer>,
    /// The stem's 1×1 convolution, in models with more than two branches or a stem that halves.
    pub stage0: Option<Vec<Layer>>,
    /// The map whose fixed point is solved for.
    pub full_stage: MultiscaleMap,
    /// The head's bottlenecks, one a branch.
    pub incre_modules: Vec<Vec<Bottleneck>>,
    /// The head's way from one resolution to the next.
    pub downsamp_modules: Vec<Vec<Layer>>,
    /// The head's last convolution.
    pub final_layer: Vec<Layer>,
    /// From the features to the classes.
    pub classifier: Linear,
    #[module(skip)]
    deq: Deq,
    #[module(skip)]
    config: MdeqConfig,
}

/// What the model returns.
#[derive(Clone, Debug)]
pub struct MdeqOutput {
    /// The logits of each state, `[samples, classes]`.
    pub logits: Vec<Tensor<2>>,
    /// All states the equilibrium layer returned, each with one tensor a branch; never empty.
    pub states: Vec<Vec<Tensor<4>>>,
    /// The forward solve.
    pub stats: SolveStats,
}

impl MdeqOutput {
    /// The logits of the last state: the model's answer.
    pub fn last(&self) -> &Tensor<2> {
        self.logits.last().expect("a layer returns a state")
    }
}

impl Mdeq {
    pub(crate) fn new(config: &MdeqConfig, device: &Device, seed: u64) -> Result<Self, MdeqError> {
        let mut init = Init::new(device, seed);
        Ok(Self {
            downsample: stem::downsample(config, &mut init),
            stage0: stem::stage0(config, &mut init),
            full_stage: MultiscaleMap::new(config, &mut init)?,
            incre_modules: head::incre_modules(config, &mut init),
            downsamp_modules: head::downsamp_modules(config, &mut init),
            final_layer: head::final_layer(config, &mut init),
            classifier: init.linear(config.final_channels, config.classes, true),
            deq: config.deq.init()?,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &MdeqConfig {
        &self.config
    }

    /// The number of trainable numbers. [`Module::num_params`] counts the running statistics of
    /// the batch norms as well.
    pub fn parameters(&self) -> usize {
        deq_nn::parameters(self)
    }

    /// The logits of normalised images, `[samples, in_channels, height, width]`.
    ///
    /// On an autodiff device gradients are attached, batch norms use the batch's statistics and
    /// move the running ones; `valid()` gives the model for inference.
    ///
    /// # Errors
    /// See [`Mdeq::inject`] and [`Mdeq::solve`].
    pub fn forward(&self, images: Tensor<4>) -> Result<MdeqOutput, MdeqError> {
        self.forward_with(images, CallOptions::default())
    }

    /// The same with options for this call: `max_iter` steps of the solver, an observer.
    ///
    /// # Errors
    /// See [`Mdeq::inject`] and [`Mdeq::solve`].
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        options: CallOptions<'_>,
    ) -> Result<MdeqOutput, MdeqError> {
        let injection = self.inject(images)?;
        let solved = self.solve(injection, options)?;
        let stats = solved.stats.clone();
        let states = solved.into_states();
        let logits: Result<Vec<_>, _> = states.iter().map(|state| self.classify(state)).collect();
        Ok(MdeqOutput {
            logits: logits?,
            states,
            stats,
        })
    }

    /// What the images inject into branch 0, `[samples, channels[0], height, width]`. It is
    /// constant during the solve.
    ///
    /// # Errors
    /// [`MdeqError`] for an empty batch, for images of other channels, and for sides that do not
    /// halve or leave nothing to normalise.
    pub fn inject(&self, images: Tensor<4>) -> Result<Tensor<4>, MdeqError> {
        let [samples, channels, height, width] = images.dims();
        if images.shape().num_elements() == 0 {
            return Err(SolveError::Empty(vec![images.shape()]).into());
        }
        fits("channels an image", self.config.in_channels, channels)?;
        let injection = self.config.injection_size([height, width]);
        let multiple = self.config.size_multiple();
        if !injection.iter().all(|side| side.is_multiple_of(multiple)) {
            return Err(MdeqError::Size {
                height,
                width,
                injection,
                multiple,
            });
        }
        let values = samples
            * injection
                .iter()
                .map(|side| side / multiple)
                .product::<usize>();
        // Batch norm of a single value is its shift, and burn's group norm refuses two numbers.
        let trains = self.classifier.weight.val().is_autodiff();
        if values == 1 && (trains || self.config.channels.last() == Some(&2)) {
            return Err(MdeqError::TooFewValues(values));
        }
        let x = sequence(&self.downsample, images);
        Ok(match &self.stage0 {
            Some(layers) => sequence(layers, x),
            None => x,
        })
    }

    /// The equilibrium under this injection, from zero: states with one tensor a branch,
    /// `[samples, channels[i], height / 2^i, width / 2^i]`.
    ///
    /// # Errors
    /// [`MdeqError::State`] for an injection of other channels or sides than the model's, and
    /// [`MdeqError::Solve`].
    pub fn solve(
        &self,
        injection: Tensor<4>,
        options: CallOptions<'_>,
    ) -> Result<Solved<Vec<Tensor<4>>>, MdeqError> {
        let shapes = self.state_shapes(injection.shape())?;
        let device = injection.device().inner();
        let zeros = |shape: Shape| Tensor::zeros(shape, (&device, injection.dtype()));
        let start: Vec<Tensor<4>> = shapes.into_iter().map(zeros).collect();
        let args = (self.full_stage.clone(), injection);
        type Args = (MultiscaleMap, Tensor<4>);
        let map = with_prepare(
            |(f, injection): &Args, z| f.forward(z, injection.clone()),
            |(f, injection): &Args| Box::new(f.prepare(injection.clone())),
        );
        Ok(self.deq.solve_map(options, &args, start, map)?)
    }

    /// The logits `[samples, classes]` of a state.
    ///
    /// # Errors
    /// [`MdeqError::State`] for a state of other branches, channels or sides than the model's.
    pub fn classify(&self, state: &[Tensor<4>]) -> Result<Tensor<2>, MdeqError> {
        let found: Vec<Shape> = state.iter().map(Tensor::shape).collect();
        let first = found.first().cloned();
        let expected = self.state_shapes(first.unwrap_or_else(|| Shape::new([0; 4])))?;
        if found != expected {
            return Err(MdeqError::State { expected, found });
        }
        let features = head::features(
            &self.incre_modules,
            &self.downsamp_modules,
            &self.final_layer,
            state,
        );
        Ok(linear(&self.classifier, features, None))
    }

    /// The shapes of a state whose first part has this shape.
    fn state_shapes(&self, first: Shape) -> Result<Vec<Shape>, MdeqError> {
        let [samples, _, height, width] = first.dims();
        let branches = self.config.channels.iter().enumerate();
        let shapes: Vec<Shape> = branches
            .map(|(index, &channels)| {
                Shape::new([samples, channels, height >> index, width >> index])
            })
            .collect();
        let multiple = self.config.size_multiple();
        let halves = |side: usize| side >= 1 && side.is_multiple_of(multiple);
        if samples == 0 || shapes[0] != first || !halves(height) || !halves(width) {
            return Err(MdeqError::State {
                expected: shapes,
                found: vec![first],
            });
        }
        Ok(shapes)
    }
}
