use burn::module::Module;
use burn::tensor::{Device, Tensor};
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq_kernels::relu;
use deq_nn::Init;

use crate::arguments::{FlowArguments, MatcherState};
use crate::encoder::{Encoder, EncoderShape};
use crate::error::fits;
use crate::gma::Attention;
use crate::padding::{InputPadder, Padding};
use crate::update::UpdateBlock;
use crate::upsample::{FACTOR, MaskLayer, convex_upsample, mask, mask_head};
use crate::{Correlation, FlowConfig, FlowError, FlowState};

/// Optical flow as the fixed point of a recurrent matcher (Bai, Geng, Savani and Kolter, *Deep
/// Equilibrium Optical Flow Estimation*, CVPR 2022). Built by [`FlowConfig::init`]. Fields are named
/// as in the reference's state dict, so that weights load by name.
#[derive(Module, Debug)]
pub struct DeqFlow {
    /// Features of both frames, which are correlated.
    pub fnet: Encoder,
    /// Context of the first frame, which is injected.
    pub cnet: Encoder,
    /// The map.
    pub update_block: UpdateBlock,
    /// The head of the upsampling's weights.
    pub mask: Vec<MaskLayer>,
    /// Global motion aggregation, in models that have it.
    pub attn: Option<Attention>,
    #[module(skip)]
    deq: Deq,
    #[module(skip)]
    config: FlowConfig,
}

/// What the model returns.
#[derive(Clone, Debug)]
pub struct FlowOutput {
    /// The flow of each state, `[samples, 2, height, width]`, x first, in pixels of the frames.
    /// In inference one; never empty.
    pub flows: Vec<Tensor<4>>,
    /// The states they were read from.
    pub states: Vec<FlowState>,
    /// The forward solve.
    pub stats: SolveStats,
}

impl FlowOutput {
    /// The last flow: the model's answer.
    pub fn last(&self) -> &Tensor<4> {
        self.flows.last().expect("a layer returns a state")
    }

    /// The last state as a constant, from which the next pair of a sequence may start: as it is, or
    /// moved on by [`WarmStart`](crate::WarmStart).
    pub fn equilibrium(&self) -> FlowState {
        let last = self.states.last().expect("a layer returns a state");
        last.constant()
    }
}

