//! Replays the `collapse` fixtures: measures of collapse, and the unconstrained feature model.

use burn::tensor::{Device, TensorData};
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

use crate::ufm::{Minimiser, Point, Ufm, UfmConfig, UfmLoss};
use crate::{Center, CollapseError, LinearHead, Matrix, Moments, etf, measures};

/// Both kinds of fixtures have the same model; their inputs tell them apart.
const MODEL: &str = "collapse";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasuresConfig {
    #[serde(rename = "K")]
    classes: usize,
    #[serde(rename = "d")]
    features: usize,
    counts: Vec<usize>,
    /// How the fixture's features were made; they are stored.
    #[serde(rename = "noise")]
    _noise: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    loss: UfmLoss,
    #[serde(rename = "K")]
    classes: usize,
    #[serde(rename = "n")]
    samples: usize,
    #[serde(rename = "d")]
    features: usize,
    #[serde(rename = "lambda_W")]
    lambda_w: f64,
    #[serde(rename = "lambda_H")]
    lambda_h: f64,
}

/// Computes a fixture's measures, or the minimum, the origin and the gradient of its model.
///
/// The features of the measures pass through the device; everything else is computed on the host.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model(MODEL)?;
    let has_features = data(fixture, "input.features").is_ok();
    if has_features {
        replay_measures(fixture, device)
    } else {
        replay_model(fixture)
    }
}

fn replay_measures(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    let config: MeasuresConfig = fixture.config()?;
    let features = fixture.tensor::<2>("input.features", device)?;
    let samples = matrix(fixture, "input.features")?;
    let labels = data(fixture, "input.labels")?.iter::<i64>();
    let labels: Vec<usize> = labels.map(|label| label as usize).collect();
    let bias: Vec<f64> = data(fixture, "input.bias")?.iter::<f64>().collect();
    let head = LinearHead::new(matrix(fixture, "input.W")?, bias).map_err(FixtureError::replay)?;

    let statistics = Moments::new(config.classes, config.features)
        .and_then(|mut moments| {
            moments.add_batch(features, &labels)?;
            moments.statistics()
        })
        .map_err(FixtureError::replay)?;
    if statistics.counts() != config.counts {
        return Err(FixtureError::replay(format!(
            "the labels count {:?}, the configuration {:?}",
            statistics.counts(),
            config.counts
        )));
    }

    let mut results = Results::new();
    insert(&mut results, "class_means", statistics.means());
    insert(&mut results, "Sigma_W", statistics.within());
    for (center, suffix) in [
        (Center::Samples, ""),
        (Center::ClassMeans, "_class_mean_center"),
    ] {
        let found = measures(&statistics, &head, center).map_err(FixtureError::replay)?;
        let between = statistics.between(center);
        insert(&mut results, &format!("Sigma_B{suffix}"), &between);
        insert_number(&mut results, &format!("nc1{suffix}"), found.nc1);
        insert_number(&mut results, &format!("nc3{suffix}"), found.nc3);
        insert_number(&mut results, &format!("nc_bias{suffix}"), found.bias);
        if center == Center::Samples {
            insert_number(&mut results, "nc2", found.nc2);
            insert_number(&mut results, "equinorm_W", found.equinorm_weight);
            insert_number(&mut results, "equinorm_means", found.equinorm_means);
        }
    }

    let rows = || (0..samples.rows()).map(|row| samples.row(row));
    let predicted: Vec<i64> = rows().map(|row| head.predict(row) as i64).collect();
    let nearest: Vec<i64> = rows().map(|row| statistics.nearest(row) as i64).collect();
    let differ = predicted.iter().zip(&nearest).filter(|(a, b)| a != b);
    let mismatch = differ.count() as f64 / samples.rows() as f64;
    insert_number(&mut results, "ncc_mismatch", mismatch);
    insert_integers(&mut results, "prediction", predicted);
    insert_integers(&mut results, "nearest_class_mean", nearest);

    let frame = etf::simplex_etf(&matrix(fixture, "input.P")?).map_err(FixtureError::replay)?;
    let target = etf::etf_target(config.classes).map_err(FixtureError::replay)?;
    insert(&mut results, "etf", &frame);
    insert(&mut results, "etf_gram", &frame.transposed_matmul(&frame));
    insert(&mut results, "etf_target", &target);
    Ok(results)
}

fn replay_model(fixture: &Fixture) -> Result<Results, FixtureError> {
    let config: ModelConfig = fixture.config()?;
    let sizes = [config.classes, config.samples, config.features];
    let ufm = UfmConfig::balanced(config.loss, sizes, [config.lambda_w, config.lambda_h])
        .init()
        .map_err(FixtureError::replay)?;
    let start = Point {
        weight: matrix(fixture, "input.W0")?,
        features: matrix(fixture, "input.H0")?,
        bias: Vec::new(),
    };
    let mut results = Results::new();
    insert_minimum(&mut results, fixture, &ufm)?;
    insert_elsewhere(&mut results, &ufm, &start).map_err(FixtureError::replay)?;
    Ok(results)
}

