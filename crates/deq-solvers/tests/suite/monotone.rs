//! Splitting methods on monotone layers that the plain iteration cannot solve.

use burn::tensor::{Device, Tensor, TensorData};
use deq_solvers::splitting::{
    ForwardBackward, MonotoneLayer, PeacemanRachford, Splitting, solve_monotone,
};
use deq_solvers::{
    AndersonConfig, DriveOptions, Mixing, SolveConfig, SolveError, SolverConfig, Status,
};

type Matrix = Tensor<2>;

/// $z = \mathrm{relu}(W z + b)$ in the plane, with the resolvent in closed form.
struct Plane {
    w: [[f64; 2]; 2],
    bias: Matrix,
}

impl Plane {
    /// $I - W = \begin{pmatrix} m & t \\ -t & m \end{pmatrix}$: monotone with margin `m`, and
    /// turning by `t`.
    fn new(m: f64, t: f64, device: &Device) -> Self {
        Self {
            w: [[1.0 - m, -t], [t, 1.0 - m]],
            bias: Matrix::from_floats([[1.0, 0.5], [-0.3, 2.0], [0.7, -1.5]], device),
        }
    }

    fn product(matrix: [[f64; 2]; 2], z: &Matrix) -> Matrix {
        // Rows are samples, so the matrix goes in transposed.
        let [[a, b], [c, d]] = matrix;
        let data = TensorData::new(vec![a, c, b, d], [2, 2]).convert_dtype(z.dtype());
        z.clone().matmul(Matrix::from_data(data, &z.device()))
    }

    fn plain(&self, z: Matrix) -> Matrix {
        self.prox(1.0, self.linear(&z) + self.bias())
    }
}

impl MonotoneLayer for Plane {
    fn linear(&self, z: &Matrix) -> Matrix {
        Self::product(self.w, z)
    }

    fn bias(&self) -> Matrix {
        self.bias.clone()
    }

    fn resolvent(&self, alpha: f64, v: &Matrix) -> Matrix {
        let [[a, b], [c, d]] = self.w;
        let (a, b, c, d) = (
            1.0 + alpha * (1.0 - a),
            -alpha * b,
            -alpha * c,
            1.0 + alpha * (1.0 - d),
        );
        let determinant = a * d - b * c;
        let inverse = [[d, -b], [-c, a]].map(|row| row.map(|x| x / determinant));
        Self::product(inverse, v)
    }
}

fn config(solver: SolverConfig) -> SolveConfig {
    SolveConfig::new(solver)
        .with_tolerance(1e-5)
        .with_max_iter(400)
}

#[test]
fn both_splittings_solve_what_the_plain_iteration_does_not() {
    for device in deq_devices::all() {
        let layer = Plane::new(0.5, 2.0, &device);
        let start = Matrix::zeros([3, 2], &device);
        let plain = config(SolverConfig::picard()).solve(|z| layer.plain(z), start.clone());
        assert!(!plain.expect("a valid solve").stats.all_converged());

        let anderson = SolverConfig::Anderson(AndersonConfig {
            mixing: Mixing::Qr,
            ..AndersonConfig::default()
        });
        // 2 m / |I - W|² = 0.235.
        let forward_backward = ForwardBackward { alpha: 0.12 };
        let peaceman_rachford = PeacemanRachford { alpha: 0.5 };
        for solver in [SolverConfig::picard(), anderson] {
            let config = config(solver);
            let check = |splitting: &dyn Fn() -> deq_solvers::Solution<Matrix>| {
                let solution = splitting();
                assert!(solution.stats.all_converged(), "{:?}", solution.stats);
                let z = solution.state;
                let error = (layer.plain(z.clone()) - z)
                    .abs()
                    .max()
                    .into_scalar::<f32>();
                assert!(error < 1e-3, "{error}");
            };
            let options = DriveOptions::default;
            check(&|| {
                solve_monotone(&config, &forward_backward, &layer, options(), start.clone())
                    .expect("a valid solve")
            });
            check(&|| {
                solve_monotone(
                    &config,
                    &peaceman_rachford,
                    &layer,
                    options(),
                    start.clone(),
                )
                .expect("a valid solve")
            });
        }
    }
}

#[test]
fn a_start_at_the_solution_is_recognised() {
    for device in deq_devices::all() {
        let layer = Plane::new(0.5, 2.0, &device);
        let splitting = PeacemanRachford { alpha: 0.5 };
        let tight = config(SolverConfig::picard()).with_tolerance(1e-6);
        let start = Matrix::zeros([3, 2], &device);
        let solution = solve_monotone(&tight, &splitting, &layer, DriveOptions::default(), start)
            .expect("a valid solve");
        let again = solve_monotone(
            &config(SolverConfig::picard()),
            &splitting,
            &layer,
            DriveOptions::default(),
            solution.state,
        );
        let stats = again.expect("a valid solve").stats;
        assert_eq!((stats.steps, stats.worst_status()), (1, Status::Converged));
    }
}

#[test]
fn alpha_is_checked() {
    for device in deq_devices::all() {
        let layer = Plane::new(0.5, 2.0, &device);
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = solve_monotone(
                &SolveConfig::default(),
                &PeacemanRachford { alpha },
                &layer,
                DriveOptions::default(),
                Matrix::zeros([3, 2], &device),
            );
            assert!(matches!(
                error,
                Err(SolveError::InvalidConfig { field: "alpha", .. })
            ));
            assert!(ForwardBackward { alpha }.validate().is_err());
        }
    }
}
