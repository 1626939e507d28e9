//! The simplex frame, by its definition.

use crate::common::{all_near, near, product};
use deq_collapse::etf::{etf_target, random_etf, simplex_etf, standard_etf};
use deq_collapse::{CollapseError, Matrix};

/// Length 1, and a cosine of −1/(K−1) between any two columns.
fn is_simplex(frame: &Matrix) {
    let classes = frame.columns();
    let gram = product(&frame.transpose(), frame);
    for i in 0..classes {
        for j in 0..classes {
            let expected = if i == j {
                1.0
            } else {
                -1.0 / (classes - 1) as f64
            };
            near(gram[(i, j)], expected, 1e-12);
        }
    }
}

#[test]
fn every_construction_is_a_simplex() {
    for classes in [2, 3, 10] {
        is_simplex(&standard_etf(classes).expect("a frame"));
        for features in [classes - 1, classes, classes + 3] {
            let frame = random_etf(classes, features, 7).expect("a frame");
            assert_eq!((frame.rows(), frame.columns()), (features, classes));
            is_simplex(&frame);
        }
    }
    // Three unit vectors of four dimensions.
    let frame = Matrix::from_fn(4, 3, |i, j| if i == j + 1 { 1.0 } else { 0.0 });
    is_simplex(&simplex_etf(&frame).expect("a frame"));
}

#[test]
fn a_seed_turns_the_frame() {
    let frame = |seed| random_etf(3, 4, seed).expect("a frame");
    assert_eq!(frame(1), frame(1));
    assert_ne!(frame(1), frame(2));
}

#[test]
fn the_target_is_a_simplex_of_length_one() {
    let target = etf_target(5).expect("a target");
    near(target.norm(), 1.0, 1e-14);
    let frame = standard_etf(5).expect("a frame");
    let gram = product(&frame.transpose(), &frame);
    let length = gram.norm();
    all_near(target.values(), gram.scaled(1.0 / length).values(), 1e-14);
}

#[test]
fn what_has_no_simplex_is_refused() {
    for classes in [0, 1] {
        let one = standard_etf(classes).err();
        let expected = |error| {
            matches!(
                error,
                Some(CollapseError::InvalidConfig {
                    field: "classes",
                    ..
                })
            )
        };
        assert!(expected(one));
        assert!(expected(random_etf(classes, 3, 0).err()));
        assert!(expected(etf_target(classes).err()));
    }
    let narrow = random_etf(4, 2, 0).err();
    assert!(matches!(
        narrow,
        Some(CollapseError::InvalidConfig {
            field: "features",
            ..
        })
    ));
    // Two columns in one direction, and more columns than rows.
    let crooked = Matrix::from_fn(3, 2, |i, _| if i == 0 { 1.0 } else { 0.0 });
    let wide = Matrix::from_fn(2, 3, |i, j| if i == j { 1.0 } else { 0.0 });
    for frame in [crooked, wide] {
        let error = simplex_etf(&frame).err();
        assert!(matches!(error, Some(CollapseError::NotOrthonormal(_))));
    }
}
