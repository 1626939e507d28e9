//! Losses, training and figures of merit.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Int, Tensor, TensorData};
use deq_datasets::multimodal::{Targets, ViewBatch};
use deq_fusion::{Batch, Call, FusionError, FusionMethod, Network, Preset, evaluate, train_loss};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{batch, features, methods, network, short, values};

#[test]
fn training_lowers_the_loss_whatever_the_fusion() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        for method in methods() {
            let mut network = network(method.clone()).init(&device, 0).expect("valid");
            let mut adam = AdamConfig::new().init();
            let mut rng = StdRng::seed_from_u64(0);
            let data = batch(12, 0.1, &device);
            let first = evaluate(&network, [data.clone()], None)
                .expect("scores")
                .loss;
            for _ in 0..20 {
                let step = train_loss(&network, &data, &mut rng).expect("a loss");
                let gradients = GradientsParams::from_grads(step.loss.backward(), &network);
                network = adam.step(2e-2, network, gradients);
            }
            let last = evaluate(&network, [data], None).expect("scores").loss;
            assert!(last < 0.9 * first, "{}: {first} {last}", method.name());
        }
    }
}

/// The loss of the reference, computed on the host from the network's outputs.
#[test]
fn the_loss_multiplies_the_running_sum() {
    for device in deq::devices::all() {
        let built = network(FusionMethod::WeightedSum {}).init(&device, 0);
        let Ok(Network::MmDynamics(network)) = built else {
            panic!("it is a classifier");
        };
        let x = [
            features(1, [2, 1, 5], &device).reshape([2, 5]),
            features(2, [2, 1, 4], &device).reshape([2, 4]),
        ];
        let output = network.forward(&x, Call::default()).expect("a valid call");
        let labels = [2usize, 0];
        let targets = TensorData::new(vec![2i64, 0], [2]);
        let targets = Tensor::<1, Int>::from_data(targets, &device);
        // With the second view of the second sample missing, or none.
        for there in [[1.0, 1.0], [1.0, 0.0]] {
            let present = [[1.0, there[0]], [1.0, there[1]]];
            let present: Tensor<2> = Tensor::from_floats(present, &device);
            let found = output.loss(&targets, Some(&present));

            let entropy = |logits: &[f64], row: usize| {
                let row_of = &logits[row * 3..row * 3 + 3];
                let total: f64 = row_of.iter().map(|logit| logit.exp()).sum();
                total.ln() - row_of[labels[row]]
            };
            let logits = values(output.logits.clone());
            let joint = (entropy(&logits, 0) + entropy(&logits, 1)) / 2.0;
            let mut total = joint;
            for (index, view) in output.views.iter().enumerate() {
                let marks = if index == 0 { [1.0, 1.0] } else { there };
                let count = marks[0] + marks[1];
                let mean =
                    |of: &dyn Fn(usize) -> f64| (marks[0] * of(0) + marks[1] * of(1)) / count;
                let logits = values(view.logits.clone());
                let confidence = values(view.confidence.clone());
                let gates = values(view.gate.clone());
                let width = gates.len() / 2;
                let gate = |row: usize| {
                    let gates = &gates[row * width..(row + 1) * width];
                    gates.iter().sum::<f64>() / width as f64
                };
                let own = |row: usize| {
                    let own = entropy(&logits, row);
                    (confidence[row] - (-own).exp()).powi(2) + own
                };
                total = 1.5 * total + mean(&gate) + mean(&own);
                let part = found.confidence[index].clone().into_scalar::<f64>();
                assert!((part - mean(&own)).abs() < 1e-4 * part);
            }
            let loss = found.total.into_scalar::<f64>();
            assert!((loss - total).abs() < 1e-4 * total, "{loss} {total}");
            let cross = found.cross_entropy.into_scalar::<f64>();
            assert!((cross - joint).abs() < 1e-4 * joint);
        }
    }
}

