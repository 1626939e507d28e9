//! The equilibrium layer against closed forms, and what it refuses.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use deq_implicit::{
    CallOptions, Core, DeqConfig, Emit, Eval, Gradient, Phantom, SolveError, Solved, States, input,
};
use deq_solvers::{SolveConfig, SolverConfig};

type Matrix = Tensor<2>;

const FEATURES: usize = 4;

/// z = tanh(W z + U x + b) with weights by formula; W contracts at a rate below 0.7.
#[derive(Clone)]
struct Tanh {
    w: Matrix,
    injection: Matrix,
}

fn wave(rows: usize, columns: usize, scale: f64, phase: f64, device: &Device) -> Matrix {
    let values: Vec<f32> = (0..rows * columns)
        .map(|i| (scale * (1.7 * i as f64 + phase).sin()) as f32)
        .collect();
    Matrix::from_data(
        burn::tensor::TensorData::new(values, [rows, columns]),
        device,
    )
}

impl Tanh {
    fn new(batch: usize, device: &Device) -> Self {
        let device = device.clone().autodiff();
        Self {
            w: wave(FEATURES, FEATURES, 0.3, 0.4, &device).require_grad(),
            injection: wave(batch, FEATURES, 0.8, 1.1, &device).require_grad(),
        }
    }

    fn solve(&self, config: &DeqConfig) -> Solved<Matrix> {
        let start = self.injection.clone().inner().zeros_like();
        self.solve_from(config, start).expect("a valid solve")
    }

    fn solve_from(&self, config: &DeqConfig, start: Matrix) -> Result<Solved<Matrix>, SolveError> {
        let deq = config.init().expect("a valid layer");
        deq.solve(&(self.w.clone(), self.injection.clone()), start, step)
    }

    /// Gradients of `sum(z * cotangent)` with respect to W and the injection.
    fn gradients(&self, z: Matrix) -> (Vec<f32>, Vec<f32>) {
        let [batch, features] = z.dims();
        let cotangent = wave(batch, features, 1.0, 2.3, &z.device());
        let gradients = (z * cotangent).sum().backward();
        let read = |leaf: &Matrix| values(&leaf.grad(&gradients).expect("a gradient"));
        (read(&self.w), read(&self.injection))
    }
}

fn step((w, injection): &(Matrix, Matrix), z: Matrix) -> Matrix {
    (z.matmul(w.clone()) + injection.clone()).tanh()
}

fn values(tensor: &Matrix) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = found.iter().zip(expected).map(|(f, e)| f64::from(f - e));
    norm(&mut { difference }) / norm(&mut expected.iter().map(|&e| f64::from(e)))
}

fn tight(solver: SolverConfig) -> DeqConfig {
    let backward = SolveConfig::new(solver.clone())
        .with_tolerance(1e-7)
        .with_max_iter(100);
    DeqConfig::default()
        .with_solver(solver)
        .with_tolerance(1e-7)
        .with_max_iter(100)
        .with_gradient(Gradient::implicit_with(backward))
}

/// The implicit gradient in closed form, on the host in f64: for each sample u solves
/// (I - Jᵀ) u = g, and dW = zᵀ (u D), d(injection) = u D with D = 1 - z².
fn dense_gradient(tanh: &Tanh) -> (Vec<f32>, Vec<f32>) {
    let n = FEATURES;
    let read = |m: &Matrix| -> Vec<f64> { values(m).into_iter().map(f64::from).collect() };
    let (w, injection) = (read(&tanh.w), read(&tanh.injection));
    let batch = injection.len() / n;
    let cotangent = read(&wave(batch, n, 1.0, 2.3, &tanh.w.device().inner()));
    let (mut dw, mut di) = (vec![0.0; n * n], vec![0.0; batch * n]);
    for s in 0..batch {
        let mut z = vec![0.0; n];
        for _ in 0..500 {
            z = (0..n)
                .map(|j| {
                    let sum: f64 = (0..n).map(|i| z[i] * w[i * n + j]).sum();
                    (sum + injection[s * n + j]).tanh()
                })
                .collect();
        }
        let d: Vec<f64> = z.iter().map(|z| 1.0 - z * z).collect();
        // u_i = g_i + Σ_j u_j d_j w_ij, as a contraction in f64.
        let mut u = vec![0.0; n];
        for _ in 0..500 {
            u = (0..n)
                .map(|i| {
                    let sum: f64 = (0..n).map(|j| u[j] * d[j] * w[i * n + j]).sum();
                    cotangent[s * n + i] + sum
                })
                .collect();
        }
        for j in 0..n {
            di[s * n + j] = u[j] * d[j];
            for i in 0..n {
                dw[i * n + j] += z[i] * u[j] * d[j];
            }
        }
    }
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    (single(dw), single(di))
}

