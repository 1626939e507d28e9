//! The model: sizes, hyper-parameters, shapes, modes and refusals.

use crate::common::{batch, small, values};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::{check_prepared, with_prepare};
use deq::prelude::*;
use mdeq::{Fusion, MapNorm, Mdeq, MdeqConfig, MdeqError, MultiscaleMap, Preset, SegmentationHead};

/// The number of parameters from the layers' shapes, without and with the gains of weight norm.
fn counted(config: &MdeqConfig) -> (usize, usize) {
    let conv = |inputs: usize, outputs: usize, kernel: usize| inputs * outputs * kernel * kernel;
    let (channels, head) = (&config.channels, &config.head_channels);
    let (first, expansion) = (channels[0], config.expansion);
    let (mut plain, mut in_blocks, mut in_fusion) = (0, 0, 0);
    plain += conv(config.in_channels, first, 3) + conv(first, first, 3) + 4 * first;
    if config.downsample_times > 0 || channels.len() > 2 {
        plain += conv(first, first, 1) + 2 * first;
    }
    for (to, &outputs) in channels.iter().enumerate() {
        let inner = expansion * outputs;
        plain += 2 * conv(outputs, inner, 3) + 2 * inner + 4 * outputs;
        in_blocks += inner + outputs;
        for (from, &inputs) in channels.iter().enumerate() {
            if from > to {
                plain += conv(inputs, outputs, 1) + 2 * outputs;
                in_fusion += outputs;
            } else if from < to {
                let between = to - from - 1;
                plain += between * (conv(inputs, inputs, 3) + 2 * inputs);
                plain += conv(inputs, outputs, 3) + 2 * outputs;
                in_fusion += between * inputs + outputs;
            }
        }
        plain += conv(outputs, outputs, 1) + 2 * outputs;
        in_fusion += outputs;
    }
    for (index, (&inputs, &inner)) in channels.iter().zip(head).enumerate() {
        let outputs = 4 * inner;
        plain += conv(inputs, inner, 1) + conv(inner, inner, 3) + conv(inner, outputs, 1);
        if inputs != outputs {
            plain += conv(inputs, outputs, 1) + 2 * outputs;
        }
        if let Some(next) = head.get(index + 1) {
            plain += conv(outputs, 4 * next, 3) + 3 * 4 * next;
        }
    }
    let last = 4 * head[head.len() - 1];
    let (features, classes) = (config.final_channels, config.classes);
    plain += conv(last, features, 1) + 3 * features + (features + 1) * classes;
    let gains = match &config.norm {
        None => 0,
        Some(norm) if norm.fusion => in_blocks + in_fusion,
        Some(_) => in_blocks,
    };
    (plain, plain + gains)
}

