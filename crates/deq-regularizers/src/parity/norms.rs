use burn::module::{Module, Param};
use burn::nn::conv::{Conv1dConfig, Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{LinearConfig, PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

use crate::WeightNormConfig;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    norm_type: String,
    layer: String,
    args: Args,
    #[serde(rename = "input_shape")]
    _input_shape: Vec<usize>,
    learn_scale: bool,
    clip: bool,
    clip_value: f64,
    target_norm: f64,
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

/// Builds the fixture's layer with its norm, and computes its weight, output and gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another kind or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("norms")?;
    let config: Config = fixture.config()?;
    if config.norm_type != "weight_norm" {
        return Err(FixtureError::replay(format!(
            "`{}` is not offered yet; weight_norm is",
            config.norm_type
        )));
    }
    let norm = WeightNormConfig {
        learn_scale: config.learn_scale,
        target_norm: config.target_norm,
        clip: config.clip.then_some(config.clip_value),
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
        ) => case.run(
            LinearConfig::new(in_features, out_features)
                .with_bias(bias)
                .init(&case.device),
            |layer| &layer.weight,
            |weight| weight.transpose(),
            |layer, x: Tensor<2>| layer.forward(x),
        ),
        ("Conv1d", Args::Convolution(c)) => case.run(
            Conv1dConfig::new(c.in_channels, c.out_channels, c.kernel_size)
                .with_stride(c.stride)
                .with_padding(PaddingConfig1d::Explicit(c.padding, c.padding))
                .with_dilation(c.dilation)
                .with_groups(c.groups)
                .with_bias(c.bias)
                .init(&case.device),
            |layer| &layer.weight,
            |weight| weight,
            |layer, x: Tensor<3>| layer.forward(x),
        ),
        ("Conv2d", Args::Convolution(c)) => case.run(
            Conv2dConfig::new([c.in_channels, c.out_channels], [c.kernel_size; 2])
                .with_stride([c.stride; 2])
                .with_padding(PaddingConfig2d::Explicit(
                    c.padding, c.padding, c.padding, c.padding,
                ))
                .with_dilation([c.dilation; 2])
                .with_groups(c.groups)
                .with_bias(c.bias)
                .init(&case.device),
            |layer| &layer.weight,
            |weight| weight,
            |layer, x: Tensor<4>| layer.forward(x),
        ),
        ("ConvTranspose2d", Args::Convolution(c)) => case.run(
            ConvTranspose2dConfig::new([c.in_channels, c.out_channels], [c.kernel_size; 2])
                .with_stride([c.stride; 2])
                .with_padding([c.padding; 2])
                .with_dilation([c.dilation; 2])
                .with_groups(c.groups)
                .with_bias(c.bias)
                .init(&case.device),
            |layer| &layer.weight,
            |weight| weight,
            |layer, x: Tensor<4>| layer.forward(x),
        ),
        (layer, _) => Err(FixtureError::replay(format!(
            "no layer `{layer}` with these arguments is known"
        ))),
    }
}

struct Case<'a> {
    fixture: &'a Fixture,
    device: Device,
    norm: WeightNormConfig,
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

        let mut results = Results::new();
        let plain = layer.valid();
        for (name, layer) in [("train", &layer), ("eval", &plain), ("train10", &layer)] {
            let weight = in_torch_layout(weight(layer).val());
            results.insert(format!("expect.weight_{name}"), weight);
        }
        results.insert("expect.output_eval", forward(&plain, x.clone().inner()));
        let output = forward(&layer, x);
        results.insert("expect.output_train", output.clone());
        let backward = (output * cotangent).sum().backward();
        results.insert_gradients(&gradients(&layer, &backward, &weights));
        Ok(results)
    }
}