#[test]
fn the_implicit_gradient_is_the_closed_form() {
    for device in deq_devices::all() {
        let tanh = Tanh::new(3, &device);
        let (dw, di) = dense_gradient(&tanh);
        for solver in [
            SolverConfig::picard(),
            SolverConfig::anderson(),
            SolverConfig::broyden(),
        ] {
            let solved = tanh.solve(&tight(solver.clone()));
            assert!(solved.adjoint_stats().is_none(), "no backward pass yet");
            let (found_dw, found_di) = tanh.gradients(solved.last().clone());
            assert!(relative_error(&found_dw, &dw) < 1e-5, "{solver:?}");
            assert!(relative_error(&found_di, &di) < 1e-5, "{solver:?}");
            let adjoint = solved.adjoint_stats().expect("a backward pass");
            assert!(adjoint.max_residual() < 1e-5, "{solver:?}: {adjoint:?}");
        }
    }
}

#[test]
fn the_implicit_gradient_is_the_finite_difference() {
    for device in deq_devices::all() {
        let tanh = Tanh::new(2, &device);
        let config = tight(SolverConfig::picard());
        let (dw, _) = tanh.gradients(tanh.solve(&config).into_last());
        let loss = |w: Matrix| {
            let moved = Tanh {
                w,
                injection: tanh.injection.clone(),
            };
            let z = moved.solve(&config).into_last().inner();
            let cotangent = wave(2, FEATURES, 1.0, 2.3, &z.device());
            let terms = (z * cotangent).into_data();
            terms.iter::<f64>().sum::<f64>()
        };
        let epsilon = 1e-2;
        let base = values(&tanh.w);
        let differences: Vec<f32> = (0..base.len())
            .map(|i| {
                let moved = |by: f32| {
                    let mut w = base.clone();
                    w[i] += by;
                    let data = burn::tensor::TensorData::new(w, [FEATURES, FEATURES]);
                    loss(Matrix::from_data(data, &device.clone().autodiff()))
                };
                ((moved(epsilon) - moved(-epsilon)) / (2.0 * f64::from(epsilon))) as f32
            })
            .collect();
        assert!(relative_error(&dw, &differences) < 1e-3);
    }
}

#[test]
fn the_phantom_gradient_is_explicit_unrolling_bit_for_bit() {
    for device in deq_devices::all() {
        for (steps, damping) in [(1, 1.0), (3, 1.0), (5, 0.5)] {
            let tanh = Tanh::new(3, &device);
            let config = DeqConfig::default()
                .with_max_iter(6)
                .with_tolerance(0.0)
                .with_gradient(Gradient::phantom(steps, damping));
            let (dw, di) = tanh.gradients(tanh.solve(&config).into_last());

            let again = Tanh::new(3, &device);
            let args = (again.w.clone(), again.injection.clone());
            let plain = (again.w.clone().inner(), again.injection.clone().inner());
            let mut z = plain.1.zeros_like();
            for _ in 0..6 {
                z = step(&plain, z);
            }
            let mut z = z.autodiff();
            for _ in 0..steps {
                let image = step(&args, z.clone());
                z = if damping == 1.0 {
                    image
                } else {
                    image * damping + z * (1.0 - damping)
                };
            }
            assert_eq!((dw, di), again.gradients(z));
        }
    }
}

#[test]
fn the_jacobian_free_gradient_is_one_phantom_step() {
    for device in deq_devices::all() {
        let gradient = |gradient: Gradient| {
            let tanh = Tanh::new(3, &device);
            let config = DeqConfig::default().with_gradient(gradient);
            tanh.gradients(tanh.solve(&config).into_last())
        };
        assert_eq!(
            gradient(Gradient::JacobianFree),
            gradient(Gradient::phantom(1, 1.0))
        );
        assert_ne!(
            gradient(Gradient::JacobianFree),
            gradient(Gradient::phantom(2, 1.0))
        );
        assert_ne!(
            gradient(Gradient::phantom(2, 0.5)),
            gradient(Gradient::phantom(2, 1.0))
        );
    }
}

