//! The layer: its map, its fixed point, and what a call may do differently.

use burn::nn::GroupNorm;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use deq::implicit::{check_prepared, vjp, with_prepare};
use deq::regularizers::dense_jacobian;
use deq::solvers::StepEvent;
use deq_fusion::{
    Arguments, Branch, Call, DeqFusion, EquilibriumConfig, FusionOrder, FusionState, LayerConfig,
    SolveMethod,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{
    WIDTH, batch_wide, calm, difference, exact, features, fused, layer_config, solved_layer,
    state_of, tied_layer, values, views, with_solve,
};

fn states(first_seed: u64, parts: u64, shape: [usize; 3], device: &Device) -> FusionState {
    (first_seed..first_seed + parts)
        .map(|seed| features(seed, shape, device))
        .collect()
}

fn joined(state: &[Tensor<3>]) -> Vec<f64> {
    state.iter().flat_map(|part| values(part.clone())).collect()
}

/// The map in burn's own modules, for a layer with its first scalars.
fn map(layer: &DeqFusion, x: &[Tensor<3>], z: &[Tensor<3>]) -> FusionState {
    // burn's norm wants channels in front of positions.
    let norm = |norm: &GroupNorm, x: Tensor<3>| norm.forward(x.swap_dims(1, 2)).swap_dims(1, 2);
    let own = z.last().expect("a state").clone();
    let x_fuse = x.iter().cloned().reduce(|sum, x| sum + x);
    let mut state: FusionState = Vec::new();
    for (index, branch) in layer.func_.branches.iter().enumerate() {
        state.push(match branch {
            Branch::Modality(block) => {
                let z = z[index].clone();
                let u = relu(norm(&block.gn1, block.conv1.forward(z.clone())));
                let u = norm(&block.gn2, block.conv2.forward(u) + x[index].clone());
                norm(&block.gn3, relu(u + z))
            }
            Branch::Fusion(block) => {
                let purified = state
                    .iter()
                    .map(|part| block.gate.forward(part.clone() + own.clone()) * own.clone())
                    .reduce(|sum, part| sum + part)
                    .expect("modalities");
                let fused = block.fuse.forward(purified) + x_fuse.clone().expect("modalities");
                match block.order {
                    FusionOrder::ReluNorm => norm(&block.gn3, relu(fused)),
                    FusionOrder::NormRelu => relu(norm(&block.gn3, fused)),
                }
            }
        });
    }
    state
}

/// With the norm of the fusion state in front of the rectifier.
fn norm_first(config: EquilibriumConfig) -> EquilibriumConfig {
    EquilibriumConfig {
        layer: LayerConfig {
            fusion_order: FusionOrder::NormRelu,
            ..config.layer
        },
        ..config
    }
}

/// Each of these on each device.
fn on_all_devices<T>(cases: &[T]) -> impl Iterator<Item = (Device, &T)> {
    let devices = deq::devices::all().into_iter();
    devices.flat_map(move |device| cases.iter().map(move |case| (device.clone(), case)))
}

#[test]
fn the_map_is_the_papers() {
    let configs = [exact(), norm_first(exact())];
    for (device, config) in on_all_devices(&configs) {
        let shape = [2, 3, WIDTH];
        let layer = DeqFusion::equilibrium(3, WIDTH, config, &device, 4).expect("a valid layer");
        let x = states(20, 3, shape, &device);
        let call = Call {
            max_iter: Some(1),
            ..Call::default()
        };
        let found = layer.forward(x.clone(), call).expect("a valid call");
        let z = states(30, 4, shape, &device);
        let own = joined(&state_of(&found).arguments.evaluate(z.clone()));
        let expected = joined(&map(&layer, &x, &z));
        assert!(difference(&own, &expected) < 1e-5);
    }
}

#[test]
fn the_answer_is_a_fixed_point_that_the_weight_tied_layer_approaches() {
    for device in deq::devices::all() {
        let found = fused(&solved_layer(&exact(), &device), views(&device));
        let state = state_of(&found);
        let stats = state.stats.as_ref().expect("a solve");
        assert!(stats.all_converged(), "{stats:?}");
        assert!(state.residuals().iter().all(|residual| *residual < 1e-4));
        let answer = values(found.features.clone());
        assert_eq!(answer, values(state.state[2].clone()));
        let polished = state.polished().expect("a state of the layer");
        assert!(difference(&joined(&state.point), &joined(&polished)) < 1e-4);

        let tied = |steps| values(fused(&tied_layer(steps, &device), views(&device)).features);
        assert!(difference(&tied(120), &answer) < 1e-4);
        assert!(difference(&tied(1), &answer) > 1e-2);
    }
}

#[test]
fn by_batch_or_by_sample_the_fixed_point_is_the_same() {
    for device in deq::devices::all() {
        let by_sample = fused(&solved_layer(&exact(), &device), views(&device));
        let config = with_solve(SolveMethod::BatchWide(batch_wide()));
        let by_batch = fused(&solved_layer(&config, &device), views(&device));
        let (found, expected) = (
            values(by_batch.features.clone()),
            values(by_sample.features),
        );
        assert!(difference(&found, &expected) < 1e-4);
        let trace = state_of(&by_batch).batch.as_ref().expect("a trace");
        let stats = state_of(&by_batch).stats.as_ref().expect("a solve");
        assert_eq!(trace.absolute.len(), stats.steps);
        assert_eq!(trace.absolute[trace.best_step], trace.lowest_absolute);
        assert!(trace.lowest_absolute < 1e-5, "{trace:?}");
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    for device in deq::devices::all() {
        let layer = solved_layer(&exact(), &device);
        let together = values(fused(&layer, views(&device)).features);
        let alone = views(&device).into_iter().map(|x| x.narrow(0, 1, 1));
        let alone = values(fused(&layer, alone.collect()).features);
        assert!(difference(&alone, &together[WIDTH..2 * WIDTH]) < 1e-5);
    }
}

/// A layer that drops gates and fused features.
fn dropping() -> EquilibriumConfig {
    EquilibriumConfig {
        layer: LayerConfig {
            gate_dropout: 0.4,
            fuse_dropout: 0.4,
            ..layer_config()
        },
        ..exact()
    }
}

#[test]
fn the_prepared_map_is_the_map() {
    for device in deq::devices::all() {
        for (config, positions) in [
            (exact(), 1),
            (exact(), 3),
            (norm_first(exact()), 3),
            (dropping(), 1),
            (dropping(), 3),
        ] {
            let shape = [2, positions, WIDTH];
            let layer = DeqFusion::equilibrium(3, WIDTH, &config, &device, 1);
            let layer = layer.expect("a valid layer");
            let mut rng = StdRng::seed_from_u64(3);
            let call = Call {
                rng: Some(&mut rng),
                max_iter: Some(1),
                ..Call::default()
            };
            let x = states(1, 3, shape, &device);
            let found = layer.forward(x.clone(), call).expect("a valid call");
            let arguments = state_of(&found).arguments.clone();
            let z = states(7, 4, shape, &device);
            let prepared = with_prepare(
                |arguments: &Arguments, z: FusionState| arguments.evaluate(z),
                |arguments: &Arguments| Box::new(arguments.prepare()),
            );
            let error = check_prepared(&arguments, &prepared, &z);
            assert!(error.is_some_and(|error| error < 1e-5), "{error:?}");

            let value = joined(&arguments.evaluate(z.clone()));
            if config.layer.gate_dropout == 0.0 {
                let expected = joined(&map(&layer, &x, &z));
                assert!(difference(&value, &expected) < 1e-4, "{positions}");
            }
            // The tracked step's operations come one by one.
            let tracked = z.into_iter().map(Tensor::autodiff).collect();
            let tracked = arguments.evaluate(tracked).into_iter().map(Tensor::inner);
            let tracked: FusionState = tracked.collect();
            assert!(difference(&joined(&tracked), &value) < 1e-4, "{positions}");
        }
    }
}

#[test]
fn products_with_the_jacobian_are_autodiffs() {
    let configs = [dropping(), norm_first(dropping())];
    for (device, config) in on_all_devices(&configs) {
        let shape = [2, 3, WIDTH];
        let layer = DeqFusion::equilibrium(3, WIDTH, config, &device, 1).expect("a valid layer");
        let mut rng = StdRng::seed_from_u64(3);
        let call = Call {
            rng: Some(&mut rng),
            present: Some(Tensor::from_floats(
                [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]],
                &device,
            )),
            max_iter: Some(1),
            ..Call::default()
        };
        let found = layer.forward(states(1, 3, shape, &device), call);
        let found = found.expect("a valid call");
        let arguments = &state_of(&found).arguments;
        let (z, v) = (states(10, 4, shape, &device), states(20, 4, shape, &device));
        let own = arguments.linearize(z.clone()).transposed(v.clone());
        let map = |arguments: &Arguments, z: FusionState| arguments.evaluate(z);
        let expected = vjp(arguments, map, &z, &v);
        assert!(difference(&joined(&own), &joined(&expected)) < 1e-4);
    }
}

#[test]
fn over_all_unit_probes_the_penalty_is_the_squared_norm_of_the_jacobian() {
    for device in deq::devices::all() {
        let layer = DeqFusion::equilibrium(2, 4, &with_small_groups(), &device, 2);
        let layer = layer.expect("a valid layer");
        let x = states(1, 2, [1, 1, 4], &device);
        let found = fused(&layer, x);
        let state = state_of(&found);
        let map = |arguments: &Arguments, z: FusionState| arguments.evaluate(z);
        let dense = values(dense_jacobian(&state.arguments, map, &state.point));
        let squares: f64 = dense.iter().map(|entry| entry * entry).sum();
        let unit = |place: usize| -> FusionState {
            (0..3)
                .map(|part| {
                    let entry = |i: usize| f32::from(u8::from(part * 4 + i == place));
                    let entries: [f32; 4] = std::array::from_fn(entry);
                    Tensor::<1>::from_floats(entries, &device).reshape([1, 1, 4])
                })
                .collect()
        };
        let probes: Vec<FusionState> = (0..12).map(unit).collect();
        let penalty = state.jacobian_penalty(&probes).into_scalar::<f64>();
        let expected = squares / (12.0 * 12.0);
        assert!((penalty - expected).abs() < 1e-4 * expected);
        assert_eq!(state.jacobian_penalty(&[]).into_scalar::<f64>(), 0.0);
    }
}

fn with_small_groups() -> EquilibriumConfig {
    EquilibriumConfig {
        layer: LayerConfig {
            groups: 1,
            fusion_groups: 1,
            ..LayerConfig::default()
        },
        ..exact()
    }
}

#[test]
fn a_missing_view_has_no_effect_and_the_others_do() {
    for device in deq::devices::all() {
        let layer = solved_layer(&exact(), &device);
        let run = |second: u64| {
            let shape = [3, 1, WIDTH];
            let x = vec![
                features(1, shape, &device),
                features(second, shape, &device),
            ];
            let present = [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]];
            let call = Call {
                present: Some(Tensor::from_floats(present, &device)),
                ..Call::default()
            };
            values(layer.forward(x, call).expect("a valid call").features)
        };
        let (one, other) = (run(2), run(5));
        assert!(difference(&one[..WIDTH], &other[..WIDTH]) < 1e-6);
        assert!(difference(&one[WIDTH..], &other[WIDTH..]) > 1e-2);
        let complete = values(fused(&layer, views(&device)).features);
        assert!(difference(&one[..WIDTH], &complete[..WIDTH]) > 1e-2);
    }
}

