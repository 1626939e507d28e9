//! The networks: sizes, pairs, hyper-parameters, shapes, modes and refusals.

use crate::common::{all_near, batch, equilibrium, explicit, few_steps, near, noise, values};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::{check_prepared, with_prepare};
use deq::prelude::*;
use deq_collapse::{
    Classifier, CollapseError, InjectedBlock, LastBlock, Network, NetworkConfig, Objective, Pair,
    Preset, TrunkNorm, etf, train_loss,
};
use deq_parity::without_gradient;

/// The number of parameters from the layers' shapes.
fn counted(config: &NetworkConfig) -> usize {
    let conv = |inputs: usize, outputs: usize, kernel: usize| inputs * outputs * kernel * kernel;
    let last = config.stages.len() - 1;
    let mut inputs = config.width;
    let mut count = conv(config.in_channels, inputs, 3) + 2 * inputs;
    for (stage, &blocks) in config.stages.iter().enumerate() {
        let outputs = if stage == last {
            config.features
        } else {
            config.width << stage
        };
        for block in 0..blocks - usize::from(stage == last) {
            count += conv(inputs, outputs, 3) + conv(outputs, outputs, 3) + 4 * outputs;
            if inputs != outputs || (stage > 0 && block == 0) {
                count += conv(inputs, outputs, 1) + 2 * outputs;
            }
            inputs = outputs;
        }
    }
    let features = config.features;
    let layers = match &config.last {
        LastBlock::Explicit { layers } => *layers,
        LastBlock::Equilibrium { .. } => 1,
    };
    count += 2 * features;
    count += layers * (2 * conv(features, features, 3) + 6 * features);
    count
        + match config.classifier {
            Classifier::Learned { bias } => (features + usize::from(bias)) * config.classes,
            Classifier::FixedEtf {} => 0,
        }
}

#[test]
fn presets_have_the_sizes_of_their_layers() {
    // ResNet-18 for small images has 11,173,962 parameters with ten classes; two more norms of 512
    // channels (the standardisation and the block's third) are ours.
    assert_eq!(counted(&Preset::Resnet18.config()), 11_173_962 + 2 * 1024);
    let device = &deq::devices::all()[0];
    for preset in Preset::ALL {
        let config = preset.config();
        let network = config.init(device, 0).expect("a valid preset");
        assert_eq!(network.parameters(), counted(&config), "{preset:?}");
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("resnet"), None);
    for config in [explicit(), equilibrium()] {
        let network = config.init(device, 0).expect("valid");
        assert_eq!(network.parameters(), counted(&config));
    }
    let seven = Preset::NarrowEtf.config().for_images(1, 7);
    assert_eq!(
        (seven.features, seven.in_channels, seven.classes),
        (7, 1, 7)
    );
    assert!(seven.init(device, 0).is_ok());
}

#[test]
fn the_members_of_a_pair_share_all_weights() {
    for device in deq::devices::all() {
        let pair = Pair::new(explicit(), few_steps());
        let [one, other] = pair.init(&device, 3).expect("valid");
        assert_eq!(one.parameters(), other.parameters());
        let weights = |network: &Network| {
            let mut flat = Flat::default();
            network.visit(&mut flat);
            flat.values
        };
        assert_eq!(weights(&one), weights(&other));
        // And nothing but the last block's use tells them apart.
        let output = |network: &Network| {
            let images = batch(3, &device).images;
            network.forward(images).expect("a valid call")
        };
        let (one, other) = (output(&one), output(&other));
        assert!(one.stats.is_none() && other.stats.is_some());
        assert_ne!(values(one.features), values(other.features));
    }
}

/// All parameters and running statistics in one list.
#[derive(Default)]
struct Flat {
    values: Vec<f64>,
}

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.values.extend(values(param.val()));
    }
}

