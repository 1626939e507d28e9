//! Tiny models.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq_lm::{Architecture, Decoder, LanguageModel, LmConfig};

/// A model for 30 tokens.
pub(crate) fn tiny(architecture: Architecture) -> LmConfig {
    let mut deq = DeqConfig::default()
        .with_tolerance(1e-6)
        .with_max_iter(100)
        .with_gradient(Gradient::phantom(3, 1.0));
    deq.forward.termination.mode = StopMode::Relative;
    LmConfig {
        architecture,
        n_token: 30,
        d_model: 16,
        d_embed: 16,
        d_inner: 20,
        n_head: 2,
        d_head: 8,
        n_layer: 1,
        cutoffs: vec![8, 20],
        div_val: 1,
        tie_weights: true,
        tie_projs: false,
        mem_len: 6,
        local_size: 1_000,
        dropout: 0.0,
        dropatt: 0.0,
        init_std: 0.05,
        injection_std: 1.0,
        weight_norm: None,
        correction: Correction::default(),
        untied_layers: None,
        deq,
    }
}

/// A post-norm model.
pub(crate) fn equilibrium() -> LmConfig {
    tiny(Architecture::PostNorm)
}

/// The model of [`equilibrium`] with a map that contracts fast: what the attention adds, most of it
/// injected, outweighs the state it is added to.
pub(crate) fn contracting(device: &Device) -> LanguageModel {
    with_strong_attention(equilibrium(), device)
}

/// A post-norm model whose attention adds far more than the state.
pub(crate) fn with_strong_attention(config: LmConfig, device: &Device) -> LanguageModel {
    let mut model = config.init(device, 0).expect("a valid model");
    let Decoder::Single(single) = &mut model.func else {
        panic!("a post-norm model has one block");
    };
    let output = &mut single.dec_attn.o_net;
    output.weight = Param::from_tensor(output.weight.val() * 60.0);
    model
}

/// A pre-norm model that takes so many steps without converging.
pub(crate) fn unrolled(steps: usize) -> LmConfig {
    let mut config = tiny(Architecture::PreNorm);
    config.deq = config
        .deq
        .with_max_iter(0)
        .with_gradient(Gradient::phantom(steps, 1.0));
    config.deq.eval = deq::implicit::Eval::MaxIter(steps);
    config
}

/// Three layers with weights of their own.
pub(crate) fn explicit(architecture: Architecture) -> LmConfig {
    LmConfig {
        untied_layers: Some(3),
        ..tiny(architecture)
    }
}

/// Tokens below 30 without a pattern.
pub(crate) fn tokens(count: usize) -> Vec<u32> {
    let mut state = 12_345u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % 30
        })
        .collect()
}

/// All numbers of a tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The largest difference.
pub(crate) fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    // `f64::max` would pass over NaN.
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}
