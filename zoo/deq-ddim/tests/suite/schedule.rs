//! The schedule of noise and the coefficients of a chain.

use burn::tensor::Device;
use deq_ddim::{Chain, DdimError, Diffusion, DiffusionConfig, SamplingConfig, Spacing};

use crate::common::{difference, numbers, values};

fn ddpm() -> Diffusion {
    Diffusion::linear(&DiffusionConfig::default()).expect("the default is valid")
}

fn sampling(steps: usize, spacing: Spacing, eta: f64) -> SamplingConfig {
    SamplingConfig {
        steps,
        spacing,
        eta,
    }
}

#[test]
fn the_schedule_is_a_line_and_its_product() {
    let diffusion = ddpm();
    assert_eq!(diffusion.steps(), 1000);
    let betas = diffusion.betas();
    assert!((betas[0] - 1e-4).abs() < 1e-10 && (betas[999] - 0.02).abs() < 1e-8);
    let middle = 1e-4 + (0.02 - 1e-4) * 333.0 / 999.0;
    assert!((betas[333] - middle).abs() < 1e-8);
    let logarithm: f64 = betas.iter().map(|beta| (1.0 - beta).ln()).sum();
    assert!((diffusion.alpha_bar()[999] / logarithm.exp() - 1.0).abs() < 1e-12);

    // With one beta the product is a power.
    let constant = Diffusion::from_betas(vec![0.25; 8]).expect("valid");
    for (step, alpha_bar) in constant.alpha_bar().iter().enumerate() {
        let expected = 0.75f64.powi(step as i32 + 1);
        assert!((alpha_bar - expected).abs() < 1e-15);
    }
    // One step is a valid diffusion.
    let single = DiffusionConfig {
        steps: 1,
        ..DiffusionConfig::default()
    };
    assert_eq!(Diffusion::linear(&single).expect("valid").betas().len(), 1);
}

#[test]
fn time_steps_are_the_references() {
    let diffusion = ddpm();
    let steps = |count, spacing| {
        let found = diffusion.time_steps(&sampling(count, spacing, 0.0));
        found.expect("valid")
    };
    let hundreds: Vec<usize> = (0..10).map(|i| 100 * i).collect();
    assert_eq!(steps(10, Spacing::Uniform), hundreds);
    // 30 does not divide 1000: every 33rd step, which are 31.
    let uneven = steps(30, Spacing::Uniform);
    assert_eq!((uneven.len(), uneven[1], uneven[30]), (31, 33, 990));
    // `numpy.linspace(0, sqrt(800), 10) ** 2`, rounded down.
    let squares: [usize; 10] = [0, 9, 39, 88, 158, 246, 355, 483, 632, 800];
    assert_eq!(steps(10, Spacing::Quadratic), squares);
    assert_eq!(steps(1, Spacing::Quadratic), [0]);
    let all = steps(1000, Spacing::Quadratic);
    assert_eq!((all.len(), all[11], all[999]), (1000, 0, 800));
}

/// The states of a chain whose estimates are given numbers, by the definition of a step.
fn sequential(chain: &Chain, latent: f64, estimates: &[f64], noise: &[f64]) -> Vec<f64> {
    let mut x = latent;
    let mut states = Vec::new();
    for (index, estimate) in estimates.iter().enumerate() {
        let (now, next) = (chain.alpha_bar()[index], chain.alpha_bar_next()[index]);
        let sigma = chain.sigma()[index];
        let image = (x - (1.0 - now).sqrt() * estimate) / now.sqrt();
        let direction = (1.0 - next - sigma * sigma).max(0.0).sqrt();
        x = next.sqrt() * image + direction * estimate + sigma * noise[index];
        states.push(x);
    }
    states
}

