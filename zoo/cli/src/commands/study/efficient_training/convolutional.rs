//! The convolutional model: an MDEQ.

use anyhow::Result;
use burn::tensor::{Shape, Tensor};
use deq::implicit::Deq;
use mdeq::{Mdeq, MdeqConfig, MultiscaleMap, Preset};

use super::classifier::{Classifier, Output};
use super::scale::Multiscale;

/// The model's hyper-parameters. Its own `deq` stays the preset's and is not used: the study
/// solves with the method's.
pub(super) fn config(network: &Multiscale, in_channels: usize, classes: usize) -> MdeqConfig {
    let network = network.clone();
    MdeqConfig {
        channels: network.channels,
        expansion: network.expansion,
        groups: network.groups,
        downsample_times: network.downsample_times,
        head_channels: network.head_channels,
        final_channels: network.final_channels,
        ..Preset::CifarSmall.config().for_images(in_channels, classes)
    }
}

impl Classifier for Mdeq {
    type Implicit = MultiscaleMap;

    fn forward(&self, images: Tensor<4>, deq: &Deq) -> Result<Output> {
        let injection = self.inject(images)?;
        let [samples, _, height, width] = injection.dims();
        let options = (&injection.device().inner(), injection.dtype());
        let branches = self.config().channels.iter().enumerate();
        let start: Vec<Tensor<4>> = branches
            .map(|(index, &channels)| {
                let shape = Shape::new([samples, channels, height >> index, width >> index]);
                Tensor::zeros(shape, options)
            })
            .collect();
        let args = (self.full_stage.clone(), injection);
        type Args = (MultiscaleMap, Tensor<4>);
        let map = |(f, injection): &Args, z: Vec<Tensor<4>>| f.forward(z, injection.clone());
        let solved = deq.solve(&args, start, map)?;
        let logits = self.classify(solved.last())?;
        Ok(Output::new(logits, solved))
    }

    fn implicit(&self) -> &MultiscaleMap {
        &self.full_stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::scale::{Model, Network, Scale};

    fn scaled(scale: Scale) -> MdeqConfig {
        match scale.setup(Model::Convolutional).network {
            Network::Multiscale(network) => config(&network, 3, 10),
            other => panic!("{other:?} is no MDEQ"),
        }
    }

    #[test]
    fn the_layer_from_outside_does_what_the_model_s_own_does() {
        let config = scaled(Scale::Smoke);
        for device in deq::devices::all() {
            let model = config.init(&device, 0).expect("a model");
            let images = Tensor::<4>::ones([2, 3, 16, 16], &device);
            let deq = config.deq.init().expect("a valid layer");
            let own = model.forward(images.clone()).expect("a solve");
            let output = Classifier::forward(&model, images, &deq).expect("a solve");
            let difference = (own.last().clone() - output.logits).abs().max();
            assert!(difference.into_scalar::<f32>() < 1e-5);
            assert_eq!(own.stats.evaluations, output.stats.evaluations);
        }
    }

    #[test]
    fn all_scales_are_valid_models() {
        let device = deq::devices::all().remove(0);
        for scale in [Scale::Smoke, Scale::Small, Scale::Full] {
            let model = scaled(scale).init(&device, 0);
            assert!(model.is_ok(), "{scale:?}");
        }
    }
}
