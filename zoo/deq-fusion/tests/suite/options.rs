//! Every option of a fusion has an effect, and a range.

use burn::module::Module;
use burn::tensor::Device;
use deq::prelude::*;
use deq_fusion::{
    BatchMode, BatchStop, BatchWideConfig, Call, DeqFusion, EquilibriumConfig, Fused, FusionConfig,
    FusionError, FusionMethod, Injection, LayerConfig, SolveMethod, WeightTiedConfig,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{
    WIDTH, batch_wide, difference, exact, features, fused, layer_config, solved_layer, state_of,
    tied_layer, values, views, with_solve,
};

fn evaluations(fused: &Fused) -> usize {
    state_of(fused).stats.as_ref().expect("a solve").evaluations
}

#[test]
fn options_of_the_map_change_the_answer() {
    let one_of = |groups, fusion_groups| EquilibriumConfig {
        layer: LayerConfig {
            groups,
            fusion_groups,
            ..layer_config()
        },
        ..exact()
    };
    for device in deq::devices::all() {
        let answer = |config: &EquilibriumConfig| {
            values(fused(&solved_layer(config, &device), views(&device)).features)
        };
        let base = answer(&exact());
        assert!(difference(&answer(&one_of(4, 2)), &base) > 1e-4);
        assert!(difference(&answer(&one_of(2, 4)), &base) > 1e-2);

        let mut plain = exact();
        plain.layer.injection = Injection::Sum;
        let (plain, weighted) = (
            solved_layer(&plain, &device),
            solved_layer(&exact(), &device),
        );
        // They start alike; two weights and a bias are there to be learnt.
        assert_eq!(weighted.num_params(), plain.num_params() + 3);
        let found = values(fused(&plain, views(&device)).features);
        assert!(difference(&found, &base) < 1e-5);
        assert!(
            difference(
                &values(fused(&tied_layer(2, &device), views(&device)).features),
                &base
            ) > 1e-3
        );
    }
}

#[test]
fn options_of_a_batch_wide_solve_change_its_steps() {
    let solve = |solver, threshold, tolerance, mode| {
        let forward = BatchStop {
            threshold,
            tolerance,
            mode,
        };
        with_solve(SolveMethod::BatchWide(BatchWideConfig {
            solver,
            forward,
            ..batch_wide()
        }))
    };
    let absolute = |threshold, tolerance| {
        solve(
            SolverConfig::picard(),
            threshold,
            tolerance,
            BatchMode::Absolute,
        )
    };
    for device in deq::devices::all() {
        let run =
            |config: &EquilibriumConfig| fused(&solved_layer(config, &device), views(&device));
        let base = evaluations(&run(&absolute(200, 1e-3)));
        assert!(evaluations(&run(&absolute(200, 1e-1))) < base);
        assert_eq!(evaluations(&run(&absolute(4, 1e-3))), 4);
        // Relative to a state of some size, the same number asks for less.
        let relative = solve(SolverConfig::picard(), 200, 1e-3, BatchMode::Relative);
        assert!(evaluations(&run(&relative)) < base);
        let solvers = [
            SolverConfig::picard(),
            SolverConfig::anderson(),
            SolverConfig::broyden(),
        ];
        let mut answers = Vec::new();
        for solver in solvers {
            let found = run(&solve(solver, 200, 1e-4, BatchMode::Absolute));
            let stats = state_of(&found).stats.clone().expect("a solve");
            assert!(stats.all_converged(), "{stats:?}");
            assert!(stats.residuals[0] < 1e-4);
            answers.push(values(found.features));
        }
        assert!(difference(&answers[1], &answers[0]) < 1e-3);
        assert!(difference(&answers[2], &answers[0]) < 1e-3);
        assert_ne!(answers[1], answers[0]);
    }
}

#[test]
fn a_batch_wide_solve_that_cannot_reach_its_tolerance_ends_at_rounding() {
    let mut config = batch_wide();
    config.forward.tolerance = 0.0;
    let config = with_solve(SolveMethod::BatchWide(config));
    for device in deq::devices::all() {
        let found = fused(&solved_layer(&config, &device), views(&device));
        let stats = state_of(&found).stats.as_ref().expect("a solve");
        // A residual of exactly 0 cannot be beaten either.
        assert!(stats.evaluations < 200, "{stats:?}");
        assert!(stats.residuals[0] < 1e-4);
    }
}

#[test]
fn the_penalty_has_a_weight_and_probes() {
    let with = |jacobian_weight, probes| EquilibriumConfig {
        jacobian_weight,
        probes,
        ..exact()
    };
    for device in deq::devices::all() {
        let penalty = |config: &EquilibriumConfig| {
            let layer = solved_layer(config, &device);
            assert_eq!(layer.jacobian_weight(), config.jacobian_weight);
            let found = fused(&layer, views(&device));
            let mut rng = StdRng::seed_from_u64(1);
            let penalty = state_of(&found).penalty(&mut rng);
            penalty.map(|(value, weight)| (value.into_scalar::<f64>(), weight))
        };
        assert!(penalty(&with(0.0, 2)).is_none());
        let (one, weight) = penalty(&with(0.5, 1)).expect("a penalty");
        let (two, _) = penalty(&with(0.5, 2)).expect("a penalty");
        assert_eq!(weight, 0.5);
        assert!(one > 0.0 && (one - two).abs() > 1e-6 * one);
    }
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    let device = &deq::devices::all()[0];
    let layer = |change: fn(&mut EquilibriumConfig)| {
        let mut config = exact();
        change(&mut config);
        DeqFusion::equilibrium(2, WIDTH, &config, device, 0)
    };
    let batch_wide = |change: fn(&mut BatchWideConfig)| {
        let mut config = batch_wide();
        change(&mut config);
        let config = with_solve(SolveMethod::BatchWide(config));
        DeqFusion::equilibrium(2, WIDTH, &config, device, 0)
    };
    let refused = [
        ("`groups` is 3", layer(|config| config.layer.groups = 3)),
        (
            "`fusion_groups` is 0",
            layer(|config| config.layer.fusion_groups = 0),
        ),
        (
            "`gate_dropout` is 1",
            layer(|config| config.layer.gate_dropout = 1.0),
        ),
        (
            "`fuse_dropout` is -0.5",
            layer(|config| config.layer.fuse_dropout = -0.5),
        ),
        (
            "`jacobian_weight` is -1",
            layer(|config| config.jacobian_weight = -1.0),
        ),
        ("`probes` is 0", layer(|config| config.probes = 0)),
        (
            "`threshold` is 2",
            batch_wide(|config| config.forward.threshold = 2),
        ),
        (
            "`tolerance` is NaN",
            batch_wide(|config| config.backward.tolerance = f64::NAN),
        ),
        (
            "`solver` is robust",
            batch_wide(|config| config.solver = SolverConfig::robust()),
        ),
        (
            "`modalities` is 0",
            DeqFusion::equilibrium(0, WIDTH, &exact(), device, 0),
        ),
    ];
    for (message, result) in refused {
        let error = result.expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
    let several = DeqConfig::default().with_states(States::Count(2));
    let several = with_solve(SolveMethod::PerSample(several));
    let error = DeqFusion::equilibrium(2, WIDTH, &several, device, 0);
    let error = error.expect_err("two states").to_string();
    assert!(error.contains("`states`"), "{error}");

    let fusion = |widths: Vec<usize>, features, method| {
        let config = FusionConfig {
            widths,
            features,
            method,
        };
        config.init(device, 0)
    };
    let steps = FusionMethod::WeightTied(WeightTiedConfig {
        layer: layer_config(),
        steps: 0,
    });
    let refused = [
        ("`steps` is 0", fusion(vec![3], WIDTH, steps)),
        (
            "`widths` is []",
            fusion(Vec::new(), 2, FusionMethod::Concatenation {}),
        ),
        (
            "`widths` is [2, 0]",
            fusion(vec![2, 0], 2, FusionMethod::Concatenation {}),
        ),
        (
            "`features` is 0",
            fusion(vec![2], 0, FusionMethod::WeightedSum {}),
        ),
        (
            "`size` is 0",
            fusion(vec![2], 2, FusionMethod::Tensor { size: 0 }),
        ),
        (
            "`size` is 127",
            fusion(vec![2; 3], 2, FusionMethod::Tensor { size: 127 }),
        ),
        (
            "`rank` is 0",
            fusion(vec![2], 2, FusionMethod::LowRank { rank: 0 }),
        ),
    ];
    for (message, result) in refused {
        let error = result.expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn features_that_do_not_fit_are_refused() {
    for device in deq::devices::all() {
        let layer = solved_layer(&exact(), &device);
        let of = |shape| features(1, shape, &device);
        let mismatch = |what, expected, found| {
            Some(FusionError::Mismatch {
                what,
                expected,
                found,
            })
        };
        let cases = [
            (vec![of([2, 1, WIDTH])], mismatch("modalities", 2, 1)),
            (
                vec![of([2, 1, WIDTH]), of([3, 1, WIDTH])],
                mismatch("samples of each modality", 2, 3),
            ),
            (
                vec![of([2, 1, WIDTH]), of([2, 2, WIDTH])],
                mismatch("positions of each modality", 1, 2),
            ),
            (
                vec![of([2, 1, WIDTH]), of([2, 1, 3])],
                mismatch("features of each modality", WIDTH, 3),
            ),
        ];
        for (features, error) in cases {
            let found = layer.forward(features, Call::default());
            assert_eq!(found.err(), error);
        }
        let present = |device: &Device| burn::tensor::Tensor::<2>::ones([3, 3], device);
        let call = Call {
            present: Some(present(&device)),
            ..Call::default()
        };
        let found = layer.forward(views(&device), call);
        assert_eq!(found.err(), mismatch("marks of modalities", 2, 3));
    }
}
