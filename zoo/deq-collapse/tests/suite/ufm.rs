//! The unconstrained feature model: derivatives against differences, minima, origin.

use crate::common::{all_near, near, product, random_point};
use deq_collapse::ufm::{Minimiser, Point, Ufm, UfmConfig, UfmLoss};
use deq_collapse::{CollapseError, Matrix};

const LOSSES: [UfmLoss; 2] = [UfmLoss::CrossEntropy, UfmLoss::Mse];

fn config(loss: UfmLoss, counts: &[usize], features: usize, lambda_b: Option<f64>) -> UfmConfig {
    UfmConfig {
        loss,
        counts: counts.to_vec(),
        features,
        lambda_w: 0.02,
        lambda_h: 0.01,
        lambda_b,
    }
}

fn model(loss: UfmLoss, counts: &[usize], features: usize, lambda_b: Option<f64>) -> Ufm {
    let config = config(loss, counts, features, lambda_b);
    config.init().expect("valid")
}

/// All kinds of models, small.
fn models() -> Vec<Ufm> {
    let mut models = Vec::new();
    for loss in LOSSES {
        for counts in [[2, 2, 2], [3, 1, 2]] {
            for lambda_b in [None, Some(0.0), Some(0.05)] {
                for features in [2, 3, 5] {
                    models.push(model(loss, &counts, features, lambda_b));
                }
            }
        }
    }
    models
}

fn value(ufm: &Ufm, point: &Point) -> f64 {
    ufm.objective(point).expect("fits")
}

/// `point + step * direction`.
fn moved(ufm: &Ufm, point: &Point, step: f64, direction: &Point) -> Point {
    let pairs = point.to_values().into_iter().zip(direction.to_values());
    let values: Vec<f64> = pairs.map(|(z, v)| z + step * v).collect();
    Point::from_values(ufm, &values).expect("fits")
}

fn inner(a: &Point, b: &Point) -> f64 {
    let pairs = a.to_values().into_iter().zip(b.to_values());
    pairs.map(|(a, b)| a * b).sum()
}

#[test]
fn the_objective_is_its_definition() {
    for ufm in models() {
        let point = random_point(&ufm, 1.0, 1);
        let config = ufm.config();
        let mut loss = 0.0;
        for (sample, &label) in ufm.labels().iter().enumerate() {
            let logit = |class: usize| {
                let bias = point.bias.get(class).copied().unwrap_or(0.0);
                let products = (0..ufm.features())
                    .map(|j| point.weight[(class, j)] * point.features[(j, sample)]);
                products.sum::<f64>() + bias
            };
            let logits: Vec<f64> = (0..ufm.classes()).map(logit).collect();
            loss += match config.loss {
                UfmLoss::CrossEntropy => {
                    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
                    -(logits[label].exp() / total).ln()
                }
                UfmLoss::Mse => {
                    let target = |class| if class == label { 1.0 } else { 0.0 };
                    let errors = logits.iter().enumerate();
                    0.5 * errors.map(|(k, u)| (u - target(k)).powi(2)).sum::<f64>()
                }
            };
        }
        let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        let expected = loss / ufm.samples() as f64
            + 0.01 * square(point.weight.values())
            + 0.005 * square(point.features.values())
            + 0.5 * config.lambda_b.unwrap_or(0.0) * square(&point.bias);
        near(value(&ufm, &point), expected, 1e-13);
    }
}

#[test]
fn gradients_and_products_agree_with_differences() {
    for ufm in models() {
        let point = random_point(&ufm, 1.0, 2);
        let gradient = ufm.gradient(&point).expect("fits");
        for seed in 0..3 {
            let direction = random_point(&ufm, 1.0, 10 + seed);
            let step = 1e-5;
            let [after, before] = [step, -step].map(|step| moved(&ufm, &point, step, &direction));
            let slope = (value(&ufm, &after) - value(&ufm, &before)) / (2.0 * step);
            near(inner(&gradient, &direction), slope, 1e-9);
            let [after, before] =
                [after, before].map(|point| ufm.gradient(&point).expect("fits").to_values());
            let differences = after.iter().zip(&before);
            let differences: Vec<f64> = differences.map(|(a, b)| (a - b) / (2.0 * step)).collect();
            let found = ufm.hessian_product(&point, &direction).expect("fits");
            all_near(&found.to_values(), &differences, 1e-9);
        }
    }
}