fn insert_minimum(results: &mut Results, fixture: &Fixture, ufm: &Ufm) -> Result<(), FixtureError> {
    let Minimiser {
        point,
        value,
        factor,
    } = ufm.minimiser().map_err(FixtureError::replay)?;
    let (weight, features) = match matrix(fixture, "expect.W") {
        Ok(expected) if [expected.rows(), expected.columns()] == sizes_of(&point.weight) => {
            in_frame_of(&expected, &point.weight, &point.features)
        }
        _ => (point.weight, point.features),
    };
    insert(results, "W", &weight);
    insert(results, "H", &features);
    insert(results, "WH", &weight.matmul(&features));
    insert(results, "gram_W", &weight.matmul_transposed(&weight));
    insert(results, "gram_H", &features.transposed_matmul(&features));
    insert_number(results, "norm_W_sq", weight.norm().powi(2));
    insert_number(results, "norm_H_sq", features.norm().powi(2));
    insert_number(results, "objective", value);
    insert_number(results, "scalar", factor.unwrap_or(f64::NAN));
    Ok(())
}

/// The origin, and the point at which the fixture has a gradient.
fn insert_elsewhere(results: &mut Results, ufm: &Ufm, start: &Point) -> Result<(), CollapseError> {
    let at_origin = ufm.objective(&ufm.origin()?)?;
    insert_number(results, "objective_at_origin", at_origin);
    insert_number(results, "hessian_min_at_origin", ufm.origin_smallest()?);
    insert_number(results, "objective_at_input", ufm.objective(start)?);
    let gradient = ufm.gradient(start)?;
    insert_full(results, "grad.W", &gradient.weight);
    insert_full(results, "grad.H", &gradient.features);
    Ok(())
}

/// $(W Q, Q^\top H)$, where the orthogonal $Q$ turns $W$ towards `expected`.
///
/// Minimisers are unique up to such a $Q$, and the fixture holds one of them, in a basis of its
/// maker's eigenvalue routine. The columns of our $W$ that are not zero are orthogonal, and first.
/// $Q$ is found from $W$ alone, so that $H$ still has to agree; and it is made orthogonal, so that
/// a wrong $W$ cannot be turned into the right one.
fn in_frame_of(expected: &Matrix, weight: &Matrix, features: &Matrix) -> (Matrix, Matrix) {
    let axes = weight.transpose();
    let images = axes.matmul(expected);
    let width = weight.columns();
    let mut frame = Matrix::zeros(width, width);
    for axis in 0..width {
        // A column of zeros may be turned anywhere: its part of W Q and Q^T H is zero.
        if axes.row(axis).iter().all(|&value| value == 0.0) {
            continue;
        }
        let mut row = images.row(axis).to_vec();
        for known in 0..axis {
            let along = crate::matrix::dot(&row, frame.row(known));
            for (value, known) in row.iter_mut().zip(frame.row(known)) {
                *value -= along * known;
            }
        }
        let length = crate::matrix::norm(&row);
        for (to, value) in frame.row_mut(axis).iter_mut().zip(row) {
            *to = value / length;
        }
    }
    (weight.matmul(&frame), frame.transposed_matmul(features))
}

fn sizes_of(matrix: &Matrix) -> [usize; 2] {
    [matrix.rows(), matrix.columns()]
}

fn data<'a>(fixture: &'a Fixture, name: &str) -> Result<&'a TensorData, FixtureError> {
    let missing = || FixtureError::MissingTensor(name.to_owned());
    let mut tensors = fixture.with_prefix("");
    let found = tensors.find(|(tensor, _)| *tensor == name);
    found.map(|(_, data)| data).ok_or_else(missing)
}

fn matrix(fixture: &Fixture, name: &str) -> Result<Matrix, FixtureError> {
    let data = data(fixture, name)?;
    match data.shape().as_slice() {
        &[rows, columns] => {
            let values: Vec<f64> = data.iter::<f64>().collect();
            Matrix::new(rows, columns, values).map_err(FixtureError::replay)
        }
        shape => Err(FixtureError::WrongRank {
            name: name.to_owned(),
            shape: shape.to_vec(),
            rank: 2,
        }),
    }
}

fn insert(results: &mut Results, name: &str, matrix: &Matrix) {
    insert_full(results, &format!("expect.{name}"), matrix);
}

fn insert_full(results: &mut Results, name: &str, matrix: &Matrix) {
    let data = TensorData::new(matrix.values().to_vec(), sizes_of(matrix));
    results.insert_data(name, data);
}

fn insert_number(results: &mut Results, name: &str, value: f64) {
    let data = TensorData::new(vec![value], [1]);
    results.insert_data(format!("expect.{name}"), data);
}

fn insert_integers(results: &mut Results, name: &str, values: Vec<i64>) {
    let count = values.len();
    let data = TensorData::new(values, [count]);
    results.insert_data(format!("expect.{name}"), data);
}
