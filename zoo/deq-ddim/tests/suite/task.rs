//! The loss, its draws and its descent.

use burn::module::Param;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use deq_datasets::{Augment, LabelledImages};
use deq_ddim::{Batch, Ddim, DdimError, evaluate, noise_loss, train_loss};
use deq_parity::without_gradient;

use crate::common::{model, numbers, small, tiny};

/// Constant images in the size of [`tiny`].
fn batch(count: usize, device: &Device) -> Batch {
    Batch {
        images: Tensor::full([count, 1, 2, 2], 0.5, device),
    }
}

fn loss(model: &Ddim, batch: &Batch, seed: u64) -> f64 {
    let loss = train_loss(model, batch, seed).expect("fits");
    assert_eq!(loss.dims(), [1]);
    loss.into_scalar()
}

#[test]
fn an_estimate_of_zero_scores_one_for_each_pixel() {
    for device in deq::devices::all() {
        let mut model = model(&tiny(2), &device);
        let weight = TensorData::new(vec![0.0f32; 32 * 9], [1, 32, 3, 3]);
        let last = &mut model.network.conv_out;
        last.weight = Param::from_data(weight, &device);
        last.bias = Some(Param::from_data(
            TensorData::new(vec![0.0f32], [1]),
            &device,
        ));
        // 512 squared Gaussian numbers, to four deviations of their mean.
        let batches = (0..4).map(|_| batch(32, &device));
        let found = evaluate(&model, batches, 1).expect("fits");
        assert_eq!(found.images, 128);
        assert!((found.per_pixel - 1.0).abs() < 0.25, "{found:?}");
        assert!((found.loss - 4.0 * found.per_pixel).abs() < 1e-9);
    }
}

#[test]
fn the_loss_is_the_squared_error_summed_over_pixels() {
    for device in deq::devices::all() {
        let model = model(&tiny(2), &device);
        let (network, diffusion) = (&model.network, model.diffusion());
        let images = batch(2, &device).images;
        let noise = numbers([2, 1, 2, 2], &device);
        let steps = [3, 150];
        let found = noise_loss(
            network,
            diffusion,
            images.clone(),
            noise.clone(),
            &steps,
            None,
        );
        let found: f64 = found.expect("fits").into_scalar();
        let noisy = diffusion.add_noise(images, noise.clone(), &steps);
        let estimate = network.forward(noisy.expect("fits"), &steps).expect("fits");
        let square: f64 = (estimate - noise).square().sum().into_scalar();
        assert!((found - square / 2.0).abs() < 1e-4 * square);
    }
}

#[test]
fn draws_come_from_the_seed_and_dropout_from_training() {
    let device = &deq::devices::all()[0];
    let mut config = tiny(2);
    let images = batch(5, device);
    let plain = model(&config, device);
    assert_eq!(loss(&plain, &images, 1), loss(&plain, &images, 1));
    assert_ne!(loss(&plain, &images, 1), loss(&plain, &images, 2));
    config.network.dropout = 0.4;
    let dropping = model(&config, device);
    assert_ne!(loss(&dropping, &images, 1), loss(&plain, &images, 1));
    let evaluated = |model: &Ddim, seed| {
        let batches = [batch(2, device), batch(3, device)];
        evaluate(model, batches, seed).expect("fits")
    };
    assert_eq!(evaluated(&dropping, 1), evaluated(&plain, 1));
    assert_ne!(evaluated(&plain, 1), evaluated(&plain, 2));
}

#[test]
fn training_lowers_the_loss() {
    for device in deq::devices::all() {
        let autodiff = device.clone().autodiff();
        let mut model = model(&tiny(2), &autodiff);
        let measured = |model: &Ddim| {
            let found = evaluate(model, [batch(32, &device)], 99);
            found.expect("fits").loss
        };
        let before = measured(&model);
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        for step in 0..20 {
            let loss = train_loss(&model, &batch(4, &autodiff), step).expect("fits");
            let gradients = loss.backward();
            assert_eq!(without_gradient(&model, &gradients), Vec::<String>::new());
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = adam.step(3e-3, model, gradients);
        }
        let after = measured(&model);
        assert!(after < 0.95 * before, "{after} {before}");
    }
}

#[test]
fn batches_are_checked() {
    let device = &deq::devices::all()[0];
    let shapes = LabelledImages::shapes(3, 8, 1, 0).expect("images");
    let augment = Augment {
        mean: vec![0.5],
        std: vec![0.5],
        crop_padding: 0,
        flip: false,
        seed: 0,
    };
    let images = |indices: &[usize]| shapes.batch(indices, &augment, 0).expect("a batch");
    let found = Batch::new(images(&[0, 2]), device).expect("fits");
    assert_eq!(found.images.dims(), [2, 1, 8, 8]);
    let (low, high) = (found.images.clone().min(), found.images.clone().max());
    assert!(low.into_scalar::<f32>() >= -1.0 && high.into_scalar::<f32>() <= 1.0);

    let none = Batch::new(images(&[]), device).expect_err("empty");
    assert_eq!(none, DdimError::Empty("pixels"));
    let mut short = images(&[0]);
    short.pixels.pop();
    let error = Batch::new(short, device).expect_err("short");
    assert!(matches!(error, DdimError::Shape { what: "pixels", .. }));

    let model = model(&small(2), device);
    let error = train_loss(&model, &found, 0).expect_err("8×8 images for a model of 4×4");
    assert!(matches!(error, DdimError::Shape { what: "images", .. }));
    let error = evaluate(&model, [], 0).expect_err("no batch");
    assert_eq!(error, DdimError::Empty("batches"));
}
