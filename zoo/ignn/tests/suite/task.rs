//! Losses, scores and training.

use burn::tensor::{Device, Tensor};
use deq_datasets::graphs::chains::ChainsConfig;
use deq_datasets::graphs::{Features, GraphData, GraphSet, Labels};
use ignn::{
    Architecture, GraphNet, IgnnConfig, IgnnError, NodeNet, Normalisation, Preset, Scores, Task,
    TrainConfig, Trainer,
};

fn data(labels: Labels) -> GraphData {
    GraphData {
        num_nodes: 3,
        edges: vec![(0, 1), (1, 0), (1, 2)],
        features: Features::Dense {
            width: 2,
            values: vec![1.0, 0.0, 0.0, 2.0, -1.0, 0.5],
        },
        labels,
        splits: Vec::new(),
    }
}

fn classes() -> GraphData {
    data(Labels::Classes {
        classes: 2,
        of_node: vec![Some(0), Some(1), None],
    })
}

fn labels() -> GraphData {
    data(Labels::Multi {
        labels: 2,
        of_node: vec![true, false, true, true, false, false],
    })
}

fn task(data: GraphData, device: &Device) -> Task {
    Task::nodes(&[data], Normalisation::Raw, device).expect("a valid task")
}

fn logits(device: &Device) -> Tensor<2> {
    Tensor::from_floats([[0.5, -1.0], [2.0, 0.25], [-0.5, 100.0]], device)
}

fn loss(task: &Task, output: Tensor<2>, items: &[u32]) -> f64 {
    let loss = task.loss(output, items).expect("a loss");
    loss.into_scalar::<f64>()
}