#[test]
fn dropout_keeps_its_mask_for_a_whole_solve() {
    for dropped in [[0.2, 0.0], [0.0, 0.2]] {
        let config = EquilibriumConfig {
            layer: LayerConfig {
                gate_dropout: dropped[0],
                fuse_dropout: dropped[1],
                ..layer_config()
            },
            ..exact()
        };
        for device in deq::devices::all() {
            let layer = solved_layer(&config, &device);
            let run = |seed: Option<u64>| {
                let mut rng = seed.map(StdRng::seed_from_u64);
                let call = Call {
                    rng: rng.as_mut(),
                    ..Call::default()
                };
                layer.forward(views(&device), call).expect("a valid call")
            };
            let first = run(Some(1));
            let residuals = state_of(&first).residuals();
            assert!(residuals.iter().all(|r| *r < 1e-3), "{residuals:?}");
            let first = values(first.features);
            assert_eq!(first, values(run(Some(1)).features));
            assert!(difference(&values(run(Some(2)).features), &first) > 1e-4);
            let without = values(run(None).features);
            assert!(difference(&first, &without) > 1e-4);
            let plain = fused(&solved_layer(&exact(), &device), views(&device));
            assert_eq!(without, values(plain.features));
        }
    }
}

#[test]
fn a_call_caps_and_watches_the_steps() {
    for device in deq::devices::all() {
        let by_batch = with_solve(SolveMethod::BatchWide(batch_wide()));
        let layers = [
            solved_layer(&exact(), &device),
            solved_layer(&by_batch, &device),
            tied_layer(9, &device),
        ];
        for layer in layers {
            let mut seen = Vec::new();
            let mut observer = |event: &StepEvent<'_>| {
                seen.push((event.step, event.evaluations, event.residuals.len()));
            };
            let call = Call {
                max_iter: Some(4),
                observer: Some(&mut observer),
                ..Call::default()
            };
            layer.forward(views(&device), call).expect("a valid call");
            assert_eq!(seen, [(1, 1, 3), (2, 2, 3), (3, 3, 3), (4, 4, 3)]);
        }
    }
}

