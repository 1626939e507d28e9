//! Gradients that follow the solver's path, against the same iterations written out under
//! autodiff, and against the implicit gradient where they have converged.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_implicit::{
    CallOptions, Core, DeqConfig, Gradient, Reversible, SolveError, States, Unrolled, input,
};
use deq_solvers::{Finish, PicardConfig, ReversibleConfig, SolveConfig, SolverConfig, Status};

type Matrix = Tensor<2>;
/// Weight and injection, as arguments every gradient reaches.
type Args = (Param<Matrix>, Param<Matrix>);

const FEATURES: usize = 4;
const BATCH: usize = 3;
const DAMPING: f64 = 0.7;
const RELAXATION: f64 = 0.6;

fn wave(
    rows: usize,
    columns: usize,
    scale: f64,
    phase: f64,
    device: &Device,
    dtype: DType,
) -> Matrix {
    let values = (0..rows * columns).map(|i| scale * (1.7 * i as f64 + phase).sin());
    let data = TensorData::new(values.collect::<Vec<f64>>(), [rows, columns]);
    Matrix::from_data(data, (device, dtype))
}

/// The leaves of a call: weight, injection and start, all with gradients.
struct Leaves([Matrix; 3]);

impl Leaves {
    fn new(device: &Device, dtype: DType) -> Self {
        let device = device.clone().autodiff();
        Self([
            wave(FEATURES, FEATURES, 0.3, 0.4, &device, dtype).require_grad(),
            wave(BATCH, FEATURES, 0.8, 1.1, &device, dtype).require_grad(),
            wave(BATCH, FEATURES, 0.5, 2.1, &device, dtype).require_grad(),
        ])
    }

    /// The injection depends on its leaf by way of a product, as in a model with an encoder.
    fn args(&self) -> Args {
        let [w, x, _] = &self.0;
        (input(w.clone()), input(x.clone() * 1.5))
    }

    fn gradients(&self, states: &[Matrix]) -> Vec<Vec<f64>> {
        let loss = |(index, z): (usize, &Matrix)| {
            let cotangent = wave(BATCH, FEATURES, 1.0, 2.3, &z.device(), z.dtype());
            (z.clone() * cotangent).sum() * (1.0 + index as f64)
        };
        let losses: Vec<Tensor<1>> = states.iter().enumerate().map(loss).collect();
        let gradients = Tensor::cat(losses, 0).sum().backward();
        let read = |leaf: &Matrix| match leaf.grad(&gradients) {
            Some(gradient) => gradient.into_data().iter::<f64>().collect(),
            None => vec![0.0; leaf.shape().num_elements()],
        };
        self.0.iter().map(read).collect()
    }
}

fn map((w, x): &Args, z: Matrix) -> Matrix {
    (z.matmul(w.val()) + x.val()).tanh()
}

/// The iterations written out; the states after the steps in `ends`.
fn written_out(leaves: &Leaves, config: &DeqConfig, ends: &[usize]) -> Vec<Matrix> {
    let args = leaves.args();
    let start = leaves.0[2].clone();
    let (mut before, mut point) = (start.clone(), start);
    let mut states = Vec::new();
    for step in 1..=*ends.last().expect("an end") {
        let image = map(&args, point.clone());
        let next = match &config.forward.solver {
            SolverConfig::Reversible(r) => before * (1.0 - r.relaxation) + image * r.relaxation,
            SolverConfig::Picard(p) => point.clone() * (1.0 - p.damping) + image * p.damping,
            other => unreachable!("{other:?}"),
        };
        (before, point) = (point, next);
        if ends.contains(&step) {
            states.push(point.clone());
        }
    }
    states
}

/// A layer whose solve takes exactly so many steps.
fn layer(gradient: Gradient, steps: usize) -> DeqConfig {
    let solver = match &gradient {
        Gradient::Reversible(_) => SolverConfig::Reversible(ReversibleConfig {
            relaxation: RELAXATION,
        }),
        _ => SolverConfig::Picard(PicardConfig {
            damping: DAMPING,
            adaptive: false,
        }),
    };
    let mut config = DeqConfig::default()
        .with_solver(solver)
        .with_max_iter(steps)
        .with_gradient(gradient);
    config.forward.termination.finish = Finish::Final;
    config
}

fn gradients() -> [Gradient; 3] {
    [
        Gradient::Unrolled(Unrolled { checkpoint: false }),
        Gradient::Unrolled(Unrolled { checkpoint: true }),
        Gradient::Reversible(Reversible::default()),
    ]
}

