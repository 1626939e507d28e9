//! Weights of the reference's BRCA program, by name.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use deq_fusion::{
    Call, FusionMethod, MmDynamics, MmDynamicsConfig, Network, NetworkConfig, load_reference,
};
use deq_import::StateDict;
use deq_parity::Fixture;

use crate::common::{short, values};

fn fixture() -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Fixture::open(&folder.join("brca_eval.safetensors")).expect("a fixture")
}

/// The fixture's network, without the fusion's scalars.
fn network(head_layers: usize, device: &Device) -> MmDynamics {
    let mut fusion = short();
    fusion.layer = Default::default();
    fusion.layer.injection = deq_fusion::Injection::Sum;
    let config = NetworkConfig::MmDynamics(MmDynamicsConfig {
        views: vec![20, 18, 11],
        hidden: 16,
        head_layers,
        classes: 5,
        dropout: 0.0,
        fusion: FusionMethod::Equilibrium(fusion),
    });
    match config.init(device, 0).expect("a valid network") {
        Network::MmDynamics(network) => network,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_dict_of_the_reference_loads_by_name() {
    for device in deq::devices::all() {
        let weights = fixture().weights();
        let loaded = load_reference(network(0, &device), &weights).expect("fits");
        let bias = weights.get("MMClasifier.0.clf.0.bias").expect("a bias");
        let expected: Vec<f64> = bias.iter::<f64>().collect();
        let found = loaded.mm_classifier[0].bias.as_ref().expect("a bias");
        assert_eq!(values(found.val()), expected);
        let views: Vec<Tensor<2>> = (0..3)
            .map(|view| {
                let name = format!("input.x.{view}");
                fixture().tensor(&name, &device).expect("an input")
            })
            .collect();
        let logits = |network: &MmDynamics| {
            let output = network.forward(&views, Call::default());
            values(output.expect("a valid call").logits)
        };
        assert_ne!(logits(&loaded), logits(&network(0, &device)));
    }
}

#[test]
fn what_does_not_fit_is_listed() {
    let device = &deq::devices::all()[0];
    let without: StateDict = fixture()
        .weights()
        .iter()
        .filter(|(name, _)| !name.starts_with("TCPConfidenceLayer.1."))
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    let error = load_reference(network(0, device), &without).expect_err("incomplete");
    assert_eq!(
        error.missing,
        [
            "tcp_confidence_layer.1.weight",
            "tcp_confidence_layer.1.bias"
        ]
    );
    let mut more = fixture().weights();
    more.insert("deq_fusion.weights.0", TensorData::from([1.0f32]));
    more.insert("MMClasifier.1.clf.0.bias", TensorData::from([1.0f32]));
    let error = load_reference(network(0, device), &more).expect_err("too much");
    assert_eq!(
        error.left_over,
        ["MMClasifier.1.clf.0.bias", "fusion.method.weights.0"]
    );
}

/// The reference counts the rectifier and the dropout behind a hidden layer.
#[test]
fn hidden_layers_of_the_classifier_are_every_third() {
    let device = &deq::devices::all()[0];
    let mut weights = fixture().weights();
    for leaf in ["weight", "bias"] {
        let last = weights.get(&format!("MMClasifier.0.clf.0.{leaf}"));
        let last = last.expect("a tensor").clone();
        weights.insert(format!("MMClasifier.3.clf.0.{leaf}"), last);
        let hidden = weights.get(&format!("deq_fusion.func_.branches.0.conv1.{leaf}"));
        let hidden = hidden.expect("a tensor").clone();
        weights.insert(format!("MMClasifier.0.clf.0.{leaf}"), hidden);
    }
    let loaded = load_reference(network(1, device), &weights).expect("fits");
    let widths: Vec<[usize; 2]> = loaded
        .mm_classifier
        .iter()
        .map(|layer| layer.weight.dims())
        .collect();
    assert_eq!(widths, [[16, 16], [16, 5]]);
}
