//! A checkpoint of the reference's PPI program, with the weights of a parity fixture.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::torchdeq::Options;
use deq_import::{StateDict, load};
use deq_parity::Fixture;
use ignn::{Activation, Architecture, DeepNet, Graph, GraphBatch, IgnnConfig, Network, Preset};

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

fn checkpoint() -> StateDict {
    StateDict::open(in_tests("checkpoints/ppi.pth")).expect("a checkpoint")
}

fn fixture() -> Fixture {
    Fixture::open(&in_tests("fixtures/ppi_spectral_eval.safetensors")).expect("a fixture")
}

fn network(device: &Device) -> DeepNet {
    let options: Options = fixture().solver().expect("options");
    let mut deq = DeqConfig::default().with_max_iter(10);
    deq.forward.termination.finish = Finish::Best;
    let config = IgnnConfig {
        architecture: Architecture::Deep {},
        inputs: 7,
        hidden: 3,
        classes: 4,
        kappa: Some(0.95),
        activation: Activation::Relu,
        norm: options.norm(),
        deq,
    };
    config.init(device, 0).expect("a valid network")
}

#[test]
fn a_checkpoint_gives_the_outputs_of_the_fixtures_weights() {
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 3), (0, 5)];
    let graph = Graph::undirected(6, &edges).expect("a valid graph");
    for device in deq::devices::all() {
        let expected = load(network(&device), &fixture().weights()).expect("fits");
        let imported = load(network(&device), &checkpoint()).expect("fits");
        let graphs = GraphBatch::single(graph.clone(), &device);
        let numbers: Vec<f32> = (0..6 * 7).map(|i| (i * 29 % 17) as f32 / 8.0).collect();
        let features = Tensor::<2>::from_data(TensorData::new(numbers, [6, 7]), &device);
        let output = |network: &DeepNet| -> Vec<f32> {
            let output = network.forward(&graphs, features.clone());
            let output = output.expect("a valid call").output;
            output.into_data().iter::<f32>().collect()
        };
        let (expected, found) = (output(&expected), output(&imported));
        assert_eq!(found.len(), 6 * 4);
        for (found, expected) in found.iter().zip(&expected) {
            let within = 1e-6 * (1.0 + expected.abs());
            assert!((found - expected).abs() < within, "{found} {expected}");
        }
        let other = output(&network(&device));
        assert!((other[0] - found[0]).abs() > 1e-3, "weights do not matter");
    }
}

#[test]
fn another_preset_is_refused_with_the_shapes_that_differ() {
    let device = &deq::devices::all()[0];
    let network: DeepNet = Preset::Ppi.config().init(device, 0).expect("a network");
    let error = load(network, &checkpoint()).expect_err("too small");
    let text = error.to_string();
    for part in [
        "ignn.0.W_orig (model [1024, 1024], file [12, 12])",
        "proj.4.weight (model [121, 256], file [4, 3])",
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
        .filter(|(name, _)| *name != "proj.2.bias")
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    dict.insert("head.weight", TensorData::from([0.0f32]));
    let error = load(network(device), &dict).expect_err("does not fit");
    assert_eq!(error.missing, ["proj.2.bias"]);
    assert_eq!(error.left_over, ["head.weight"]);
    assert!(error.wrong_shape.is_empty());
}