#[test]
fn presets_have_the_published_sizes() {
    // Without gains the counts of the reference's layer shapes. With them: 384 and 4960 gains on
    // all convolutions of the map, 2880 on those of its residual blocks.
    let sizes = [
        (Preset::CifarSmall, 158_650, 159_034),
        (Preset::CifarLarge, 11_095_038, 11_099_998),
        (Preset::ImagenetSmall, 16_805_576, 16_805_576 + 2_880),
    ];
    for (preset, plain, with_gains) in sizes {
        assert_eq!(counted(&preset.config()), (plain, with_gains), "{preset:?}");
    }
    let device = &deq::devices::all()[0];
    for preset in Preset::ALL {
        let config = preset.config();
        let (plain, with_gains) = counted(&config);
        let model = config.init(device, 0).expect("a valid preset");
        assert_eq!(model.parameters(), with_gains, "{preset:?}");
        let materialized = model.materialize();
        assert_eq!(materialized.parameters(), plain, "{preset:?}");
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("cifar"), None);
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        let config = preset.config();
        let text = toml::to_string(&config).expect("serialises");
        let again: MdeqConfig = toml::from_str(&text).expect("reads back");
        assert_eq!(again, config);
        assert!(toml::from_str::<MdeqConfig>(&format!("depth = 3\n{text}")).is_err());
    }
    assert!(serde_json::from_str::<MapNorm>(r#"{"fusion": false}"#).is_ok());
    assert!(serde_json::from_str::<MapNorm>(r#"{"head": false}"#).is_err());
}

fn logits(config: &MdeqConfig, device: &Device, seed: u64) -> Vec<f32> {
    let model = config.init(device, seed).expect("a valid model");
    let output = model.forward(batch(3, device).images);
    values(output.expect("a valid call").last().clone())
}

#[test]
fn a_seed_gives_the_same_model_on_every_device() {
    let devices = deq::devices::all();
    let first = logits(&small(), &devices[0], 7);
    assert_ne!(first, logits(&small(), &devices[0], 8));
    for device in &devices {
        for (a, b) in first.iter().zip(logits(&small(), device, 7)) {
            assert!((a - b).abs() < 1e-4, "{device:?}");
        }
    }
}

#[test]
fn every_hyper_parameter_changes_the_output() {
    let device = &deq::devices::all()[0];
    let base = logits(&small(), device, 0);
    let blocks_alone = MapNorm {
        fusion: false,
        ..MapNorm::default()
    };
    let fixed = MapNorm {
        weight_norm: WeightNormConfig {
            learn_scale: false,
            ..WeightNormConfig::default()
        },
        ..MapNorm::default()
    };
    let changed = [
        MdeqConfig {
            channels: vec![4, 4],
            ..small()
        },
        MdeqConfig {
            channels: vec![4, 8, 8],
            head_channels: vec![2, 3, 3],
            ..small()
        },
        MdeqConfig {
            expansion: 3,
            ..small()
        },
        MdeqConfig {
            groups: 2,
            ..small()
        },
        MdeqConfig {
            downsample_times: 0,
            ..small()
        },
        MdeqConfig {
            head_channels: vec![3, 3],
            ..small()
        },
        MdeqConfig {
            final_channels: 7,
            ..small()
        },
        MdeqConfig {
            norm: None,
            ..small()
        },
        MdeqConfig {
            norm: Some(blocks_alone),
            ..small()
        },
        MdeqConfig {
            norm: Some(fixed),
            ..small()
        },
        MdeqConfig {
            classes: 11,
            ..small()
        },
        MdeqConfig {
            deq: small().deq.with_max_iter(2),
            ..small()
        },
    ];
    for config in changed {
        assert_ne!(base, logits(&config, device, 0), "{config:?}");
    }
}

#[test]
fn states_halve_from_branch_to_branch() {
    let config = MdeqConfig {
        channels: vec![4, 8, 12],
        head_channels: vec![1, 2, 3],
        downsample_times: 2,
        ..small()
    };
    for device in deq::devices::all() {
        let model = config.init(&device, 0).expect("a valid model");
        let images = Tensor::ones([2, 1, 32, 16], &device);
        let output = model.forward(images).expect("a valid call");
        let shapes: Vec<[usize; 4]> = output.states[0].iter().map(Tensor::dims).collect();
        assert_eq!(shapes, [[2, 4, 8, 4], [2, 8, 4, 2], [2, 12, 2, 1]]);
        assert_eq!(output.last().dims(), [2, 10]);
        assert_eq!((output.logits.len(), output.stats.status.len()), (1, 2));
    }
}

#[test]
fn a_sides_odd_halves_are_rounded_up() {
    // 28 pixels become 14 behind the stem, and 7 in branch 1.
    let device = &deq::devices::all()[0];
    let model = Preset::FashionTiny
        .config()
        .init(device, 0)
        .expect("a valid model");
    let images = Tensor::ones([1, 1, 28, 27], device);
    let injection = model.inject(images).expect("fits");
    assert_eq!(injection.dims(), [1, 16, 14, 14]);
}

#[test]
fn one_branch_is_its_residual_block() {
    let config = MdeqConfig {
        channels: vec![4],
        head_channels: vec![2],
        ..small()
    };
    for device in deq::devices::all() {
        let model = config.init(&device, 0).expect("a valid model");
        let x = Tensor::ones([2, 4, 4, 4], &device);
        let z: Tensor<4> = x.clone() * 0.5;
        let f = model.full_stage.forward(vec![z.clone()], x.clone());
        let block = model.full_stage.branches[0].forward(z, Some(x));
        assert_eq!((f.len(), values(f[0].clone())), (1, values(block)));
    }
}

#[test]
fn fusion_repeats_pixels_upwards_and_strides_downwards() {
    for device in deq::devices::all() {
        let model = small().init(&device, 0).expect("a valid model");
        let up = model.full_stage.fuse_layers[0][1]
            .as_ref()
            .expect("from below");
        let Fusion::Up(inner) = up else {
            panic!("branch 1 is below branch 0");
        };
        assert!(model.full_stage.fuse_layers[0][0].is_none(), "the identity");
        let x = Tensor::<1>::from_floats(
            (0..64)
                .map(|i| (i % 7) as f32)
                .collect::<Vec<f32>>()
                .as_slice(),
            &device,
        )
        .reshape([2, 8, 2, 2]);
        let small_pixels = values(inner.net.forward(x.clone()));
        let large_pixels = up.forward(x);
        assert_eq!(large_pixels.dims(), [2, 4, 4, 4]);
        for (index, value) in values(large_pixels).into_iter().enumerate() {
            let (plane, row, column) = (index / 16, index / 4 % 4, index % 4);
            assert_eq!(value, small_pixels[plane * 4 + row / 2 * 2 + column / 2]);
        }
        let down = model.full_stage.fuse_layers[1][0]
            .as_ref()
            .expect("from above");
        let below = down.forward(Tensor::ones([2, 4, 6, 4], &device));
        assert_eq!(below.dims(), [2, 8, 3, 2]);
    }
}

fn plain_and_tracked_map(model: &Mdeq, device: &Device) -> [Vec<f32>; 2] {
    let z = || {
        vec![
            Tensor::<4>::ones([2, 4, 4, 4], device) * 0.3,
            Tensor::<4>::ones([2, 8, 2, 2], device) * -0.2,
        ]
    };
    let x = Tensor::<4>::ones([2, 4, 4, 4], device);
    let plain = model.full_stage.valid().forward(z(), x.clone());
    let tracked = z().into_iter().map(Tensor::autodiff).collect();
    let tracked = model.full_stage.forward(tracked, x.autodiff());
    [plain, tracked].map(|state| state.into_iter().flat_map(values).collect())
}

#[test]
fn the_map_is_the_same_in_training_and_inference() {
    for device in deq::devices::all() {
        let model = small()
            .init(&device.clone().autodiff(), 0)
            .expect("a valid model");
        let [plain, tracked] = plain_and_tracked_map(&model, &device);
        for (a, b) in plain.iter().zip(&tracked) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn the_prepared_map_is_the_map() {
    let config = MdeqConfig {
        channels: vec![4, 8, 8],
        head_channels: vec![2, 3, 3],
        ..small()
    };
    for device in deq::devices::all() {
        let model = config.init(&device, 0).expect("a valid model");
        let wave = |shape: [usize; 4], phase: f32| {
            let count: usize = shape.iter().product();
            let values = (0..count).map(|i| (0.7 * i as f32 + phase).sin());
            let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
            Tensor::<4>::from_data(data, &device)
        };
        let z = vec![
            wave([2, 4, 8, 8], 0.1),
            wave([2, 8, 4, 4], 0.2),
            wave([2, 8, 2, 2], 0.3),
        ];
        type Args = (MultiscaleMap, Tensor<4>);
        let args: Args = (model.full_stage, wave([2, 4, 8, 8], 0.4));
        let map = with_prepare(
            |(f, x): &Args, z| f.forward(z, x.clone()),
            |(f, x): &Args| Box::new(f.prepare(x.clone())),
        );
        assert!(check_prepared(&args, &map, &z).is_some_and(|error| error < 1e-6));
        // The tracked step's operations come one by one.
        let tracked = z.iter().map(|z| z.clone().autodiff()).collect();
        let tracked = args.0.forward(tracked, args.1.clone());
        let prepared = args.0.prepare(args.1.clone())(z);
        for (a, b) in prepared.into_iter().zip(tracked) {
            let errors = (a - b.inner()).abs().max();
            assert!(errors.into_scalar::<f32>() < 1e-4, "{device:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let model = small().init(&device, 0).expect("a valid model");
        let error = |shape: [usize; 4]| model.forward(Tensor::zeros(shape, &device)).err();
        let channels = error([2, 3, 8, 8]);
        assert!(matches!(
            channels,
            Some(MdeqError::Mismatch {
                expected: 1,
                found: 3,
                ..
            })
        ));
        assert!(matches!(
            error([2, 1, 8, 6]),
            Some(MdeqError::Size { multiple: 2, .. })
        ));
        for empty in [[0, 1, 8, 8], [2, 1, 0, 8]] {
            let found = error(empty);
            assert!(matches!(
                found,
                Some(MdeqError::Solve(SolveError::Empty(_)))
            ));
        }
        let injection = Tensor::zeros([2, 3, 4, 4], &device);
        let found = model.solve(injection, CallOptions::default()).err();
        assert!(matches!(found, Some(MdeqError::State { .. })));
        let high = Tensor::zeros([2, 4, 4, 4], &device);
        let low = Tensor::zeros([2, 8, 4, 4], &device);
        for state in [vec![], vec![high.clone()], vec![high, low]] {
            assert!(matches!(
                model.classify(&state),
                Err(MdeqError::State { .. })
            ));
        }
        // One value a channel at the lowest resolution cannot train a batch norm.
        let training = small()
            .init(&device.clone().autodiff(), 0)
            .expect("a valid model");
        let one = || Tensor::ones([1, 1, 4, 4], &device);
        assert!(model.forward(one()).is_ok());
        let found = training.forward(one().autodiff()).err();
        assert_eq!(found, Some(MdeqError::TooFewValues(1)));
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let device = &deq::devices::all()[0];
    let field = |config: MdeqConfig| match config.init(device, 0) {
        Err(MdeqError::InvalidConfig { field, .. }) => field,
        other => panic!("{:?}", other.err()),
    };
    let wrong = [
        (
            "in_channels",
            MdeqConfig {
                in_channels: 0,
                ..small()
            },
        ),
        (
            "classes",
            MdeqConfig {
                classes: 0,
                ..small()
            },
        ),
        (
            "expansion",
            MdeqConfig {
                expansion: 0,
                ..small()
            },
        ),
        (
            "final_channels",
            MdeqConfig {
                final_channels: 0,
                ..small()
            },
        ),
        (
            "groups",
            MdeqConfig {
                groups: 1,
                ..small()
            },
        ),
        (
            "downsample_times",
            MdeqConfig {
                downsample_times: 3,
                ..small()
            },
        ),
        (
            "channels",
            MdeqConfig {
                channels: vec![],
                ..small()
            },
        ),
        (
            "channels",
            MdeqConfig {
                channels: vec![4, 6],
                ..small()
            },
        ),
        (
            "channels",
            MdeqConfig {
                channels: vec![5, 5],
                groups: 5,
                ..small()
            },
        ),
        (
            "head_channels",
            MdeqConfig {
                head_channels: vec![2],
                ..small()
            },
        ),
        (
            "head_channels",
            MdeqConfig {
                head_channels: vec![2, 0],
                ..small()
            },
        ),
    ];
    for (expected, config) in wrong {
        assert_eq!(field(config.clone()), expected, "{config:?}");
    }
    let clip = WeightNormConfig {
        clip: Some(0.0),
        ..WeightNormConfig::default()
    };
    let norm = Some(MapNorm {
        weight_norm: clip,
        fusion: true,
    });
    let config = MdeqConfig { norm, ..small() };
    assert!(matches!(config.init(device, 0), Err(MdeqError::Norm(_))));
    let deq = small().deq.with_gradient(Gradient::phantom(0, 0.5));
    let config = MdeqConfig { deq, ..small() };
    assert!(matches!(config.init(device, 0), Err(MdeqError::Solve(_))));
}

#[test]
fn the_segmentation_head_sees_every_pixel() {
    for device in deq::devices::all() {
        let model = small().init(&device, 0).expect("a valid model");
        let head = SegmentationHead::new(&small(), 5, &device, 1).expect("a head");
        let injection = model.inject(batch(2, &device).images).expect("fits");
        let solved = model
            .solve(injection, CallOptions::default())
            .expect("solves");
        let logits = head.forward(solved.last()).expect("fits");
        assert_eq!(logits.dims(), [2, 5, 4, 4]);
        assert!(head.forward(&solved.last()[..1]).is_err());
        assert!(head.forward(&[]).is_err());
        assert!(SegmentationHead::new(&small(), 0, &device, 1).is_err());
    }
}
