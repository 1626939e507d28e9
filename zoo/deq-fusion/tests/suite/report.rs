//! What each modality adds, and residuals step by step.

use deq::prelude::*;
use deq_fusion::{
    Call, Convergence, EquilibriumConfig, FusionError, FusionMethod, SolveMethod, WeightTiedConfig,
    ablation, contributions, convergence, evaluate, gate_statistics,
};

use crate::common::{batch, layer_config, network, short, values, with_solve};

#[test]
fn gates_are_reported_for_the_views_that_are_there() {
    for device in deq::devices::all() {
        let built = network(FusionMethod::Equilibrium(short())).init(&device, 0);
        let built = built.expect("a valid network");
        let complete = batch(5, 0.0, &device);
        let found =
            gate_statistics(&built, std::slice::from_ref(&complete), None).expect("statistics");
        assert_eq!(found.len(), 2);
        let answer = built
            .forward(&complete, Call::default())
            .expect("an answer");
        let gates = answer.fused.equilibrium.expect("a state").gates();
        for (found, gate) in found.iter().zip(gates) {
            let gate = values(gate);
            let mean = gate.iter().sum::<f64>() / gate.len() as f64;
            let square = gate.iter().map(|g| (g - mean).powi(2)).sum::<f64>();
            let deviation = (square / gate.len() as f64).sqrt();
            let absolute = gate.iter().map(|g| g.abs()).sum::<f64>() / gate.len() as f64;
            assert!((found.mean - mean).abs() < 1e-6);
            assert!((found.deviation - deviation).abs() < 1e-5);
            assert!((found.mean_absolute - absolute).abs() < 1e-6);
            let largest = gate.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let smallest = gate.iter().copied().fold(f64::INFINITY, f64::min);
            assert!((found.largest - largest).abs() < 1e-6);
            assert!((found.smallest - smallest).abs() < 1e-6);
            assert_eq!(found.views, 5);
        }
        let shares: f64 = found.iter().map(|found| found.share).sum();
        assert!((shares - 1.0).abs() < 1e-6);

        // The batches of a set count as one.
        let twice = gate_statistics(&built, &[complete.clone(), complete.clone()], None);
        let twice = twice.expect("statistics");
        assert_eq!(twice[0].views, 10);
        assert!((twice[0].mean - found[0].mean).abs() < 1e-6);

        let alone = gate_statistics(&built, &[complete.without(0)], None).expect("statistics");
        assert_eq!((alone[0].views, alone[1].views), (0, 5));
        assert!(alone[0].mean.is_nan() && alone[0].share.is_nan());
        assert!((alone[1].share - 1.0).abs() < 1e-6);
    }
}

#[test]
fn ablation_scores_the_network_without_each_modality() {
    for device in deq::devices::all() {
        for method in [
            FusionMethod::Equilibrium(short()),
            FusionMethod::Concatenation {},
        ] {
            let built = network(method).init(&device, 0).expect("a valid network");
            let data = batch(6, 0.2, &device);
            let found = contributions(&built, std::slice::from_ref(&data), None).expect("a report");
            assert_eq!(found.modalities.len(), 2);
            let all = evaluate(&built, [data.clone()], None).expect("scores");
            assert_eq!(found.all, all);
            let scores = ablation(&built, std::slice::from_ref(&data), None).expect("scores");
            for (index, part) in found.modalities.iter().enumerate() {
                assert_eq!(part.gates.is_some(), built.fusion().layer().is_some());
                assert_eq!(part.without, scores[index]);
                assert!((part.without.loss - all.loss).abs() > 1e-5);
                let removed = evaluate(&built, [data.without(index)], None).expect("scores");
                assert_eq!(part.without, removed);
            }
            assert_ne!(scores[0].loss, scores[1].loss);
        }
        let plain = network(FusionMethod::WeightedSum {}).init(&device, 0);
        let plain = plain.expect("a valid network");
        let found = gate_statistics(&plain, &[batch(2, 0.0, &device)], None);
        assert_eq!(found.err(), Some(FusionError::NoState("weighted_sum")));
    }
}

fn by_sample(solver: SolverConfig) -> EquilibriumConfig {
    // A tolerance that the first step meets: the record must go on.
    let deq = DeqConfig::default().with_solver(solver).with_tolerance(1e6);
    with_solve(SolveMethod::PerSample(deq))
}

#[test]
fn the_record_of_plain_iteration_is_that_of_the_weight_tied_layer() {
    let tied = FusionMethod::WeightTied(WeightTiedConfig {
        layer: layer_config(),
        steps: 2,
    });
    for device in deq::devices::all() {
        let build = |method: FusionMethod| network(method).init(&device, 0).expect("valid");
        let data = batch(4, 0.0, &device);
        let plain = build(FusionMethod::Equilibrium(by_sample(SolverConfig::picard())));
        let tied = build(tied.clone());
        let found = Convergence::of(&plain, &tied, &data, 6).expect("a record");
        assert_eq!((found.equilibrium.len(), found.weight_tied.len()), (6, 6));
        for (one, other) in found.equilibrium.iter().zip(&found.weight_tied) {
            assert_eq!((one.step, one.evaluations), (other.step, other.evaluations));
            assert!((one.absolute - other.absolute).abs() <= 1e-3 * other.absolute);
            assert!((one.relative - other.relative).abs() <= 1e-3 * other.relative);
            assert!(other.relative < other.absolute);
        }
        let mixed = build(FusionMethod::Equilibrium(by_sample(
            SolverConfig::anderson(),
        )));
        let mixed = convergence(&mixed, &data, 6).expect("a record");
        let second = found.equilibrium[1].absolute;
        assert!((mixed[1].absolute - second).abs() <= 1e-4 * second);
        let last = found.equilibrium[5].absolute;
        assert!((mixed[5].absolute - last).abs() > 1e-3 * last);

        assert!(Convergence::of(&tied, &plain, &data, 6).is_err());
        assert!(convergence(&tied, &data, 0).is_err());
        let without = build(FusionMethod::Concatenation {});
        let error = convergence(&without, &data, 3).err();
        assert_eq!(error, Some(FusionError::NoState("concatenation")));
    }
}