#[test]
fn the_joint_coefficients_sum_up_the_chain() {
    let diffusion = ddpm();
    for (count, spacing, eta) in [
        (5, Spacing::Uniform, 0.0),
        (50, Spacing::Uniform, 0.0),
        (20, Spacing::Uniform, 0.6),
        (20, Spacing::Uniform, 1.0),
        (40, Spacing::Quadratic, 0.3),
    ] {
        let chain = diffusion
            .chain(&sampling(count, spacing, eta))
            .expect("valid");
        assert_eq!(chain.steps(), count);
        assert!(chain.time_steps().windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!(chain.alpha_bar_next()[count - 1], 1.0);
        let estimates: Vec<f64> = (0..count).map(|i| (1.7 * i as f64).sin()).collect();
        let noise: Vec<f64> = (0..count).map(|i| (0.9 * i as f64).cos()).collect();
        let expected = sequential(&chain, 0.8, &estimates, &noise);

        let mut sum = 0.0;
        for index in 0..count {
            sum += chain.estimate_shares()[index] * estimates[index];
            sum += chain.noise_shares()[index] * noise[index];
            let found = chain.latent_shares()[index] * 0.8 + chain.sum_shares()[index] * sum;
            let error = (found - expected[index]).abs();
            assert!(
                error < 1e-11 * (1.0 + found.abs()),
                "{count} {eta}: {error}"
            );
        }
        let adds_noise = chain.sigma().iter().any(|sigma| *sigma > 0.0);
        assert_eq!(adds_noise, eta > 0.0);
    }
}

#[test]
fn noise_is_added_in_the_schedules_shares() {
    let diffusion = ddpm();
    for device in deq::devices::all() {
        let images = numbers([3, 1, 2, 2], &device);
        let noise = numbers([3, 1, 2, 2], &device) * -0.5;
        let steps = [0, 400, 999];
        let noisy = diffusion.add_noise(images.clone(), noise.clone(), &steps);
        let noisy = noisy.expect("valid");
        for (row, step) in steps.into_iter().enumerate() {
            let alpha_bar = diffusion.alpha_bar()[step];
            let expected = images.clone().narrow(0, row, 1) * alpha_bar.sqrt()
                + noise.clone().narrow(0, row, 1) * (1.0 - alpha_bar).sqrt();
            assert!(difference(noisy.clone().narrow(0, row, 1), expected) < 1e-6);
        }
        assert!(values(noisy).iter().all(|value| value.is_finite()));

        let error = diffusion.add_noise(images.clone(), noise.clone(), &[0, 1, 1000]);
        let expected = DdimError::TimeStep {
            step: 1000,
            last: 999,
        };
        assert_eq!(error.expect_err("out of range"), expected);
        let error = diffusion
            .add_noise(images, noise, &[0])
            .expect_err("too few");
        assert!(
            error
                .to_string()
                .contains("1 time steps were given for 3 images")
        );
    }
}

#[test]
fn wrong_schedules_are_refused() {
    let diffusion = ddpm();
    for (config, field) in [
        (sampling(0, Spacing::Uniform, 0.0), "sampling.steps"),
        (sampling(1001, Spacing::Uniform, 0.0), "sampling.steps"),
        (sampling(10, Spacing::Quadratic, -0.1), "eta"),
        (sampling(10, Spacing::Quadratic, 1.1), "eta"),
        (sampling(10, Spacing::Uniform, f64::NAN), "eta"),
    ] {
        let error = diffusion.chain(&config).expect_err("invalid").to_string();
        assert!(error.contains(field), "{error}");
    }
    let line = |steps, beta_start, beta_end| DiffusionConfig {
        steps,
        beta_start,
        beta_end,
    };
    for (config, field) in [
        (line(0, 1e-4, 0.02), "diffusion.steps"),
        (line(10, 0.0, 0.02), "beta_start"),
        (line(10, 0.02, 1e-4), "beta_end"),
        (line(10, 1e-4, 1.0), "beta_end"),
    ] {
        let error = Diffusion::linear(&config).expect_err("invalid").to_string();
        assert!(error.contains(field), "{error}");
    }
    let empty = Diffusion::from_betas(Vec::new());
    assert_eq!(empty.expect_err("empty"), DdimError::Empty("betas"));
    assert!(Diffusion::from_betas(vec![0.5, 1.0]).is_err());
}

#[test]
fn latents_and_noise_come_from_the_seed_alone() {
    let config = crate::common::small(5).network;
    let devices: Vec<Device> = deq::devices::all();
    let chain = ddpm()
        .chain(&sampling(5, Spacing::Uniform, 0.5))
        .expect("valid");
    let latents = |count, seed, device: &Device| {
        values(deq_ddim::latents(&config, count, seed, device).expect("valid"))
    };
    let first = latents(3, 7, &devices[0]);
    for device in &devices {
        assert_eq!(latents(3, 7, device), first);
        assert_eq!(latents(2, 7, device), first[..2 * 16]);
        assert_ne!(latents(3, 8, device), first);
        let noise = deq_ddim::noise_for(&chain, &config, 2, 7, device).expect("valid");
        assert_eq!(noise.dims(), [2, 5, 1, 4, 4]);
    }
    // 4096 numbers of mean 0 and deviation 1, to four standard errors.
    let many = latents(256, 1, &devices[0]);
    let mean = many.iter().sum::<f32>() / 4096.0;
    let square = many.iter().map(|value| value * value).sum::<f32>() / 4096.0;
    assert!(mean.abs() < 0.0625 && (square - 1.0).abs() < 0.09);
    assert!(deq_ddim::latents(&config, 0, 7, &devices[0]).is_err());
    assert!(deq_ddim::noise_for(&chain, &config, 0, 7, &devices[0]).is_err());
    let deterministic = ddpm().chain(&SamplingConfig::steps(5)).expect("valid");
    let unused = deq_ddim::noise_for(&deterministic, &config, 1, 7, &devices[0]);
    assert_eq!(unused.expect_err("of no use"), DdimError::UnusedNoise);
}
