//! The model: sizes, hyper-parameters, shapes, modes and refusals.

use crate::common::{close, frames, noise, small, tensor, values};
use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::{check_prepared, with_prepare};
use deq::prelude::*;
use deq_flow::{
    DeqFlow, EncoderNorm, FlowArguments, FlowConfig, FlowError, Lookup, MotionWidths, Norm, Preset,
    Stage,
};
use deq_nn::BatchNorm;

#[test]
fn presets_have_the_published_sizes() {
    // From the reference's layer shapes, with the gains of weight norm; the tiny ones are also the
    // counts of the public fixtures.
    let sizes = [
        (Preset::Tiny, 2_490_976, 2_524_801),
        (Preset::B, 5_242_816, 5_783_617),
        (Preset::L, 8_673_664, 9_890_369),
        (Preset::H, 13_394_752, 15_557_697),
        (Preset::G, 23_248_960, 27_332_993),
    ];
    for (preset, plain, gma) in sizes {
        let config = preset.config();
        assert_eq!(config.num_params(), plain, "{preset:?}");
        assert_eq!(config.with_gma().num_params(), gma, "{preset:?}");
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("huge"), None);
    // Parts that were counted on their own: encoder, GRU, flow head and mask head.
    let parts = |config: &FlowConfig| {
        let model = FlowConfig {
            weight_norm: None,
            ..config.clone()
        };
        let model = model
            .init(&deq::devices::all()[0], 0)
            .expect("a valid preset");
        [
            model.update_block.encoder.num_params(),
            model.update_block.gru.num_params(),
            model.update_block.flow_head.num_params(),
            model.mask.num_params(),
        ]
    };
    let counted = parts(&Preset::B.config());
    assert_eq!(counted, [902_654, 1_475_328, 299_778, 443_200]);
}

/// A step of the gated unit as its formula has it.
fn gated([convz, convr, convq]: [&Conv2d; 3], h: Tensor<4>, x: &Tensor<4>) -> Tensor<4> {
    let hx = Tensor::cat(vec![h.clone(), x.clone()], 1);
    let z = sigmoid(convz.forward(hx.clone()));
    let r = sigmoid(convr.forward(hx));
    let q = tanh(convq.forward(Tensor::cat(vec![r * h.clone(), x.clone()], 1)));
    h * (z.clone().neg() + 1.0) + z * q
}

#[test]
fn the_prepared_map_is_the_map() {
    for device in deq::devices::all() {
        for with_gma in [false, true] {
            let config = FlowConfig {
                gma: with_gma,
                ..small()
            };
            let mut model = config.init(&device, 0).expect("a valid model");
            if let Some(gma) = &mut model.update_block.gma {
                gma.gamma = Param::from_data(TensorData::from([0.5f32]), &device);
            }
            let [first, second] = frames(2, [16, 24], 1.0, &device);
            let arguments = model.prepare(first, second).expect("fits");
            let hidden = tensor(noise(48, 1), [2, 4, 2, 3], &device);
            let state = (hidden.clone(), arguments.origin() + 0.3);
            let map = with_prepare(
                |arguments: &FlowArguments, state| arguments.evaluate(state),
                |arguments: &FlowArguments| Box::new(arguments.prepare()),
            );
            let error = check_prepared(&arguments, &map, &state);
            assert!(error.is_some_and(|error| error < 1e-6), "{error:?}");

            // Its convolutions in parts are those of everything together.
            let motion = arguments.motion_features(state.1.clone()).expect("fits");
            let mut parts = vec![arguments.context(), motion.clone()];
            if let (Some(gma), Some(attention)) = (&model.update_block.gma, arguments.attention()) {
                parts.push(gma.forward(attention, motion));
            }
            let x = Tensor::cat(parts, 1);
            let gru = &model.update_block.gru;
            let h = gated([&gru.convz1, &gru.convr1, &gru.convq1], hidden.clone(), &x);
            let h = gated([&gru.convz2, &gru.convr2, &gru.convq2], h, &x);
            let expected = values(h);
            close(&values(arguments.prepare()(state).0), &expected, 1e-5);
            close(&values(gru.forward(hidden, x)), &expected, 1e-5);
        }
    }
}

