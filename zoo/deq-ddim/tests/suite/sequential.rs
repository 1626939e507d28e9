//! Sampling step by step, and encoding.

use deq_ddim::{DdimError, Diffusion, SamplingConfig, latents, noise_for, sequential};

use crate::common::{difference, largest, model, small, tiny};

#[test]
fn sampling_returns_where_its_trajectory_ends() {
    for device in deq::devices::all() {
        let model = model(&small(4), &device);
        let latents = model.latents(2, 1, &device).expect("latents");
        let images = model.sample(latents.clone(), None).expect("valid");
        let chain = model.chain();
        let all = sequential::trajectory(&model.network, &chain, latents.clone(), None);
        let all = all.expect("valid");
        assert_eq!((all.states.len(), all.predictions.len()), (5, 4));
        assert!(difference(all.states[0].clone(), latents) == 0.0);
        assert!(difference(all.states[4].clone(), images.clone()) == 0.0);
        // The last step ends without noise: at its own estimate of the image.
        assert!(difference(all.predictions[3].clone(), images) < 1e-5);
    }
}

#[test]
fn encoding_is_undone_by_sampling_as_steps_become_fine() {
    for device in deq::devices::all() {
        let config = tiny(1);
        let model = model(&config, &device);
        let images = latents(&config.network, 1, 5, &device).expect("images") * 0.3;
        let error = |steps: usize| {
            let chain = model.diffusion().chain(&SamplingConfig::steps(steps));
            let chain = chain.expect("valid");
            let encoded = sequential::encode(&model.network, &chain, images.clone());
            let mut encoded = encoded.expect("valid");
            assert_eq!(encoded.len(), steps);
            assert!(difference(encoded[0].clone(), images.clone()) == 0.0);
            let latent = encoded.pop().expect("a latent");
            let passed = sequential::trajectory(&model.network, &chain, latent, None);
            // Encoding takes the image for the state at step 0.
            let state = passed.expect("valid").states.swap_remove(steps - 1);
            difference(state, images.clone())
        };
        let (coarse, fine) = (error(4), error(40));
        assert!(fine < 0.7 * coarse, "{fine} {coarse}");
    }
}

#[test]
fn a_stochastic_chain_needs_its_noise_and_is_moved_by_it() {
    for device in deq::devices::all() {
        let mut config = small(4);
        config.sampling.eta = 0.8;
        let model = model(&config, &device);
        let chain = model.chain();
        let latents = model.latents(2, 1, &device).expect("latents");
        let noise = |seed| {
            let noise = noise_for(&chain, &config.network, 2, seed, &device);
            noise.expect("noise")
        };
        let sample = |seed| {
            let images = model.sample(latents.clone(), Some(&noise(seed)));
            images.expect("valid")
        };
        assert!(difference(sample(1), sample(1)) == 0.0);
        assert!(difference(sample(1), sample(2)) > 1e-2);

        let missing = model.sample(latents.clone(), None).expect_err("no noise");
        assert_eq!(missing, DdimError::NoNoise(0.8));
        let short = noise(1).narrow(1, 0, 3);
        let error = model
            .sample(latents.clone(), Some(&short))
            .expect_err("short");
        assert!(matches!(error, DdimError::Shape { what: "noise", .. }));
        let deterministic = model.diffusion().chain(&SamplingConfig::steps(4));
        let deterministic = deterministic.expect("valid");
        let unused = sequential::sample(&model.network, &deterministic, latents, Some(&noise(1)));
        assert_eq!(unused.expect_err("of no use"), DdimError::UnusedNoise);
    }
}

#[test]
fn images_of_another_kind_are_refused() {
    let device = &deq::devices::all()[0];
    let model = model(&small(3), device);
    for shape in [[1, 2, 4, 4], [1, 1, 5, 5], [1, 1, 4, 5]] {
        let latents = burn::tensor::Tensor::<4>::zeros(shape, device);
        let error = model.sample(latents.clone(), None).expect_err("no fit");
        let expected = DdimError::Shape {
            what: "latents",
            expected: vec![1, 1, 4, 4],
            found: shape.to_vec(),
        };
        assert_eq!(error, expected);
        let chain = model.chain();
        assert!(sequential::encode(&model.network, &chain, latents.clone()).is_err());
        let equilibrium = model.equilibrium();
        let joint = equilibrium.sample(&model.network, &chain, latents, None);
        assert_eq!(joint.expect_err("no fit"), expected);
    }
    let none = burn::tensor::Tensor::<4>::zeros([0, 1, 4, 4], device);
    let error = model.sample(none, None).expect_err("empty");
    assert_eq!(error, DdimError::Empty("latents"));
}

#[test]
fn every_sampling_option_changes_the_images() {
    let device = &deq::devices::all()[0];
    let base = small(4);
    let images = |config: &deq_ddim::DdimConfig| {
        let model = model(config, device);
        let latents = model.latents(1, 2, device).expect("latents");
        let stochastic = config.sampling.eta > 0.0;
        let noise = stochastic.then(|| {
            let noise = noise_for(&model.chain(), &config.network, 1, 2, device);
            noise.expect("noise")
        });
        model.sample(latents, noise.as_ref()).expect("valid")
    };
    let expected = images(&base);
    assert!(largest(expected.clone()) > 0.1);
    let mut changed = vec![base.clone(); 6];
    changed[0].sampling.steps = 5;
    changed[1].sampling.spacing = deq_ddim::Spacing::Quadratic;
    changed[2].sampling.eta = 0.5;
    changed[3].diffusion.steps = 100;
    changed[4].diffusion.beta_start = 2e-3;
    changed[5].diffusion.beta_end = 0.03;
    for config in changed {
        assert!(
            difference(images(&config), expected.clone()) > 1e-3,
            "{config:?}"
        );
    }
    // The linear schedule is the one of the configuration.
    let model = model(&base, device);
    let linear = Diffusion::linear(&base.diffusion).expect("valid");
    assert_eq!(model.diffusion(), &linear);
}
