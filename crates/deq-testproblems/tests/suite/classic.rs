//! The classic problems at their starts, their solutions and their closed forms.

use burn::tensor::{DType, Tensor, TensorData};
use deq_testproblems::{RootProblem, classic, systems};

fn label(index: usize, problem: &RootProblem) -> String {
    format!("problem {}, {}", index + 1, problem.name())
}

#[test]
fn there_are_23_in_the_order_of_the_collection() {
    let problems = classic();
    let dimensions: Vec<usize> = problems.iter().map(RootProblem::dimension).collect();
    let expected = [
        10, 4, 2, 4, 3, 6, 9, 10, 10, 10, 10, 10, 10, 10, 4, 9, 2, 2, 2, 1, 2, 2, 10,
    ];
    assert_eq!(dimensions, expected);
    for (index, problem) in problems.iter().enumerate() {
        let residual = problem.residual(problem.start());
        assert_eq!(
            residual.len(),
            problem.dimension(),
            "{}",
            label(index, problem)
        );
    }
}

#[test]
fn solutions_are_roots() {
    let mut known = 0;
    for (index, problem) in classic().iter().enumerate() {
        let Some(solution) = problem.solution() else {
            continue;
        };
        known += 1;
        let residual = problem.residual_norm_max(solution);
        // Some sources give 7 digits.
        assert!(residual <= 1e-5, "{}: {residual}", label(index, problem));
    }
    assert_eq!(known, 22);
}

#[test]
fn starts_are_not_roots() {
    for (index, problem) in classic().iter().enumerate() {
        let residual = problem.residual_norm_max(problem.start());
        assert!(residual >= 1e-2, "{}: {residual}", label(index, problem));
    }
}

#[test]
fn other_roots_are_roots() {
    let check = |problem: RootProblem, root: &[f64], tolerance: f64| {
        let residual = problem.residual_norm_max(root);
        assert!(residual <= tolerance, "{}: {residual}", problem.name());
    };
    let wood = [-0.9679740, 0.9471391, -0.9695163, 0.9512477];
    check(systems::wood(), &wood, 1e-4);
    check(systems::dennis_schnabel(), &[3.0, 0.0], 0.0);
    check(systems::sample_18(), &[0.0, 7.0], 0.0);
    check(systems::scalar(), &[0.0], 0.0);
    check(systems::boggs(), &[-1.0, 2.0], 1e-15);
    check(systems::boggs(), &[-(0.5_f64.sqrt()), 1.5], 1e-15);
    // 2 a^2 - 3 a + 1 = 0 has the roots 1 and 1/2.
    check(systems::brown_almost_linear(2), &[0.5, 2.0], 0.0);
    for order in [2, 3, 5] {
        let problem = systems::matrix_square_root(order);
        let solution = problem.solution().expect("known at any order");
        let negative: Vec<f64> = solution.iter().map(|value| -value).collect();
        check(problem, &negative, 1e-15);
    }
}

#[test]
fn chebyquad_has_its_abscissas_where_they_are_real() {
    for dimension in 1..=10 {
        let problem = systems::chebyquad(dimension);
        let Some(solution) = problem.solution() else {
            assert!(dimension == 8 || dimension == 10);
            continue;
        };
        assert_eq!(solution.len(), dimension);
        assert!(problem.residual_norm_max(solution) <= 1e-9, "{dimension}");
    }
}

/// Both discretisations are of second order, so that the function they discretise nearly solves
/// them. Its fourth derivative is at most 48, which bounds the residual of the differences.
#[test]
fn the_discrete_problems_approach_their_closed_form() {
    let n = 100;
    let h = 1.0 / f64::from(n + 1);
    let exact: Vec<f64> = (1..=n)
        .map(|k| f64::from(k) * h)
        .map(|t| 2.0 / (2.0 - t) - t - 1.0)
        .collect();
    let differences = systems::discrete_boundary_value(exact.len());
    assert!(differences.residual_norm_max(&exact) <= 4.0 * h.powi(4));
    let integral = systems::discrete_integral_equation(exact.len());
    assert!(integral.residual_norm_max(&exact) <= h * h);
}

#[test]
fn the_mean_of_the_h_function_is_known() {
    let problem = systems::chandrasekhar(10);
    let mut x = problem.start().to_vec();
    for _ in 0..100 {
        let residual = problem.residual(&x);
        x = x.iter().zip(residual).map(|(x, g)| x - g).collect();
    }
    assert!(problem.residual_norm_max(&x) <= 1e-14);
    let mean = x.iter().sum::<f64>() / 10.0;
    let expected = 2.0 * (1.0 - 0.1_f64.sqrt()) / 0.9;
    assert!((mean - expected).abs() <= 1e-13, "{mean} {expected}");
}

#[test]
fn nan_passes_through() {
    for (index, problem) in classic().iter().enumerate() {
        let point = vec![f64::NAN; problem.dimension()];
        let norm = problem.residual_norm_max(&point);
        assert!(norm.is_nan(), "{}: {norm}", label(index, problem));
    }
}

#[test]
fn the_fixed_point_map_subtracts_the_residual_row_by_row() {
    for device in deq_devices::all() {
        for (index, problem) in classic().iter().enumerate() {
            let n = problem.dimension();
            let start = problem.start_tensor(&device, DType::F32);
            assert_eq!(start.dims(), [1, n]);
            let nan = TensorData::new(vec![f32::NAN; n], [1, n]);
            let nan = Tensor::<2>::from_data(nan, (&device, DType::F32));
            let image = problem.fixed_point_map()(Tensor::cat(vec![start, nan], 0));
            assert_eq!((image.dims(), image.dtype()), ([2, n], DType::F32));

            let image: Vec<f64> = image.into_data().iter::<f64>().collect();
            let residual = problem.residual(problem.start());
            let scale = 1.0 + problem.residual_norm_max(problem.start());
            for (k, value) in problem.start().iter().enumerate() {
                let error = (image[k] - (value - residual[k])).abs();
                assert!(error <= 1e-5 * scale, "{}: {error}", label(index, problem));
            }
            assert!(image[n..].iter().any(|value| value.is_nan()));
        }
    }
}
