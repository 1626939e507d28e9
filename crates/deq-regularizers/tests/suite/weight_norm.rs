//! Both norms against the reference, and weight norm as part of a module's life.

use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{LayerNormConfig, Linear, LinearConfig};
use burn::tensor::Tensor;
use deq_parity::compare_folder;
use deq_regularizers::{NormError, WeightNormConfig, parity};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn weights_outputs_and_gradients_reproduce_torchdeq() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/norms");
    for device in deq_devices::all() {
        let reports =
            compare_folder(&folder, &device, 10.0, parity::replay_norms).expect("replays");
        assert_eq!(reports.len(), 32);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}

#[test]
fn every_option_changes_the_weight() {
    for device in deq_devices::all() {
        let linear = LinearConfig::new(5, 3).init(&device);
        let weight = |config: &WeightNormConfig| {
            values(config.apply(linear.clone()).expect("applies").weight.val())
        };
        let learned = WeightNormConfig::default();
        let fixed = WeightNormConfig {
            learn_scale: false,
            ..learned.clone()
        };
        let target = WeightNormConfig {
            target_norm: 2.0,
            ..fixed.clone()
        };
        let clipped = WeightNormConfig {
            clip: Some(0.1),
            ..learned.clone()
        };
        assert_ne!(weight(&learned), weight(&fixed));
        assert_ne!(weight(&fixed), weight(&target));
        assert_ne!(weight(&learned), weight(&clipped));
        let normed = fixed.apply(linear.clone()).expect("applies");
        let norms = values(normed.weight.val().square().sum_dim(0).sqrt());
        assert!(norms.iter().all(|norm| (norm - 1.0).abs() < 1e-5));
    }
}

#[test]
fn gains_are_parameters_and_materialize_removes_them() {
    for device in deq_devices::all() {
        let conv = Conv2dConfig::new([3, 4], [3, 3]).init(&device);
        let count = conv.num_params();
        let normed = WeightNormConfig::default()
            .apply(conv.clone())
            .expect("applies");
        assert_eq!(normed.num_params(), count + 4);
        let plain = normed.materialize();
        assert_eq!(plain.num_params(), count);
        let before = values(conv.weight.val());
        let after = values(plain.weight.val());
        assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn what_cannot_be_normalised_is_refused() {
    for device in deq_devices::all() {
        let norm = WeightNormConfig::default();
        let layer_norm = LayerNormConfig::new(4).init(&device);
        assert_eq!(norm.apply(layer_norm).err(), Some(NormError::NoWeight));

        let linear: Linear = LinearConfig::new(2, 2).init(&device);
        let once = norm.apply(linear.clone()).expect("applies");
        let twice = norm.apply(once).err();
        assert_eq!(twice, Some(NormError::AlreadyApplied("weight".to_owned())));

        let mut zero = linear.clone();
        zero.weight = Param::from_tensor(Tensor::from_floats([[1.0, 0.0], [1.0, 0.0]], &device));
        let zero = norm.apply(zero).err();
        assert_eq!(zero, Some(NormError::ZeroWeight("weight".to_owned())));

        for config in [
            r#"{"target_norm": 2.0}"#,
            r#"{"learn_scale": false, "target_norm": 0.0}"#,
            r#"{"clip": 0.0}"#,
        ] {
            let config: WeightNormConfig = serde_json::from_str(config).expect("well-formed");
            let error = config.apply(linear.clone()).err();
            assert!(matches!(error, Some(NormError::InvalidConfig { .. })));
        }
    }
}
