//! Losses, accuracy and collapse of batches.

use crate::common::{all_near, batch, equilibrium, explicit, near, tensor, values};
use burn::module::Module;
use burn::tensor::Tensor;
use deq::prelude::*;
use deq_collapse::{
    Batch, Center, Classifier, CollapseError, Loss, Matrix, Moments, NetworkConfig, Objective,
    collapse, evaluate, measures, train_loss,
};
use deq_datasets::ImageBatch;

fn scalar(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

#[test]
fn losses_by_hand() {
    for device in deq::devices::all() {
        let logits = Matrix::new(2, 2, vec![1.0, 0.0, 0.0, 2.0]).expect("fits");
        let of = |loss: Loss, labels: &[usize]| {
            scalar(loss.of(tensor(&logits, &device), labels).expect("fits"))
        };
        let entropy = |gap: f64| (1.0 + (-gap).exp()).ln();
        let expected = 0.5 * (entropy(1.0) + entropy(2.0));
        near(of(Loss::CrossEntropy, &[0, 1]), expected, 1e-5);
        // Errors (0, 0) and (0, 1); with the other label (1, −1) and (0, 1).
        near(of(Loss::Mse, &[0, 1]), 0.25, 1e-6);
        near(of(Loss::Mse, &[1, 1]), 0.5 * (1.0 + 1.0 + 1.0) / 2.0, 1e-6);
        for labels in [vec![0], vec![0, 2]] {
            let error = Loss::Mse.of(tensor(&logits, &device), &labels).err();
            assert!(error.is_some());
        }
    }
}

#[test]
fn decay_adds_half_the_squares() {
    for device in deq::devices::all() {
        let network = explicit()
            .init(&device.clone().autodiff(), 0)
            .expect("valid");
        let data = batch(5, &device.autodiff());
        let with = |feature_decay: f64, classifier_decay: f64| {
            let objective = Objective {
                feature_decay,
                classifier_decay,
                ..Objective::default()
            };
            scalar(
                train_loss(&network, &data, &objective)
                    .expect("a loss")
                    .loss,
            )
        };
        let squares = |values: Vec<f64>| values.iter().map(|value| value * value).sum::<f64>();
        let output = network.forward(data.images.clone()).expect("a valid call");
        let plain = with(0.0, 0.0);
        let features = squares(values(output.features));
        near(
            with(0.1, 0.0) - plain,
            0.05 * features,
            1e-4 * features.max(1.0),
        );
        let weight = squares(network.head().weight().values().to_vec());
        near(with(0.0, 0.2) - plain, 0.1 * weight, 1e-4);
        let mse = Objective {
            loss: Loss::Mse,
            ..Objective::default()
        };
        let mse = train_loss(&network, &data, &mse).expect("a loss");
        assert!((scalar(mse.loss) - plain).abs() > 1e-4);
        assert!(mse.correct <= 5);
    }
}

#[test]
fn an_evaluation_is_that_of_its_parts() {
    for device in deq::devices::all() {
        for config in [explicit(), equilibrium()] {
            let network = config.init(&device, 0).expect("valid");
            let batches = [batch(8, &device), batch(4, &device)];
            let whole =
                evaluate(&network, batches.clone(), Loss::CrossEntropy, 1).expect("evaluates");
            assert_eq!(whole.images, 12);
            let mut right = [(0usize, 0usize); 4];
            let mut loss = 0.0;
            for data in &batches {
                let output = network.forward(data.images.clone()).expect("a valid call");
                let mean = Loss::CrossEntropy.of(output.logits.clone(), data.labels());
                loss += scalar(mean.expect("fits")) * data.labels().len() as f64 / 12.0;
                let logits = values(output.logits);
                for (row, &label) in logits.chunks(4).zip(data.labels()) {
                    let best = (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b]));
                    right[label].0 += usize::from(best == Some(label));
                    right[label].1 += 1;
                }
            }
            near(whole.loss, loss, 1e-5);
            let fraction = |classes: std::ops::Range<usize>| {
                let correct: usize = right[classes.clone()].iter().map(|pair| pair.0).sum();
                let seen: usize = right[classes].iter().map(|pair| pair.1).sum();
                correct as f64 / seen as f64
            };
            near(whole.accuracy.overall, fraction(0..4), 1e-12);
            near(
                whole.accuracy.majority.expect("seen"),
                fraction(0..1),
                1e-12,
            );
            near(
                whole.accuracy.minority.expect("seen"),
                fraction(1..4),
                1e-12,
            );
            let solves = network.config() == &equilibrium();
            assert_eq!(whole.residual.is_some(), solves);
            assert_eq!(whole.evaluations > 0, solves);
        }
    }
}

