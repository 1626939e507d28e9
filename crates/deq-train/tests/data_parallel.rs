//! Several devices compute what one device computes with all their samples.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use burn::module::Param;
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_train::{LearnerError, Optimizer, OptimizerConfig, Parallel, data_parallel};

const SAMPLES: usize = 8;
const INPUTS: usize = 3;
const HIDDEN: usize = 5;
const STEPS: usize = 3;

type Model = (Linear, Linear);

fn numbers(count: usize, phase: f64) -> Vec<f64> {
    (0..count).map(|i| (phase + 1.7 * i as f64).sin()).collect()
}

fn tensor<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    dtype: DType,
    device: &Device,
) -> Tensor<D> {
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

fn layer(inputs: usize, outputs: usize, phase: f64, dtype: DType, device: &Device) -> Linear {
    let weight = numbers(inputs * outputs, phase);
    let bias = numbers(outputs, phase + 0.5);
    Linear {
        weight: Param::from_tensor(tensor(weight, [inputs, outputs], dtype, device)),
        bias: Some(Param::from_tensor(tensor(bias, [outputs], dtype, device))),
    }
}

fn model(dtype: DType, device: &Device) -> Model {
    let device = device.clone().autodiff();
    (
        layer(INPUTS, HIDDEN, 0.1, dtype, &device),
        layer(HIDDEN, 1, 0.7, dtype, &device),
    )
}

/// The mean squared error on some of the samples.
fn loss(model: &Model, samples: Range<usize>, dtype: DType, device: &Device) -> Tensor<1> {
    let rows = |columns: usize, phase: f64| {
        let all = numbers(SAMPLES * columns, phase);
        let some = all[samples.start * columns..samples.end * columns].to_vec();
        tensor(some, [samples.len(), columns], dtype, device)
    };
    let (x, y) = (rows(INPUTS, 0.3), rows(1, 2.0));
    let hidden = relu(model.0.forward(x));
    (model.1.forward(hidden) - y).square().mean()
}

/// The losses of the steps and the weights after them.
#[derive(Debug)]
struct Trained {
    losses: Vec<f64>,
    weights: Vec<f64>,
}

/// Trains with what `step` finds.
fn train(
    mut model: Model,
    config: &str,
    mut step: impl FnMut(&Model) -> Result<Parallel, LearnerError>,
) -> Trained {
    let config: OptimizerConfig = toml::from_str(config).unwrap();
    let mut optimizer = Optimizer::new(config).unwrap();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let found = step(&model).unwrap();
        losses.push(found.loss);
        model = optimizer.step(0.1, model, found.gradients).unwrap();
    }
    let mut weights = Vec::new();
    for layer in [&model.0, &model.1] {
        weights.extend(layer.weight.val().into_data().iter::<f64>());
        let bias = layer.bias.as_ref().unwrap();
        weights.extend(bias.val().into_data().iter::<f64>());
    }
    Trained { losses, weights }
}

/// All samples at once on one device.
fn straight(config: &str, dtype: DType, device: &Device) -> Trained {
    let autodiff = device.clone().autodiff();
    train(model(dtype, device), config, |model| {
        let loss = loss(model, 0..SAMPLES, dtype, &autodiff);
        Ok(Parallel {
            loss: loss.clone().into_scalar::<f64>(),
            gradients: GradientsParams::from_grads(loss.backward(), model),
        })
    })
}

fn sharded(config: &str, dtype: DType, devices: &[Device]) -> Trained {
    let size = SAMPLES / devices.len();
    train(model(dtype, &devices[0]), config, |model| {
        data_parallel(model, devices, |shard, model: &Model, device: &Device| {
            let samples = shard * size..(shard + 1) * size;
            Ok(loss(model, samples, dtype, device))
        })
    })
}

fn close(found: &Trained, expected: &Trained, tolerance: f64) {
    for (found, expected) in [
        (&found.losses, &expected.losses),
        (&found.weights, &expected.weights),
    ] {
        assert_eq!(found.len(), expected.len());
        let norm =
            |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let pairs = found.iter().zip(expected);
        let difference = norm(&mut pairs.map(|(found, expected)| found - expected));
        let error = difference / norm(&mut expected.iter().copied());
        assert!(error <= tolerance, "{error}: {found:?} {expected:?}");
    }
}

