use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

use crate::{
    Correction, dense_jacobian, jacobian_penalty_with, spectral_radius, spectral_radius_from,
};

#[derive(Deserialize)]
#[serde(untagged)]
enum Config {
    Correction(CorrectionConfig),
    SpectralRadius(RadiusConfig),
    Jacobian(JacobianConfig),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CorrectionConfig {
    weight_func: String,
    gamma: f64,
    bias: f64,
    n: usize,
    #[serde(rename = "shape")]
    _shape: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RadiusConfig {
    #[serde(rename = "matrix")]
    _matrix: String,
    #[serde(rename = "batch")]
    _batch: usize,
    #[serde(rename = "dim")]
    _dim: usize,
    n_iters: usize,
    #[serde(rename = "angle")]
    _angle: f64,
    #[serde(rename = "radius")]
    _radius: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JacobianConfig {
    #[serde(rename = "function")]
    _function: String,
    #[serde(rename = "batch")]
    _batch: usize,
    #[serde(rename = "dim")]
    _dim: usize,
    vecs: usize,
}

/// Computes what a `regularizers` fixture expects.
///
/// # Errors
/// [`FixtureError`] when the fixture lacks something, or asks for what is not offered.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    match fixture.config()? {
        Config::Correction(config) => correction(fixture, &config, device),
        Config::SpectralRadius(config) => radius(fixture, &config, device),
        Config::Jacobian(config) => jacobian(fixture, &config, device),
    }
}

fn correction(
    fixture: &Fixture,
    config: &CorrectionConfig,
    device: &Device,
) -> Result<Results, FixtureError> {
    let &CorrectionConfig { gamma, bias, n, .. } = config;
    let correction = match config.weight_func.as_str() {
        "exp" => Correction::Exp { gamma },
        "linear" => Correction::Linear { gamma, bias },
        other => return Err(FixtureError::replay(format!("unknown weights `{other}`"))),
    };
    let device = &device.clone().autodiff();
    let states = (0..n)
        .map(|k| {
            let state: Tensor<2> = fixture.tensor(&format!("input.state.{k}"), device)?;
            Ok(state.require_grad())
        })
        .collect::<Result<Vec<Tensor<2>>, FixtureError>>()?;
    let target: Tensor<2> = fixture.tensor("input.target", device)?;
    let mask: Tensor<2> = fixture.tensor("input.mask", device)?;
    let labels: Tensor<1, Int> = fixture.tensor::<1>("input.labels", device)?.int();
    let batch = labels.dims()[0];

    let combine = |loss: &dyn Fn(&Tensor<2>) -> Tensor<1>| {
        let losses = states.iter().map(loss).collect();
        correction.combine(losses).map_err(FixtureError::replay)
    };
    let mse = |state: &Tensor<2>| (state.clone() - target.clone()).square().mean();
    let mut results = Results::new();
    let values: Vec<f64> = states
        .iter()
        .map(|state| mse(state).into_scalar())
        .collect();
    results.insert_data("expect.mse_values", TensorData::new(values, [n]));
    let masked = |state: &Tensor<2>| {
        ((state.clone() - target.clone()) * mask.clone())
            .abs()
            .mean()
    };
    results.insert("expect.masked_l1", combine(&masked)?);
    let entropy = |state: &Tensor<2>| {
        let labels = labels.clone().reshape([batch, 1]);
        -log_softmax(state.clone(), 1).gather(1, labels).mean()
    };
    results.insert("expect.cross_entropy", combine(&entropy)?);
    let lengths = 6;
    let mut weights = vec![0.0; lengths * lengths];
    for n in 1..=lengths {
        let row = correction.weights(n).map_err(FixtureError::replay)?;
        weights[(n - 1) * lengths..(n - 1) * lengths + n].copy_from_slice(&row);
    }
    let weights = TensorData::new(weights, [lengths, lengths]);
    results.insert_data("expect.weights", weights);

    let loss = combine(&mse)?;
    results.insert("expect.mse", loss.clone());
    let gradients = loss.backward();
    for (k, state) in states.iter().enumerate() {
        let gradient = state.grad(&gradients);
        let gradient = gradient.ok_or_else(|| FixtureError::replay("a gradient is missing"))?;
        results.insert(format!("grad.state.{k}"), gradient);
    }
    Ok(results)
}

/// Numbers of all samples as a tensor.
fn column(values: Vec<f64>) -> TensorData {
    let count = values.len();
    TensorData::new(values, [count])
}

fn radius(
    fixture: &Fixture,
    config: &RadiusConfig,
    device: &Device,
) -> Result<Results, FixtureError> {
    let a: Tensor<3> = fixture.tensor("param.A", device)?;
    let z: Tensor<2> = fixture.tensor("input.z", device)?;
    let start: Tensor<2> = fixture.tensor("input.start", device)?;
    let map = |a: &Tensor<3>, z: Tensor<2>| {
        let [batch, features] = z.dims();
        let image = a.clone().matmul(z.reshape([batch, features, 1]));
        image.reshape([batch, features])
    };
    let found = spectral_radius_from(&a, map, &z, start.clone(), config.n_iters);
    let settled = spectral_radius_from(&a, map, &z, start, 4 * config.n_iters);
    let mut results = Results::new();
    results.insert_data("expect.power_method", column(found.rayleigh));
    results.insert("expect.vector", found.vector);
    results.insert_data("expect.sradius_exact", column(settled.growth));
    Ok(results)
}

fn jacobian(
    fixture: &Fixture,
    config: &JacobianConfig,
    device: &Device,
) -> Result<Results, FixtureError> {
    let autodiff = &device.clone().autodiff();
    let w: Tensor<2> = fixture.tensor("param.W", autodiff)?;
    let b: Tensor<1> = fixture.tensor("param.b", autodiff)?;
    let args = (w.require_grad(), b.require_grad());
    let z: Tensor<2> = fixture.tensor("input.z", device)?;
    let probes = (0..config.vecs)
        .map(|probe| fixture.tensor(&format!("input.probe.{probe}"), device))
        .collect::<Result<Vec<Tensor<2>>, FixtureError>>()?;
    let map = |(w, b): &(Tensor<2>, Tensor<1>), z: Tensor<2>| {
        (z.matmul(w.clone().transpose()) + b.clone().unsqueeze()).tanh()
    };

    let mut results = Results::new();
    let penalty = jacobian_penalty_with(&args, map, &z, &probes);
    results.insert("expect.hutchinson", penalty.clone());
    let gradients = penalty.backward();
    let missing = || FixtureError::replay("a gradient is missing");
    results.insert("grad.W", args.0.grad(&gradients).ok_or_else(missing)?);
    results.insert("grad.b", args.1.grad(&gradients).ok_or_else(missing)?);

    let plain = (args.0.inner(), args.1.inner());
    let dense = dense_jacobian(&plain, map, &z);
    let squares = dense.clone().square().sum_dims(&[1, 2]);
    let [batch, features] = z.dims();
    results.insert(
        "expect.frobenius_sq_per_sample",
        squares.clone().reshape([batch]),
    );
    let per_element = squares.sum() / (batch * features) as f64;
    results.insert("expect.frobenius_sq_per_element", per_element);
    results.insert("expect.jacobian", dense);
    let radius = spectral_radius(&plain, map, &z, 400);
    results.insert_data("expect.sradius_exact", column(radius.growth));
    Ok(results)
}
