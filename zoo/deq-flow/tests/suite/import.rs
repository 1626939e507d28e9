//! State dicts of the reference, with the weights of a parity fixture.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use deq_flow::{DeqFlow, FlowConfig, Preset, load_reference};
use deq_import::{StateDict, load};
use deq_parity::Fixture;

fn weights() -> StateDict {
    let path = "tests/fixtures/eval_24_gma.safetensors";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Fixture::open(&path).expect("a fixture").weights()
}

fn config() -> FlowConfig {
    let config = Preset::Tiny.config().with_gma();
    FlowConfig {
        deq: config.deq.clone().with_max_iter(1),
        ..config
    }
}

fn flow(model: &DeqFlow) -> Vec<f32> {
    let device = &deq::devices::all()[0];
    let frame = |value: f32| {
        let pixels: Vec<f32> = (0..3 * 64 * 64).map(|i| value + (i % 37) as f32).collect();
        Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, 64, 64]), device)
    };
    let output = model.forward(frame(20.0), frame(90.0), None);
    let output = output.expect("a valid call").last().clone();
    output.into_data().iter::<f32>().collect()
}

/// As `torch.save(model.state_dict())` of the reference's `DataParallel` model has it.
fn saved() -> StateDict {
    let weights = weights();
    let mut saved = StateDict::new();
    for (name, data) in weights.iter() {
        saved.insert(format!("module.{name}"), data.clone());
        if let Some((block, leaf)) = name.split_once(".norm3.") {
            let twice = format!("module.{block}.downsample.1.{leaf}");
            saved.insert(twice, data.clone());
        }
        if let Some(norm) = name.strip_suffix(".running_mean") {
            let count = TensorData::from([3i64]);
            saved.insert(format!("module.{norm}.num_batches_tracked"), count);
        }
    }
    saved
}

#[test]
fn a_saved_model_loads_by_name() {
    let device = &deq::devices::all()[0];
    let fresh = || config().init(device, 0).expect("a valid model");
    let plain = load(fresh(), &weights()).expect("fits");
    let imported = load_reference(fresh(), &saved()).expect("fits");
    let (expected, found) = (flow(&plain), flow(&imported));
    assert_eq!(found, expected);
    assert_ne!(found, flow(&fresh()), "weights do not matter");
}

#[test]
fn another_model_is_refused_with_what_differs() {
    let device = &deq::devices::all()[0];
    let plain = Preset::Tiny.config().init(device, 0);
    let error = load_reference(plain.expect("a valid model"), &saved()).expect_err("has no gma");
    let left_over = |name: &str| error.left_over.iter().any(|left| left == name);
    assert!(left_over("attn.to_qk.weight"), "{error}");
    assert!(left_over("update_block.gma.gamma"), "{error}");

    let smaller: StateDict = saved()
        .iter()
        .filter(|(name, _)| !name.ends_with("fnet.conv1.bias"))
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    let error = load_reference(config().init(device, 0).expect("valid"), &smaller);
    let error = error.expect_err("a bias is missing");
    assert_eq!(error.missing, ["fnet.conv1.bias"]);
    assert!(error.left_over.is_empty() && error.wrong_shape.is_empty());
}