#[test]
fn the_count_is_that_of_the_model() {
    let fixed = WeightNormConfig {
        learn_scale: false,
        ..WeightNormConfig::default()
    };
    let device = &deq::devices::all()[0];
    let configs = [
        small(),
        FlowConfig {
            gma: true,
            ..small()
        },
        FlowConfig {
            weight_norm: None,
            feature_norm: EncoderNorm::Batch,
            context_norm: EncoderNorm::None,
            ..small()
        },
        FlowConfig {
            weight_norm: Some(fixed),
            ..small()
        },
        Preset::Tiny.config().with_gma(),
    ];
    for config in configs {
        let model = config.init(device, 0).expect("a valid model");
        assert_eq!(model.parameters(), config.num_params(), "{config:?}");
    }
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        for stage in [Stage::Chairs, Stage::Things, Stage::Evaluation] {
            let config = preset.config().for_stage(stage);
            let text = toml::to_string(&config).expect("serialises");
            let again: FlowConfig = toml::from_str(&text).expect("reads back");
            assert_eq!(again, config);
            assert!(toml::from_str::<FlowConfig>(&format!("iters = 12\n{text}")).is_err());
        }
    }
    let widths = r#"{"correlation": [1, 2], "flow": [1, 2], "out": 3}"#;
    assert!(serde_json::from_str::<MotionWidths>(widths).is_ok());
    let unknown = widths.replace("out", "in");
    assert!(serde_json::from_str::<MotionWidths>(&unknown).is_err());
}

#[test]
fn stages_are_those_of_the_scripts() {
    let chairs = Preset::B.config();
    let things = chairs.clone().for_stage(Stage::Things);
    let evaluation = things.clone().for_stage(Stage::Evaluation);
    let steps = |config: &FlowConfig| config.deq.forward.termination.max_iter;
    assert_eq!([&chairs, &things, &evaluation].map(steps), [36, 40, 40]);
    assert_eq!(chairs.deq.states, States::Count(6));
    assert_eq!(things.deq.states, States::Count(2));
    assert_eq!(things.deq.gradient, Gradient::phantom(3, 1.0));
    assert_eq!((chairs.all_grad, chairs.freeze_bn), (false, false));
    assert_eq!((things.all_grad, things.freeze_bn), (true, true));
    assert_eq!(chairs.deq.forward.termination.finish, Finish::Final);
    assert_eq!(evaluation.deq.forward.termination.finish, Finish::Best);
    assert_eq!(evaluation.deq.states, things.deq.states);
}

fn flow(config: &FlowConfig, device: &Device, seed: u64) -> Vec<f32> {
    let model = config.init(device, seed).expect("a valid model");
    let [first, second] = frames(2, [16, 24], 2.0, device);
    let output = model.forward(first, second, None).expect("a valid call");
    values(output.last().clone())
}

#[test]
fn a_seed_gives_the_same_model_on_every_device() {
    let devices = deq::devices::all();
    let first = flow(&small(), &devices[0], 7);
    assert_ne!(first, flow(&small(), &devices[0], 8));
    for device in &devices {
        close(&flow(&small(), device, 7), &first, 1e-3);
    }
}

#[test]
fn every_hyper_parameter_changes_the_flow() {
    let device = &deq::devices::all()[0];
    let base = flow(&small(), device, 0);
    let motion = small().motion;
    let clipped = WeightNormConfig {
        clip: Some(0.5),
        ..WeightNormConfig::default()
    };
    let changed = [
        FlowConfig {
            encoder_dims: [4, 5, 7],
            ..small()
        },
        FlowConfig {
            feature_dim: 5,
            ..small()
        },
        FlowConfig {
            feature_norm: EncoderNorm::None,
            ..small()
        },
        FlowConfig {
            context_norm: EncoderNorm::Instance,
            ..small()
        },
        FlowConfig {
            hidden_dim: 5,
            ..small()
        },
        FlowConfig {
            context_dim: 4,
            ..small()
        },
        FlowConfig {
            motion: MotionWidths {
                correlation: [8, 6],
                ..motion
            },
            ..small()
        },
        FlowConfig {
            motion: MotionWidths {
                flow: [5, 3],
                ..motion
            },
            ..small()
        },
        FlowConfig {
            motion: MotionWidths { out: 5, ..motion },
            ..small()
        },
        FlowConfig {
            flow_head_dim: 7,
            ..small()
        },
        FlowConfig {
            mask_dim: 6,
            ..small()
        },
        FlowConfig {
            corr_levels: 1,
            ..small()
        },
        FlowConfig {
            corr_radius: 2,
            ..small()
        },
        FlowConfig {
            gma: true,
            ..small()
        },
        FlowConfig {
            weight_norm: Some(clipped),
            ..small()
        },
        FlowConfig {
            deq: small().deq.with_max_iter(2),
            ..small()
        },
    ];
    for config in changed {
        assert_ne!(base, flow(&config, device, 0), "{config:?}");
    }
    // `all_grad`, `correction` and `max_flow` change training: `gradients.rs`, `loss.rs`.
}