#[test]
fn losses_are_the_textbook_ones() {
    for device in deq::devices::all() {
        // -log softmax: log(1 + e^(other - own)).
        let found = loss(&task(classes(), &device), logits(&device), &[0, 1]);
        let first = (-1.5f64).exp().ln_1p();
        let second = 1.75f64.exp().ln_1p();
        assert!((found - (first + second) / 2.0).abs() < 1e-5, "{found}");
        // Log-probabilities are their own log-softmax.
        let probabilities = burn::tensor::activation::log_softmax(logits(&device), 1);
        let again = loss(&task(classes(), &device), probabilities, &[0, 1]);
        assert!((found - again).abs() < 1e-5);

        // log(1 + e^-x) for a label that is on, log(1 + e^x) for one that is off; also far out.
        let found = loss(&task(labels(), &device), logits(&device), &[0, 2]);
        let on = |x: f64| (-x).exp().ln_1p();
        let off = |x: f64| x.exp().ln_1p();
        let expected = (on(0.5) + off(-1.0) + off(-0.5) + 100.0) / 4.0;
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn the_label_loss_has_the_textbook_gradient() {
    for device in deq::devices::all() {
        let output = logits(&device.clone().autodiff()).require_grad();
        let loss = task(labels(), &device).loss(output.clone(), &[0, 1, 2]);
        let gradients = loss.expect("a loss").backward();
        let found: Vec<f32> = output
            .grad(&gradients)
            .expect("a gradient")
            .into_data()
            .iter::<f32>()
            .collect();
        // (σ(x) - y) / 6.
        let x = [0.5f32, -1.0, 2.0, 0.25, -0.5, 100.0];
        let y = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        for ((found, x), y) in found.iter().zip(x).zip(y) {
            let expected = (1.0 / (1.0 + (-x).exp()) - y) / 6.0;
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn scores_count_right_and_wrong() {
    let scores = Scores::of_classes(3, &[0, 1, 1, 2], &[0, 1, 2, 2]);
    assert_eq!((scores.accuracy, scores.micro_f1), (0.75, 0.75));
    // F1 of the classes: 1, 2/3, 2/3.
    assert!((scores.macro_f1 - (1.0 + 4.0 / 3.0) / 3.0).abs() < 1e-12);
    // Label 0: TP 1, FP 1, FN 0. Label 1: TP 0, FP 0, FN 1.
    let scores = Scores::of_labels(2, &[true, false, true, false], &[true, true, false, false]);
    assert_eq!(scores.accuracy, 0.5);
    assert!((scores.micro_f1 - 0.5).abs() < 1e-12);
    assert!((scores.macro_f1 - (2.0 / 3.0) / 2.0).abs() < 1e-12);
    let none = Scores::of_labels(1, &[false], &[false]);
    assert_eq!((none.accuracy, none.micro_f1), (1.0, 0.0));

    for device in deq::devices::all() {
        let found = task(classes(), &device).scores(logits(&device), &[0, 1]);
        assert_eq!(found.expect("scores").accuracy, 0.5);
        let found = task(labels(), &device).scores(logits(&device), &[0, 1]);
        assert_eq!(found.expect("scores").accuracy, 1.0);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let refused = |error: Option<IgnnError>| error.expect("must be refused");
        let task = task(classes(), &device);
        let missing = refused(task.loss(logits(&device), &[3]).err());
        assert!(matches!(missing, IgnnError::NoTarget { item: 3, items: 3 }));
        let unlabelled = refused(task.loss(logits(&device), &[0, 2]).err());
        assert!(matches!(unlabelled, IgnnError::NoTarget { item: 2, .. }));
        let wide = Tensor::zeros([3, 4], &device);
        let wide = refused(task.scores(wide, &[0]).err());
        assert!(matches!(
            wide,
            IgnnError::Mismatch {
                expected: 2,
                found: 4,
                ..
            }
        ));
        assert!(task.loss(logits(&device), &[]).is_err());

        let nodes = |data: &[GraphData]| Task::nodes(data, Normalisation::Raw, &device).err();
        assert!(nodes(&[]).is_some());
        assert!(nodes(&[data(Labels::None)]).is_some());
        assert!(nodes(&[classes(), labels()]).is_some());
        let mut broken = classes();
        broken.edges.push((0, 7));
        assert!(refused(nodes(&[broken])).to_string().contains("node 7"));
        let mut narrow = classes();
        narrow.features = Features::Dense {
            width: 1,
            values: vec![0.0; 3],
        };
        assert!(matches!(
            refused(nodes(&[classes(), narrow])),
            IgnnError::Mismatch {
                expected: 2,
                found: 1,
                ..
            }
        ));
    }
}

/// Chains of four nodes, small enough for a test.
fn chains() -> (GraphData, IgnnConfig) {
    let config = ChainsConfig {
        chains: 4,
        length: 4,
        features: 4,
        train: 12,
        validation: 0,
        test: 20,
        ..ChainsConfig::default()
    };
    let network = IgnnConfig {
        inputs: 4,
        hidden: 4,
        architecture: Architecture::Node {
            normalise: true,
            dropout: 0.0,
        },
        ..Preset::Chains.config()
    };
    (config.generate(3).expect("valid chains"), network)
}

#[test]
fn training_lowers_the_loss() {
    let (data, config) = chains();
    for device in deq::devices::all() {
        let task = Task::nodes(
            std::slice::from_ref(&data),
            Normalisation::Symmetric,
            &device,
        );
        let task = task.expect("a valid task");
        let network: NodeNet = config
            .init(&device.clone().autodiff(), 0)
            .expect("a valid network");
        let train = TrainConfig {
            learning_rate: 0.05,
            ..TrainConfig::default()
        };
        let mut trainer = Trainer::new(network, train).expect("valid");
        let train = &data.splits[0].train;
        let mut losses = Vec::new();
        for _ in 0..15 {
            let report = trainer.step(&task, train).expect("a step");
            assert!(report.solver_steps > 0 && report.residual.is_finite());
            losses.push(report.loss);
        }
        assert!(losses[14] < 0.95 * losses[0], "{losses:?}");
        let scores = trainer.evaluate(&task, train).expect("scores");
        assert!((0.0..=1.0).contains(&scores.accuracy));
    }
}

#[test]
fn every_option_of_training_changes_it() {
    let (data, config) = chains();
    for device in deq::devices::all() {
        let task = Task::nodes(
            std::slice::from_ref(&data),
            Normalisation::Symmetric,
            &device,
        );
        let task = task.expect("a valid task");
        let run = |train: TrainConfig| {
            let network: NodeNet = config
                .init(&device.clone().autodiff(), 0)
                .expect("a valid network");
            let mut trainer = Trainer::new(network, train).expect("valid");
            let items = &data.splits[0].train;
            let losses: Vec<f64> = (0..3)
                .map(|_| trainer.step(&task, items).expect("a step").loss)
                .collect();
            losses[2]
        };
        let base = run(TrainConfig::default());
        let changed = [
            TrainConfig {
                learning_rate: 0.05,
                ..TrainConfig::default()
            },
            TrainConfig {
                weight_decay: 0.5,
                ..TrainConfig::default()
            },
            TrainConfig {
                clip_gradient: Some(1e-9),
                ..TrainConfig::default()
            },
            TrainConfig {
                halve_at: Some(1),
                ..TrainConfig::default()
            },
        ];
        for train in changed {
            assert_ne!(run(train.clone()), base, "{train:?}");
        }
    }
    let device = &deq::devices::all()[0];
    let trainer = |train: TrainConfig, device: &Device| {
        let network: NodeNet = config.init(device, 0).expect("a valid network");
        Trainer::new(network, train).err()
    };
    let plain = trainer(TrainConfig::default(), device).expect("must be refused");
    assert!(plain.to_string().contains("autodiff"));
    let device = &device.clone().autodiff();
    for train in [
        TrainConfig {
            learning_rate: 0.0,
            ..TrainConfig::default()
        },
        TrainConfig {
            weight_decay: -1.0,
            ..TrainConfig::default()
        },
        TrainConfig {
            clip_gradient: Some(0.0),
            ..TrainConfig::default()
        },
    ] {
        assert!(matches!(
            trainer(train, device),
            Some(IgnnError::InvalidConfig { .. })
        ));
    }
}

#[test]
fn whole_graphs_are_classified() {
    let graph = |scale: f32| GraphData {
        features: Features::Dense {
            width: 2,
            values: vec![scale, 0.0, 0.0, scale, scale, 1.0],
        },
        ..data(Labels::None)
    };
    let set = GraphSet {
        graphs: vec![graph(1.0), graph(-1.0), graph(0.8), graph(-0.7)],
        classes: 2,
        labels: vec![0, 1, 0, 1],
    };
    for device in deq::devices::all() {
        let task = |positions: &[usize]| {
            Task::whole_graphs(&set, positions, Normalisation::Symmetric, &device)
        };
        let all = task(&[0, 1, 2, 3]).expect("a valid task");
        assert_eq!(all.items(), [0, 1, 2, 3]);
        assert_eq!((all.graphs.graphs(), all.graphs.nodes()), (4, 12));
        let config = IgnnConfig {
            architecture: Architecture::Graph { dropout: 0.0 },
            inputs: 2,
            hidden: 4,
            deq: Preset::Mutag.config().deq.with_max_iter(20),
            ..Preset::Mutag.config()
        };
        let network: GraphNet = config
            .init(&device.clone().autodiff(), 0)
            .expect("a valid network");
        let train = TrainConfig {
            learning_rate: 0.02,
            ..TrainConfig::default()
        };
        let mut trainer = Trainer::new(network, train).expect("valid");
        let losses: Vec<f64> = (0..12)
            .map(|_| trainer.step(&all, &all.items()).expect("a step").loss)
            .collect();
        assert!(losses[11] < losses[0], "{losses:?}");
        assert!(matches!(
            task(&[0, 4]).err(),
            Some(IgnnError::NoTarget { item: 4, items: 4 })
        ));
        assert!(task(&[]).is_err());
    }
}
