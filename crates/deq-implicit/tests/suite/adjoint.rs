//! What can be lent to an adjoint solve: where it starts, and the map's own transpose.

use burn::tensor::{Device, Tensor, TensorData};
use deq_implicit::{
    AdjointMemory, CallOptions, DeqConfig, EquilibriumMap, Gradient, Neumann, ReuseInverse, Solved,
    Transpose, check_transpose,
};
use deq_solvers::{SolveConfig, SolverConfig};

type Matrix = Tensor<2>;
type Args = (Matrix, Matrix);

fn wave(rows: usize, columns: usize, scale: f64, phase: f64, device: &Device) -> Matrix {
    let values = (0..rows * columns).map(|i| (scale * (1.7 * i as f64 + phase).sin()) as f32);
    let data = TensorData::new(values.collect::<Vec<f32>>(), [rows, columns]);
    Matrix::from_data(data, device)
}

fn args(device: &Device) -> Args {
    let device = device.clone().autodiff();
    let w = wave(4, 4, 0.4, 0.4, &device).require_grad();
    (w, wave(3, 4, 0.8, 1.1, &device).require_grad())
}

/// z = tanh(z W + x), which knows its transpose; `factor` spoils it.
struct Tanh {
    factor: f64,
}

impl EquilibriumMap<Args, Matrix> for Tanh {
    fn forward(&self, (w, x): &Args, z: Matrix) -> Matrix {
        (z.matmul(w.clone()) + x.clone()).tanh()
    }

    fn transpose(&self, args: &Args, z: &Matrix) -> Option<Transpose<Matrix>> {
        let image = self.forward(args, z.clone());
        let slope = image.square().neg().add_scalar(1.0) * self.factor;
        let w = args.0.clone().transpose();
        Some(Box::new(move |u| (u * slope.clone()).matmul(w.clone())))
    }
}

fn by_autodiff((w, x): &Args, z: Matrix) -> Matrix {
    (z.matmul(w.clone()) + x.clone()).tanh()
}

fn solve(
    gradient: Gradient,
    options: CallOptions<'_>,
    args: &Args,
    map: impl EquilibriumMap<Args, Matrix>,
) -> Solved<Matrix> {
    let deq = DeqConfig::default()
        .with_solver(SolverConfig::broyden())
        .with_tolerance(1e-6)
        .with_gradient(gradient)
        .init()
        .expect("a valid layer");
    let start = args.1.clone().inner().zeros_like();
    deq.solve_map(options, args, start, map)
        .expect("a valid solve")
}

fn gradients(args: &Args, solved: Solved<Matrix>) -> Vec<f32> {
    let gradients = solved.into_last().square().sum().backward();
    let read = |leaf: &Matrix| leaf.grad(&gradients).expect("a gradient").into_data();
    let both = [read(&args.0), read(&args.1)];
    both.iter().flat_map(|data| data.iter::<f32>()).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn a_known_transpose_takes_the_place_of_autodiff() {
    for device in deq_devices::all() {
        for gradient in [
            Gradient::implicit(),
            Gradient::Neumann(Neumann::default()),
            Gradient::ReuseInverse(ReuseInverse {
                refine: 2,
                ..Default::default()
            }),
        ] {
            let args = args(&device);
            let of = |factor| {
                let solved = solve(
                    gradient.clone(),
                    CallOptions::default(),
                    &args,
                    Tanh { factor },
                );
                gradients(&args, solved)
            };
            let expected = solve(gradient.clone(), CallOptions::default(), &args, by_autodiff);
            let expected = gradients(&args, expected);
            assert!(distance(&of(1.0), &expected) < 1e-5, "{gradient:?}");
            // A wrong one shows: it is really used.
            assert!(distance(&of(0.5), &expected) > 1e-3, "{gradient:?}");
        }
    }
}

#[test]
fn a_transpose_can_be_checked() {
    for device in deq_devices::all() {
        let (w, x) = args(&device);
        let args = (w.inner(), x.inner());
        let z = wave(3, 4, 0.5, 0.2, &device);
        let u = wave(3, 4, 1.0, 2.9, &device);
        let error = |factor| check_transpose(&args, &Tanh { factor }, &z, &u);
        assert!(error(1.0).is_some_and(|error| error < 1e-5));
        assert!(error(1.1).is_some_and(|error| (error - 0.1).abs() < 1e-3));
        assert_eq!(check_transpose(&args, &by_autodiff, &z, &u), None);
    }
}

#[test]
fn the_next_adjoint_starts_from_the_last() {
    for device in deq_devices::all() {
        let args = args(&device);
        let memory = AdjointMemory::new();
        let run = |args: &Args| {
            let options = CallOptions {
                adjoint_memory: Some(&memory),
                ..Default::default()
            };
            let backward = SolveConfig::default().with_tolerance(1e-4);
            let solved = solve(
                Gradient::implicit_with(backward),
                options,
                args,
                by_autodiff,
            );
            let kept = solved.clone();
            let found = gradients(args, solved);
            let stats = kept.adjoint_stats().expect("a backward pass has run");
            assert!(stats.all_converged());
            (stats.evaluations, found)
        };
        let (cold, first) = run(&args);
        let (warm, second) = run(&args);
        assert!(cold > 5, "{cold}");
        assert!(warm <= 2, "{warm}");
        assert!(distance(&first, &second) < 1e-3);

        // Another batch size does not fit, and starts from zero.
        let smaller = (
            args.0.clone(),
            args.1.clone().narrow(0, 0, 2).detach().require_grad(),
        );
        let (other, _) = run(&smaller);
        assert!(other > 5, "{other}");

        run(&args);
        memory.clear();
        let (cleared, _) = run(&args);
        assert_eq!(cleared, cold);
    }
}

#[test]
fn an_adjoint_memory_is_for_the_implicit_gradient() {
    let memory = AdjointMemory::new();
    let device = deq_devices::all().remove(0);
    let args = args(&device);
    let options = CallOptions {
        adjoint_memory: Some(&memory),
        ..Default::default()
    };
    let deq = DeqConfig::default().init().expect("a valid layer");
    let start = args.1.clone().inner().zeros_like();
    let refused = deq.solve_with(options, &args, start, by_autodiff);
    let error = refused.err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("adjoint_memory")));
}