#[test]
fn the_prepared_map_is_the_map_and_both_are_the_formula() {
    for device in deq::devices::all() {
        let network = equilibrium().init(&device, 1).expect("valid");
        let numbers = |seed| {
            let values = noise(2 * 4 * 9, seed).into_iter();
            let values: Vec<f32> = values.map(|value| value as f32).collect();
            Tensor::<4>::from_data(TensorData::new(values, [2, 4, 3, 3]), &device)
        };
        let (z, x) = (numbers(1), numbers(2));
        let block = network.blocks[0].clone();
        let y = relu(block.norm1.forward(block.conv1.forward(z.clone())));
        let y = block.norm2.forward(block.conv2.forward(y) + x.clone());
        let expected = values(block.norm3.forward(relu(y + z.clone())));

        type Args = (InjectedBlock, Tensor<4>);
        let args: Args = (block, x);
        let map = with_prepare(
            |(f, x): &Args, z: Tensor<4>| f.forward(z, x.clone()),
            |(f, x): &Args| Box::new(f.prepare(x.clone())),
        );
        let error = check_prepared(&args, &map, &z);
        assert!(error.is_some_and(|error| error < 1e-5), "{error:?}");
        all_near(&values(map.forward(&args, z.clone())), &expected, 1e-4);
        // The tracked step's operations come one by one.
        let tracked = map.forward(&args, z.autodiff()).inner();
        all_near(&values(tracked), &expected, 1e-4);
    }
}

#[test]
fn an_equilibrium_is_a_fixed_point_of_its_block() {
    for device in deq::devices::all() {
        let tight = DeqConfig::default().with_max_iter(60).with_tolerance(1e-4);
        let config = Pair::new(explicit(), tight).equilibrium;
        let mut network = config.init(&device, 1).expect("valid");
        // A small state beside its injection, and a small way round: the block contracts.
        let mut block = network.blocks[0].clone();
        block.norm3.gamma = block
            .norm3
            .gamma
            .map(|gains| gains.map(|gains| gains * 0.1));
        block.conv2.weight = block.conv2.weight.map(|weight| weight * 0.05);
        network.blocks = vec![block];
        let images = batch(2, &device).images;
        let x = network.trunk.forward(images.clone());
        let output = network.forward(images).expect("a valid call");
        let stats = output.stats.expect("a solve");
        assert!(stats.all_converged(), "{stats:?}");
        // The same by hand.
        let block: &InjectedBlock = &network.blocks[0];
        let mut z = x.zeros_like();
        for _ in 0..stats.steps + 20 {
            z = block.forward(z, x.clone());
        }
        let [samples, channels, height, width] = z.dims();
        let z: Tensor<3> = z.reshape([samples, channels, height * width]);
        let expected = values(z.mean_dim(2));
        all_near(&values(output.features), &expected, 1e-3);
    }
}

#[test]
fn a_fixed_classifier_is_the_simplex() {
    let config = NetworkConfig {
        classifier: Classifier::FixedEtf {},
        ..explicit()
    };
    for device in deq::devices::all() {
        let network = config.init(&device, 0).expect("valid");
        let head = network.head();
        let frame = etf::standard_etf(4).expect("a frame");
        all_near(head.weight().values(), frame.values(), 0.0);
        let output = network
            .forward(batch(3, &device).images)
            .expect("a valid call");
        let features = values(output.features);
        let logits = values(output.logits);
        for (features, logits) in features.chunks(4).zip(logits.chunks(4)) {
            all_near(&head.logits(features), logits, 1e-4);
        }
    }
}

#[test]
fn a_learned_classifier_reads_back() {
    for bias in [true, false] {
        let config = NetworkConfig {
            classifier: Classifier::Learned { bias },
            ..explicit()
        };
        for device in deq::devices::all() {
            let network = config.init(&device, 0).expect("valid");
            let head = network.head();
            assert_eq!(head.bias().iter().any(|&b| b != 0.0), bias);
            let output = network
                .forward(batch(2, &device).images)
                .expect("a valid call");
            let features = values(output.features);
            let logits = values(output.logits);
            for (features, logits) in features.chunks(4).zip(logits.chunks(4)) {
                all_near(&head.logits(features), logits, 1e-4);
            }
        }
    }
}

