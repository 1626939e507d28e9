//! Attention, memory, dropout, sizes and options of the model.

#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use crate::common::{
    contracting, distance, equilibrium, explicit, tiny, tokens, unrolled, values,
    with_strong_attention,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use deq::implicit::{check_prepared, with_prepare};
use deq::prelude::*;
use deq_import::StateDict;
use deq_lm::{
    Architecture, Arguments, ForwardOptions, LanguageModel, LmConfig, LmError, LmOutput, Memory,
    Preset, load_reference,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn forward(model: &LanguageModel, tokens: &[u32], batch: usize, memory: &Memory) -> LmOutput {
    let output = model.forward(tokens, batch, memory, ForwardOptions::default());
    output.unwrap()
}

fn output(config: &LmConfig, device: &Device, seed: u64) -> Vec<f64> {
    let model = config.init(device, seed).unwrap();
    let memory = forward(&model, &tokens(8), 2, &Memory::default()).memory;
    let state = forward(&model, &tokens(8)[2..], 2, &memory).last().clone();
    let losses = model.token_losses(&[state], &tokens(6), None).unwrap();
    values(losses[0].clone())
}

/// Every kind of model.
fn models(device: &Device) -> [LanguageModel; 4] {
    let init = |config: LmConfig| config.init(device, 0).unwrap();
    [
        contracting(device),
        init(unrolled(4)),
        init(explicit(Architecture::PreNorm)),
        init(explicit(Architecture::PostNorm)),
    ]
}

#[test]
fn nothing_depends_on_tokens_ahead() {
    for device in deq::devices::all() {
        for model in models(&device) {
            let mut text = tokens(6);
            let memory = forward(&model, &tokens(4), 1, &Memory::default()).memory;
            let before = forward(&model, &text, 1, &memory).last().clone();
            text[4] = (text[4] + 11) % 30;
            let after = forward(&model, &text, 1, &memory).last().clone();
            let part = |z: &Tensor<3>, from, count| z.clone().narrow(1, from, count);
            let past = distance(part(&before, 0, 4), part(&after, 0, 4));
            assert!(past < 1e-4, "{past} {:?}", model.config());
            assert!(distance(part(&before, 4, 1), part(&after, 4, 1)) > 1e-3);
        }
    }
}

#[test]
fn the_window_ends_where_it_says() {
    for device in deq::devices::all() {
        // One layer of one block: what is out of its window cannot come in by way of others.
        let config = LmConfig {
            untied_layers: Some(1),
            local_size: 3,
            ..tiny(Architecture::PreNorm)
        };
        let model = config.init(&device, 0).unwrap();
        let state = |changed: usize| {
            let mut text = tokens(8);
            text[changed] = (text[changed] + 11) % 30;
            // The last four positions follow four remembered ones.
            let memory = forward(&model, &text[..4], 1, &Memory::default()).memory;
            let z = forward(&model, &text[4..], 1, &memory).last().clone();
            z.narrow(1, 1, 1)
        };
        // The query is at position 5: it sees 3, 4 and 5.
        let base = state(7);
        for (changed, sees) in [(2, false), (3, true), (4, true), (5, true), (6, false)] {
            let distance = distance(base.clone(), state(changed));
            assert_eq!(distance > 1e-4, sees, "{changed}: {distance}");
        }
    }
}

#[test]
fn memory_is_as_good_as_a_longer_segment() {
    for device in deq::devices::all() {
        for model in models(&device) {
            if model.config() == &unrolled(4) {
                continue; // its states are no fixed points
            }
            let text = tokens(10);
            let whole = forward(&model, &text, 1, &Memory::default());
            if let Some(stats) = &whole.stats {
                assert!(stats.all_converged(), "{stats:?}");
            }
            let first = forward(&model, &text[..5], 1, &Memory::default());
            assert_eq!(first.memory.len(), 5);
            let second = forward(&model, &text[5..], 1, &first.memory);
            let expected = whole.last().clone().narrow(1, 5, 5);
            let error = distance(expected, second.last().clone());
            assert!(error < 1e-4, "{error} {:?}", model.config());
            // Without it the result is another one.
            let alone = forward(&model, &text[5..], 1, &Memory::default());
            assert!(distance(alone.last().clone(), second.last().clone()) > 1e-2);
            // Six positions are kept of ten.
            assert_eq!(second.memory.len(), 6);
            assert!(!second.memory.z[0].is_autodiff());
        }
    }
}

#[test]
fn samples_of_a_batch_are_separate() {
    for device in deq::devices::all() {
        for model in models(&device) {
            let text = tokens(10);
            let both = forward(&model, &text, 2, &Memory::default());
            let one = forward(&model, &text[5..], 1, &Memory::default());
            let row = both.last().clone().narrow(0, 1, 1);
            let error = distance(row, one.last().clone());
            assert!(error < 1e-4, "{error} {:?}", model.config());
        }
    }
}

#[test]
fn every_hyper_parameter_changes_the_output() {
    for device in deq::devices::all() {
        let base = LmConfig {
            deq: equilibrium().deq.with_max_iter(3),
            ..equilibrium()
        };
        let reference = output(&base, &device, 0);
        let solved = |max_iter: usize| base.deq.clone().with_max_iter(max_iter);
        let mut changed = vec![
            LmConfig {
                architecture: Architecture::PreNorm,
                ..base.clone()
            },
            LmConfig {
                n_token: 31,
                ..base.clone()
            },
            LmConfig {
                d_embed: 12,
                ..base.clone()
            },
            LmConfig {
                d_inner: 21,
                ..base.clone()
            },
            LmConfig {
                n_head: 4,
                d_head: 4,
                ..base.clone()
            },
            LmConfig {
                cutoffs: vec![9, 20],
                ..base.clone()
            },
            LmConfig {
                div_val: 2,
                ..base.clone()
            },
            LmConfig {
                tie_weights: false,
                ..base.clone()
            },
            LmConfig {
                mem_len: 1,
                ..base.clone()
            },
            LmConfig {
                local_size: 2,
                ..base.clone()
            },
            LmConfig {
                init_std: 0.11,
                ..base.clone()
            },
            LmConfig {
                injection_std: 4.0,
                ..base.clone()
            },
            LmConfig {
                untied_layers: Some(1),
                ..base.clone()
            },
            LmConfig {
                deq: solved(2),
                ..base.clone()
            },
        ];
        let fixed = WeightNormConfig {
            learn_scale: false,
            ..WeightNormConfig::default()
        };
        changed.push(LmConfig {
            weight_norm: Some(fixed),
            ..base.clone()
        });
        for config in changed {
            assert_ne!(reference, output(&config, &device, 0), "{config:?}");
        }
        let blocks = |n_layer: usize| LmConfig {
            n_layer,
            ..unrolled(2)
        };
        assert_ne!(
            output(&blocks(1), &device, 0),
            output(&blocks(2), &device, 0)
        );
        let projected = |tie_projs: bool| LmConfig {
            div_val: 2,
            tie_projs,
            ..base.clone()
        };
        let outputs = [true, false].map(|tie| output(&projected(tie), &device, 0));
        assert_ne!(outputs[0], outputs[1]);
        assert_ne!(reference, output(&base, &device, 1));
    }
}

#[test]
fn a_seed_gives_the_same_model_on_every_device() {
    let devices = deq::devices::all();
    let configs = [
        unrolled(4),
        explicit(Architecture::PreNorm),
        explicit(Architecture::PostNorm),
    ];
    for config in configs {
        let first = output(&config, &devices[0], 7);
        for device in &devices {
            for (a, b) in first.iter().zip(output(&config, device, 7)) {
                assert!((a - b).abs() < 1e-3, "{device:?}");
            }
        }
    }
}

#[test]
fn masks_are_drawn_by_the_generator_alone() {
    for device in deq::devices::all() {
        for (dropout, dropatt) in [(0.3, 0.0), (0.0, 0.3)] {
            for architecture in [Architecture::PreNorm, Architecture::PostNorm] {
                let config = LmConfig {
                    dropout,
                    dropatt,
                    ..explicit(architecture)
                };
                let model = config.init(&device, 0).unwrap();
                let state = |seed: Option<u64>| {
                    let mut rng = seed.map(StdRng::seed_from_u64);
                    let options = ForwardOptions {
                        rng: rng.as_mut(),
                        ..ForwardOptions::default()
                    };
                    let output = model.forward(&tokens(8), 2, &Memory::default(), options);
                    values(output.unwrap().last().clone())
                };
                assert_eq!(state(None), state(None));
                assert_eq!(state(Some(1)), state(Some(1)));
                assert_ne!(state(Some(1)), state(Some(2)));
                assert_ne!(state(Some(1)), state(None));
            }
        }
        // The map does not change between evaluations: with dropout it still has a fixed point.
        let config = LmConfig {
            dropout: 0.1,
            dropatt: 0.1,
            ..equilibrium()
        };
        let model = with_strong_attention(config, &device);
        let mut rng = StdRng::seed_from_u64(3);
        let options = ForwardOptions {
            rng: Some(&mut rng),
            ..ForwardOptions::default()
        };
        let output = model.forward(&tokens(6), 1, &Memory::default(), options);
        let output = output.unwrap();
        let arguments = output.arguments.as_ref().unwrap();
        let z = output.last().clone();
        assert!(distance(arguments.evaluate(z.clone()), z) < 1e-4);
        let state = [output.last().clone()];
        let losses = |rng: Option<&mut StdRng>| {
            let losses = model.token_losses(&state, &tokens(6), rng).unwrap();
            values(losses[0].clone())
        };
        assert_ne!(losses(None), losses(Some(&mut StdRng::seed_from_u64(5))));
    }
}

#[test]
fn the_prepared_map_is_the_map() {
    for device in deq::devices::all() {
        for (architecture, n_layer) in [(Architecture::PreNorm, 2), (Architecture::PostNorm, 1)] {
            let config = LmConfig {
                n_layer,
                dropout: 0.1,
                dropatt: 0.1,
                weight_norm: Some(WeightNormConfig::default()),
                deq: tiny(architecture).deq.with_max_iter(3),
                ..tiny(architecture)
            };
            let model = config.init(&device, 0).unwrap();
            let memory = forward(&model, &tokens(8), 2, &Memory::default()).memory;
            for (memory, drops) in [
                (&Memory::default(), false),
                (&memory, false),
                (&memory, true),
            ] {
                let mut rng = StdRng::seed_from_u64(3);
                let options = ForwardOptions {
                    rng: drops.then_some(&mut rng),
                    ..ForwardOptions::default()
                };
                let output = model.forward(&tokens(8)[2..], 2, memory, options).unwrap();
                let z = output.last().clone().tanh();
                let arguments = output.arguments.unwrap();
                let map = with_prepare(
                    |arguments: &Arguments, z| arguments.evaluate(z),
                    |arguments: &Arguments| Box::new(arguments.prepare()),
                );
                assert!(check_prepared(&arguments, &map, &z).unwrap() < 1e-6);
                // The tracked step's operations come one by one.
                let tracked = arguments.evaluate(z.clone().autodiff()).inner();
                assert!(distance(arguments.prepare()(z), tracked) < 1e-5);
            }
        }
    }
}

#[test]
fn sizes_follow_from_the_configuration() {
    let device = &deq::devices::all()[0];
    let norm = Some(WeightNormConfig::default());
    let fixed = Some(WeightNormConfig {
        learn_scale: false,
        ..WeightNormConfig::default()
    });
    let mut configs = vec![
        equilibrium(),
        unrolled(2),
        explicit(Architecture::PostNorm),
        explicit(Architecture::PreNorm),
        LmConfig {
            n_layer: 3,
            weight_norm: norm.clone(),
            ..unrolled(2)
        },
        LmConfig {
            weight_norm: fixed,
            ..equilibrium()
        },
        LmConfig {
            untied_layers: Some(2),
            weight_norm: norm,
            ..equilibrium()
        },
        LmConfig {
            cutoffs: vec![],
            ..equilibrium()
        },
    ];
    for (tie_weights, tie_projs) in [(true, true), (true, false), (false, true), (false, false)] {
        for (d_embed, div_val) in [(16, 1), (12, 1), (16, 2)] {
            configs.push(LmConfig {
                tie_weights,
                tie_projs,
                d_embed,
                div_val,
                ..equilibrium()
            });
        }
    }
    for config in configs {
        let model = config.init(device, 0).unwrap();
        assert_eq!(
            config.num_params().unwrap(),
            model.num_params(),
            "{config:?}"
        );
    }
}

#[test]
fn presets_have_the_sizes_of_the_reference() {
    // Counts from the layers' shapes, without gains (the facts), and one gain for each output of a
    // normalised layer: 2,100 + 700 + 700 + d_inner + 700 a block.
    let published = [
        (Preset::DeqLmWt103, 97_514_288, 3 * (4_200 + 14_800)),
        (Preset::DeqSeqWt103, 97_639_688, 4_200 + 48_000),
    ];
    for (preset, count, gains) in published {
        assert_eq!(preset.config().num_params().unwrap(), count + gains);
        let bare = LmConfig {
            weight_norm: None,
            ..preset.config()
        };
        assert_eq!(bare.num_params().unwrap(), count);
    }
    let device = &deq::devices::all()[0];
    for preset in [Preset::ShakespeareSmall, Preset::Wikitext2Small] {
        let config = preset.config();
        let model = config.init(device, 0).unwrap();
        assert_eq!(config.num_params().unwrap(), model.num_params());
    }
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
        let config = preset.config();
        config.deq.init().unwrap();
        // The explicit model of the same size, for each depth: within one hidden unit a layer.
        let depths: &[usize] = match config.n_token {
            267_735 => &[2, 4, 8],
            _ => &[2],
        };
        for &layers in depths {
            let explicit = config.explicit_of_equal_size(layers).unwrap();
            let sizes = [&config, &explicit].map(|config| config.num_params().unwrap() as f64);
            assert!(
                (sizes[0] - sizes[1]).abs() < 0.02 * sizes[0],
                "{preset:?} {sizes:?}"
            );
            assert!(explicit.d_inner < config.d_inner);
        }
    }
    assert_eq!(Preset::from_name("deq-lm"), None);
    assert!(equilibrium().explicit_of_equal_size(1_000).is_err());
    let smaller = Preset::DeqLmWt103.config().for_vocabulary(30_000);
    assert_eq!(smaller.cutoffs, [20_000]);
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        for untied_layers in [None, Some(4)] {
            let config = LmConfig {
                untied_layers,
                ..preset.config()
            };
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<LmConfig>(&text).unwrap(), config);
            assert!(toml::from_str::<LmConfig>(&format!("depth = 3\n{text}")).is_err());
        }
    }
    let preset: Preset = serde_json::from_str(r#""shakespeare-small""#).unwrap();
    assert_eq!(preset, Preset::ShakespeareSmall);
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = &deq::devices::all()[0];
    let field = |config: LmConfig| match config.init(device, 0) {
        Err(LmError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let base = equilibrium;
    assert_eq!(
        field(LmConfig {
            d_head: 7,
            ..base()
        }),
        "d_head"
    );
    assert_eq!(
        field(LmConfig {
            d_model: 15,
            ..base()
        }),
        "d_model"
    );
    assert_eq!(
        field(LmConfig {
            d_inner: 0,
            ..base()
        }),
        "d_inner"
    );
    assert_eq!(
        field(LmConfig {
            n_layer: 2,
            ..base()
        }),
        "n_layer"
    );
    assert_eq!(
        field(LmConfig {
            n_layer: 0,
            ..unrolled(1)
        }),
        "n_layer"
    );
    assert_eq!(
        field(LmConfig {
            local_size: 0,
            ..base()
        }),
        "local_size"
    );
    assert_eq!(
        field(LmConfig {
            dropout: 1.0,
            ..base()
        }),
        "dropout"
    );
    assert_eq!(
        field(LmConfig {
            dropatt: -0.1,
            ..base()
        }),
        "dropatt"
    );
    assert_eq!(
        field(LmConfig {
            init_std: 0.0,
            ..base()
        }),
        "init_std"
    );
    assert_eq!(
        field(LmConfig {
            injection_std: -1.0,
            ..base()
        }),
        "injection_std"
    );
    assert_eq!(
        field(LmConfig {
            untied_layers: Some(0),
            ..base()
        }),
        "untied_layers"
    );
    assert_eq!(
        field(LmConfig {
            cutoffs: vec![30],
            ..base()
        }),
        "cutoffs"
    );
    assert_eq!(
        field(LmConfig {
            div_val: 0,
            ..base()
        }),
        "div_val"
    );

    let model = equilibrium().init(device, 0).unwrap();
    let error = |tokens: &[u32], batch: usize, memory: &Memory| {
        let output = model.forward(tokens, batch, memory, ForwardOptions::default());
        output.err().unwrap().to_string()
    };
    let none = Memory::default();
    assert!(error(&[1, 30], 1, &none).contains("vocabulary of 30"));
    assert!(error(&[1, 2, 3], 2, &none).contains("batch"));
    assert!(error(&[], 1, &none).contains("batch"));
    let memory = forward(&model, &[1, 2, 3], 1, &none).memory;
    assert!(error(&[1, 2], 2, &memory).contains("streams"));
    let layers = explicit(Architecture::PostNorm).init(device, 0).unwrap();
    let memory = forward(&layers, &[1, 2, 3], 1, &none).memory;
    assert!(error(&[1, 2], 1, &memory).contains("layers"));
}

#[test]
fn a_checkpoint_of_the_reference_loads_without_its_copies() {
    let device = &deq::devices::all()[0];
    let config = LmConfig {
        div_val: 2,
        tie_projs: true,
        ..equilibrium()
    };
    let model = config.init(device, 0).unwrap();
    // The names of the reference, with every shared tensor under each of them.
    let shapes: [(&str, &[usize]); 27] = [
        ("pos_emb.inv_freq", &[8]),
        ("word_emb.emb_layers.0.weight", &[8, 16]),
        ("word_emb.emb_layers.1.weight", &[12, 8]),
        ("word_emb.emb_layers.2.weight", &[10, 4]),
        ("word_emb.emb_projs.0.weight", &[16, 16]),
        ("word_emb.emb_projs.1.weight", &[16, 8]),
        ("word_emb.emb_projs.2.weight", &[16, 4]),
        ("inject_conv.weight", &[48, 16, 1]),
        ("inject_conv.bias", &[48]),
        ("func.dec_attn.qkv_net.weight", &[48, 16, 1]),
        ("func.dec_attn.r_net.weight", &[16, 16, 1]),
        ("func.dec_attn.o_net.weight", &[16, 16, 1]),
        ("func.dec_attn.o_net.bias", &[16]),
        ("func.dec_attn.r_w_bias", &[2, 8]),
        ("func.dec_attn.r_r_bias", &[2, 8]),
        ("func.pos_ff.ff1_net.weight", &[20, 16]),
        ("func.pos_ff.ff1_net.bias", &[20]),
        ("func.pos_ff.ff2_net.weight", &[16, 20]),
        ("func.pos_ff.ff2_net.bias", &[16]),
        ("crit.cluster_weight", &[2, 16]),
        ("crit.cluster_bias", &[2]),
        ("crit.out_layers.0.weight", &[8, 16]),
        ("crit.out_layers.0.bias", &[8]),
        ("crit.out_layers.1.bias", &[12]),
        ("crit.out_layers.2.bias", &[10]),
        ("crit.out_projs.0.weight", &[16, 16]),
        ("crit.out_projs.1.weight", &[16, 8]),
    ];
    let dict: StateDict = shapes
        .into_iter()
        .map(|(name, shape)| {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| i as f32 * 1e-3).collect();
            (
                name.to_owned(),
                burn::tensor::TensorData::new(values, shape),
            )
        })
        .collect();
    let loaded = load_reference(model.clone(), &dict).unwrap();
    let element = loaded.func_element();
    assert!((element - 16e-3).abs() < 1e-6, "{element}");
    assert!(deq_import::load(model, &dict).is_err());
}

trait FuncElement {
    fn func_element(&self) -> f32;
}

impl FuncElement for LanguageModel {
    /// PyTorch's element (1, 0) of the query weights, which burn stores at (0, 1).
    fn func_element(&self) -> f32 {
        let deq_lm::Decoder::Single(single) = &self.func else {
            panic!("a post-norm model has one block");
        };
        let weight = single.dec_attn.qkv_net.weight.val();
        weight.slice([0..1, 1..2]).into_scalar::<f32>()
    }
}
