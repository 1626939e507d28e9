//! Updates against hand values, and optimiser states that come back bit for bit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_train::{Ema, Optimizer, OptimizerConfig, TrainError, load_module, save_module};

type Model = (Param<Tensor<1>>, Param<Tensor<1>>);

fn vector(values: &[f64], dtype: DType, device: &Device) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
}

fn model(a: &[f64], b: &[f64], dtype: DType, device: &Device) -> Model {
    let device = device.clone().autodiff();
    let param = |values| Param::from_tensor(vector(values, dtype, &device));
    (param(a), param(b))
}

/// A gradient that is these numbers.
fn gradient(model: &Model, a: &[f64], b: &[f64]) -> GradientsParams {
    let (x, y) = (model.0.val(), model.1.val());
    let a = vector(a, x.dtype(), &x.device());
    let b = vector(b, y.dtype(), &y.device());
    let loss = (x * a).sum() + (y * b).sum();
    GradientsParams::from_grads(loss.backward(), model)
}

fn values(model: &Model) -> Vec<f64> {
    let [a, b] = [&model.0, &model.1].map(|param| param.val().into_data());
    a.iter::<f64>().chain(b.iter::<f64>()).collect()
}

fn optimizer(text: &str) -> Optimizer {
    Optimizer::new(toml::from_str::<OptimizerConfig>(text).unwrap()).unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-5, "{found:?} instead of {expected:?}");
    }
}

/// The weights after a step for each gradient `[g, h]`, from `[1, 2]`.
fn after(config: &str, rate: f64, gradients: &[[f64; 2]], device: &Device) -> Vec<f64> {
    let mut optimizer = optimizer(config);
    let mut model = model(&[1.0], &[2.0], DType::F32, device);
    for [g, h] in gradients {
        let gradient = gradient(&model, &[*g], &[*h]);
        model = optimizer.step(rate, model, gradient).unwrap();
    }
    values(&model)
}

#[test]
fn updates_by_hand() {
    for device in &deq_devices::all() {
        let g = [[0.5, -4.0], [1.5, 0.0]];
        let sgd = r#"method = { kind = "sgd" }"#;
        close(&after(sgd, 0.1, &g, device), &[0.8, 2.4]);
        // v = g, then 0.5 g + g'.
        let momentum = r#"method = { kind = "sgd", momentum = 0.5 }"#;
        close(&after(momentum, 0.1, &g, device), &[0.775, 2.6]);
        // g + 0.5 v each time.
        let nesterov = r#"method = { kind = "sgd", momentum = 0.5, nesterov = true }"#;
        close(&after(nesterov, 0.1, &g, device), &[0.6875, 2.7]);
        let decay = r#"method = { kind = "sgd", weight_decay = 0.5 }"#;
        close(&after(decay, 0.1, &g[..1], device), &[0.9, 2.3]);
        // Adam's first step is the rate in the gradient's direction, whatever its length.
        close(&after("", 0.1, &g[..1], device), &[0.9, 2.1]);
        // Its second: m = 0.9·0.1·g + 0.1·g' over 0.19, v = 0.999·0.001·g² + 0.001·g'² over
        // 0.001999.
        let moved = |g: f64, h: f64| {
            let m = (0.09 * g + 0.1 * h) / 0.19;
            let v: f64 = (0.000_999 * g * g + 0.001 * h * h) / 0.001_999;
            0.1 * m / v.sqrt()
        };
        let second = [0.9 - moved(0.5, 1.5), 2.1 - moved(-4.0, 0.0)];
        close(&after("", 0.1, &g, device), &second);
        // Decay joins the gradient in Adam and shrinks the weight in AdamW.
        let adam = r#"method = { kind = "adam", weight_decay = 3.0 }"#;
        close(&after(adam, 0.1, &g[..1], device), &[0.9, 1.9]);
        let adamw = r#"method = { kind = "adamw", weight_decay = 0.5 }"#;
        close(&after(adamw, 0.1, &g[..1], device), &[0.85, 2.0]);
        let blunt = r#"method = { kind = "adam", epsilon = 0.5 }"#;
        close(
            &after(blunt, 0.1, &g[..1], device),
            &[0.95, 2.0 + 0.4 / 4.5],
        );
        let averaged = r#"method = { kind = "adam", betas = [0.0, 0.0] }"#;
        close(&after(averaged, 0.1, &g[..1], device), &[0.9, 2.1]);
        let slow = r#"method = { kind = "adamw" }"#;
        close(&after(slow, 0.1, &g[..1], device), &[0.899, 2.098]);
    }
}