#[test]
fn scores_are_of_all_batches_together() {
    for device in deq::devices::all() {
        let network = network(FusionMethod::Equilibrium(short())).init(&device, 0);
        let network = network.expect("valid");
        let whole = batch(8, 0.0, &device);
        let part = |start: usize| Batch {
            views: whole
                .views
                .iter()
                .map(|x| x.clone().narrow(0, start, 4))
                .collect(),
            targets: match &whole.targets {
                Targets::Classes { classes, of_sample } => Targets::Classes {
                    classes: *classes,
                    of_sample: of_sample[start..start + 4].to_vec(),
                },
                other => other.clone(),
            },
            ..whole.clone()
        };
        let one = evaluate(&network, [whole.clone()], None).expect("scores");
        let two = evaluate(&network, [part(0), part(4)], None).expect("scores");
        assert_eq!((one.samples, two.samples), (8, 8));
        assert!((one.loss - two.loss).abs() < 1e-4 * one.loss);
        assert_eq!(one.accuracy, two.accuracy);
        assert_eq!(one.f1_macro, two.f1_macro);
        assert!(one.residual.is_some_and(|residual| residual > 0.0));
        assert_eq!((one.evaluations, two.evaluations), (5, 10));
        let capped = evaluate(&network, [whole], Some(2)).expect("scores");
        assert_eq!(capped.evaluations, 2);
        // Three classes have no first one to be ranked.
        assert_eq!((one.auc, one.f1_binary, one.mae), (None, None, None));
        assert!(evaluate(&network, [], None).is_err());
    }
}

#[test]
fn each_task_has_its_own_scores() {
    let device = &deq::devices::all()[0];
    let two = Batch {
        targets: Targets::Classes {
            classes: 2,
            of_sample: vec![0, 1, 1, 0],
        },
        ..batch(4, 0.0, device)
    };
    let mut config = crate::common::classifier(FusionMethod::WeightedSum {});
    config.classes = 2;
    let config = deq_fusion::NetworkConfig::MmDynamics(config);
    let found = evaluate(&config.init(device, 0).expect("valid"), [two], None).expect("scores");
    assert!(found.auc.is_some() && found.f1_binary.is_some() && found.accuracy.is_some());
    assert!(found.f1_micro.is_none() && found.residual.is_none());
    assert_eq!(found.evaluations, 0);
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let device = &deq::devices::all()[0];
    let network = network(FusionMethod::Concatenation {}).init(device, 0);
    let network = network.expect("valid");
    let with = |targets: Targets| {
        let batch = Batch {
            targets,
            ..batch(2, 0.0, device)
        };
        train_loss(&network, &batch, &mut StdRng::seed_from_u64(0)).err()
    };
    let classes = |of_sample: Vec<u32>| {
        with(Targets::Classes {
            classes: 4,
            of_sample,
        })
    };
    let label = FusionError::Label {
        label: 3,
        index: 1,
        classes: 3,
    };
    assert_eq!(classes(vec![0, 3]), Some(label));
    let few = FusionError::Mismatch {
        what: "targets of its samples",
        expected: 2,
        found: 1,
    };
    assert_eq!(classes(vec![0]), Some(few));
    let kind = FusionError::Targets {
        expected: "classes",
        found: "numbers",
    };
    assert_eq!(with(Targets::Values(vec![0.0, 1.0])), Some(kind));

    let view = |numbers: usize, present: Option<Vec<bool>>| {
        let batch = ViewBatch {
            views: vec![vec![0.0; numbers]],
            shapes: vec![[2, 1, 3]],
            present,
            lengths: None,
            targets: Targets::Values(vec![0.0, 1.0]),
        };
        Batch::new(batch, device)
    };
    assert!(view(6, None).is_ok());
    assert!(view(5, None).is_err());
    assert!(view(6, Some(vec![true])).is_err());
}

#[test]
fn the_smallest_preset_fits_the_generator() {
    let device = &deq::devices::all()[0];
    let data = deq_datasets::multimodal::GeneratedViews::default();
    let data = data.generate(0).expect("data");
    let indices: Vec<usize> = (0..6).collect();
    let batch = data.test.batch(&indices).expect("a batch");
    let batch = Batch::new(batch, device).expect("fits");
    let network = Preset::Tiny.config().init(device, 0).expect("valid");
    let found = evaluate(&network, [batch], Some(3)).expect("scores");
    assert_eq!(found.samples, 6);
    assert!(found.loss.is_finite());
}
