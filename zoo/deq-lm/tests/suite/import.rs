//! A checkpoint of the reference's `deq-lm`, with the weights of a parity fixture.

use std::path::{Path, PathBuf};

use crate::common::{distance, tokens, unrolled};
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq_datasets::text::Segment;
use deq_import::{StateDict, load};
use deq_lm::{Architecture, LanguageModel, LmConfig, Memory, Preset, load_reference, segment_loss};
use deq_parity::Fixture;

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

fn checkpoint() -> StateDict {
    StateDict::open(in_tests("checkpoints/div2.pt")).expect("a checkpoint")
}

/// The fixture's network. The published models tie the projections; the fixture has them apart.
fn model(tie_projs: bool, device: &Device) -> LanguageModel {
    let config = LmConfig {
        n_token: 40,
        d_inner: 24,
        cutoffs: vec![10, 24],
        div_val: 2,
        tie_projs,
        mem_len: 5,
        weight_norm: Some(WeightNormConfig::default()),
        ..unrolled(6)
    };
    config.init(device, 0).expect("a valid model")
}

#[test]
fn a_checkpoint_gives_the_losses_of_the_fixtures_weights() {
    let fixture = Fixture::open(&in_tests("fixtures/deq_lm/div2_eval.safetensors"));
    let weights = fixture.expect("a fixture").weights();
    let segment = Segment {
        data: tokens(12),
        targets: tokens(13)[1..].to_vec(),
        batch: 2,
        length: 6,
    };
    for device in deq::devices::all() {
        let expected = load(model(false, &device), &weights).expect("fits");
        let imported = load_reference(model(true, &device), &checkpoint()).expect("fits");
        let losses = |model: &LanguageModel| -> Tensor<2> {
            let loss = segment_loss(model, &segment, &Memory::default(), None);
            loss.expect("a valid call").token_losses
        };
        let (expected, found) = (losses(&expected), losses(&imported));
        assert_eq!(found.dims(), [2, 6]);
        assert!(distance(found.clone(), expected) < 1e-5);
        let other = losses(&model(true, &device));
        assert!(distance(found, other) > 1e-3, "weights do not matter");
    }
}

#[test]
fn another_preset_is_refused_with_the_shapes_that_differ() {
    let device = &deq::devices::all()[0];
    let config = LmConfig {
        architecture: Architecture::PostNorm,
        ..Preset::ShakespeareSmall.config()
    };
    let error = load_reference(
        config.init(device, 0).expect("a valid model"),
        &checkpoint(),
    );
    let error = error.expect_err("another architecture and size");
    let text = error.to_string();
    let part = "word_emb.emb_layers.0.weight (model [65, 128], file [10, 16])";
    assert!(error.wrong_shape.iter().any(|line| line == part), "{text}");
    // It injects under another name.
    assert!(
        error
            .missing
            .iter()
            .any(|name| name == "inject_conv.weight")
    );
    assert!(
        error
            .left_over
            .iter()
            .any(|name| name == "injection.weight")
    );
    for part in [part, "inject_conv.weight", "injection.weight"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn missing_and_left_over_names_are_listed() {
    let device = &deq::devices::all()[0];
    let mut dict: StateDict = checkpoint()
        .iter()
        .filter(|(name, _)| *name != "injection.bias")
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    dict.insert("head.weight", TensorData::from([0.0f32]));
    let error = load_reference(model(true, device), &dict).expect_err("does not fit");
    assert_eq!(error.missing, ["injection.bias"]);
    assert_eq!(error.left_over, ["head.weight"]);
    assert!(error.wrong_shape.is_empty());
}
