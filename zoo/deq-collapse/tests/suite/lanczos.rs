//! Lanczos's method against all eigenvalues of small dense matrices.

use crate::common::{all_near, near, noise, random_point};
use deq_collapse::ufm::{LanczosConfig, Point, Ufm, UfmConfig, UfmLoss, smallest_eigenvalue};
use deq_collapse::{CollapseError, Matrix};

/// The dense Hessian, a product with each unit vector.
fn hessian(ufm: &Ufm, point: &Point) -> Matrix {
    let size = ufm.dimension();
    let row = |index: usize| {
        let mut unit = vec![0.0; size];
        unit[index] = 1.0;
        let unit = Point::from_values(ufm, &unit).expect("fits");
        ufm.hessian_product(point, &unit).expect("fits").to_values()
    };
    Matrix::new(size, size, (0..size).flat_map(row).collect()).expect("fits")
}

/// All eigenvalues of a symmetric matrix by Jacobi's rotations, each on the largest entry.
fn jacobi(mut a: Matrix) -> Vec<f64> {
    let size = a.rows();
    for _ in 0..100 * size * size {
        let (mut p, mut q) = (0, 1);
        for i in 0..size {
            for j in i + 1..size {
                if a[(i, j)].abs() > a[(p, q)].abs() {
                    (p, q) = (i, j);
                }
            }
        }
        if a[(p, q)].abs() < 1e-15 {
            break;
        }
        let angle = 0.5 * (2.0 * a[(p, q)]).atan2(a[(p, p)] - a[(q, q)]);
        let (sine, cosine) = angle.sin_cos();
        for k in 0..size {
            let (left, right) = (a[(k, p)], a[(k, q)]);
            a[(k, p)] = cosine * left + sine * right;
            a[(k, q)] = cosine * right - sine * left;
        }
        for k in 0..size {
            let (upper, lower) = (a[(p, k)], a[(q, k)]);
            a[(p, k)] = cosine * upper + sine * lower;
            a[(q, k)] = cosine * lower - sine * upper;
        }
    }
    let mut values: Vec<f64> = (0..size).map(|i| a[(i, i)]).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[test]
fn the_smallest_eigenvalue_is_that_of_the_dense_hessian() {
    for loss in [UfmLoss::CrossEntropy, UfmLoss::Mse] {
        for lambda_b in [None, Some(0.05)] {
            let ufm = UfmConfig {
                loss,
                counts: vec![2, 1, 1],
                features: 2,
                lambda_w: 0.02,
                lambda_h: 0.01,
                lambda_b,
            };
            let ufm = ufm.init().expect("valid");
            for seed in 0..3 {
                let point = random_point(&ufm, 1.0, seed);
                let dense = hessian(&ufm, &point);
                all_near(dense.values(), dense.transpose().values(), 1e-13);
                let expected = jacobi(dense)[0];
                let product = |values: &[f64]| {
                    let direction = Point::from_values(&ufm, values).expect("fits");
                    let product = ufm.hessian_product(&point, &direction);
                    product.expect("fits").to_values()
                };
                let config = LanczosConfig::default();
                let found = smallest_eigenvalue(ufm.dimension(), product, &config);
                let found = found.expect("valid");
                near(found.value, expected, 1e-10);
                assert!(found.steps <= ufm.dimension());
            }
        }
    }
}

/// A diagonal matrix: −1, and then evenly from 0 to 10.
fn diagonal(size: usize) -> impl Fn(&[f64]) -> Vec<f64> {
    move |vector| {
        let entry = |i: usize| {
            if i == 0 {
                -1.0
            } else {
                10.0 * i as f64 / size as f64
            }
        };
        let entries = vector.iter().enumerate();
        entries.map(|(i, value)| entry(i) * value).collect()
    }
}

#[test]
fn every_option_has_its_effect() {
    let find = |config: LanczosConfig| smallest_eigenvalue(200, diagonal(200), &config);
    let base = find(LanczosConfig::default()).expect("valid");
    near(base.value, -1.0, 1e-8);
    assert!(base.residual < 1e-8 && base.steps < 200);
    let rough = LanczosConfig {
        tolerance: 1e-2,
        ..LanczosConfig::default()
    };
    let rough = find(rough).expect("valid");
    assert!(rough.steps < base.steps && rough.residual > base.residual);
    let short = LanczosConfig {
        max_steps: 5,
        ..LanczosConfig::default()
    };
    let short = find(short).expect("valid");
    assert_eq!(short.steps, 5);
    assert!(short.value > -1.0, "a Ritz value is never below");
    let other = LanczosConfig {
        seed: 1,
        ..LanczosConfig::default()
    };
    assert_ne!(find(other).expect("valid").residual, base.residual);
}

#[test]
fn an_exhausted_space_ends_early() {
    // Two eigenvalues, whatever the size.
    let product = |vector: &[f64]| -> Vec<f64> {
        let entry = |(i, value): (usize, &f64)| if i < 7 { -0.5 * value } else { 2.0 * value };
        vector.iter().enumerate().map(entry).collect()
    };
    let found = smallest_eigenvalue(50, product, &LanczosConfig::default()).expect("valid");
    near(found.value, -0.5, 1e-13);
    assert!(found.steps <= 3, "{}", found.steps);
}

#[test]
fn what_cannot_be_is_refused() {
    let config = LanczosConfig::default();
    let field = |dimension, config: &LanczosConfig| match smallest_eigenvalue(
        dimension,
        diagonal(4),
        config,
    ) {
        Err(CollapseError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(0, &config), "dimension");
    let none = LanczosConfig {
        max_steps: 0,
        ..config
    };
    assert_eq!(field(4, &none), "max_steps");
    for tolerance in [0.0, -1.0, f64::NAN] {
        let wrong = LanczosConfig {
            tolerance,
            ..config
        };
        assert_eq!(field(4, &wrong), "tolerance");
    }
    let short = smallest_eigenvalue(4, |_| noise(3, 0), &config);
    assert!(matches!(short, Err(CollapseError::Mismatch { .. })));
}
