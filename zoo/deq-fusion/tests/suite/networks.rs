//! The networks around the fusion.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use deq_datasets::multimodal::Targets;
use deq_fusion::{
    Batch, Call, FusionMethod, MmDynamicsConfig, MultiLabelConfig, Network, NetworkConfig,
    SequenceConfig, evaluate, train_loss,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{
    WIDTH, batch, classifier, difference, exact, features, gradients_of, methods, network, short,
    values,
};

fn multi_label(fusion: FusionMethod) -> NetworkConfig {
    NetworkConfig::MultiLabel(MultiLabelConfig {
        views: vec![5, 4],
        hidden: vec![6, 7],
        features: WIDTH,
        labels: 3,
        dropout: 0.0,
        fusion,
    })
}

fn sequence(fusion: FusionMethod) -> NetworkConfig {
    NetworkConfig::Sequence(SequenceConfig {
        text: 5,
        others: vec![3],
        projection: 4,
        positions: WIDTH,
        attention_dropout: 0.0,
        dropout: 0.0,
        fusion,
    })
}

fn labelled(device: &Device) -> Batch {
    Batch {
        views: vec![
            features(1, [4, 1, 5], device),
            features(2, [4, 1, 4], device),
        ],
        present: None,
        lengths: None,
        targets: Targets::Labels {
            labels: 3,
            of_sample: (0..12).map(|place| place % 5 < 2).collect(),
        },
    }
}

fn spoken(device: &Device) -> Batch {
    Batch {
        views: vec![
            features(1, [4, WIDTH, 5], device),
            features(2, [4, WIDTH, 3], device),
        ],
        present: None,
        lengths: Some(vec![WIDTH, 3, 5, 1]),
        targets: Targets::Values(vec![0.5, -1.0, 0.0, -2.5]),
    }
}

fn built(config: &NetworkConfig, device: &Device) -> Network {
    config.init(device, 0).expect("a valid network")
}

fn prediction(network: &Network, batch: &Batch) -> Vec<f64> {
    let answer = network.forward(batch, Call::default());
    values(answer.expect("a valid call").prediction)
}

#[test]
fn every_parameter_gets_a_gradient_whatever_the_fusion() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        for method in methods() {
            let network = built(&network(method), &device);
            let step = train_loss(&network, &batch(6, 0.3, &device), &mut rng(0));
            let step = step.expect("a loss");
            let has_penalty = network.fusion().layer();
            let has_penalty = has_penalty.is_some_and(|layer| layer.jacobian_weight() > 0.0);
            assert_eq!(step.penalty.is_some(), has_penalty);
            assert_eq!(step.stats.is_some(), has_penalty);
            let gradients = gradients_of(&network, &step.loss.backward());
            assert!(gradients.iter().any(|gradient| *gradient != 0.0));
        }
        let fusion = FusionMethod::Equilibrium(short());
        let others = [
            (multi_label(fusion.clone()), labelled(&device)),
            (sequence(fusion), spoken(&device)),
        ];
        for (config, batch) in others {
            let network = built(&config, &device);
            let step = train_loss(&network, &batch, &mut rng(0)).expect("a loss");
            gradients_of(&network, &step.loss.backward());
        }
    }
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

#[test]
fn a_seed_gives_the_same_network_on_every_device() {
    let config = network(FusionMethod::WeightedSum {});
    let devices = deq::devices::all();
    let first = prediction(&built(&config, &devices[0]), &batch(4, 0.0, &devices[0]));
    let other = config.init(&devices[0], 1).expect("a valid network");
    assert_ne!(first, prediction(&other, &batch(4, 0.0, &devices[0])));
    for device in &devices {
        let found = prediction(&built(&config, device), &batch(4, 0.0, device));
        assert!(difference(&found, &first) < 1e-4, "{device:?}");
    }
}

