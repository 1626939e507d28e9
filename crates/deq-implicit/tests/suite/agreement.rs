//! Three ways to a gradient agree: implicit by any adjoint solver, unrolled, and finite
//! differences; and for affine maps the closed form. In `f64`, so that agreement means something.

use burn::tensor::activation::{relu, sigmoid, softmax, softplus};
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_implicit::{CallOptions, DeqConfig, Gradient};
use deq_solvers::{AndersonConfig, Mixing, SolveConfig, SolverConfig};

type Matrix = Tensor<2>;
type Args = (Matrix, Matrix);
type Map = fn(&Args, Matrix) -> Matrix;

const MAPS: [(&str, Map); 10] = [
    ("affine", |(w, b), z| z.matmul(w.clone()) + b.clone()),
    ("tanh", |(w, b), z| (z.matmul(w.clone()) + b.clone()).tanh()),
    ("sin", |(w, b), z| (z.matmul(w.clone()) + b.clone()).sin()),
    ("sigmoid", |(w, b), z| {
        sigmoid(z.matmul(w.clone()) + b.clone())
    }),
    ("cos", |(w, b), z| {
        (z * 0.5).cos().matmul(w.clone()) + b.clone()
    }),
    ("softplus", |(w, b), z| {
        softplus(z.matmul(w.clone()), 1.0) * 0.5 + b.clone()
    }),
    ("relu", |(w, b), z| {
        relu(z.matmul(w.clone()) + b.clone() + 0.3)
    }),
    ("attention", |(w, b), z| {
        softmax(z.matmul(w.clone()), 1).matmul(w.clone().transpose()) + b.clone()
    }),
    ("rational", |(w, b), z| {
        z.clone().matmul(w.clone()) / (z.square() + 1.0) + b.clone()
    }),
    ("quadratic", |(w, b), z| {
        z.clone().square() * 0.1 + z.matmul(w.clone()) + b.clone()
    }),
];

fn matrix(rows: usize, columns: usize, scale: f64, phase: f64, device: &Device) -> Matrix {
    let values = (0..rows * columns).map(|i| scale * (1.7 * i as f64 + phase).sin());
    let data = TensorData::new(values.collect::<Vec<f64>>(), [rows, columns]);
    Matrix::from_data(data, (device, DType::F64))
}

fn weights(device: &Device) -> Args {
    (
        matrix(4, 4, 0.25, 0.3, device),
        matrix(3, 4, 0.5, 1.1, device),
    )
}

fn tight(solver: SolverConfig) -> SolveConfig {
    SolveConfig::new(solver)
        .with_tolerance(1e-12)
        .with_max_iter(300)
}

fn layer(gradient: Gradient) -> DeqConfig {
    let mut config = DeqConfig::default().with_gradient(gradient);
    config.forward = tight(SolverConfig::broyden());
    config
}

/// The loss and its gradients with respect to both arguments.
fn differentiate(
    map: Map,
    config: &DeqConfig,
    max_iter: Option<usize>,
    device: &Device,
) -> [Vec<f64>; 2] {
    let autodiff = device.clone().autodiff();
    let (w, b) = weights(&autodiff);
    let args = (w.require_grad(), b.require_grad());
    let options = CallOptions {
        max_iter,
        ..CallOptions::default()
    };
    let deq = config.init().expect("a valid layer");
    let start = Matrix::zeros([3, 4], (&autodiff, DType::F64));
    let solved = deq
        .solve_with(options, &args, start, map)
        .expect("a valid solve");
    let gradients = loss(solved.into_last()).backward();
    let values = |of: &Matrix| {
        let gradient = of.grad(&gradients).expect("a gradient");
        gradient.into_data().iter::<f64>().collect()
    };
    [values(&args.0), values(&args.1)]
}

fn loss(z: Matrix) -> Tensor<1> {
    let cotangent = matrix(3, 4, 1.0, 0.7, &z.device());
    (z * cotangent).sum()
}