#[test]
fn logits_of_any_size_do_not_overflow() {
    let ufm = model(UfmLoss::CrossEntropy, &[2, 2], 2, None);
    let point = random_point(&ufm, 100.0, 3);
    assert!(value(&ufm, &point).is_finite());
    assert!(ufm.gradient(&point).expect("fits").norm().is_finite());
}

#[test]
fn the_minimiser_is_critical_and_below_everything_else() {
    let mut with_closed_form = 0;
    for ufm in models() {
        let Ok(Minimiser {
            point,
            value: least,
            ..
        }) = ufm.minimiser()
        else {
            continue;
        };
        with_closed_form += 1;
        near(value(&ufm, &point), least, 1e-15);
        near(ufm.gradient(&point).expect("fits").norm(), 0.0, 1e-14);
        for seed in 0..20 {
            let direction = random_point(&ufm, 1.0, 100 + seed);
            for step in [1e-2, 0.3, 1.0] {
                let other = moved(&ufm, &point, step, &direction);
                assert!(value(&ufm, &other) >= least, "{:?}", ufm.config());
            }
            assert!(value(&ufm, &random_point(&ufm, 2.0, seed)) > least);
        }
        if ufm.features() >= ufm.classes() {
            let certificate = ufm.certificate(&point).expect("fits");
            assert!(
                certificate <= 1.0 + 1e-9,
                "{certificate} {:?}",
                ufm.config()
            );
        }
    }
    // Cross-entropy: balanced alone, 3 biases by 3 widths. Squared error: 2 counts by 3 widths
    // without bias and with a free one, and balanced with a decayed one for two widths.
    assert_eq!(with_closed_form, 9 + 12 + 2);
}

#[test]
fn minima_have_the_form_of_the_formulas() {
    for features in [3, 5] {
        let ufm = model(UfmLoss::CrossEntropy, &[2; 3], features, None);
        let found = ufm.minimiser().expect("a closed form");
        // The project's notes: t = 0.04.
        near(
            found.factor.expect("balanced"),
            3.871_201_010_907_891,
            1e-14,
        );
        let ufm = model(UfmLoss::Mse, &[2; 3], features, None);
        let found = ufm.minimiser().expect("a closed form");
        near(found.factor.expect("balanced"), 0.94, 1e-14);
        let logits = product(&found.point.weight, &found.point.features);
        for (sample, &label) in ufm.labels().iter().enumerate() {
            for class in 0..3 {
                let expected = if class == label { 0.94 } else { 0.0 };
                near(logits[(class, sample)], expected, 1e-14);
            }
        }
    }
}

#[test]
fn any_turn_of_a_minimiser_is_one() {
    let ufm = model(UfmLoss::CrossEntropy, &[2; 3], 3, None);
    let found = ufm.minimiser().expect("a closed form");
    let (sine, cosine) = 0.7f64.sin_cos();
    let turn = [[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, -1.0]];
    let turn = Matrix::from_fn(3, 3, |i, j| turn[i][j]);
    let turned = Point {
        weight: product(&found.point.weight, &turn),
        features: product(&turn.transpose(), &found.point.features),
        bias: Vec::new(),
    };
    near(value(&ufm, &turned), found.value, 1e-14);
    near(ufm.gradient(&turned).expect("fits").norm(), 0.0, 1e-14);
}

#[test]
fn strong_decay_leaves_the_origin_alone() {
    for loss in LOSSES {
        for lambda_b in [None, Some(0.0), Some(0.3)] {
            let config = UfmConfig {
                lambda_w: 1.0,
                lambda_h: 1.0,
                ..config(loss, &[2; 3], 3, lambda_b)
            };
            let ufm = config.init().expect("valid");
            let found = ufm.minimiser().expect("a closed form").point;
            near(found.weight.norm() + found.features.norm(), 0.0, 0.0);
            let origin = ufm.origin().expect("a closed form");
            all_near(&found.to_values(), &origin.to_values(), 1e-15);
        }
    }
}