#[test]
fn gates_are_those_of_the_map() {
    for device in deq::devices::all() {
        let layer = solved_layer(&exact(), &device);
        let found = fused(&layer, views(&device));
        let state = state_of(&found);
        let Some(Branch::Fusion(block)) = layer.func_.branches.last() else {
            panic!("the last branch is the fusion's");
        };
        for (index, gate) in state.gates().into_iter().enumerate() {
            let (z, z_fuse) = (state.point[index].clone(), state.point[2].clone());
            let expected = values(block.gate.forward(z + z_fuse));
            assert!(difference(&values(gate), &expected) < 1e-5);
        }
    }
}

#[test]
fn any_number_of_modalities_and_positions_is_joined() {
    for device in deq::devices::all() {
        for (modalities, positions) in [(1, 1), (4, 1), (2, 5)] {
            let layer = DeqFusion::equilibrium(modalities, WIDTH, &exact(), &device, 0);
            let layer = calm(layer.expect("a valid layer"), &device);
            let x = states(1, modalities as u64, [2, positions, WIDTH], &device);
            let found = fused(&layer, x);
            assert_eq!(found.features.dims(), [2, positions, WIDTH]);
            assert_eq!(state_of(&found).state.len(), modalities + 1);
            assert_eq!(layer.modalities(), modalities);
            assert_eq!(layer.features(), WIDTH);
        }
    }
}