fn logits(config: &NetworkConfig, device: &Device, seed: u64) -> Vec<f64> {
    let network = config.init(device, seed).expect("a valid network");
    let output = network.forward(batch(3, device).images);
    values(output.expect("a valid call").logits)
}

#[test]
fn a_seed_gives_the_same_network_on_every_device() {
    let devices = deq::devices::all();
    let first = logits(&equilibrium(), &devices[0], 7);
    assert_ne!(first, logits(&equilibrium(), &devices[0], 8));
    for device in &devices {
        all_near(&first, &logits(&equilibrium(), device, 7), 1e-3);
    }
}

#[test]
fn every_hyper_parameter_changes_the_output() {
    let device = &deq::devices::all()[0];
    let base = equilibrium();
    let fixed = WeightNormConfig {
        learn_scale: false,
        ..WeightNormConfig::default()
    };
    let changed = [
        NetworkConfig {
            width: 4,
            ..base.clone()
        },
        NetworkConfig {
            features: 6,
            ..base.clone()
        },
        NetworkConfig {
            stages: vec![1, 3],
            ..base.clone()
        },
        NetworkConfig {
            stages: vec![2, 2],
            ..base.clone()
        },
        NetworkConfig {
            stages: vec![1, 1, 2],
            ..base.clone()
        },
        NetworkConfig {
            groups: 1,
            ..base.clone()
        },
        NetworkConfig {
            norm: TrunkNorm::Group { groups: 2 },
            ..base.clone()
        },
        NetworkConfig {
            norm: TrunkNorm::Group { groups: 1 },
            ..base.clone()
        },
        NetworkConfig {
            classifier: Classifier::Learned { bias: false },
            ..base.clone()
        },
        NetworkConfig {
            classifier: Classifier::FixedEtf {},
            ..base.clone()
        },
        NetworkConfig {
            weight_norm: Some(fixed),
            ..base.clone()
        },
        NetworkConfig {
            last: LastBlock::Explicit { layers: 1 },
            ..base.clone()
        },
        NetworkConfig {
            last: LastBlock::Explicit { layers: 2 },
            ..base.clone()
        },
        Pair::new(base.clone(), few_steps().with_max_iter(2)).equilibrium,
    ];
    let outputs: Vec<Vec<f64>> = changed
        .iter()
        .map(|config| logits(config, device, 0))
        .collect();
    let first = logits(&base, device, 0);
    for (config, output) in changed.iter().zip(&outputs) {
        assert_ne!(output, &first, "{config:?}");
    }
    assert_ne!(outputs[11], outputs[12], "layers");
    let classes = NetworkConfig {
        classes: 3,
        ..base.clone()
    };
    assert_eq!(logits(&classes, device, 0).len(), 9);
    let colour = NetworkConfig {
        in_channels: 3,
        ..base
    };
    let network = colour.init(device, 0).expect("valid");
    assert!(network.forward(Tensor::ones([2, 3, 8, 8], device)).is_ok());
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    let mut configs: Vec<NetworkConfig> = Preset::ALL.map(Preset::config).to_vec();
    configs.push(Pair::new(explicit(), Pair::default_deq()).equilibrium);
    for config in configs {
        let text = toml::to_string(&config).expect("serialises");
        assert_eq!(
            toml::from_str::<NetworkConfig>(&text).expect("reads"),
            config
        );
        assert!(toml::from_str::<NetworkConfig>(&format!("depth = 3\n{text}")).is_err());
    }
    let last = r#"{"kind": "explicit", "layers": 1, "deq": {}}"#;
    assert!(serde_json::from_str::<LastBlock>(last).is_err());
}