#[test]
fn clipping_takes_the_norm_over_all_parameters() {
    for device in &deq_devices::all() {
        let model = model(&[1.0, 1.0], &[1.0], DType::F32, device);
        for (limit, norm_left) in [(1.0, 1.0), (10.0, 5.0)] {
            let config = format!("method = {{ kind = \"sgd\" }}\nclip_norm = {limit:?}");
            let mut optimizer = optimizer(&config);
            assert_eq!(optimizer.gradient_norm(), None);
            // 3, 0 and 4 have the norm 5.
            let gradient = gradient(&model, &[3.0, 0.0], &[4.0]);
            let stepped = optimizer.step(1.0, model.clone(), gradient).unwrap();
            let factor = norm_left / 5.0;
            close(
                &values(&stepped),
                &[1.0 - 3.0 * factor, 1.0, 1.0 - 4.0 * factor],
            );
            assert!((optimizer.gradient_norm().unwrap() - 5.0).abs() < 1e-5);
        }
        let mut clipped = optimizer("clip_norm = 1.0");
        for wrong in [f64::NAN, f64::INFINITY] {
            let gradient = gradient(&model, &[wrong, 0.0], &[4.0]);
            let error = clipped.step(1.0, model.clone(), gradient).unwrap_err();
            assert!(matches!(error, TrainError::NonFiniteGradient(_)), "{error}");
        }
        // The bad gradient is gone.
        let gradient = gradient(&model, &[3.0, 0.0], &[4.0]);
        let stepped = clipped.step(0.5, model.clone(), gradient).unwrap();
        close(&values(&stepped), &[0.5, 1.0, 0.5]);
    }
}

#[test]
fn accumulated_gradients_are_the_big_batch_s() {
    for device in &deq_devices::all() {
        let gradients = [[3.0, -1.0], [1.0, 2.0], [-1.0, 5.0]];
        let mean = [[1.0, 2.0]];
        for (method, limit) in [("adam", 0.5), ("sgd", 0.5), ("sgd", 100.0)] {
            let config = |accumulate: usize| {
                format!(
                    "method = {{ kind = \"{method}\" }}\nclip_norm = {limit:?}\naccumulate = {accumulate}"
                )
            };
            let big = after(&config(1), 0.1, &mean, device);
            close(&after(&config(3), 0.1, &gradients, device), &big);
            // Two of three change nothing yet.
            close(
                &after(&config(3), 0.1, &gradients[..2], device),
                &[1.0, 2.0],
            );
        }
    }
}

/// Steps with changing gradients, optionally through a file after each.
fn train(config: &str, dtype: DType, device: &Device, reload: Option<&Path>) -> Vec<f64> {
    let start = || model(&[1.0 / 3.0, -0.7], &[2.0], dtype, device);
    let (mut trained, mut state) = (start(), optimizer(config));
    for step in 1..=7 {
        let wave = |i: f64| (1.3 * i * f64::from(step)).sin();
        let gradient = gradient(&trained, &[wave(1.0), wave(2.0)], &[wave(3.0)]);
        trained = state.step(0.01, trained, gradient).unwrap();
        if let Some(folder) = reload {
            let [weights, optimiser] = ["model", "optimizer"].map(|name| folder.join(name));
            save_module(&weights, &trained).unwrap();
            state.save(&optimiser, &trained).unwrap();
            // As another process does: new parameters, new identities.
            (trained, state) = (load_module(&weights, start()).unwrap(), optimizer(config));
            state.load(&optimiser, &trained).unwrap();
        }
    }
    values(&trained)
}

const METHODS: [&str; 5] = [
    "method = { kind = \"adam\", weight_decay = 0.1 }",
    "method = { kind = \"adamw\" }",
    "method = { kind = \"sgd\" }",
    "method = { kind = \"sgd\", momentum = 0.9, nesterov = true }",
    "clip_norm = 0.3\naccumulate = 3",
];

#[test]
fn states_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let single = deq_devices::all();
    let double = deq_devices::double_precision();
    let single = single.iter().map(|device| (DType::F32, device));
    let double = double.iter().map(|device| (DType::F64, device));
    for (dtype, device) in single.chain(double) {
        for config in METHODS {
            let straight = train(config, dtype, device, None);
            let reloaded = train(config, dtype, device, Some(folder.path()));
            assert_eq!(straight, reloaded, "{config} in {dtype:?} on {device:?}");
            assert_ne!(
                straight,
                values(&model(&[1.0 / 3.0, -0.7], &[2.0], dtype, device))
            );
        }
    }
}

