//! Maps that are prepared once a solve.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use deq_implicit::{
    CallOptions, DeqConfig, EquilibriumMap, Gradient, Neumann, Prepared, ReuseInverse, SolveError,
    Solved, Unrolled, check_prepared, with_prepare,
};
use deq_solvers::{Finish, SolverConfig};

type Matrix = Tensor<2>;
type Args = (Matrix, Matrix);

fn wave(rows: usize, columns: usize, scale: f64, phase: f64, device: &Device) -> Matrix {
    let values = (0..rows * columns).map(|i| (scale * (1.7 * i as f64 + phase).sin()) as f32);
    let data = TensorData::new(values.collect::<Vec<f32>>(), [rows, columns]);
    Matrix::from_data(data, device)
}

fn args(device: &Device) -> Args {
    let w = wave(4, 4, 0.4, 0.4, device);
    (w, wave(3, 4, 0.8, 1.1, device))
}

fn tracked(device: &Device) -> Args {
    let (w, x) = args(&device.clone().autodiff());
    (w.require_grad(), x.require_grad())
}

fn step((w, x): &Args, z: Matrix) -> Matrix {
    (z.matmul(w.clone()) + x.clone()).tanh()
}

/// How often each part of a map was called.
#[derive(Default)]
struct Counts {
    forward: AtomicUsize,
    prepare: AtomicUsize,
    prepared: AtomicUsize,
}

impl Counts {
    fn read(&self) -> [usize; 3] {
        [&self.forward, &self.prepare, &self.prepared].map(|count| count.load(Ordering::Relaxed))
    }
}

struct Counting(Arc<Counts>);

impl EquilibriumMap<Args, Matrix> for Counting {
    fn forward(&self, args: &Args, z: Matrix) -> Matrix {
        self.0.forward.fetch_add(1, Ordering::Relaxed);
        step(args, z)
    }

    fn prepare<'a>(&'a self, args: &'a Args) -> Option<Prepared<'a, Matrix>> {
        self.0.prepare.fetch_add(1, Ordering::Relaxed);
        Some(Box::new(move |z| {
            self.0.prepared.fetch_add(1, Ordering::Relaxed);
            step(args, z)
        }))
    }
}

fn solve(
    gradient: Gradient,
    max_iter: Option<usize>,
    args: &Args,
    map: impl EquilibriumMap<Args, Matrix>,
) -> Result<Solved<Matrix>, SolveError> {
    // Unrolling follows the path of every sample, so none may be frozen.
    let (solver, finish) = match gradient {
        Gradient::Unrolled(_) => (SolverConfig::picard(), Finish::Final),
        _ => (SolverConfig::broyden(), Finish::Freeze),
    };
    let mut config = DeqConfig::default()
        .with_solver(solver)
        .with_tolerance(1e-6)
        .with_gradient(gradient);
    config.forward.termination.finish = finish;
    let deq = config.init().expect("a valid layer");
    let options = CallOptions {
        max_iter,
        ..Default::default()
    };
    let start = args.1.clone().inner().zeros_like();
    deq.solve_map(options, args, start, map)
}

#[test]
fn a_solve_prepares_once_and_evaluates_what_it_got() {
    for device in deq_devices::all() {
        let count = |gradient: Gradient, max_iter: Option<usize>, args: &Args| {
            let counts = Arc::new(Counts::default());
            let map = Counting(counts.clone());
            let solved = solve(gradient, max_iter, args, map).expect("a valid solve");
            (counts.read(), solved.stats.evaluations)
        };
        let args_in_training = tracked(&device);
        // The tracked step is the only one of the map itself.
        let phantom = Gradient::phantom(1, 1.0);
        let (counts, evaluations) = count(phantom.clone(), None, &args_in_training);
        assert_eq!(counts, [1, 1, evaluations]);
        assert!(evaluations > 3, "{evaluations}");
        // An adjoint evaluates the map itself, and so must know that it captures nothing.
        let (counts, evaluations) = count(Gradient::implicit(), None, &args_in_training);
        assert_eq!(counts, [2, 1, evaluations]);
        // What retraces the path needs the path of the map itself.
        let unrolled = Gradient::Unrolled(Unrolled { checkpoint: false });
        let (counts, _) = count(unrolled, None, &args_in_training);
        assert_eq!(counts[1..], [0, 0]);
        // Nothing is prepared for no steps.
        let (counts, _) = count(phantom.clone(), Some(0), &args_in_training);
        assert_eq!(counts, [1, 0, 0]);
        // Inference looks for tracked tensors at its first step.
        let (counts, evaluations) = count(phantom.clone(), None, &args(&device));
        assert_eq!(counts, [1, 1, evaluations - 1]);
        let (counts, evaluations) = count(phantom, Some(1), &args(&device));
        assert_eq!(counts, [1, 1, evaluations - 1]);
        assert_eq!(evaluations, 2); // Broyden's method starts with one
    }
}

