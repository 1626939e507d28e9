//! A sample's result does not depend on its batch.

use burn::tensor::{Device, Tensor, TensorData};
use deq_solvers::{
    AndersonConfig, DriveOptions, Finish, Mixing, Solution, SolveConfig, SolverConfig, StepEvent,
};

type Matrix = Tensor<2>;

const FEATURES: usize = 6;

/// `tanh` of a diagonal map, whose rate is the sample's own: harder samples take longer.
fn solve(
    solver: &SolverConfig,
    samples: &[usize],
    device: &Device,
    finish: Finish,
) -> Solution<Matrix> {
    let values = |of: &dyn Fn(usize, usize) -> f32| {
        let values = samples
            .iter()
            .flat_map(|&s| (0..FEATURES).map(move |i| (s, i)));
        let values: Vec<f32> = values.map(|(s, i)| of(s, i)).collect();
        Matrix::from_data(TensorData::new(values, [samples.len(), FEATURES]), device)
    };
    let slopes = values(&|s, i| (0.1 + 0.1 * s as f32) * if i % 2 == 0 { 1.0 } else { -0.7 });
    let offsets = values(&|s, i| ((s * FEATURES + i) as f32).sin());
    let mut config = SolveConfig::new(solver.clone())
        .with_tolerance(1e-3)
        .with_max_iter(60);
    config.termination.finish = finish;
    let map = |z: Matrix| (z * slopes.clone() + offsets.clone()).tanh();
    let start = Matrix::zeros([samples.len(), FEATURES], device);
    config.solve(map, start).expect("a valid solve")
}

fn row(matrix: &Matrix, sample: usize) -> Vec<u32> {
    let data = matrix.clone().narrow(0, sample, 1).into_data();
    data.iter::<f32>().map(f32::to_bits).collect()
}

fn solvers() -> Vec<SolverConfig> {
    let mut solvers = SolverConfig::all();
    for mixing in [Mixing::Qr, Mixing::TypeOne] {
        solvers.push(SolverConfig::Anderson(AndersonConfig {
            mixing,
            safeguard: Some(2.0),
            ..AndersonConfig::default()
        }));
    }
    solvers
}

#[test]
fn a_sample_ends_as_it_would_have_alone() {
    let samples: Vec<usize> = (0..8).collect();
    for device in deq_devices::all() {
        for solver in solvers() {
            let batch = solve(&solver, &samples, &device, Finish::Freeze);
            assert!(batch.stats.all_converged(), "{solver:?}: {:?}", batch.stats);
            for &sample in &samples {
                let alone = solve(&solver, &[sample], &device, Finish::Freeze);
                let case = format!("{solver:?}, sample {sample} on {device:?}");
                assert_eq!(row(&batch.state, sample), row(&alone.state, 0), "{case}");
                assert_eq!(row(&batch.point, sample), row(&alone.point, 0), "{case}");
                assert_eq!(
                    batch.stats.residuals[sample], alone.stats.residuals[0],
                    "{case}"
                );
                assert_eq!(
                    batch.stats.best_steps[sample], alone.stats.best_steps[0],
                    "{case}"
                );
                assert_eq!(batch.stats.status[sample], alone.stats.status[0], "{case}");
            }
        }
    }
}

#[test]
fn without_freezing_the_batch_goes_on_together() {
    for device in deq_devices::all() {
        let picard = SolverConfig::picard();
        let frozen = solve(&picard, &[0, 7], &device, Finish::Freeze);
        let best = solve(&picard, &[0, 7], &device, Finish::Best);
        assert!(best.stats.residuals[0] < 1e-3 * frozen.stats.residuals[0]);
        assert_eq!(best.stats.residuals[1], frozen.stats.residuals[1]);
    }
}

#[test]
fn a_frozen_sample_is_shown_with_the_residual_it_was_frozen_with() {
    for device in deq_devices::all() {
        let mut shown = Vec::new();
        let mut record = |event: &StepEvent<'_>| shown.push(event.residuals[0]);
        let options = DriveOptions {
            observer: Some(&mut record),
            ..DriveOptions::default()
        };
        let rates = Matrix::from_floats([[0.1], [0.8]], &device);
        let solution = SolveConfig::default()
            .solve_with(
                options,
                |z: Matrix| z * rates.clone(),
                Matrix::ones([2, 1], &device),
            )
            .expect("a valid solve");
        let frozen_at = solution.stats.best_steps[0];
        assert!(frozen_at < solution.stats.steps);
        assert!(
            shown[frozen_at - 1..]
                .iter()
                .all(|&r| r == solution.stats.residuals[0])
        );
    }
}
