//! Batch norm by hand, and what an optimiser moves of it.

use burn::module::Module;
use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};
use deq_nn::{BatchNormConfig, parameters};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
    }
}

/// Mean 4, biased variance 5, unbiased 20/3.
fn numbers(device: &Device) -> Tensor<4> {
    Tensor::from_floats([[[[1.0, 3.0]]], [[[5.0, 7.0]]]], device)
}

#[test]
fn it_normalises_by_the_batch_and_remembers_the_unbiased_variance() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        for affine in [false, true] {
            let config = BatchNormConfig {
                affine,
                ..BatchNormConfig::default()
            };
            let norm = config.init(1, &device);
            let x = numbers(&device);
            let expected = [-3.0, -1.0, 1.0, 3.0].map(|value: f32| value / 5.0f32.sqrt());
            close(&values(norm.forward(x.clone())), &expected);
            let mean = values(norm.running_mean.value_sync())[0];
            let variance = values(norm.running_var.value_sync())[0];
            close(&[mean, variance], &[0.4, 0.9 + 20.0 / 30.0]);

            let plain = norm.valid();
            let expected = [1.0f32, 3.0, 5.0, 7.0].map(|x| (x - mean) / variance.sqrt());
            close(&values(plain.forward(x.inner())), &expected);
            assert_eq!(values(plain.running_mean.value_sync()), [mean]);
        }
    }
}

#[test]
fn rows_are_normalised_as_images_of_one_pixel() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let norm = BatchNormConfig::default().init(2, &device);
        let images = BatchNormConfig::default().init(2, &device);
        let rows = Tensor::<2>::from_floats([[1.0, -2.0], [4.0, 0.5], [2.0, 3.0]], &device);
        let found = values(norm.forward(rows.clone()));
        let pixels = images.forward(rows.clone().reshape([3, 2, 1, 1]));
        close(&found, &values(pixels));
        let valid = values(norm.valid().forward(rows.clone().inner()));
        let pixels = rows.inner().reshape([3, 2, 1, 1]);
        close(&valid, &values(images.valid().forward(pixels)));
    }
}

#[test]
fn momentum_is_the_weight_of_the_new_batch_and_one_value_has_no_variance() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let config = BatchNormConfig {
            momentum: 0.5,
            ..BatchNormConfig::default()
        };
        let norm = config.init(1, &device);
        norm.forward(Tensor::<4>::ones([1, 1, 1, 1], &device));
        close(&values(norm.running_mean.value_sync()), &[0.5]);
        close(&values(norm.running_var.value_sync()), &[1.0]);
        // As a copy that was trained, put to use and trained again does.
        let norm = norm.clone().valid().train();
        norm.forward(numbers(&device));
        close(&values(norm.running_mean.value_sync()), &[2.25]);
        close(&values(norm.running_var.value_sync()), &[0.5 + 10.0 / 3.0]);
    }
}

#[test]
fn epsilon_is_added_to_the_variance() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let config = BatchNormConfig {
            epsilon: 4.0,
            ..BatchNormConfig::default()
        };
        let norm = config.init(1, &device);
        let x = numbers(&device);
        close(
            &values(norm.forward(x.clone())),
            &[-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0],
        );
        let (mean, variance) = (0.4, 0.9 + 20.0 / 30.0);
        let expected = [1.0f32, 3.0, 5.0, 7.0].map(|x| (x - mean) / (variance + 4.0f32).sqrt());
        close(&values(norm.valid().forward(x.inner())), &expected);
    }
}

#[test]
fn large_means_do_not_cancel() {
    for device in deq_devices::all() {
        let norm = BatchNormConfig::default().init(1, &device);
        norm.running_mean.update(Tensor::full([1], 4004.0, &device));
        norm.running_var.update(Tensor::full([1], 4.0, &device));
        let found = values(norm.forward(numbers(&device) + 4000.0));
        close(&found, &[-1.5, -0.5, 0.5, 1.5]);
    }
}

#[test]
fn a_frozen_one_keeps_its_statistics_and_trains_its_gains() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let config = BatchNormConfig {
            frozen: true,
            ..BatchNormConfig::default()
        };
        let norm = config.init(1, &device);
        let output = norm.forward(numbers(&device));
        close(&values(output.clone()), &[1.0, 3.0, 5.0, 7.0]);
        close(&values(norm.running_mean.value_sync()), &[0.0]);
        close(&values(norm.running_var.value_sync()), &[1.0]);
        let gradients = output.sum().backward();
        let gain = norm.weight.as_ref().expect("it is affine").val();
        let gain = gain.grad(&gradients).expect("gains are trained");
        close(&values(gain), &[16.0 / (1.0f32 + 1e-5).sqrt()]);
    }
}

#[test]
fn running_statistics_are_no_parameters() {
    for device in deq_devices::all() {
        let plain = BatchNormConfig {
            affine: false,
            ..BatchNormConfig::default()
        };
        assert_eq!(parameters(&plain.init(3, &device)), 0);
        let norm = BatchNormConfig::default().init(3, &device);
        assert_eq!((parameters(&norm), norm.num_params()), (6, 12));
        let burns = burn::nn::BatchNormConfig::new(3).init(&device);
        assert_eq!(parameters(&burns), 6);
        let frozen = LinearConfig::new(3, 2).init(&device).freeze();
        assert_eq!(parameters(&frozen), 0);
        assert_eq!(
            parameters(&LinearConfig::new(3, 2).init(&device.autodiff())),
            8
        );
    }
}