/// burn takes a device and its autodiff twin for the same one, and lists the first that it meets.
#[test]
fn a_tracked_argument_behind_plain_ones_makes_it_a_training_call() {
    for device in deq_devices::all() {
        let w = wave(3, 3, 0.1, 0.0, &device);
        let injection = wave(2, 3, 1.0, 0.5, &device);
        for gradient in [Gradient::implicit(), Gradient::JacobianFree] {
            let deq = DeqConfig::default().with_gradient(gradient).init();
            let deq = deq.expect("valid");
            let gradient_of = |w: Matrix| {
                let x = injection.clone().autodiff().require_grad();
                let start = injection.zeros_like();
                let solved = deq.solve(&(w.clone(), x.clone()), start.clone(), step);
                let gradients = solved.expect("valid").into_last().sum().backward();
                let plain = values(&x.grad(&gradients).expect("a gradient"));
                let wrapped = (input(w), input(x.clone()));
                let map = |(w, x): &(Param<Matrix>, Param<Matrix>), z| step(&(w.val(), x.val()), z);
                let solved = deq.solve(&wrapped, start, map).expect("valid");
                let gradients = solved.into_last().sum().backward();
                let wrapped = values(&x.grad(&gradients).expect("a gradient"));
                assert_eq!(plain, wrapped);
                plain
            };
            // Where all arguments are on the autodiff device, the first already tells.
            let frozen = w.clone().autodiff();
            assert_eq!(gradient_of(w.clone()), gradient_of(frozen));
        }
    }
}

#[test]
fn two_layers_in_a_row_and_several_parts_differentiate() {
    for device in deq_devices::all() {
        let config = tight(SolverConfig::picard());
        let deq = config.init().expect("a valid layer");
        let x = Tensor::<1>::full([2], 1.0, &device.clone().autodiff()).require_grad();
        // First z = x / 2 + z / 2, so z = x. Then (a, b) = (b / 2, a / 2 + z): b = z / (3/4).
        let first = deq.solve(&x, x.clone().zeros_like(), |x: &Tensor<1>, z: Tensor<1>| {
            x.clone() * 0.5 + z * 0.5
        });
        let z = first.expect("a valid solve").into_last().reshape([2, 1]);
        let start = (z.clone().zeros_like(), z.clone().zeros_like());
        let second = deq.solve(&z, start, |z: &Matrix, (a, b): (Matrix, Matrix)| {
            (b * 0.5, a * 0.5 + z.clone())
        });
        let (a, b) = second.expect("a valid solve").into_last();
        let gradients = (a + b).sum().backward();
        let dx = x.grad(&gradients).expect("a gradient").into_data();
        // a + b = (2/3 + 4/3) x.
        assert!(dx.iter::<f32>().all(|g| (g - 2.0).abs() < 1e-4));
    }
}

#[test]
fn a_module_learns_through_the_layer() {
    for device in deq_devices::all() {
        let linear: Linear = LinearConfig::new(3, 3).init(&device.clone().autodiff());
        let x = wave(2, 3, 0.5, 0.0, &device.clone().autodiff());
        let deq = tight(SolverConfig::anderson())
            .init()
            .expect("a valid layer");
        let map = |(linear, x): &(Linear, Matrix), z: Matrix| {
            (linear.forward(z) * 0.3 + x.clone()).tanh()
        };
        let solved = deq.solve(&(linear.clone(), x.clone()), x.clone(), map);
        let gradients = solved.expect("a valid solve").into_last().sum().backward();
        let weight = linear.weight.val().grad(&gradients).expect("a gradient");
        assert!(values(&weight).iter().any(|g| g.abs() > 1e-4));

        // On a plain device the same call is inference.
        let plain = linear.valid();
        let solved = deq.solve(&(plain, x.clone().inner()), x.inner(), map);
        assert!(!solved.expect("a valid solve").last().is_autodiff());
    }
}

