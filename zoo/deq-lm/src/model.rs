use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq::solvers::Observer;
use rand::rngs::StdRng;

use crate::adaptive::{AdaptiveEmbedding, AdaptiveSoftmax};
use crate::block::Shared;
use crate::config::{Architecture, LmConfig};
use crate::dropout::{BlockMasks, Dropout};
use crate::error::{fits, require};
use crate::init::Init;
use crate::memory::constant;
use crate::positions::{encodings, mask};
use crate::{Arguments, Decoder, LmError, Memory, explicit};

/// A transformer language model whose depth is a fixed point (Bai, Kolter and Koltun, *Deep
/// Equilibrium Models*, NeurIPS 2019, section 4.2). The embeddings $x$ of a segment are injected
/// into every evaluation of the map $f$, the state starts at zero, and its fixed point
///
/// $$z^\star = f(z^\star, \text{memory}; u), \qquad u = U x + c,$$
///
/// is decoded by the softmax. Built by [`LmConfig::init`]. Fields are named as in the reference's
/// state dict, so that weights load by name.
#[derive(Module, Debug)]
pub struct LanguageModel {
    /// From tokens to embeddings.
    pub word_emb: AdaptiveEmbedding,
    /// $U$ and $c$, in the pre-norm form.
    pub injection: Option<Linear>,
    /// $U$ and $c$, in the post-norm form.
    pub inject_conv: Option<Linear>,
    /// The map $f$; the first layer of an explicit model.
    pub func: Decoder,
    /// Further layers of an explicit model.
    pub untied: Vec<Decoder>,
    /// From states to probabilities of tokens.
    pub crit: AdaptiveSoftmax,
    #[module(skip)]
    deq: Deq,
    #[module(skip)]
    config: LmConfig,
}

/// What one call may do differently.
#[derive(Default)]
pub struct ForwardOptions<'a> {
    /// How many positions to remember, in place of the model's `mem_len`.
    pub mem_len: Option<usize>,
    /// How many keys a query may see, in place of the model's `local_size`.
    pub local_size: Option<usize>,
    /// Draws dropout masks. Without it nothing is dropped, as is right for evaluation.
    pub rng: Option<&'a mut StdRng>,
    /// Watches the forward solve.
    pub observer: Option<&'a mut dyn Observer>,
}

/// What the model returns.
#[derive(Clone, Debug)]
pub struct LmOutput {
    /// The states that the equilibrium layer returned, `[batch, length, d_model]` each; the last is
    /// the output. One for an explicit model.
    pub states: Vec<Tensor<3>>,
    /// What the next segment of the same streams should be given.
    pub memory: Memory,
    /// The forward solve; `None` for an explicit model.
    pub stats: Option<SolveStats>,
    /// The map's arguments: `arguments.evaluate(z)` is $f(z)$. `None` for an explicit model.
    pub arguments: Option<Arguments>,
}

impl LmOutput {
    /// The last state.
    pub fn last(&self) -> &Tensor<3> {
        self.states.last().expect("a model returns a state")
    }
}

/// What the layers of one call are given.
pub(crate) struct Prepared {
    /// One for each layer.
    pub(crate) layers: Vec<Arguments>,
    /// What is injected at the new positions.
    u: Tensor<3>,
}