#[test]
fn lookup_on_demand_gives_the_same_flow_from_less_memory() {
    let demand = FlowConfig {
        lookup: Lookup::OnDemand,
        ..small()
    };
    for device in deq::devices::all() {
        let (demand, all) = (flow(&demand, &device, 0), flow(&small(), &device, 0));
        close(&demand, &all, 1e-3);
    }
    // 384×512: 3072 pixels against 3072 + 768 + 192 + 48 of all levels.
    let bytes = |lookup: Lookup| {
        let config = FlowConfig {
            lookup,
            ..Preset::B.config()
        };
        config.correlation_bytes(1, [384, 512])
    };
    assert_eq!(bytes(Lookup::AllPairs), 4 * 3072 * 4080);
    assert_eq!(bytes(Lookup::OnDemand), 4 * 256 * (3072 + 4080));
}

#[test]
fn the_correlation_holds_what_the_formula_says() {
    for device in deq::devices::all() {
        let config = small();
        let model = config.init(&device, 0).expect("a valid model");
        let [first, second] = frames(2, [24, 40], 1.0, &device);
        let arguments = model.prepare(first, second).expect("fits");
        let held: usize = (0..config.corr_levels)
            .filter_map(|level| arguments.correlation().volume(level))
            .map(|volume| volume.shape().num_elements())
            .sum();
        assert_eq!(4 * held, config.correlation_bytes(2, [24, 40]));
    }
}

#[test]
fn flows_and_states_have_their_shapes() {
    let config = FlowConfig {
        deq: small().deq.with_states(States::Count(2)),
        ..small()
    };
    for device in deq::devices::all() {
        let model = config.init(&device.clone().autodiff(), 0);
        let model = model.expect("a valid model");
        let [first, second] = frames(2, [16, 24], 1.0, &device);
        let training = model.forward(first.clone().autodiff(), second.clone().autodiff(), None);
        let inference = model.valid().forward(first, second, None);
        for (output, count) in [(training, 2), (inference, 1)] {
            let output = output.expect("a valid call");
            assert_eq!((output.flows.len(), output.states.len()), (count, count));
            assert_eq!(output.last().dims(), [2, 2, 16, 24]);
            let state = output.equilibrium();
            assert_eq!(state.hidden.dims(), [2, 4, 2, 3]);
            assert_eq!(state.flow.dims(), [2, 2, 2, 3]);
            assert!(!state.flow.is_autodiff());
            assert_eq!(output.stats.status.len(), 2);
        }
    }
}

/// The norm behind the context encoder's stem.
#[test]
fn another_layer_solves_with_the_same_weights() {
    for device in deq::devices::all() {
        let [first, second] = frames(1, [16, 16], 1.0, &device);
        let model = small().init(&device, 0).expect("a valid model");
        let solve = |model: &DeqFlow| {
            let output = model.forward(first.clone(), second.clone(), None);
            let output = output.expect("a valid call");
            (output.stats.steps, values(output.last().clone()))
        };
        let longer = small().deq.with_max_iter(6).with_tolerance(0.0);
        let other = model.clone().with_deq(longer.clone()).expect("valid");
        assert_eq!(other.config().deq, longer);
        assert!(solve(&model).0 <= 4);
        assert_eq!(solve(&other).0, 6);
        let config = FlowConfig {
            deq: longer,
            ..small()
        };
        let anew = config.init(&device, 0).expect("a valid model");
        assert_eq!(solve(&other).1, solve(&anew).1);
        let wrong = small().deq.with_states(States::Count(0));
        assert!(matches!(model.with_deq(wrong), Err(FlowError::Solve(_))));
    }
}