#[test]
fn gradient_checkpointing_gives_the_same_gradient() {
    for device in deq_devices::all() {
        let gradient = |device: Device| {
            let x = wave(2, 3, 0.5, 0.0, &device).require_grad();
            let deq = tight(SolverConfig::picard()).init().expect("a valid layer");
            let map = |x: &Matrix, z: Matrix| (z * 0.5 + x.clone()).tanh();
            let solved = deq.solve(&x, x.clone().inner().zeros_like(), map);
            let gradients = solved.expect("a valid solve").into_last().sum().backward();
            values(&x.grad(&gradients).expect("a gradient"))
        };
        let plain = gradient(device.clone().autodiff());
        assert_eq!(plain, gradient(device.autodiff().gradient_checkpointing()));
    }
}

#[test]
fn a_captured_autodiff_tensor_is_refused_with_every_gradient() {
    for device in deq_devices::all() {
        for gradient in [
            Gradient::implicit(),
            Gradient::JacobianFree,
            Gradient::phantom(2, 1.0),
        ] {
            let captured = wave(2, 3, 0.5, 0.0, &device.clone().autodiff()).require_grad();
            let start = captured.clone().inner().zeros_like();
            let is_implicit = matches!(gradient, Gradient::Implicit(_));
            let deq = DeqConfig::default().with_gradient(gradient).init();
            let deq = deq.expect("a valid layer");
            let x = captured.clone();
            let map = move |x: &Matrix, z: Matrix| z * 0.5 + captured.clone() + x.clone();
            let solved = deq.solve(&x, start.clone(), map.clone());
            assert_eq!(solved.err(), Some(SolveError::CapturedAutodiff));
            // Without a solve, only the implicit gradient evaluates the map on plain tensors.
            let options = CallOptions {
                max_iter: Some(0),
                ..Default::default()
            };
            let solved = deq.solve_with(options, &x, start, map);
            assert_eq!(solved.is_err(), is_implicit);
        }
    }
}

#[test]
fn shapes_and_starts_are_checked_in_training_too() {
    for device in deq_devices::all() {
        let x = wave(2, 3, 0.5, 0.0, &device.clone().autodiff());
        let deq = DeqConfig::default().init().expect("a valid layer");
        let turned = deq.solve(&x, x.clone(), |_: &Matrix, z: Matrix| z.transpose());
        assert!(matches!(
            turned.err(),
            Some(SolveError::ShapeChanged { .. })
        ));
        let empty = Matrix::zeros([0, 3], &x.device());
        let empty = deq.solve(&x, empty, |_: &Matrix, z: Matrix| z);
        assert!(matches!(empty.err(), Some(SolveError::Empty(_))));
        let uneven = (Matrix::ones([2, 3], &device), Matrix::ones([3, 3], &device));
        let uneven = deq.solve(&x, uneven, |_: &Matrix, z: (Matrix, Matrix)| z);
        assert!(matches!(uneven.err(), Some(SolveError::BatchMismatch(_))));
        let nan = Matrix::full([2, 3], f32::NAN, &x.device());
        let solved = deq.solve(&x, nan, |_: &Matrix, z: Matrix| z * 0.5);
        let stats = solved.expect("a solve returns").stats;
        assert_eq!(stats.worst_status(), deq_solvers::Status::NonFinite);
    }
}

#[test]
fn a_map_without_z_has_the_gradient_of_its_arguments() {
    for device in deq_devices::all() {
        let x = wave(2, 3, 0.5, 0.0, &device.clone().autodiff()).require_grad();
        let deq = tight(SolverConfig::picard()).init().expect("a valid layer");
        let solved = deq.solve(&x, x.clone().inner(), |x: &Matrix, _: Matrix| {
            x.clone() * 3.0
        });
        let gradients = solved.expect("a valid solve").into_last().sum().backward();
        let dx = x.grad(&gradients).expect("a gradient");
        assert_eq!(values(&dx), vec![3.0; 6]);
    }
}

