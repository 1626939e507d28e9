//! A checkpoint of the reference's ImageNet program, with the weights of a parity fixture.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq_import::{StateDict, load};
use deq_parity::Fixture;
use mdeq::{MapNorm, Mdeq, MdeqConfig, Preset};

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

fn checkpoint() -> StateDict {
    StateDict::open(in_tests("checkpoints/two_branch.pth")).expect("a checkpoint")
}

fn fixture() -> Fixture {
    Fixture::open(&in_tests("fixtures/two_branch_train.safetensors")).expect("a fixture")
}

fn model(device: &Device) -> Mdeq {
    let config = MdeqConfig {
        in_channels: 3,
        classes: 5,
        channels: vec![12, 16],
        expansion: 2,
        groups: 4,
        downsample_times: 0,
        head_channels: vec![2, 4],
        final_channels: 12,
        norm: Some(MapNorm::default()),
        deq: DeqConfig::default().with_max_iter(6),
    };
    config.init(device, 0).expect("a valid model")
}

#[test]
fn a_checkpoint_gives_the_outputs_of_the_fixtures_weights() {
    for device in deq::devices::all() {
        let fixture = fixture();
        let expected = load(model(&device), &fixture.weights()).expect("fits");
        let imported = load(model(&device), &checkpoint()).expect("fits");
        let images: Tensor<4> = fixture.tensor("input.image", &device).expect("images");
        let logits = |model: &Mdeq| -> Vec<f32> {
            let output = model.forward(images.clone()).expect("a valid call");
            output.last().clone().into_data().iter::<f32>().collect()
        };
        let (expected, found) = (logits(&expected), logits(&imported));
        assert_eq!(found.len(), 3 * 5);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let other = logits(&model(&device));
        assert!((other[0] - found[0]).abs() > 1e-3, "weights do not matter");
    }
}

#[test]
fn another_preset_is_refused_with_the_shapes_that_differ() {
    let device = &deq::devices::all()[0];
    let model = Preset::CifarSmall.config().init(device, 0);
    let error = load(model.expect("a valid model"), &checkpoint()).expect_err("too small");
    let text = error.to_string();
    for part in [
        "classifier.weight (model [10, 200], file [5, 12])",
        "full_stage.branches.0.blocks.0.conv1.weight_v (model [120, 24, 3, 3], file [24, 12, 3, 3])",
    ] {
        assert!(error.wrong_shape.iter().any(|line| line == part), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn missing_and_left_over_names_are_listed() {
    let device = &deq::devices::all()[0];
    let mut dict: StateDict = checkpoint()
        .iter()
        .filter(|(name, _)| *name != "classifier.bias")
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    dict.insert("head.weight", TensorData::from([0.0f32]));
    let error = load(model(device), &dict).expect_err("does not fit");
    assert_eq!(error.missing, ["classifier.bias"]);
    assert_eq!(error.left_over, ["head.weight"]);
    assert!(error.wrong_shape.is_empty());
}