fn adjoint_solvers() -> Vec<SolverConfig> {
    vec![
        SolverConfig::picard(),
        SolverConfig::Anderson(AndersonConfig {
            mixing: Mixing::Qr,
            ..AndersonConfig::default()
        }),
        SolverConfig::broyden(),
        SolverConfig::newton_krylov(),
        SolverConfig::gmres(),
        SolverConfig::bicgstab(),
        SolverConfig::robust(),
    ]
}

/// The largest difference, relative to the largest entry.
fn distance(ours: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let pairs = ours.iter().zip(expected);
    pairs.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale
}

#[test]
fn adjoint_solvers_and_unrolling_agree() {
    for device in deq_devices::double_precision() {
        for (name, map) in MAPS {
            let unrolled = layer(Gradient::phantom(80, 1.0));
            let unrolled = differentiate(map, &unrolled, Some(0), &device);
            for solver in adjoint_solvers() {
                let implicit = layer(Gradient::implicit_with(tight(solver.clone())));
                let implicit = differentiate(map, &implicit, None, &device);
                for (ours, expected) in implicit.iter().zip(&unrolled) {
                    let distance = distance(ours, expected);
                    assert!(distance < 1e-9, "{name} by {solver:?}: {distance:e}");
                }
            }
        }
    }
}

#[test]
fn finite_differences_agree() {
    let step = 1e-5;
    for device in deq_devices::double_precision() {
        for (name, map) in MAPS {
            let value = |entry: usize, by: f64| {
                let (w, b) = weights(&device);
                let place = [entry / 4..entry / 4 + 1, entry % 4..entry % 4 + 1];
                let moved = w.clone().slice(place.clone()) + by;
                let args = (w.slice_assign(place, moved), b);
                let start = Matrix::zeros([3, 4], (&device, DType::F64));
                let solved = tight(SolverConfig::broyden()).solve(|z| map(&args, z), start);
                loss(solved.expect("a valid solve").state).into_scalar::<f64>()
            };
            let differences: Vec<f64> = (0..16)
                .map(|entry| (value(entry, step) - value(entry, -step)) / (2.0 * step))
                .collect();
            let implicit = layer(Gradient::implicit_with(tight(SolverConfig::gmres())));
            let [of_w, _] = differentiate(map, &implicit, None, &device);
            let distance = distance(&of_w, &differences);
            assert!(distance < 1e-5, "{name}: {distance:e}");
        }
    }
}

#[test]
fn affine_gradients_solve_the_adjoint_equation() {
    for device in deq_devices::double_precision() {
        let (_, map) = MAPS[0];
        for solver in adjoint_solvers() {
            let implicit = layer(Gradient::implicit_with(tight(solver.clone())));
            let [of_w, of_b] = differentiate(map, &implicit, None, &device);
            // The gradient u of the offset is that of z*, so u = c + u Wᵀ, and W's is z*ᵀ u.
            let (w, b) = weights(&device);
            let options = (&device, DType::F64);
            let u = Matrix::from_data(TensorData::new(of_b, [3, 4]), options);
            let c = matrix(3, 4, 1.0, 0.7, &device);
            let residual = c + u.clone().matmul(w.clone().transpose()) - u.clone();
            let error: f64 = residual.abs().max().into_scalar();
            assert!(error < 1e-10, "{solver:?}: {error:e}");

            let start = Matrix::zeros([3, 4], options);
            let z = tight(SolverConfig::gmres())
                .solve(|z: Matrix| z.matmul(w.clone()) + b.clone(), start)
                .expect("a valid solve")
                .state;
            let expected: Vec<f64> = z.transpose().matmul(u).into_data().iter::<f64>().collect();
            let distance = distance(&of_w, &expected);
            assert!(distance < 1e-10, "{solver:?}: {distance:e}");
        }
    }
}