#[test]
fn states_cores_and_emissions_count_as_they_should() {
    for device in deq_devices::all() {
        let tanh = Tanh::new(2, &device);
        let base = DeqConfig::default().with_max_iter(10).with_tolerance(0.0);
        let states = |config: &DeqConfig| -> Vec<Vec<f32>> {
            tanh.solve(config).states().iter().map(values).collect()
        };
        let three = base.clone().with_states(States::Count(3));
        let sliced = states(&three);
        let indexed = states(&three.clone().with_core(Core::Indexing));
        assert_eq!((sliced.len(), indexed.len()), (3, 3));
        assert_ne!(sliced, indexed);
        let at = base.clone().with_states(States::At(vec![2]));
        assert_eq!(states(&at).len(), 2);
        assert_eq!(states(&at.with_core(Core::Indexing)).len(), 2);

        let emitting = |emit: Emit| {
            base.clone().with_gradient(Gradient::Phantom(Phantom {
                steps: 6,
                damping: 1.0,
                emit,
            }))
        };
        assert_eq!(states(&emitting(Emit::Last)).len(), 1);
        assert_eq!(states(&emitting(Emit::Every(2))).len(), 3);
        assert_eq!(states(&emitting(Emit::At(vec![1, 4]))).len(), 3);
    }
}

#[test]
fn earlier_states_take_the_gradients_they_are_given() {
    for device in deq_devices::all() {
        let gradient_of_first = |state_gradients: Vec<Gradient>, last: Gradient| {
            let tanh = Tanh::new(2, &device);
            let mut config = tight(SolverConfig::picard())
                .with_states(States::Count(2))
                .with_gradient(last);
            config.state_gradients = state_gradients;
            let first = tanh.solve(&config).into_states().swap_remove(0);
            tanh.gradients(first).0
        };
        let implicit = Gradient::implicit();
        let free = gradient_of_first(vec![Gradient::JacobianFree], implicit.clone());
        assert_eq!(gradient_of_first(vec![], implicit.clone()), free);
        assert_ne!(
            gradient_of_first(vec![implicit], Gradient::JacobianFree),
            free
        );
    }
}

#[test]
fn inference_obeys_its_own_cap() {
    for device in deq_devices::all() {
        let x = wave(2, 3, 0.5, 0.0, &device);
        let evaluations = |eval: Eval, call: Option<usize>| {
            let mut config = DeqConfig::default().with_max_iter(10).with_tolerance(0.0);
            config.eval = eval;
            let options = CallOptions {
                max_iter: call,
                ..Default::default()
            };
            let map = |x: &Matrix, z: Matrix| z * 0.9 + x.clone();
            let deq = config.init().expect("a valid layer");
            let solved = deq.solve_with(options, &x, x.clone(), map);
            solved.expect("a valid solve").stats.evaluations
        };
        let (factor, fixed) = (Eval::Factor(1.5), Eval::MaxIter(4));
        assert_eq!(evaluations(Eval::default(), None), 10);
        assert_eq!(evaluations(factor, None), 15);
        assert_eq!(evaluations(fixed, None), 4);
        assert_eq!(evaluations(fixed, Some(2)), 2);
    }
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let field = |change: &dyn Fn(&mut DeqConfig)| {
        let mut config = DeqConfig::default();
        change(&mut config);
        match config.init() {
            Err(SolveError::InvalidConfig { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(field(&|c| c.gradient = Gradient::phantom(0, 1.0)), "steps");
    assert_eq!(
        field(&|c| c.gradient = Gradient::phantom(1, 0.0)),
        "damping"
    );
    let emit = |emit: Emit| {
        Gradient::Phantom(Phantom {
            steps: 3,
            damping: 1.0,
            emit,
        })
    };
    assert_eq!(field(&|c| c.gradient = emit(Emit::Every(4))), "emit.every");
    assert_eq!(
        field(&|c| c.gradient = emit(Emit::At(vec![2, 1]))),
        "emit.at"
    );
    let backward = SolveConfig::default().with_tolerance(-1.0);
    assert_eq!(
        field(&|c| c.gradient = Gradient::implicit_with(backward.clone())),
        "tolerance"
    );
    assert_eq!(field(&|c| c.states = States::Count(0)), "states.count");
    assert_eq!(field(&|c| c.states = States::At(vec![40])), "states.at");
    assert_eq!(
        field(&|c| c.state_gradients = vec![Gradient::JacobianFree]),
        "state_gradients"
    );
    assert_eq!(field(&|c| c.eval = Eval::Factor(0.0)), "eval.factor");
    assert_eq!(
        field(&|c| c.forward.termination.tolerance = f64::NAN),
        "tolerance"
    );
}