const SGD: &str = r#"method = { kind = "sgd", momentum = 0.9 }"#;

#[test]
fn two_devices_are_one_with_twice_the_batch() {
    for main in &deq_devices::all() {
        let expected = straight(SGD, DType::F32, main);
        let [first, .., last] = expected.losses[..] else {
            panic!("{expected:?}");
        };
        assert!(last < 0.9 * first, "{first} {last}");
        for other in &deq_devices::all() {
            let devices = [main.clone(), other.clone()];
            close(&sharded(SGD, DType::F32, &devices), &expected, 1e-6);
        }
    }
}

#[test]
fn many_shards_agree_in_double_precision() {
    for device in &deq_devices::double_precision() {
        let clipped = "method = { kind = \"adam\" }\nclip_norm = 0.1";
        let expected = straight(clipped, DType::F64, device);
        for count in [1, 2, 4, 8] {
            let devices = vec![device.clone(); count];
            close(&sharded(clipped, DType::F64, &devices), &expected, 1e-12);
        }
    }
}

#[test]
fn running_statistics_follow_the_first_shard() {
    let batch = |shard: usize, device: &Device| {
        tensor(numbers(6, shard as f64), [3, 2], DType::F32, device)
    };
    for main in deq_devices::all() {
        let main = main.autodiff();
        let new = || -> BatchNorm { BatchNormConfig::new(2).init(&main) };
        let mean = |norm: &BatchNorm| -> Vec<f32> {
            let mean = norm.running_mean.value_sync();
            assert_eq!(mean.device(), main);
            mean.into_data().iter::<f32>().collect()
        };
        let alone = new();
        alone.forward(batch(0, &main));
        for other in deq_devices::all() {
            let norm = new();
            let devices = [main.clone(), other];
            let found = data_parallel(
                &norm,
                &devices,
                |shard, norm: &BatchNorm, device: &Device| {
                    Ok(norm.forward(batch(shard, device)).square().mean())
                },
            );
            found.unwrap();
            assert_eq!(mean(&norm), mean(&alone));
        }
        assert!(mean(&alone).iter().any(|mean| mean.abs() > 1e-3));
    }
}

#[test]
fn the_only_thread_of_a_pool_takes_all_shards() {
    let device = deq_devices::all().remove(0);
    let (model, devices) = (model(DType::F32, &device), vec![device; 4]);
    let used = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let used = Mutex::new(HashSet::new());
        let found = pool.unwrap().install(|| {
            data_parallel(&model, &devices, |_, model: &Model, device: &Device| {
                used.lock().unwrap().insert(thread::current().id());
                Ok(loss(model, 0..SAMPLES, DType::F32, device))
            })
        });
        (found.unwrap().loss, used.into_inner().unwrap().len())
    };
    let (alone, shared) = (used(1), used(2));
    assert!((alone.0 - shared.0).abs() < 1e-6, "{alone:?} {shared:?}");
    assert_eq!([alone.1, shared.1], [1, 4]);
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let all = deq_devices::all();
    let model = model(DType::F32, &all[0]);
    let refusal = |devices: &[Device], fails: bool| {
        let found = data_parallel(
            &model,
            devices,
            |shard, model: &Model, device: &Device| match (fails, shard) {
                (true, 1) => Err("shard 1 has no samples".into()),
                _ => Ok(loss(model, 0..2, DType::F32, device)),
            },
        );
        found.expect_err("must be refused").to_string()
    };
    let error = refusal(&[], false);
    assert!(error.contains("`devices`"), "{error}");
    let error = refusal(&[all[0].clone(), all[0].clone()], true);
    assert_eq!(error, "shard 1 has no samples");
    for other in &all[1..] {
        let error = refusal(&[other.clone(), all[0].clone()], false);
        assert!(error.contains("module's own"), "{error}");
    }
}