fn solve(leaves: &Leaves, config: &DeqConfig) -> Vec<Matrix> {
    let deq = config.init().expect("a valid layer");
    let solved = deq.solve(&leaves.args(), leaves.0[2].clone(), map);
    solved.expect("a valid solve").into_states()
}

fn largest_error(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let error = |(found, expected): (&Vec<f64>, &Vec<f64>)| {
        let difference: Vec<f64> = found.iter().zip(expected).map(|(f, e)| f - e).collect();
        norm(&difference) / norm(expected).max(1e-12)
    };
    found.iter().zip(expected).map(error).fold(0.0, f64::max)
}

fn values(state: &Matrix) -> Vec<f64> {
    state.to_data().iter::<f64>().collect()
}

/// Devices on which the path can be kept in `f64`, by what burn says of them.
fn keeps_double(device: &Device, gradient: &Gradient) -> bool {
    !matches!(gradient, Gradient::Reversible(r) if r.double) || device.supports_dtype(DType::F64)
}

#[test]
fn the_path_is_differentiated_as_if_written_out() {
    for device in deq_devices::all() {
        for gradient in gradients() {
            if !keeps_double(&device, &gradient) {
                continue;
            }
            for steps in [1, 2, 7, 16] {
                let config = layer(gradient.clone(), steps);
                let leaves = Leaves::new(&device, DType::F32);
                let states = solve(&leaves, &config);
                let expected = written_out(&leaves, &config, &[steps]);
                let error = largest_error(&[values(&states[0])], &[values(&expected[0])]);
                assert!(error < 1e-6, "{gradient:?} {steps} on {device:?}: {error}");
                let error = largest_error(&leaves.gradients(&states), &leaves.gradients(&expected));
                assert!(error < 1e-5, "{gradient:?} {steps} on {device:?}: {error}");
            }
        }
    }
}

#[test]
fn in_double_precision_nothing_is_lost() {
    for device in deq_devices::double_precision() {
        for gradient in gradients() {
            let config = layer(gradient.clone(), 20);
            let leaves = Leaves::new(&device, DType::F64);
            let states = solve(&leaves, &config);
            let expected = written_out(&leaves, &config, &[20]);
            let error = largest_error(&leaves.gradients(&states), &leaves.gradients(&expected));
            // 20 steps back amplify rounding by 0.4^-10 to 0.4^-20.
            assert!(error < 1e-9, "{gradient:?} on {device:?}: {error}");
        }
    }
}

#[test]
fn a_converged_path_has_the_implicit_gradient() {
    for device in deq_devices::double_precision() {
        let leaves = Leaves::new(&device, DType::F64);
        let tight = SolveConfig::new(SolverConfig::broyden())
            .with_tolerance(1e-12)
            .with_max_iter(200);
        let mut implicit =
            DeqConfig::default().with_gradient(Gradient::implicit_with(tight.clone()));
        implicit.forward = tight;
        let expected = leaves.gradients(&solve(&leaves, &implicit));
        for gradient in gradients() {
            let mut config = layer(gradient.clone(), 150);
            config.forward.termination.finish = Finish::Best;
            config.forward.termination.tolerance = 1e-10;
            if let SolverConfig::Reversible(reversible) = &mut config.forward.solver {
                reversible.relaxation = 0.5;
            }
            let found = leaves.gradients(&solve(&leaves, &config));
            // Of the start nothing is left, which is no relative statement.
            let error = largest_error(&found[..2], &expected[..2]);
            assert!(error < 1e-6, "{gradient:?} on {device:?}: {error}");
            assert!(found[2].iter().all(|g| g.abs() < 1e-6), "{gradient:?}");
        }
    }
}

#[test]
fn the_solve_decides_the_number_of_steps() {
    for device in deq_devices::all() {
        let leaves = Leaves::new(&device, DType::F32);
        let mut config = layer(Gradient::Unrolled(Unrolled { checkpoint: true }), 60);
        config.forward.termination.finish = Finish::Best;
        let deq = config.init().expect("a valid layer");
        let solved = deq
            .solve(&leaves.args(), leaves.0[2].clone(), map)
            .expect("a valid solve");
        let steps = solved.stats.steps;
        assert_eq!(solved.stats.worst_status(), Status::Converged);
        assert!(steps < 40, "{steps}");
        let expected = written_out(&leaves, &config, &[steps]);
        let error = largest_error(&[values(solved.last())], &[values(&expected[0])]);
        assert!(error < 1e-6, "{error}");
    }
}