#[test]
fn every_parameter_gets_a_gradient_and_training_lowers_the_loss() {
    let normed = NetworkConfig {
        weight_norm: Some(WeightNormConfig::default()),
        ..equilibrium()
    };
    for device in deq::devices::all() {
        let device = device.autodiff();
        for config in [explicit(), normed.clone()] {
            let data = batch(6, &device);
            let mut network = config.init(&device, 0).expect("valid");
            let mut adam = AdamConfig::new().init();
            let mut losses = Vec::new();
            for step in 0..8 {
                let loss = train_loss(&network, &data, &Objective::default())
                    .expect("a loss")
                    .loss;
                losses.push(f64::from(loss.clone().into_scalar::<f32>()));
                let gradients = loss.backward();
                if step == 0 {
                    assert_eq!(without_gradient(&network, &gradients), Vec::<String>::new());
                }
                let gradients = GradientsParams::from_grads(gradients, &network);
                network = adam.step(2e-2, network, gradients);
            }
            assert!(losses[7] < losses[0], "{losses:?}");
        }
    }
}

#[test]
fn the_exact_gradient_passes_through_the_equilibrium() {
    // Another gradient is another number, of the same loss.
    for device in deq::devices::all() {
        let device = device.autodiff();
        let gradient = |gradient: Gradient| {
            let config = Pair::new(explicit(), few_steps().with_gradient(gradient)).equilibrium;
            let network = config.init(&device, 0).expect("valid");
            let loss = train_loss(&network, &batch(4, &device), &Objective::default());
            let gradients = loss.expect("a loss").loss.backward();
            let stem = network.trunk.stem.weight.val().grad(&gradients);
            values(stem.expect("a gradient"))
        };
        assert_ne!(
            gradient(Gradient::JacobianFree),
            gradient(Gradient::implicit())
        );
    }
}