fn stem_norm(model: &DeqFlow) -> &BatchNorm {
    match &model.cnet.norm1 {
        Some(Norm::Batch(norm)) => norm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn frozen_batch_norms_train_as_they_infer() {
    let frozen = FlowConfig {
        freeze_bn: true,
        ..small()
    };
    for device in deq::devices::all() {
        let device = device.autodiff();
        let [first, second] = frames(2, [16, 16], 1.0, &device);
        let run = |config: &FlowConfig| {
            let model = config.init(&device, 0).expect("a valid model");
            let before = values(stem_norm(&model).running_mean.value_sync());
            let arguments = model.prepare(first.clone(), second.clone()).expect("fits");
            let after = values(stem_norm(&model).running_mean.value_sync());
            let plain = model.valid();
            let inference = plain
                .prepare(first.clone().inner(), second.clone().inner())
                .expect("fits");
            let contexts = [arguments.context(), inference.context()].map(values);
            (contexts, before == after)
        };
        let ([training, inference], is_still) = run(&frozen);
        assert!(is_still);
        close(&training, &inference, 1e-4);
        let ([training, inference], is_still) = run(&small());
        assert!(!is_still);
        assert_ne!(training, inference);
    }
}

#[test]
fn frames_that_do_not_fit_are_refused() {
    for device in deq::devices::all() {
        let model = small().init(&device, 0).expect("a valid model");
        let frame = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &device);
        let refused = |first: [usize; 4], second: [usize; 4]| {
            model.forward(frame(first), frame(second), None).err()
        };
        let sizes = FlowError::FrameSizes {
            first: [16, 24],
            second: [16, 32],
        };
        let found = refused([1, 3, 16, 24], [1, 3, 16, 32]);
        assert_eq!(found, Some(sizes.clone()));
        let text = sizes.to_string();
        assert!(
            text.contains("[16, 24]") && text.contains("resize or crop"),
            "{text}"
        );
        let odd = refused([1, 3, 20, 24], [1, 3, 20, 24]);
        let expected = FlowError::Indivisible {
            height: 20,
            width: 24,
        };
        assert_eq!(odd, Some(expected));
        let few = refused([1, 3, 8, 24], [1, 3, 8, 24]);
        let expected = FlowError::TooSmall {
            height: 8,
            width: 24,
            levels: 2,
            least: 16,
        };
        assert_eq!(few, Some(expected));
        for (first, second) in [
            ([1, 1, 16, 16], [1, 1, 16, 16]),
            ([1, 3, 16, 16], [1, 1, 16, 16]),
            ([1, 3, 16, 16], [2, 3, 16, 16]),
        ] {
            let found = refused(first, second);
            assert!(matches!(found, Some(FlowError::Shape { .. })), "{found:?}");
        }
        for empty in [[0, 3, 16, 16], [1, 3, 0, 16]] {
            let found = refused(empty, empty);
            let is_empty = matches!(found, Some(FlowError::Solve(SolveError::Empty(_))));
            assert!(is_empty, "{found:?}");
        }
        let [first, second] = frames(1, [16, 16], 1.0, &device);
        let arguments = model.prepare(first, second).expect("fits");
        let coords = tensor(vec![0.0; 8], [1, 2, 4, 1], &device);
        assert!(matches!(
            arguments.motion_features(coords),
            Err(FlowError::Shape { .. })
        ));
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let device = &deq::devices::all()[0];
    let field = |config: &FlowConfig| match config.init(device, 0) {
        Err(FlowError::InvalidConfig { field, .. }) => field,
        other => panic!("{:?}", other.err()),
    };
    let motion = small().motion;
    let wrong = [
        (
            "encoder_dims",
            FlowConfig {
                encoder_dims: [4, 0, 4],
                ..small()
            },
        ),
        (
            "feature_dim",
            FlowConfig {
                feature_dim: 0,
                ..small()
            },
        ),
        (
            "hidden_dim",
            FlowConfig {
                hidden_dim: 0,
                ..small()
            },
        ),
        (
            "context_dim",
            FlowConfig {
                context_dim: 0,
                ..small()
            },
        ),
        (
            "motion.correlation",
            FlowConfig {
                motion: MotionWidths {
                    correlation: [4, 0],
                    ..motion
                },
                ..small()
            },
        ),
        (
            "motion.flow",
            FlowConfig {
                motion: MotionWidths {
                    flow: [0, 4],
                    ..motion
                },
                ..small()
            },
        ),
        (
            "motion.out",
            FlowConfig {
                motion: MotionWidths { out: 2, ..motion },
                ..small()
            },
        ),
        (
            "flow_head_dim",
            FlowConfig {
                flow_head_dim: 0,
                ..small()
            },
        ),
        (
            "mask_dim",
            FlowConfig {
                mask_dim: 0,
                ..small()
            },
        ),
        (
            "corr_levels",
            FlowConfig {
                corr_levels: 0,
                ..small()
            },
        ),
        (
            "corr_levels",
            FlowConfig {
                corr_levels: 17,
                ..small()
            },
        ),
        (
            "max_flow",
            FlowConfig {
                max_flow: 0.0,
                ..small()
            },
        ),
        (
            "freeze_bn",
            FlowConfig {
                freeze_bn: true,
                context_norm: EncoderNorm::Instance,
                ..small()
            },
        ),
    ];
    for (expected, config) in wrong {
        assert_eq!(field(&config), expected, "{config:?}");
    }
    let clip = WeightNormConfig {
        clip: Some(0.0),
        ..WeightNormConfig::default()
    };
    let config = FlowConfig {
        weight_norm: Some(clip),
        ..small()
    };
    assert!(matches!(config.init(device, 0), Err(FlowError::Norm(_))));
    let config = FlowConfig {
        deq: small().deq.with_gradient(Gradient::phantom(0, 0.5)),
        ..small()
    };
    assert!(matches!(config.init(device, 0), Err(FlowError::Solve(_))));
}