#[test]
fn dropout_is_drawn_from_the_generator_and_off_without_one() {
    let fusion = || FusionMethod::WeightedSum {};
    let mut omics = classifier(fusion());
    omics.dropout = 0.5;
    let mut with_head = omics.clone();
    with_head.head_layers = 1;
    let mut labels = multi_label(fusion());
    if let NetworkConfig::MultiLabel(config) = &mut labels {
        config.dropout = 0.5;
    }
    let mut attention = sequence(fusion());
    if let NetworkConfig::Sequence(config) = &mut attention {
        config.attention_dropout = 0.5;
    }
    let mut answer = sequence(fusion());
    if let NetworkConfig::Sequence(config) = &mut answer {
        config.dropout = 0.5;
    }
    for device in deq::devices::all() {
        let configs = [
            (
                NetworkConfig::MmDynamics(omics.clone()),
                batch(4, 0.0, &device),
            ),
            (
                NetworkConfig::MmDynamics(with_head.clone()),
                batch(4, 0.0, &device),
            ),
            (labels.clone(), labelled(&device)),
            (attention.clone(), spoken(&device)),
            (answer.clone(), spoken(&device)),
        ];
        for (config, batch) in configs {
            let network = built(&config, &device);
            let run = |seed: Option<u64>| {
                let mut rng = seed.map(rng);
                let call = Call {
                    rng: rng.as_mut(),
                    ..Call::default()
                };
                let answer = network.forward(&batch, call);
                values(answer.expect("a valid call").prediction)
            };
            assert_eq!(run(Some(1)), run(Some(1)));
            let others = (2..8).any(|seed| run(Some(seed)) != run(Some(1)));
            assert!(others, "{config:?}");
            assert_eq!(run(None), run(None));
            assert_ne!(run(Some(1)), run(None), "{config:?}");
        }
    }
}

#[test]
fn every_hyper_parameter_changes_the_answer() {
    let base = || classifier(FusionMethod::WeightedSum {});
    let changed = [
        MmDynamicsConfig {
            hidden: WIDTH + 1,
            ..base()
        },
        MmDynamicsConfig {
            head_layers: 1,
            ..base()
        },
        MmDynamicsConfig {
            fusion: FusionMethod::Concatenation {},
            ..base()
        },
    ];
    for device in deq::devices::all() {
        let answer = |config: &MmDynamicsConfig| {
            let config = NetworkConfig::MmDynamics(config.clone());
            prediction(&built(&config, &device), &batch(4, 0.0, &device))
        };
        let first = answer(&base());
        assert_eq!(first.len(), 4 * 3);
        for config in &changed {
            assert_ne!(answer(config), first, "{config:?}");
        }
        let classes = MmDynamicsConfig {
            classes: 4,
            ..base()
        };
        assert_eq!(answer(&classes).len(), 4 * 4);
    }
}

#[test]
fn a_sequence_is_read_up_to_its_length_and_on_its_own() {
    for device in deq::devices::all() {
        let network = built(&sequence(FusionMethod::Equilibrium(exact())), &device);
        // The answer of one step, which every sample takes alike.
        let run = |batch: &Batch| {
            let call = Call {
                max_iter: Some(3),
                ..Call::default()
            };
            let answer = network.forward(batch, call);
            values(answer.expect("a valid call").prediction)
        };
        let batch = spoken(&device);
        let together = run(&batch);
        let alone = Batch {
            views: batch
                .views
                .iter()
                .map(|x| x.clone().narrow(0, 1, 1))
                .collect(),
            lengths: Some(vec![3]),
            targets: Targets::Values(vec![-1.0]),
            ..batch.clone()
        };
        assert!((run(&alone)[0] - together[1]).abs() < 1e-4);
        let all = run(&Batch {
            lengths: None,
            ..batch.clone()
        });
        assert!((all[0] - together[0]).abs() < 1e-6);
        assert!((all[3] - together[3]).abs() > 1e-5);
        let few = Batch {
            lengths: Some(vec![1, 2]),
            ..batch
        };
        assert!(network.forward(&few, Call::default()).is_err());
    }
}

#[test]
fn labels_and_numbers_have_scores_of_their_own() {
    for device in deq::devices::all() {
        let fusion = || FusionMethod::WeightedSum {};
        let (network, batch) = (built(&multi_label(fusion()), &device), labelled(&device));
        let logits = prediction(&network, &batch);
        let on = |place: usize| f64::from(u8::from(place % 5 < 2));
        let losses = logits.iter().enumerate();
        let losses = losses.map(|(place, x)| x.exp().ln_1p() - x * on(place));
        let expected = losses.sum::<f64>() / 12.0;
        let found = evaluate(&network, [batch], None).expect("scores");
        assert!((found.loss - expected).abs() < 1e-4 * expected);
        assert!(found.f1_micro.is_some() && found.f1_macro.is_some());
        assert!(found.f1_weighted.is_some() && found.accuracy.is_none());

        let (network, batch) = (built(&sequence(fusion()), &device), spoken(&device));
        let answers = prediction(&network, &batch);
        let numbers = [0.5, -1.0, 0.0, -2.5];
        let errors = || {
            answers
                .iter()
                .zip(numbers)
                .map(|(answer, number)| answer - number)
        };
        let found = evaluate(&network, [batch], None).expect("scores");
        let half = errors().map(|error| error * error).sum::<f64>() / 8.0;
        assert!((found.loss - half).abs() < 1e-4 * half);
        let absolute = errors().map(f64::abs).sum::<f64>() / 4.0;
        assert!((found.mae.expect("an error") - absolute).abs() < 1e-4 * absolute);
        let signs = answers.iter().zip(numbers);
        let right = signs.filter(|(answer, number)| (**answer > 0.0) == (*number > 0.0));
        assert_eq!(found.accuracy_2, Some(right.count() as f64 / 4.0));
        assert!(found.accuracy_7.is_some() && found.correlation.is_some());
        assert!(found.f1_micro.is_none() && found.auc.is_none());
    }
}