#[test]
fn inference_leaves_running_statistics_and_does_not_depend_on_the_batch() {
    for device in deq::devices::all() {
        let network = equilibrium()
            .init(&device.clone().autodiff(), 0)
            .expect("valid");
        let plain = network.valid();
        let state = |network: &Network| {
            let mut flat = Flat::default();
            network.visit(&mut flat);
            flat.values
        };
        let before = state(&plain);
        let all = plain
            .forward(batch(3, &device).images)
            .expect("a valid call");
        assert_eq!(state(&plain), before);
        let one = plain.forward(batch(3, &device).images.narrow(0, 0, 1));
        let one = values(one.expect("a valid call").logits);
        all_near(&values(all.logits)[..4], &one, 1e-3);
        let images = batch(3, &device.clone().autodiff()).images;
        network.forward(images).expect("a valid call");
        assert_ne!(state(&network.valid()), before, "training moves them");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let network = equilibrium().init(&device, 0).expect("valid");
        let error = |shape: [usize; 4]| network.forward(Tensor::zeros(shape, &device)).err();
        assert!(matches!(
            error([2, 3, 8, 8]),
            Some(CollapseError::Mismatch {
                expected: 1,
                found: 3,
                ..
            })
        ));
        for empty in [[0, 1, 8, 8], [2, 1, 0, 8]] {
            let found = error(empty);
            assert!(matches!(
                found,
                Some(CollapseError::Solve(SolveError::Empty(_)))
            ));
        }
        // One pixel in front of the last block, and two channels a group: enough.
        assert!(error([2, 1, 2, 2]).is_none());
        let narrow = NetworkConfig {
            groups: 4,
            ..equilibrium()
        };
        let narrow = narrow.init(&device, 0).expect("valid");
        let few = narrow.forward(Tensor::zeros([2, 1, 2, 2], &device)).err();
        assert!(matches!(
            few,
            Some(CollapseError::TooFewValues { values: 1, .. })
        ));
        let group = NetworkConfig {
            norm: TrunkNorm::Group { groups: 2 },
            ..equilibrium()
        };
        let group = group.init(&device, 0).expect("valid");
        let few = group.forward(Tensor::zeros([2, 1, 1, 1], &device)).err();
        assert!(matches!(
            few,
            Some(CollapseError::TooFewValues { values: 1, .. })
        ));
        // One value a channel cannot train a batch norm.
        let training = equilibrium()
            .init(&device.clone().autodiff(), 0)
            .expect("valid");
        let one = Tensor::<4>::zeros([1, 1, 2, 2], &device).autodiff();
        let few = training.forward(one).err();
        assert!(matches!(
            few,
            Some(CollapseError::TooFewValues { least: 2, .. })
        ));

        let explicit = explicit().init(&device, 0).expect("valid");
        let options = CallOptions {
            max_iter: Some(3),
            ..Default::default()
        };
        let images = batch(2, &device).images;
        let unused = explicit.forward_with(images.clone(), options).err();
        assert!(matches!(
            unused,
            Some(CollapseError::InvalidConfig {
                field: "options",
                ..
            })
        ));
        let options = CallOptions {
            max_iter: Some(3),
            ..Default::default()
        };
        let solved = network.forward_with(images, options).expect("a valid call");
        near(solved.stats.expect("a solve").steps as f64, 3.0, 0.0);
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let device = &deq::devices::all()[0];
    let field = |config: NetworkConfig| match config.init(device, 0) {
        Err(CollapseError::InvalidConfig { field, .. }) => field,
        other => panic!("{:?}", other.err()),
    };
    let base = explicit;
    let etf = Classifier::FixedEtf {};
    let wrong = [
        (
            "classes",
            NetworkConfig {
                classes: 1,
                ..base()
            },
        ),
        (
            "in_channels",
            NetworkConfig {
                in_channels: 0,
                ..base()
            },
        ),
        ("width", NetworkConfig { width: 0, ..base() }),
        (
            "groups",
            NetworkConfig {
                groups: 0,
                ..base()
            },
        ),
        (
            "groups",
            NetworkConfig {
                groups: 3,
                ..base()
            },
        ),
        (
            "stages",
            NetworkConfig {
                stages: vec![2],
                ..base()
            },
        ),
        (
            "stages",
            NetworkConfig {
                stages: vec![2, 1],
                ..base()
            },
        ),
        (
            "stages",
            NetworkConfig {
                stages: vec![0, 2],
                ..base()
            },
        ),
        (
            "features",
            NetworkConfig {
                features: 2,
                ..base()
            },
        ),
        (
            "features",
            NetworkConfig {
                features: 6,
                classifier: etf,
                ..base()
            },
        ),
        (
            "norm.groups",
            NetworkConfig {
                norm: TrunkNorm::Group { groups: 4 },
                ..base()
            },
        ),
        (
            "norm.groups",
            NetworkConfig {
                norm: TrunkNorm::Group { groups: 0 },
                ..base()
            },
        ),
        (
            "last.layers",
            NetworkConfig {
                last: LastBlock::Explicit { layers: 0 },
                ..base()
            },
        ),
        (
            "last.deq.states",
            Pair::new(base(), few_steps().with_states(States::Count(2))).equilibrium,
        ),
    ];
    for (expected, config) in wrong {
        assert_eq!(field(config.clone()), expected, "{config:?}");
    }
    let clip = WeightNormConfig {
        clip: Some(0.0),
        ..WeightNormConfig::default()
    };
    let normed = NetworkConfig {
        weight_norm: Some(clip),
        ..base()
    };
    assert!(matches!(
        normed.init(device, 0),
        Err(CollapseError::Norm(_))
    ));
    let phantom = few_steps().with_gradient(Gradient::phantom(0, 0.5));
    let config = Pair::new(base(), phantom).equilibrium;
    assert!(matches!(
        config.init(device, 0),
        Err(CollapseError::Solve(_))
    ));
}