impl DeqFlow {
    pub(crate) fn new(config: &FlowConfig, device: &Device, seed: u64) -> Result<Self, FlowError> {
        let mut init = Init::new(device, seed);
        let shape = |output, norm| EncoderShape {
            dims: config.encoder_dims,
            output,
            norm,
            frozen: config.freeze_bn,
        };
        let fnet = Encoder::new(shape(config.feature_dim, config.feature_norm), &mut init);
        let cnet = Encoder::new(shape(config.context_dim, config.context_norm), &mut init);
        let update_block = UpdateBlock::new(config, &mut init);
        let update_block = match &config.weight_norm {
            Some(norm) => norm.apply(update_block)?,
            None => update_block,
        };
        Ok(Self {
            fnet,
            cnet,
            update_block,
            mask: mask_head(config.hidden_dim, config.mask_dim, &mut init),
            attn: config
                .gma
                .then(|| Attention::new(config.context_dim, &mut init)),
            deq: config.deq.init()?,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// The same weights with another equilibrium layer: other steps, another solver.
    ///
    /// # Errors
    /// [`FlowError::Solve`] when an option is out of range.
    pub fn with_deq(mut self, deq: DeqConfig) -> Result<Self, FlowError> {
        self.deq = deq.init()?;
        self.config.deq = deq;
        Ok(self)
    }

    /// The number of trainable numbers. [`Module::num_params`] counts the running statistics of
    /// the batch norms as well.
    pub fn parameters(&self) -> usize {
        deq_nn::parameters(self)
    }

    /// The flow from the first frames to the second, `[samples, 3, height, width]` each, red, green
    /// and blue in 0 to 255, with sides that are multiples of 8. `start` is the equilibrium of an
    /// earlier pair of the same size; without it the start is no motion and a hidden state of zero.
    ///
    /// On an autodiff device gradients are attached, batch norms use the batch's statistics and
    /// move the running ones; `valid()` gives the model for inference.
    ///
    /// # Errors
    /// See [`DeqFlow::prepare`] and [`DeqFlow::solve`].
    pub fn forward(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
        start: Option<&FlowState>,
    ) -> Result<FlowOutput, FlowError> {
        self.forward_with(first, second, start, CallOptions::default())
    }

    /// The same with options for this call: `max_iter` steps of the solver, an observer.
    ///
    /// # Errors
    /// See [`DeqFlow::prepare`] and [`DeqFlow::solve`].
    pub fn forward_with(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
        start: Option<&FlowState>,
        options: CallOptions<'_>,
    ) -> Result<FlowOutput, FlowError> {
        let arguments = self.prepare(first, second)?;
        let solved = self.solve(&arguments, start, options)?;
        let stats = solved.stats.clone();
        let origin = arguments.origin();
        let states: Vec<FlowState> = solved
            .into_states()
            .into_iter()
            .map(|(hidden, coords)| FlowState {
                hidden,
                flow: coords - origin.clone(),
            })
            .collect();
        Ok(FlowOutput {
            flows: states.iter().map(|state| self.decode(state)).collect(),
            states,
            stats,
        })
    }

    /// The flow between two frames of any size from [`FlowConfig::least_side`] up, without
    /// gradients: frames are padded and the flow is cut back. The states are those of the padded
    /// frames, as the next call wants them.
    ///
    /// # Errors
    /// As [`DeqFlow::forward`], and [`FlowError::FrameSizes`].
    pub fn estimate(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
        padding: Padding,
        start: Option<&FlowState>,
        options: CallOptions<'_>,
    ) -> Result<FlowOutput, FlowError> {
        let [_, _, height, width] = first.dims();
        let padder = InputPadder::new([height, width], padding);
        let [first, second] = padder.pad_pair(first.inner(), second.inner())?;
        let mut output = self.valid().forward_with(first, second, start, options)?;
        let flows: Result<Vec<_>, _> = output
            .flows
            .into_iter()
            .map(|flow| padder.unpad(flow))
            .collect();
        output.flows = flows?;
        Ok(output)
    }

    /// Features of both frames, `[samples, feature_dim, height / 8, width / 8]`.
    ///
    /// # Errors
    /// As [`DeqFlow::prepare`].
    pub fn features(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
    ) -> Result<[Tensor<4>; 2], FlowError> {
        self.check(&first, &second)?;
        let [samples, _, _, _] = first.dims();
        let both = Tensor::cat(vec![centred(first), centred(second)], 0);
        let features = self.fnet.forward(both);
        Ok([
            features.clone().narrow(0, 0, samples),
            features.narrow(0, samples, samples),
        ])
    }

    /// Everything that does not change during the solve.
    ///
    /// # Errors
    /// [`FlowError`] for frames of different sizes, of other than three channels, of sides that are
    /// no multiples of 8 or too small for the pyramid, and [`SolveError::Empty`] for no frames.
    pub fn prepare(&self, first: Tensor<4>, second: Tensor<4>) -> Result<FlowArguments, FlowError> {
        let [features, others] = self.features(first.clone(), second)?;
        let config = &self.config;
        let correlation = Correlation::new(
            features,
            others,
            config.corr_levels,
            config.corr_radius,
            config.lookup,
        )?;
        let context = relu(self.cnet.forward(centred(first)));
        let attention = self.attn.as_ref().map(|attn| attn.forward(context.clone()));
        Ok(FlowArguments::new(
            self.update_block.clone(),
            correlation,
            context,
            attention,
            config.all_grad,
        ))
    }

    /// The equilibrium: hidden states and coordinates.
    ///
    /// # Errors
    /// [`FlowError::Shape`] for a start of another size than the frames', and [`FlowError::Solve`].
    pub fn solve(
        &self,
        arguments: &FlowArguments,
        start: Option<&FlowState>,
        options: CallOptions<'_>,
    ) -> Result<Solved<MatcherState>, FlowError> {
        let origin = arguments.origin().inner();
        let [samples, _, height, width] = origin.dims();
        let hidden_dim = self.config.hidden_dim;
        let start = match start {
            Some(start) => {
                start.fits(hidden_dim, [samples, height, width])?;
                start.constant()
            }
            None => FlowState::from_flow(origin.zeros_like(), hidden_dim),
        };
        let start = (start.hidden, origin + start.flow);
        let map = with_prepare(
            |arguments: &FlowArguments, state: MatcherState| arguments.evaluate(state),
            |arguments: &FlowArguments| Box::new(arguments.prepare()),
        );
        Ok(self.deq.solve_map(options, arguments, start, map)?)
    }

    /// A state's flow at full resolution.
    pub fn decode(&self, state: &FlowState) -> Tensor<4> {
        let weights = mask(&self.mask, state.hidden.clone());
        convex_upsample(state.flow.clone(), weights)
    }

    fn check(&self, first: &Tensor<4>, second: &Tensor<4>) -> Result<(), FlowError> {
        let [samples, channels, height, width] = first.dims();
        let [_, _, rows, columns] = second.dims();
        if [height, width] != [rows, columns] {
            return Err(FlowError::FrameSizes {
                first: [height, width],
                second: [rows, columns],
            });
        }
        if first.shape().num_elements() == 0 {
            return Err(SolveError::Empty(vec![first.shape()]).into());
        }
        let expected = [samples, 3, height, width];
        fits(
            "the first frame",
            &expected,
            &[samples, channels, height, width],
        )?;
        fits("the second frame", &expected, &second.dims())?;
        if !height.is_multiple_of(FACTOR) || !width.is_multiple_of(FACTOR) {
            return Err(FlowError::Indivisible { height, width });
        }
        let least = self.config.least_side();
        if height.min(width) < least {
            return Err(FlowError::TooSmall {
                height,
                width,
                levels: self.config.corr_levels,
                least,
            });
        }
        Ok(())
    }
}

/// From 0 … 255 to −1 … 1.
fn centred(frame: Tensor<4>) -> Tensor<4> {
    frame * (2.0 / 255.0) - 1.0
}