#[test]
fn several_states_come_from_one_trajectory() {
    for device in deq_devices::all() {
        for gradient in gradients() {
            if !keeps_double(&device, &gradient) {
                continue;
            }
            let mut config = layer(gradient.clone(), 9).with_states(States::At(vec![2, 5]));
            config.core = Core::Indexing;
            let leaves = Leaves::new(&device, DType::F32);
            let states = solve(&leaves, &config);
            let expected = written_out(&leaves, &config, &[2, 5, 9]);
            assert_eq!(states.len(), 3);
            let error = largest_error(&leaves.gradients(&states), &leaves.gradients(&expected));
            assert!(error < 1e-5, "{gradient:?} on {device:?}: {error}");
        }
    }
}

#[test]
fn slices_are_differentiated_each_on_its_own() {
    for device in deq_devices::all() {
        for gradient in gradients() {
            if !keeps_double(&device, &gradient) {
                continue;
            }
            let config = layer(gradient.clone(), 8).with_states(States::Count(2));
            let leaves = Leaves::new(&device, DType::F32);
            let states = solve(&leaves, &config);
            let first = written_out(&leaves, &config, &[4]).remove(0);
            let mut second = Leaves::new(&device, DType::F32);
            // The second slice starts where the first ended, as a constant.
            second.0 = [
                leaves.0[0].clone(),
                leaves.0[1].clone(),
                first.clone().detach(),
            ];
            let second = written_out(&second, &config, &[4]).remove(0);
            let error = largest_error(
                &leaves.gradients(&states),
                &leaves.gradients(&[first, second]),
            );
            assert!(error < 1e-5, "{gradient:?} on {device:?}: {error}");
        }
    }
}

#[test]
fn states_may_differ_in_their_gradients() {
    for device in deq_devices::all() {
        let mut config = layer(Gradient::Unrolled(Unrolled { checkpoint: true }), 8)
            .with_states(States::Count(2));
        config.core = Core::Indexing;
        config.state_gradients = vec![Gradient::JacobianFree];
        let leaves = Leaves::new(&device, DType::F32);
        let states = solve(&leaves, &config);
        let ends = written_out(&leaves, &config, &[4, 8]);
        let first = map(&leaves.args(), ends[0].clone().detach());
        let expected = [first, ends[1].clone()];
        let error = largest_error(&leaves.gradients(&states), &leaves.gradients(&expected));
        assert!(error < 1e-5, "on {device:?}: {error}");
    }
}

#[test]
fn states_of_several_tensors_and_modules_as_arguments() {
    #[derive(Module, Debug)]
    struct Pair {
        first: Linear,
        second: Linear,
    }
    type Both = (Matrix, Matrix);
    let step = |args: &(Pair, Param<Matrix>), (a, b): Both| {
        let (pair, x) = args;
        let first = (pair.first.forward(b) * 0.4 + x.val()).tanh();
        let second = (pair.second.forward(a) * 0.4).tanh();
        (first, second)
    };
    for device in deq_devices::all() {
        let autodiff = device.clone().autodiff();
        let linear = |phase: f64| {
            let mut linear = LinearConfig::new(FEATURES, FEATURES).init(&autodiff);
            let weight = wave(FEATURES, FEATURES, 0.5, phase, &autodiff, DType::F32);
            linear.weight = Param::from_tensor(weight);
            linear.bias = Some(Param::from_tensor(Tensor::full([FEATURES], 0.1, &autodiff)));
            linear
        };
        let pair = Pair {
            first: linear(0.3),
            second: linear(1.9),
        };
        let x = wave(BATCH, FEATURES, 0.8, 1.1, &autodiff, DType::F32).require_grad();
        let start = || {
            let zeros = Matrix::zeros([BATCH, FEATURES], &autodiff);
            (zeros.clone(), zeros)
        };
        let read = |(a, b): Both| {
            let gradients = (a.sum() + b.square().sum()).backward();
            let weights = [&pair.first.weight, &pair.second.weight]
                .map(|weight| weight.val().grad(&gradients).expect("a gradient"));
            let [first, second] = weights.map(|gradient| values(&gradient));
            vec![
                first,
                second,
                values(&x.grad(&gradients).expect("a gradient")),
            ]
        };
        let args = (pair.clone(), input(x.clone()));
        for gradient in gradients() {
            if !keeps_double(&device, &gradient) {
                continue;
            }
            let mut config = layer(gradient.clone(), 6);
            if let SolverConfig::Picard(picard) = &mut config.forward.solver {
                picard.damping = 1.0;
            }
            let deq = config.init().expect("a valid layer");
            let found = deq.solve(&args, start(), step).expect("a valid solve");
            let (mut before, mut point) = (start(), start());
            for _ in 0..6 {
                let image = step(&args, point.clone());
                let next = if let Gradient::Reversible(_) = gradient {
                    let mix =
                        |old: Matrix, new: Matrix| old * (1.0 - RELAXATION) + new * RELAXATION;
                    (mix(before.0, image.0), mix(before.1, image.1))
                } else {
                    image
                };
                (before, point) = (point, next);
            }
            let error = largest_error(&read(found.into_last()), &read(point));
            assert!(error < 1e-5, "{gradient:?} on {device:?}: {error}");
        }
    }
}