#[test]
fn the_origin_is_critical_and_has_its_spectrum() {
    for ufm in models() {
        let Ok(origin) = ufm.origin() else {
            let config = ufm.config();
            assert_eq!(
                (config.loss, config.lambda_b),
                (UfmLoss::CrossEntropy, Some(0.05))
            );
            assert_ne!(config.counts[0], config.counts[1]);
            continue;
        };
        near(ufm.gradient(&origin).expect("fits").norm(), 0.0, 1e-14);
        let spectrum = ufm.origin_spectrum().expect("a closed form");
        let count: usize = spectrum.iter().map(|eigen| eigen.multiplicity).sum();
        assert_eq!(count, ufm.features() * (ufm.classes() + ufm.samples()));
        // Trace and squared norm of the Hessian's block in W and H.
        let (mut trace, mut squares) = (0.0, 0.0);
        for index in 0..count {
            let mut unit = vec![0.0; ufm.dimension()];
            unit[index] = 1.0;
            let unit = Point::from_values(&ufm, &unit).expect("fits");
            let column = ufm
                .hessian_product(&origin, &unit)
                .expect("fits")
                .to_values();
            trace += column[index];
            squares += column[..count]
                .iter()
                .map(|value| value * value)
                .sum::<f64>();
            near(
                column[count..].iter().map(|value| value.abs()).sum(),
                0.0,
                0.0,
            );
        }
        let sum = |power: i32| {
            let terms = spectrum.iter();
            terms
                .map(|eigen| eigen.multiplicity as f64 * eigen.value.powi(power))
                .sum::<f64>()
        };
        near(sum(1), trace, 1e-12);
        near(sum(2), squares, 1e-12);
        let least = spectrum[0].value;
        near(ufm.origin_smallest().expect("a closed form"), least, 0.0);
        assert!(
            spectrum
                .windows(2)
                .all(|pair| pair[0].value <= pair[1].value)
        );
    }
}

/// The balanced model whose $K\sqrt n\,\mu$ is this.
fn at_threshold(loss: UfmLoss, [classes, samples, features]: [usize; 3], at: f64) -> Ufm {
    let mu = at / (classes as f64 * (samples as f64).sqrt());
    // λ_W and λ_H differ, and their root is μ.
    let lambdas = [2.0 * mu, 0.5 * mu];
    let config = UfmConfig::balanced(loss, [classes, samples, features], lambdas);
    config.init().expect("valid")
}

#[test]
fn the_origin_turns_from_saddle_to_minimum_at_one() {
    for loss in LOSSES {
        for sizes in [[3, 2, 3], [5, 4, 7], [10, 1, 10]] {
            for distance in [1e-1, 1e-3, 1e-6, 1e-9] {
                let below = at_threshold(loss, sizes, 1.0 - distance);
                let above = at_threshold(loss, sizes, 1.0 + distance);
                let threshold = |ufm: &Ufm| ufm.origin_threshold().expect("a closed form");
                near(threshold(&below), 1.0 - distance, 1e-13);
                near(threshold(&above), 1.0 + distance, 1e-13);
                let smallest = |ufm: &Ufm| ufm.origin_smallest().expect("a closed form");
                assert!(
                    smallest(&below) < 0.0 && smallest(&above) > 0.0,
                    "{distance}"
                );
                // Below, the minimum is elsewhere; above, it is the origin.
                let factor = |ufm: &Ufm| ufm.minimiser().expect("a closed form").factor;
                assert!(factor(&below) > Some(0.0));
                assert_eq!(factor(&above), Some(0.0));
                let origin = above.origin().expect("a closed form");
                let least = above.minimiser().expect("a closed form").value;
                near(value(&above, &origin), least, 1e-15);
            }
            let at = at_threshold(loss, sizes, 1.0);
            near(at.origin_smallest().expect("a closed form"), 0.0, 1e-15);
        }
    }
}