impl LanguageModel {
    pub(crate) fn new(config: &LmConfig, device: &Device, seed: u64) -> Result<Self, LmError> {
        let mut init = Init::new(device, seed, config.init_std);
        let adaptive = config.adaptive();
        let word_emb = AdaptiveEmbedding::new(&adaptive, &mut init)?;
        let inner = 3 * config.n_head * config.d_head;
        let injection = init
            .with_std(config.injection_std)
            .linear(config.d_model, inner, true);
        init.with_std(config.init_std);
        let (injection, inject_conv) = match config.architecture {
            Architecture::PreNorm => (Some(injection), None),
            Architecture::PostNorm => (None, Some(injection)),
        };
        let mut decoder = || -> Result<Decoder, LmError> {
            let decoder = Decoder::new(config, &mut init);
            match &config.weight_norm {
                Some(norm) => Ok(norm.apply(decoder)?),
                None => Ok(decoder),
            }
        };
        let func = decoder()?;
        let further = 1..config.untied_layers.unwrap_or(1);
        let untied = further.map(|_| decoder());
        let untied = untied.collect::<Result<Vec<Decoder>, LmError>>()?;
        let crit = AdaptiveSoftmax::new(&adaptive, config.tying(), &mut init)?;
        Ok(Self {
            word_emb,
            injection,
            inject_conv,
            func,
            untied,
            crit,
            deq: config.deq.init()?,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &LmConfig {
        &self.config
    }

    /// The same model with another equilibrium layer.
    ///
    /// # Errors
    /// [`LmError::Solve`] when an option is out of range.
    pub fn with_deq(mut self, deq: DeqConfig) -> Result<Self, LmError> {
        self.deq = deq.init()?;
        self.config.deq = deq;
        Ok(self)
    }

    /// The states of one segment of `batch` streams: `tokens` is `[batch, length]`, row-major, and
    /// `memory` what the segment before returned (or the default at the beginning).
    ///
    /// Gradients are attached when the model is on an autodiff device; `valid()` gives the model
    /// for inference.
    ///
    /// # Errors
    /// [`LmError::UnknownToken`], [`LmError::Mismatch`] for tokens that do not fill the batch or a
    /// memory of other streams, and [`LmError::Solve`].
    pub fn forward(
        &self,
        tokens: &[u32],
        batch: usize,
        memory: &Memory,
        options: ForwardOptions<'_>,
    ) -> Result<LmOutput, LmError> {
        let ForwardOptions {
            mem_len,
            local_size,
            rng,
            observer,
        } = options;
        let local_size = local_size.unwrap_or(self.config.local_size);
        require(local_size >= 1, "local_size", local_size, "at least 1")?;
        let mem_len = mem_len.unwrap_or(self.config.mem_len);
        let prepared = self.prepare(tokens, batch, memory, local_size, rng)?;
        let shape = [batch, tokens.len() / batch, self.config.d_model];
        let u = prepared.u;
        let mut layers = prepared.layers;

        if self.config.untied_layers.is_some() {
            let start = Tensor::zeros(shape, (&u.device(), u.dtype()));
            let (inputs, output) = explicit::run(&layers, start);
            return Ok(LmOutput {
                memory: memory.extended(inputs, u, mem_len),
                states: vec![output],
                stats: None,
                arguments: None,
            });
        }
        let arguments = layers.swap_remove(0);
        let start = Tensor::zeros(shape, (&u.device().inner(), u.dtype()));
        let options = CallOptions {
            observer,
            ..Default::default()
        };
        let map = with_prepare(
            |arguments: &Arguments, z: Tensor<3>| arguments.evaluate(z),
            |arguments: &Arguments| Box::new(arguments.prepare()),
        );
        let solved = self.deq.solve_map(options, &arguments, start, map)?;
        let stats = solved.stats.clone();
        let z = solved.last().clone();
        Ok(LmOutput {
            memory: memory.extended(vec![z], u, mem_len),
            states: solved.into_states(),
            stats: Some(stats),
            arguments: Some(arguments),
        })
    }

    /// The negative log-likelihood in nats of each target, `[batch · length]`, for each of `states`.
    ///
    /// # Errors
    /// [`LmError::UnknownToken`], and [`LmError::Mismatch`] unless there is one target a position.
    pub fn token_losses(
        &self,
        states: &[Tensor<3>],
        targets: &[u32],
        rng: Option<&mut StdRng>,
    ) -> Result<Vec<Tensor<1>>, LmError> {
        let softmax = self.crit.bind(Some(&self.word_emb))?;
        let mut dropout = Dropout::new(rng, &self.word_emb.device());
        states
            .iter()
            .map(|state| {
                let [batch, length, width] = state.dims();
                // Whole positions are dropped in front of the softmax.
                let positions = dropout.mask(self.config.dropout, [batch, length, 1]);
                let hidden = positions.apply(state.clone());
                softmax.token_losses(hidden.reshape([batch * length, width]), targets)
            })
            .collect()
    }

    /// The logarithm of every token's probability to come next, `[rows, n_token]`, from states
    /// `[rows, d_model]`.
    ///
    /// # Errors
    /// [`LmError::Mismatch`] for states of another width.
    pub fn log_probabilities(&self, states: Tensor<2>) -> Result<Tensor<2>, LmError> {
        fits("features of a state", self.config.d_model, states.dims()[1])?;
        Ok(self
            .crit
            .bind(Some(&self.word_emb))?
            .log_probabilities(states))
    }

    fn prepare(
        &self,
        tokens: &[u32],
        batch: usize,
        memory: &Memory,
        local_size: usize,
        rng: Option<&mut StdRng>,
    ) -> Result<Prepared, LmError> {
        let filled = batch >= 1 && !tokens.is_empty() && tokens.len().is_multiple_of(batch);
        let requirement = "at least 1, with a whole number of tokens for each stream";
        require(filled, "batch", batch, requirement)?;
        let device = self.word_emb.device();
        let (config, length) = (&self.config, tokens.len() / batch);
        let decoders: Vec<&Decoder> = [&self.func].into_iter().chain(&self.untied).collect();
        if let Some(u) = &memory.u {
            fits("remembered streams", batch, u.dims()[0])?;
            fits("remembered layers", decoders.len(), memory.z.len())?;
        }
        let keys = memory.len() + length;

        let mut dropout = Dropout::new(rng, &device);
        let features = dropout.mask(config.dropout, [batch, 1, config.d_model]);
        let embedded = self.word_emb.forward(tokens)?;
        let embedded = embedded.reshape([batch, length, config.d_model]);
        let injection = self.injection.as_ref().or(self.inject_conv.as_ref());
        let injection = injection.expect("a model has one of its injections");
        let u = injection.forward(features.apply(embedded));

        // The two references mask the encodings along different axes.
        let masks = match config.architecture {
            Architecture::PreNorm => dropout.mask(config.dropout, [1, config.d_model]),
            Architecture::PostNorm => dropout.mask(config.dropout, [keys, 1]),
        };
        let distances = encodings(keys, config.d_model, &device);
        let shared = Shared {
            encodings: masks.apply(distances),
            injection: match &memory.u {
                Some(past) => Tensor::cat(vec![constant(past, &device), u.clone()], 1),
                None => u.clone(),
            },
            mask: mask(length, keys, local_size, &device),
        };
        let layers = decoders.into_iter().enumerate().map(|(index, decoder)| {
            let past = memory.z.get(index).map(|z| constant(z, &device));
            let masks = (0..config.n_layer)
                .map(|_| self.masks(&mut dropout, batch, length, keys))
                .collect();
            Arguments::new(decoder, &shared, past, masks)
        });
        Ok(Prepared {
            layers: layers.collect(),
            u,
        })
    }

    fn masks(
        &self,
        dropout: &mut Dropout<'_>,
        batch: usize,
        queries: usize,
        keys: usize,
    ) -> BlockMasks {
        let config = &self.config;
        BlockMasks {
            attention: dropout.mask(config.dropatt, [batch, config.n_head, queries, keys]),
            attended: dropout.mask(config.dropout, [batch, 1, config.d_model]),
            hidden: dropout.mask(config.dropout, [batch, 1, config.d_inner]),
            output: dropout.mask(config.dropout, [batch, 1, config.d_model]),
        }
    }
}