#[test]
fn running_statistics_are_for_inference() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let network = built(&multi_label(FusionMethod::WeightedSum {}), &device);
        let batch = labelled(&device);
        let before = prediction(&network.valid(), &labelled(&device.clone().inner()));
        let training = prediction(&network, &batch);
        assert!(difference(&training, &before) > 1e-3);
        // That pass has moved them.
        let after = prediction(&network.valid(), &labelled(&device.clone().inner()));
        assert!(difference(&after, &before) > 1e-4);
    }
}

#[test]
fn networks_that_cannot_be_are_refused_by_name() {
    let device = &deq::devices::all()[0];
    let fusion = || FusionMethod::WeightedSum {};
    let omics = |change: fn(&mut MmDynamicsConfig)| {
        let mut config = classifier(FusionMethod::WeightedSum {});
        change(&mut config);
        NetworkConfig::MmDynamics(config)
    };
    let labels = |change: fn(&mut MultiLabelConfig)| match multi_label(fusion()) {
        NetworkConfig::MultiLabel(mut config) => {
            change(&mut config);
            NetworkConfig::MultiLabel(config)
        }
        other => other,
    };
    let sequence = |change: fn(&mut SequenceConfig)| match sequence(fusion()) {
        NetworkConfig::Sequence(mut config) => {
            change(&mut config);
            NetworkConfig::Sequence(config)
        }
        other => other,
    };
    let refused = [
        ("`classes` is 1", omics(|config| config.classes = 1)),
        ("`hidden` is 0", omics(|config| config.hidden = 0)),
        ("`dropout` is 1", omics(|config| config.dropout = 1.0)),
        (
            "`views` is [3, 0]",
            omics(|config| config.views = vec![3, 0]),
        ),
        ("`widths` is []", omics(|config| config.views.clear())),
        ("`labels` is 0", labels(|config| config.labels = 0)),
        ("`hidden` is [6]", labels(|config| config.hidden = vec![6])),
        (
            "`views` is [0, 4]",
            labels(|config| config.views = vec![0, 4]),
        ),
        ("`dropout` is -1", labels(|config| config.dropout = -1.0)),
        ("`text` is 0", sequence(|config| config.text = 0)),
        (
            "`projection` is 0",
            sequence(|config| config.projection = 0),
        ),
        ("`others` is []", sequence(|config| config.others.clear())),
        (
            "`widths` is [0, 0]",
            sequence(|config| config.positions = 0),
        ),
        (
            "`attention_dropout` is 2",
            sequence(|config| config.attention_dropout = 2.0),
        ),
    ];
    for (message, config) in refused {
        let error = config.init(device, 0).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_confidence_of_a_view_scales_its_features() {
    for device in deq::devices::all() {
        let Network::MmDynamics(network) = built(&network(FusionMethod::WeightedSum {}), &device)
        else {
            panic!("it is a classifier");
        };
        let x = [
            features(1, [2, 1, 5], &device).reshape([2, 5]),
            features(2, [2, 1, 4], &device).reshape([2, 4]),
        ];
        let output = network.forward(&x, Call::default()).expect("a valid call");
        let mut sum = Tensor::<2>::zeros([2, WIDTH], &device);
        for (index, view) in output.views.iter().enumerate() {
            let gates = values(view.gate.clone());
            assert!(gates.iter().all(|gate| (0.0..=1.0).contains(gate)));
            let weighed = x[index].clone() * view.gate.clone();
            let encoded = relu(network.feature_encoder[index].forward(weighed));
            sum = sum + encoded * view.confidence.clone();
        }
        let expected = values(network.mm_classifier[0].forward(sum));
        assert!(difference(&values(output.logits), &expected) < 1e-5);
    }
}
