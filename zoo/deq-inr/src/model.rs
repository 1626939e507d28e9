use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq_nn::Init;

use crate::config::{InrConfig, InrError, fits};
use crate::{Injection, Mfn};

/// An implicit neural representation: coordinates in, the signal's values out. Built by
/// [`InrConfig::init`].
#[derive(Module, Debug)]
pub struct Inr {
    /// How coordinates enter.
    pub injection: Injection,
    /// The map whose fixed point is the hidden layer.
    pub f: Mfn,
    /// From the fixed point to the values.
    pub output_map: Linear,
    #[module(skip)]
    deq: Deq,
    #[module(skip)]
    config: InrConfig,
}

/// Where the hidden state starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// From zero.
    Zeros,
    /// From this state, `[points, width]`.
    From(Tensor<2>),
    /// From this state and without the solver: only the gradient's own steps move it. Between
    /// small updates of the weights, last step's fixed point is as good as a solved one.
    Reuse(Tensor<2>),
}

/// What the model returns.
#[derive(Clone, Debug)]
pub struct InrOutput {
    /// The values, `[points, out_channels]`: of the last state.
    pub output: Tensor<2>,
    /// The last state, `[points, width]`.
    pub z: Tensor<2>,
    /// All states the equilibrium layer returned; the last is `z`.
    pub states: Vec<Tensor<2>>,
    /// The forward solve; `None` for a one-pass model.
    pub stats: Option<SolveStats>,
}

impl Inr {
    pub(crate) fn new(config: &InrConfig, device: &Device, seed: u64) -> Result<Self, InrError> {
        let mut init = Init::new(device, seed);
        let injection = Injection::new(config, &mut init);
        let f = Mfn::new(config, &mut init);
        let output_map = init.linear(config.width, config.out_channels, true);
        Ok(Self {
            injection,
            f: match &config.weight_norm {
                Some(norm) => norm.apply(f)?,
                None => f,
            },
            output_map,
            deq: config.deq.init()?,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &InrConfig {
        &self.config
    }

    /// The values at `coords`, `[points, in_channels]`.
    ///
    /// Gradients are attached when the model is on an autodiff device; `valid()` gives the model
    /// for inference.
    ///
    /// # Errors
    /// [`InrError::Mismatch`] for points or a start that do not fit, and [`InrError::Solve`].
    pub fn forward(&self, coords: Tensor<2>, start: Start) -> Result<InrOutput, InrError> {
        let [points, in_channels] = coords.dims();
        if points == 0 {
            return Err(SolveError::Empty(vec![coords.shape()]).into());
        }
        fits("coordinates a point", self.config.in_channels, in_channels)?;
        let (start, max_iter) = match start {
            Start::Zeros => {
                let options = (&coords.device().inner(), coords.dtype());
                (Tensor::zeros([points, self.config.width], options), None)
            }
            Start::From(z) => (z, None),
            Start::Reuse(z) => (z, Some(0)),
        };
        let [start_points, width] = start.dims();
        fits("features of the state", self.config.width, width)?;
        fits("points of the state", points, start_points)?;

        let mut injections = self.injection.forward(coords);
        let first = self.f.first(injections.remove(0));
        if self.config.one_pass {
            let z = self.f.forward(first, &injections, start);
            return Ok(InrOutput {
                output: self.output_map.forward(z.clone()),
                states: vec![z.clone()],
                z,
                stats: None,
            });
        }
        let options = CallOptions {
            max_iter,
            ..Default::default()
        };
        type Args = (Mfn, Param<Tensor<2>>, Vec<Param<Tensor<2>>>);
        let injections: Vec<_> = injections.into_iter().map(input).collect();
        let args: Args = (self.f.clone(), input(first), injections);
        let map = with_prepare(
            |(f, first, injections): &Args, z| f.forward(first.val(), &values(injections), z),
            |(f, first, injections): &Args| Box::new(f.prepare(first.val(), &values(injections))),
        );
        let solved = self.deq.solve_map(options, &args, start, map)?;
        let z = solved.last().clone();
        Ok(InrOutput {
            output: self.output_map.forward(z.clone()),
            z,
            stats: Some(solved.stats.clone()),
            states: solved.into_states(),
        })
    }
}

fn values(injections: &[Param<Tensor<2>>]) -> Vec<Tensor<2>> {
    injections.iter().map(Param::val).collect()
}
