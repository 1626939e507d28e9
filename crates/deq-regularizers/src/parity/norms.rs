use std::convert::identity;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1dConfig, Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{LinearConfig, PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

use crate::{NormConfig, SpectralNorm, SpectralNormConfig, WeightNormConfig, reset_norms};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    norm_type: NormType,
    layer: String,
    args: Args,
    #[serde(rename = "input_shape")]
    _input_shape: Vec<usize>,
    learn_scale: bool,
    clip: bool,
    clip_value: f64,
    target_norm: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum NormType {
    WeightNorm,
    SpectralNorm,
}

/// The reference layer's arguments: those of a linear layer or of a convolution.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Args {
    Linear {
        in_features: usize,
        out_features: usize,
        #[serde(default = "yes")]
        bias: bool,
    },
    Convolution(Convolution),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Convolution {
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: usize,
    #[serde(default = "one")]
    dilation: usize,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// Runs a case on the layer that a configuration builds, whose inputs have this rank.
macro_rules! replay_layer {
    ($case:ident, $config:ident, $rank:literal, $in_torch_layout:expr) => {
        $case.run(
            $config.init(&$case.device),
            |layer| &layer.weight,
            $in_torch_layout,
            |layer, x: Tensor<$rank>| layer.forward(x),
        )
    };
}

/// Builds the fixture's layer with its norm, and computes its weight, output and gradients, for a
/// spectral norm also its vectors after one and after ten resets.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another kind or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("norms")?;
    let config: Config = fixture.config()?;
    let clip = config.clip.then_some(config.clip_value);
    let norm = match config.norm_type {
        NormType::WeightNorm => NormConfig::WeightNorm(WeightNormConfig {
            learn_scale: config.learn_scale,
            target_norm: config.target_norm,
            clip,
        }),
        NormType::SpectralNorm => NormConfig::SpectralNorm(SpectralNormConfig {
            learn_scale: config.learn_scale,
            target_norm: config.target_norm,
            clip,
            ..Default::default()
        }),
    };
    let case = Case {
        fixture,
        device: device.clone().autodiff(),
        norm,
    };
    match (config.layer.as_str(), config.args) {
        (
            "Linear",
            Args::Linear {
                in_features,
                out_features,
                bias,
            },
        ) => {
            let config = LinearConfig::new(in_features, out_features).with_bias(bias);
            replay_layer!(case, config, 2, Tensor::transpose)
        }
        ("Conv1d", Args::Convolution(c)) => {
            let config = Conv1dConfig::new(c.in_channels, c.out_channels, c.kernel_size)
                .with_stride(c.stride)
                .with_padding(PaddingConfig1d::Explicit(c.padding, c.padding))
                .with_dilation(c.dilation)
                .with_groups(c.groups)
                .with_bias(c.bias);
            replay_layer!(case, config, 3, identity)
        }
        ("Conv2d", Args::Convolution(c)) => {
            let padding = PaddingConfig2d::Explicit(c.padding, c.padding, c.padding, c.padding);
            let config = Conv2dConfig::new([c.in_channels, c.out_channels], [c.kernel_size; 2])
                .with_stride([c.stride; 2])
                .with_padding(padding)
                .with_dilation([c.dilation; 2])
                .with_groups(c.groups)
                .with_bias(c.bias);
            replay_layer!(case, config, 4, identity)
        }
        ("ConvTranspose2d", Args::Convolution(c)) => {
            let channels = [c.in_channels, c.out_channels];
            let config = ConvTranspose2dConfig::new(channels, [c.kernel_size; 2])
                .with_stride([c.stride; 2])
                .with_padding([c.padding; 2])
                .with_dilation([c.dilation; 2])
                .with_groups(c.groups)
                .with_bias(c.bias);
            replay_layer!(case, config, 4, identity)
        }
        (layer, _) => Err(FixtureError::replay(format!(
            "no layer `{layer}` with these arguments is known"
        ))),
    }
}

struct Case<'a> {
    fixture: &'a Fixture,
    device: Device,
    norm: NormConfig,
}

impl Case<'_> {
    fn run<M: Module, const W: usize, const D: usize>(
        &self,
        layer: M,
        weight: impl Fn(&M) -> &Param<Tensor<W>>,
        in_torch_layout: impl Fn(Tensor<W>) -> Tensor<W>,
        forward: impl Fn(&M, Tensor<D>) -> Tensor<D>,
    ) -> Result<Results, FixtureError> {
        let layer = self.norm.apply(layer).map_err(FixtureError::replay)?;
        let weights = self.fixture.weights();
        let layer = load(layer, &weights).map_err(FixtureError::replay)?;
        let x = self.fixture.tensor::<D>("input.x", &self.device)?;
        let cotangent = self.fixture.tensor::<D>("input.cotangent", &self.device)?;

        let plain = layer.valid();
        let once = reset_norms(layer);
        let ten_times = (1..10).fold(once.clone(), |layer, _| reset_norms(layer));
        let mut results = Results::new();
        for (name, layer) in [("eval", &plain), ("train", &once), ("train10", &ten_times)] {
            let weight = in_torch_layout(weight(layer).val());
            results.insert(format!("expect.weight_{name}"), weight);
        }
        for (name, layer) in [("after1", &once), ("after10", &ten_times)] {
            if let Some(norm) = weight(layer).reparameterization::<SpectralNorm>() {
                results.insert(format!("expect.{name}.weight_u"), norm.u.val());
                results.insert(format!("expect.{name}.weight_v"), norm.v.val());
            }
        }
        results.insert("expect.output_eval", forward(&plain, x.clone().inner()));
        let output = forward(&once, x);
        results.insert("expect.output_train", output.clone());
        let backward = (output * cotangent).sum().backward();
        results.insert_gradients(&gradients(&once, &backward, &weights));
        Ok(results)
    }
}