#[test]
fn a_state_of_another_method_or_model_is_refused() {
    let device = &deq_devices::all()[0];
    let folder = tempfile::tempdir().unwrap();
    train(METHODS[0], DType::F32, device, Some(folder.path()));
    let path = folder.path().join("optimizer");
    let same = model(&[0.0, 0.0], &[0.0], DType::F32, device);
    optimizer(METHODS[0]).load(&path, &same).unwrap();

    let sgd = optimizer(METHODS[3])
        .load(&path, &same)
        .unwrap_err()
        .to_string();
    assert!(
        sgd.contains("velocity` is missing") && sgd.contains("left over"),
        "{sgd}"
    );
    let larger = model(&[0.0, 0.0], &[0.0, 0.0], DType::F32, device);
    let shape = optimizer(METHODS[0])
        .load(&path, &larger)
        .unwrap_err()
        .to_string();
    assert!(
        shape.contains("state.1.momentum.moment_1") && shape.contains("[2]"),
        "{shape}"
    );
    assert!(shape.contains("optimizer"), "the file is named: {shape}");

    // After seven gradients of three, one waits.
    train(METHODS[4], DType::F32, device, Some(folder.path()));
    let waits = optimizer("").load(&path, &same).unwrap_err().to_string();
    assert!(
        waits.contains("1 gradients wait") && waits.contains("is 1"),
        "{waits}"
    );

    let weights = folder.path().join("model");
    let error = load_module(&weights, larger).unwrap_err().to_string();
    assert!(
        error.contains("`1` is F32 [1] and should be F32 [2]"),
        "{error}"
    );
    if let Some(device) = deq_devices::double_precision().first() {
        let double = model(&[0.0, 0.0], &[0.0], DType::F64, device);
        let error = load_module(&weights, double).unwrap_err().to_string();
        assert!(error.contains("should be F64"), "{error}");
    }
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    for (text, field) in [
        ("clip_norm = 0.0", "clip_norm"),
        ("clip_norm = inf", "clip_norm"),
        ("accumulate = 0", "accumulate"),
        ("method = { kind = \"adam\", betas = [0.9, 1.0] }", "betas"),
        ("method = { kind = \"adam\", epsilon = 0.0 }", "epsilon"),
        (
            "method = { kind = \"adamw\", weight_decay = -0.1 }",
            "weight_decay",
        ),
        ("method = { kind = \"sgd\", momentum = 1.0 }", "momentum"),
        ("method = { kind = \"sgd\", nesterov = true }", "nesterov"),
        (
            "method = { kind = \"sgd\", weight_decay = nan }",
            "weight_decay",
        ),
    ] {
        let config: OptimizerConfig = toml::from_str(text).unwrap();
        let error = Optimizer::new(config).expect_err(text).to_string();
        assert!(error.starts_with(&format!("`{field}`")), "{text}: {error}");
    }
    for text in [
        "clip = 1.0",
        "method = { kind = \"sgd\", betas = [0.9, 0.9] }",
    ] {
        assert!(toml::from_str::<OptimizerConfig>(text).is_err(), "{text}");
    }
    let config: OptimizerConfig = toml::from_str("clip_norm = 0.5").unwrap();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<OptimizerConfig>(&text).unwrap(), config);
}

#[test]
fn an_average_by_hand() {
    for device in &deq_devices::all() {
        let first = model(&[1.0], &[8.0], DType::F32, device);
        let mut ema = Ema::new(0.75, &first).unwrap();
        let mut second = model(&[5.0], &[4.0], DType::F32, device);
        ema.update(&second);
        close(&values(ema.model()), &[2.0, 7.0]);
        ema.update(&second);
        close(&values(ema.model()), &[2.75, 6.25]);
        assert!(!ema.model().0.val().is_autodiff());

        // A frozen parameter is copied.
        second.1 = second.1.set_require_grad(false);
        ema.update(&second);
        close(&values(ema.model()), &[3.3125, 4.0]);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("average");
        ema.save(&path).unwrap();
        let mut other = Ema::new(0.75, &first).unwrap();
        other.load(&path).unwrap();
        assert_eq!(values(other.model()), values(ema.model()));
        assert!(Ema::new(1.0, &first).is_err());
    }
}

#[test]
fn a_loaded_module_trains_on() {
    for device in &deq_devices::all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut source = model(&[1.0], &[2.0], DType::F32, device);
        source.1 = source.1.set_require_grad(false);
        save_module(&path, &source).unwrap();
        let loaded = load_module(&path, model(&[0.0], &[0.0], DType::F32, device)).unwrap();
        assert_eq!(values(&loaded), [1.0, 2.0]);
        assert!(loaded.0.val().is_require_grad());
        assert!(
            loaded.1.val().is_require_grad(),
            "that is the module's choice"
        );
        assert!(!loaded.valid().0.val().is_autodiff());
        let gradient = gradient(&loaded, &[1.0], &[1.0]);
        let stepped = optimizer("").step(0.5, loaded, gradient).unwrap();
        close(&values(&stepped), &[0.5, 1.5]);
    }
}
