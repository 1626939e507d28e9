//! Critical points from random starts, and what they are.

use crate::common::all_near;
use deq::prelude::*;
use deq_collapse::CollapseError;
use deq_collapse::ufm::{
    Kind, LanczosConfig, Landscape, MINIMUM, SADDLE, SearchConfig, UfmConfig, UfmLoss, landscape,
};

const LOSSES: [UfmLoss; 2] = [UfmLoss::CrossEntropy, UfmLoss::Mse];

fn balanced(loss: UfmLoss, sizes: [usize; 3]) -> UfmConfig {
    UfmConfig::balanced(loss, sizes, [0.02, 0.01])
}

fn search(starts: usize) -> SearchConfig {
    SearchConfig {
        starts,
        ..SearchConfig::default()
    }
}

fn found(config: &UfmConfig, search: &SearchConfig, device: &burn::tensor::Device) -> Landscape {
    let ufm = config.init().expect("valid");
    landscape(&ufm, search, device).expect("a valid search")
}

#[test]
fn every_critical_point_is_a_global_minimum_or_a_strict_saddle() {
    for device in deq::devices::double_precision() {
        for loss in LOSSES {
            for features in [3, 5] {
                let landscape = found(&balanced(loss, [3, 2, features]), &search(16), &device);
                assert_eq!(landscape.points.len(), 16);
                assert!(landscape.is_benign());
                assert_eq!(landscape.count(Kind::NotReached), 0);
                assert!(
                    landscape.count(Kind::GlobalMinimum) >= 4,
                    "those that went down"
                );
                assert!(
                    landscape.count(Kind::StrictSaddle) >= 1,
                    "those that did not"
                );
                let global = landscape.global_value.expect("a closed form");
                for point in &landscape.points {
                    assert!(point.gradient_norm <= 1e-10);
                    assert!(point.value >= global - MINIMUM, "none is below it");
                    let lowest = point.smallest_eigenvalue.expect("critical");
                    match point.kind {
                        Kind::GlobalMinimum => {
                            assert!((point.value - global).abs() <= MINIMUM);
                            assert!(lowest > -SADDLE);
                            assert!((point.certificate - 1.0).abs() < 1e-6);
                        }
                        _ => {
                            assert!(lowest < -SADDLE && point.certificate > 1.0 + 1e-6);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn without_a_closed_form_the_certificate_decides() {
    for device in deq::devices::double_precision() {
        let config = UfmConfig {
            counts: vec![3, 1, 1],
            lambda_b: Some(0.05),
            ..balanced(UfmLoss::CrossEntropy, [3, 1, 3])
        };
        let landscape = found(&config, &search(8), &device);
        assert_eq!(landscape.global_value, None);
        assert!(landscape.is_benign());
        let minima = landscape.points.iter();
        let minima = minima.filter(|point| point.kind == Kind::GlobalMinimum);
        let values: Vec<f64> = minima.map(|point| point.value).collect();
        assert!(values.len() >= 2);
        for value in &values {
            assert!((value - values[0]).abs() < MINIMUM, "one value for all");
        }
    }
}

#[test]
fn beyond_the_threshold_all_starts_end_at_the_origin() {
    for device in deq::devices::double_precision() {
        for loss in LOSSES {
            let config = UfmConfig::balanced(loss, [3, 2, 3], [0.5, 0.5]);
            let landscape = found(&config, &search(4), &device);
            assert_eq!(landscape.count(Kind::GlobalMinimum), 4);
            for point in &landscape.points {
                assert!(point.point.norm() < 1e-8);
                assert!(point.smallest_eigenvalue.is_some_and(|value| value > 0.0));
            }
        }
    }
}

/// The values at which the search ends.
fn values(search: &SearchConfig) -> Vec<f64> {
    let device = &deq::devices::double_precision()[0];
    let landscape = found(&balanced(UfmLoss::Mse, [2, 2, 2]), search, device);
    landscape.points.iter().map(|point| point.value).collect()
}

#[test]
fn every_option_has_its_effect() {
    // A search that hardly moves shows where it started.
    let still = SearchConfig {
        descent: vec![1],
        max_iter: 1,
        retries: 0,
        ..search(3)
    };
    let base = values(&still);
    let more = SearchConfig {
        starts: 5,
        ..still.clone()
    };
    // A start does not depend on those after it.
    all_near(&values(&more)[..3], &base, 1e-12);
    let changed = [
        SearchConfig {
            scale: 0.6,
            ..still.clone()
        },
        SearchConfig {
            seed: 1,
            ..still.clone()
        },
        SearchConfig {
            step: 0.4,
            ..still.clone()
        },
        SearchConfig {
            descent: vec![2],
            ..still.clone()
        },
        SearchConfig {
            max_iter: 3,
            ..still.clone()
        },
        SearchConfig {
            retries: 1,
            ..still.clone()
        },
        SearchConfig {
            solver: SolverConfig::anderson(),
            max_iter: 3,
            ..still.clone()
        },
    ];
    for search in &changed {
        assert_ne!(values(search), base, "{search:?}");
    }
    assert_ne!(values(&changed[4]), values(&changed[6]), "the solver");

    let kinds = |search: &SearchConfig| {
        let device = &deq::devices::double_precision()[0];
        let landscape = found(&balanced(UfmLoss::Mse, [2, 2, 2]), search, device);
        let points = landscape.points.iter();
        points
            .map(|point| (point.kind, point.descent, point.smallest_eigenvalue))
            .collect::<Vec<_>>()
    };
    assert!(kinds(&still).iter().all(|(kind, descent, lowest)| {
        *kind == Kind::NotReached && *descent == 1 && lowest.is_none()
    }));
    // A further try is made 50 steps further down.
    let again = SearchConfig {
        retries: 1,
        ..still.clone()
    };
    assert!(kinds(&again).iter().all(|(_, descent, _)| *descent == 51));
    let loose = SearchConfig {
        gradient_tolerance: 10.0,
        ..still.clone()
    };
    assert!(
        kinds(&loose)
            .iter()
            .all(|(kind, ..)| *kind != Kind::NotReached)
    );
    let rough = SearchConfig {
        lanczos: LanczosConfig {
            max_steps: 1,
            ..LanczosConfig::default()
        },
        ..loose.clone()
    };
    assert_ne!(kinds(&rough), kinds(&loose));
}

#[test]
fn a_step_of_newton_does_not_depend_on_the_map_s() {
    let newton = |step: f64| SearchConfig {
        step,
        descent: vec![0],
        retries: 0,
        ..search(3)
    };
    for (a, b) in values(&newton(0.5)).into_iter().zip(values(&newton(0.25))) {
        assert!((a - b).abs() < 1e-8, "{a} {b}");
    }
}

#[test]
fn the_search_survives_toml_and_refuses_what_cannot_be() {
    let config = SearchConfig::default();
    let text = toml::to_string(&config).expect("serialises");
    assert_eq!(
        toml::from_str::<SearchConfig>(&text).expect("reads"),
        config
    );
    assert!(toml::from_str::<SearchConfig>("restarts = 3").is_err());
    let field = |config: SearchConfig| match config.validate() {
        Err(CollapseError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let base = SearchConfig::default;
    assert_eq!(
        field(SearchConfig {
            starts: 0,
            ..base()
        }),
        "starts"
    );
    assert_eq!(
        field(SearchConfig {
            max_iter: 0,
            ..base()
        }),
        "max_iter"
    );
    assert_eq!(
        field(SearchConfig {
            scale: 0.0,
            ..base()
        }),
        "scale"
    );
    assert_eq!(
        field(SearchConfig {
            step: f64::NAN,
            ..base()
        }),
        "step"
    );
    assert_eq!(
        field(SearchConfig {
            descent: vec![],
            ..base()
        }),
        "descent"
    );
    let tolerance = SearchConfig {
        gradient_tolerance: -1.0,
        ..base()
    };
    assert_eq!(field(tolerance), "gradient_tolerance");
    let solver = SearchConfig {
        solver: serde_json::from_str(r#"{"kind": "picard", "damping": 2.0}"#).expect("reads"),
        ..base()
    };
    assert!(matches!(solver.validate(), Err(CollapseError::Solve(_))));
}