#[test]
fn collapse_is_measured_on_the_features() {
    for device in deq::devices::all() {
        let network = equilibrium()
            .init(&device.clone().autodiff(), 0)
            .expect("valid");
        let batches = [batch(8, &device), batch(4, &device)];
        let found = collapse(&network, batches.clone(), Center::ClassMeans).expect("measures");
        let plain = network.valid();
        let mut moments = Moments::new(4, 4).expect("fits");
        for data in &batches {
            let output = plain.forward(data.images.clone()).expect("a valid call");
            moments
                .add_batch(output.features, data.labels())
                .expect("fits");
        }
        let statistics = moments.statistics().expect("every class");
        all_near(
            found.statistics.means().values(),
            statistics.means().values(),
            1e-6,
        );
        let expected = measures(&statistics, &network.head(), Center::ClassMeans).expect("fits");
        near(found.measures.nc2, expected.nc2, 1e-9);
        near(found.measures.nc1 / expected.nc1, 1.0, 1e-3);
        assert_eq!(found.statistics.counts(), [3, 3, 3, 3]);
        let other = collapse(&network, batches, Center::Samples).expect("measures");
        near(other.measures.nc1 / found.measures.nc1, 1.0, 1e-3);
        // Two images hold two classes of four.
        let missing = collapse(&network, [batch(2, &device)], Center::Samples).err();
        let expected = CollapseError::EmptyClass {
            class: 2,
            samples: 2,
        };
        assert_eq!(missing, Some(expected));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let data = |pixels: usize, labels: Vec<usize>| {
            let data = ImageBatch {
                pixels: vec![0.0; pixels],
                shape: [2, 1, 8, 8],
                labels,
            };
            Batch::new(data, &device)
        };
        assert!(data(127, vec![0, 1]).is_err());
        assert!(data(128, vec![0]).is_err());
        let network = explicit().init(&device, 0).expect("valid");
        let wrong = data(128, vec![0, 4]).expect("fits");
        let trained = train_loss(&network, &wrong, &Objective::default()).err();
        assert!(matches!(trained, Some(CollapseError::Label { .. })));
        let error = evaluate(&network, [wrong], Loss::Mse, 1).err();
        let expected = CollapseError::Label {
            label: 4,
            index: 1,
            classes: 4,
        };
        assert_eq!(error, Some(expected));
        let none = evaluate(&network, [], Loss::Mse, 1).err();
        assert!(matches!(
            none,
            Some(CollapseError::Solve(SolveError::Empty(_)))
        ));
        let many = evaluate(&network, [batch(2, &device)], Loss::Mse, 5).err();
        assert!(matches!(
            many,
            Some(CollapseError::InvalidConfig {
                field: "majority",
                ..
            })
        ));

        let field = |network: NetworkConfig, objective: Objective| {
            let network = network.init(&device, 0).expect("valid");
            match train_loss(&network, &batch(4, &device), &objective) {
                Err(CollapseError::InvalidConfig { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        let features = Objective {
            feature_decay: -1.0,
            ..Objective::default()
        };
        assert_eq!(field(explicit(), features), "feature_decay");
        let weight = |classifier_decay| Objective {
            classifier_decay,
            ..Objective::default()
        };
        assert_eq!(field(explicit(), weight(f64::NAN)), "classifier_decay");
        let fixed = NetworkConfig {
            classifier: Classifier::FixedEtf {},
            ..explicit()
        };
        assert_eq!(field(fixed, weight(0.1)), "classifier_decay");
    }
}

#[test]
fn objectives_read_from_toml() {
    let text = "loss = \"mse\"\nfeature_decay = 1e-4\n";
    let objective: Objective = toml::from_str(text).expect("reads");
    assert_eq!(objective.loss, Loss::Mse);
    assert!(toml::from_str::<Objective>("weight_decay = 1e-4").is_err());
}