#[test]
fn gradients_do_not_know_of_it() {
    for device in deq_devices::all() {
        for gradient in [
            Gradient::phantom(3, 0.5),
            Gradient::JacobianFree,
            Gradient::implicit(),
            Gradient::Neumann(Neumann::default()),
            Gradient::ReuseInverse(ReuseInverse::default()),
            Gradient::Unrolled(Unrolled { checkpoint: false }),
        ] {
            let args = tracked(&device);
            let read = |solved: Result<Solved<Matrix>, SolveError>| -> Vec<f32> {
                let state = solved.expect("a valid solve").into_last();
                let gradients = state.clone().square().sum().backward();
                let leaf = |leaf: &Matrix| leaf.grad(&gradients).expect("a gradient");
                [state.inner(), leaf(&args.0), leaf(&args.1)]
                    .into_iter()
                    .flat_map(|tensor| tensor.into_data().iter::<f32>().collect::<Vec<_>>())
                    .collect()
            };
            let map = with_prepare(step, |(w, x): &Args| {
                Box::new(move |z: Matrix| (z.matmul(w.clone()) + x.clone()).tanh())
            });
            let prepared = read(solve(gradient.clone(), None, &args, map));
            let plain = read(solve(gradient.clone(), None, &args, step));
            let errors = prepared.iter().zip(&plain).map(|(a, b)| (a - b).abs());
            assert!(errors.fold(0.0, f32::max) < 1e-6, "{gradient:?}");
        }
    }
}

#[test]
fn a_prepared_map_can_be_checked() {
    for device in deq_devices::all() {
        let (args, z) = (args(&device), wave(3, 4, 0.5, 0.2, &device));
        let scaled = |factor: f64| {
            let map = with_prepare(step, move |args: &Args| {
                Box::new(move |z| step(args, z) * factor)
            });
            check_prepared(&args, &map, &z).expect("it is prepared")
        };
        assert!(scaled(1.0) < 1e-6);
        assert!(scaled(1.1) > 0.05);
        assert!(scaled(f64::NAN).is_nan());
        // One that answers with what it once computed.
        let stale = with_prepare(step, |args: &Args| {
            let mut kept: Option<Matrix> = None;
            Box::new(move |z| kept.get_or_insert_with(|| step(args, z)).clone())
        });
        assert!(check_prepared(&args, &stale, &z).is_some_and(|error| error > 0.01));
        assert_eq!(check_prepared(&args, &step, &z), None);
    }
}

#[test]
fn a_captured_tensor_is_refused_in_either() {
    for device in deq_devices::all() {
        let args = tracked(&device);
        let captured = args.1.clone();
        // The map alone captures: only an adjoint would evaluate it, and dead-lock.
        let tainted = captured.clone();
        let map = with_prepare(
            move |args: &Args, z| step(args, z) + tainted.clone() * 0.0,
            move |args: &Args| Box::new(move |z| step(args, z)),
        );
        let refused = solve(Gradient::implicit(), None, &args, map);
        assert_eq!(refused.err(), Some(SolveError::CapturedAutodiff));
        let map = with_prepare(step, move |args: &Args| {
            let captured = captured.clone();
            Box::new(move |z| step(args, z) + captured.clone() * 0.0)
        });
        let refused = solve(Gradient::phantom(1, 1.0), None, &args, map);
        assert_eq!(refused.err(), Some(SolveError::CapturedAutodiff));
    }
}
