//! Losses, training and accuracy against solver steps.

use crate::common::{batch, small, values};
use burn::optim::{AdamConfig, GradientsParams};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq_datasets::ImageBatch;
use deq_parity::without_gradient;
use mdeq::{Batch, Layer, Mdeq, MdeqConfig, MdeqError, evaluate, sweep, train_loss};

#[test]
fn every_parameter_gets_a_gradient_and_running_statistics_move_in_training_alone() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let model = small().init(&device, 0).expect("a valid model");
        let mean = || final_layer_mean(&model);
        let before = mean();
        let plain = evaluate(&model, [batch(4, &device)], None).expect("evaluates");
        assert_eq!(mean(), before, "inference leaves them");
        let step = train_loss(&model, &batch(4, &device), &Correction::default());
        let step = step.expect("a loss");
        assert_ne!(mean(), before);
        assert!(step.correct <= 4 && step.stats.evaluations > 0 && plain.images == 4);
        let gradients = step.loss.backward();
        assert_eq!(without_gradient(&model, &gradients), Vec::<String>::new());
    }
}

/// The running mean of the last batch norm.
fn final_layer_mean(model: &Mdeq) -> Vec<f32> {
    match &model.final_layer[1] {
        Layer::Norm(norm) => values(norm.running_mean.value_sync()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_states_are_joined_by_correction() {
    let config = MdeqConfig {
        deq: small().deq.with_states(States::Count(2)),
        ..small()
    };
    for device in deq::devices::all() {
        let device = device.autodiff();
        let data = batch(3, &device);
        let loss = |correction: Correction| {
            let model = config.init(&device, 0).expect("a valid model");
            let step = train_loss(&model, &data, &correction).expect("a loss");
            f64::from(step.loss.into_scalar::<f32>())
        };
        let first = loss(Correction::Custom(vec![1.0, 0.0]));
        let last = loss(Correction::Custom(vec![0.0, 1.0]));
        let joined = loss(Correction::default());
        assert!((joined - (0.8 * first + last)).abs() < 1e-4 * joined);
        assert_ne!(first, last);
        let model = config.init(&device, 0).expect("a valid model");
        let few = train_loss(&model, &data, &Correction::Custom(vec![1.0]));
        assert!(matches!(few, Err(MdeqError::Correction(_))));
    }
}

#[test]
fn training_lowers_the_loss() {
    let config = MdeqConfig {
        deq: small().deq.with_max_iter(3),
        ..small()
    };
    for device in deq::devices::all() {
        let device = device.autodiff();
        let data = batch(10, &device);
        let mut model = config.init(&device, 0).expect("a valid model");
        let mut adam = AdamConfig::new().init();
        let mut losses = Vec::new();
        for _ in 0..12 {
            let step = train_loss(&model, &data, &Correction::default()).expect("a loss");
            let gradients = GradientsParams::from_grads(step.loss.backward(), &model);
            losses.push(step.loss.into_scalar::<f32>());
            model = adam.step(2e-2, model, gradients);
        }
        assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    }
}

#[test]
fn a_sweep_caps_the_solver_and_ends_at_the_equilibrium() {
    let mut config = MdeqConfig {
        deq: small().deq.with_tolerance(0.0),
        ..small()
    };
    config.deq.forward.termination.stall = None;
    for device in deq::devices::all() {
        let model = config.init(&device, 0).expect("a valid model");
        let batches = [batch(4, &device), batch(2, &device)];
        let points = sweep(&model, &batches, &[1, 3, 8]).expect("evaluates");
        let counts: Vec<usize> = points.iter().map(|p| p.evaluation.evaluations).collect();
        assert_eq!(counts, [2, 6, 16], "one evaluation a step, two batches");
        assert!(points[2].evaluation.residual < points[0].evaluation.residual);
        let whole = evaluate(&model, batches.clone(), None).expect("evaluates");
        let capped = points[2].evaluation;
        assert_eq!(whole.evaluations, capped.evaluations, "its own cap is 8");
        assert_eq!(whole.accuracy, capped.accuracy);
        assert!((whole.loss - capped.loss).abs() < 1e-5);
        assert!(points.iter().all(|p| p.evaluation.images == 6));
        assert!((0.0..=1.0).contains(&whole.accuracy) && whole.loss > 0.0);
        let parts = [0, 1].map(|index| {
            let part = [batches[index].clone()];
            evaluate(&model, part, None).expect("evaluates")
        });
        let mean = (4.0 * parts[0].loss + 2.0 * parts[1].loss) / 6.0;
        assert!((whole.loss - mean).abs() < 1e-5);
        let none = evaluate(&model, [], None);
        assert!(matches!(none, Err(MdeqError::Solve(SolveError::Empty(_)))));
    }
}

#[test]
fn wrong_labels_and_shapes_are_refused() {
    for device in deq::devices::all() {
        let batch = |pixels: usize, labels: Vec<usize>| {
            let batch = ImageBatch {
                pixels: vec![0.0; pixels],
                shape: [2, 1, 8, 8],
                labels,
            };
            Batch::new(batch, &device)
        };
        assert!(batch(127, vec![0, 1]).is_err());
        assert!(batch(128, vec![0]).is_err());
        let model = small().init(&device, 0).expect("a valid model");
        let wrong = batch(128, vec![0, 10]).expect("fits");
        let error = evaluate(&model, [wrong], None).err();
        let expected = MdeqError::Label {
            label: 10,
            index: 1,
            classes: 10,
        };
        assert_eq!(error, Some(expected));
    }
}