#[test]
fn a_gradient_that_cannot_be_reached_is_refused() {
    let plain =
        |(w, x): &(Param<Matrix>, Matrix), z: Matrix| (z.matmul(w.val()) + x.clone()).tanh();
    for device in deq_devices::all() {
        let leaves = Leaves::new(&device, DType::F32);
        let [w, x, start] = leaves.0.clone();
        let gradient = Gradient::Unrolled(Unrolled { checkpoint: true });
        let deq = layer(gradient, 4).init().expect("a valid layer");
        let hidden = (input(w.clone()), x.clone());
        let refused = deq.solve(&hidden, start.clone().detach(), plain);
        assert_eq!(refused.err(), Some(SolveError::UnreachableArgument));
        // A constant may travel as a plain tensor.
        let constant = (input(w.clone()), x.inner().autodiff());
        let solved = deq
            .solve(&constant, start.detach(), plain)
            .expect("constants need no gradient");
        let gradients = solved.into_last().sum().backward();
        assert!(w.grad(&gradients).is_some());
    }
}

#[test]
fn only_solves_with_a_path_are_accepted() {
    let refusal = |config: &DeqConfig| config.init().err().map(|error| error.to_string());
    for gradient in gradients() {
        let mut config = layer(gradient.clone(), 5);
        assert_eq!(refusal(&config), None);
        config.forward.termination.finish = Finish::Freeze;
        let error = refusal(&config).expect("freezing hides the path");
        assert!(error.contains("finish"), "{error}");
        let config = layer(gradient, 5).with_solver(SolverConfig::anderson());
        let error = refusal(&config).expect("Anderson has no path to follow");
        assert!(error.contains("forward.solver"), "{error}");
    }
    let adaptive =
        layer(gradients()[0].clone(), 5).with_solver(SolverConfig::Picard(PicardConfig {
            damping: 0.5,
            adaptive: true,
        }));
    assert!(refusal(&adaptive).is_some_and(|error| error.contains("adaptive")));
}

#[test]
fn no_steps_return_the_start() {
    for device in deq_devices::all() {
        for gradient in gradients() {
            if !keeps_double(&device, &gradient) {
                continue;
            }
            let leaves = Leaves::new(&device, DType::F32);
            let deq = layer(gradient, 5).init().expect("a valid layer");
            let options = CallOptions {
                max_iter: Some(0),
                ..Default::default()
            };
            let start = leaves.0[2].clone();
            let solved = deq.solve_with(options, &leaves.args(), start.clone(), map);
            let state = solved.expect("a valid solve").into_last();
            assert_eq!(values(&state), values(&start));
            let gradients = state.sum().backward();
            let gradient = start.grad(&gradients).expect("the start is the state");
            assert!(values(&gradient).iter().all(|&g| g == 1.0));
        }
    }
}

#[test]
fn single_precision_loses_the_way_back_and_double_does_not() {
    for device in deq_devices::all() {
        let leaves = Leaves::new(&device, DType::F32);
        let error = |double| {
            let config = layer(Gradient::Reversible(Reversible { double }), 60);
            let states = solve(&leaves, &config);
            let expected = written_out(&leaves, &config, &[60]);
            largest_error(
                &leaves.gradients(&states)[..2],
                &leaves.gradients(&expected)[..2],
            )
        };
        let single = error(false);
        assert!(single > 1e-5, "{single}");
        if device.supports_dtype(DType::F64) {
            let double = error(true);
            assert!(double < 1e-6, "on {device:?}: {double}");
        }
    }
}