#[test]
fn every_constant_changes_the_objective() {
    let base = config(UfmLoss::Mse, &[2, 1], 2, Some(0.1));
    let at = |config: &UfmConfig| {
        let ufm = config.init().expect("valid");
        let values: Vec<f64> = (0..ufm.dimension()).map(|i| 0.3 + 0.1 * i as f64).collect();
        value(&ufm, &Point::from_values(&ufm, &values).expect("fits"))
    };
    let changed = [
        UfmConfig {
            loss: UfmLoss::CrossEntropy,
            ..base.clone()
        },
        UfmConfig {
            counts: vec![1, 2],
            ..base.clone()
        },
        UfmConfig {
            features: 3,
            ..base.clone()
        },
        UfmConfig {
            lambda_w: 0.03,
            ..base.clone()
        },
        UfmConfig {
            lambda_h: 0.03,
            ..base.clone()
        },
        UfmConfig {
            lambda_b: Some(0.2),
            ..base.clone()
        },
        UfmConfig {
            lambda_b: None,
            ..base.clone()
        },
    ];
    for config in changed {
        assert_ne!(at(&config), at(&base), "{config:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let field = |config: UfmConfig| match config.init() {
        Err(CollapseError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let base = config(UfmLoss::Mse, &[2, 1], 2, None);
    let wrong = [
        (
            "classes",
            UfmConfig {
                counts: vec![3],
                ..base.clone()
            },
        ),
        (
            "counts",
            UfmConfig {
                counts: vec![3, 0],
                ..base.clone()
            },
        ),
        (
            "features",
            UfmConfig {
                features: 0,
                ..base.clone()
            },
        ),
        (
            "lambda_w",
            UfmConfig {
                lambda_w: 0.0,
                ..base.clone()
            },
        ),
        (
            "lambda_h",
            UfmConfig {
                lambda_h: f64::NAN,
                ..base.clone()
            },
        ),
        (
            "lambda_b",
            UfmConfig {
                lambda_b: Some(-0.1),
                ..base.clone()
            },
        ),
    ];
    for (expected, config) in wrong {
        assert_eq!(field(config.clone()), expected, "{config:?}");
    }
    let text = r#"{"loss": "mse", "counts": [1, 1], "features": 2, "lambda_w": 1.0, "lambda_h": 1.0, "lambda_b": null}"#;
    let read: UfmConfig = serde_json::from_str(text).expect("reads");
    assert_eq!(read.lambda_b, None);
    assert!(serde_json::from_str::<UfmConfig>(&text.replace("lambda_b", "bias")).is_err());

    // Closed forms that do not exist.
    for ufm in [
        model(UfmLoss::CrossEntropy, &[2, 1, 1], 3, None),
        model(UfmLoss::CrossEntropy, &[2, 2, 2, 2], 2, None),
        model(UfmLoss::Mse, &[2, 1, 1], 3, Some(0.1)),
        model(UfmLoss::Mse, &[2, 2, 2], 2, Some(0.1)),
    ] {
        assert!(matches!(
            ufm.minimiser(),
            Err(CollapseError::NoClosedForm(_))
        ));
    }

    // Points of another model.
    let ufm = base.init().expect("valid");
    let other = random_point(&model(UfmLoss::Mse, &[2, 1], 3, None), 1.0, 0);
    let biased = random_point(&model(UfmLoss::Mse, &[2, 1], 2, Some(0.0)), 1.0, 0);
    let fitting = random_point(&ufm, 1.0, 0);
    for wrong in [other, biased] {
        assert!(ufm.objective(&wrong).is_err());
        assert!(ufm.gradient(&wrong).is_err());
        assert!(ufm.certificate(&wrong).is_err());
        assert!(ufm.hessian_product(&wrong, &fitting).is_err());
        assert!(ufm.hessian_product(&fitting, &wrong).is_err());
    }
    assert!(Point::from_values(&ufm, &[0.0; 3]).is_err());
}
