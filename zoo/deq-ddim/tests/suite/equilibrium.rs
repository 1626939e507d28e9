//! The joint equilibrium against sequential sampling.

use burn::tensor::{Device, Tensor};
use deq::implicit::{check_prepared, check_transpose};
use deq::prelude::*;
use deq::solvers::AndersonConfig;
use deq_ddim::{
    Ddim, DdimConfig, DdimError, EquilibriumConfig, JointArgs, JointMap, RowMap, Samples,
    noise_for, sequential,
};

use crate::common::{difference, largest, model, numbers, small, tight, tiny};

/// The sequential trajectory without its latent, `[images, steps, channels, size, size]`.
fn trajectory(model: &Ddim, latents: &Tensor<4>, noise: Option<&Tensor<5>>) -> Tensor<5> {
    let chain = model.chain();
    let passed = sequential::trajectory(&model.network, &chain, latents.clone(), noise);
    let states = passed.expect("valid").states.into_iter().skip(1);
    Tensor::stack(states.collect(), 1)
}

fn args(model: &Ddim, latents: &Tensor<4>, chunk: Option<usize>) -> JointArgs {
    let args = JointArgs::new(&model.network, &model.chain(), latents.clone(), None, chunk);
    args.expect("valid")
}

#[test]
fn the_equilibrium_is_the_sequential_trajectory() {
    for device in deq::devices::all() {
        for (steps, count) in [(1, 2), (5, 2), (20, 1)] {
            let model = model(&tiny(steps), &device);
            let latents = model.latents(count, 4, &device).expect("latents");
            let expected = trajectory(&model, &latents, None);
            let chain = model.chain();
            let joint = model
                .equilibrium()
                .sample(&model.network, &chain, latents, None)
                .expect("valid");
            assert!(joint.stats.all_converged(), "{:?}", joint.stats);
            assert!(joint.stats.evaluations <= steps + 1, "{:?}", joint.stats);
            assert!(difference(joint.states.clone(), expected.clone()) < 1e-3);
            let last = expected.narrow(1, steps - 1, 1).reshape([count, 1, 2, 2]);
            assert!(difference(joint.images(), last) < 1e-3);
        }
    }
}

#[test]
fn as_many_applications_as_steps_are_exact_from_anywhere() {
    for device in deq::devices::all() {
        let steps = 5;
        let model = model(&tiny(steps), &device);
        let latents = model.latents(2, 4, &device).expect("latents");
        let expected = trajectory(&model, &latents, None);
        let args = args(&model, &latents, None);
        assert_eq!((args.steps(), args.shape()), (steps, [2, steps, 1, 2, 2]));
        let mut state = numbers(args.shape(), &device) * 3.0;
        for applied in 1..=steps {
            state = args.forward(state).expect("fits");
            // Row by row from the latent on, the triangle is filled.
            let done = |rows: &Tensor<5>| rows.clone().narrow(1, 0, applied);
            assert!(difference(done(&state), done(&expected)) < 1e-4);
            if applied == 1 {
                assert!(difference(state.clone(), expected.clone()) > 1e-2);
            }
        }
        let wrong = Tensor::<5>::zeros([2, steps + 1, 1, 2, 2], &device);
        assert!(matches!(args.forward(wrong), Err(DdimError::Shape { .. })));
    }
}

#[test]
fn stochastic_chains_have_the_same_fixed_point() {
    for device in deq::devices::all() {
        let mut config = tiny(6);
        config.sampling.eta = 0.7;
        let model = model(&config, &device);
        let chain = model.chain();
        let latents = model.latents(2, 4, &device).expect("latents");
        let noise = noise_for(&chain, &config.network, 2, 9, &device).expect("noise");
        let expected = trajectory(&model, &latents, Some(&noise));
        let equilibrium = model.equilibrium();
        let network = &model.network;
        let joint = equilibrium.sample(network, &chain, latents.clone(), Some(noise));
        let joint = joint.expect("valid");
        assert!(joint.stats.all_converged());
        assert!(difference(joint.states, expected) < 1e-3);
        let missing = equilibrium.sample(network, &chain, latents, None);
        assert_eq!(missing.expect_err("no noise"), DdimError::NoNoise(0.7));
    }
}

fn solve(config: &DdimConfig, equilibrium: &EquilibriumConfig, device: &Device) -> Tensor<5> {
    let model = model(config, device);
    let latents = model.latents(1, 4, device).expect("latents");
    let sampler = equilibrium.init().expect("valid options");
    let joint = sampler.sample(&model.network, &model.chain(), latents, None);
    let joint = joint.expect("valid");
    assert!(
        joint.stats.all_converged(),
        "{equilibrium:?}: {:?}",
        joint.stats
    );
    joint.states
}

#[test]
fn every_solver_and_grouping_finds_it() {
    for device in deq::devices::all() {
        let config = tiny(4);
        let reference = model(&config, &device);
        let latents = reference.latents(1, 4, &device).expect("latents");
        let expected = trajectory(&reference, &latents, None);
        let anderson = AndersonConfig {
            mixing: deq::solvers::Mixing::Qr,
            ..AndersonConfig::default()
        };
        for solver in [
            SolverConfig::picard(),
            SolverConfig::Anderson(anderson),
            SolverConfig::broyden(),
        ] {
            let mut equilibrium = tight();
            equilibrium.deq.forward.solver = solver;
            let found = solve(&config, &equilibrium, &device);
            assert!(
                difference(found, expected.clone()) < 1e-3,
                "{equilibrium:?}"
            );
            equilibrium.samples = Samples::Steps;
            equilibrium.deq.forward.termination.finish = Finish::Best;
            let found = solve(&config, &equilibrium, &device);
            assert!(
                difference(found, expected.clone()) < 1e-3,
                "{equilibrium:?}"
            );
        }
    }
}

#[test]
fn statistics_are_of_images_or_of_rows() {
    let device = &deq::devices::all()[0];
    let model = model(&tiny(5), device);
    let latents = model.latents(2, 4, device).expect("latents");
    let mut config = tight();
    config.deq.forward.termination.finish = Finish::Best;
    let samples = |config: &EquilibriumConfig| {
        let sampler = config.init().expect("valid");
        let chain = model.chain();
        let joint = sampler.sample(&model.network, &chain, latents.clone(), None);
        joint.expect("valid").stats.status.len()
    };
    assert_eq!(samples(&config), 2);
    config.samples = Samples::Steps;
    assert_eq!(samples(&config), 2 * 5);
}

#[test]
fn each_image_stops_when_it_has_converged() {
    for device in deq::devices::all() {
        let model = model(&tiny(5), &device);
        let latents = model.latents(2, 4, &device).expect("latents");
        let sampler = model.equilibrium();
        let network = &model.network;
        let both = sampler.sample(network, &model.chain(), latents.clone(), None);
        // The first image starts at its trajectory, the second at copies of its latent.
        let copies = latents.clone().narrow(0, 1, 1).reshape([1, 1, 1, 2, 2]);
        let solved = both.expect("valid").states.narrow(0, 0, 1);
        let start = Tensor::cat(vec![solved.clone(), copies.repeat_dim(1, 5)], 0);
        let args = args(&model, &latents, None);
        let joint = sampler.solve(&args, Some(start), CallOptions::default());
        let joint = joint.expect("valid");
        assert!(joint.stats.all_converged());
        assert_eq!(joint.stats.best_steps[0], 1, "{:?}", joint.stats);
        assert!(joint.stats.best_steps[1] > 2, "{:?}", joint.stats);
        assert!(difference(joint.states.clone().narrow(0, 0, 1), solved) < 1e-4);
        // The second ends as it does alone.
        let alone = latents.narrow(0, 1, 1);
        let alone = sampler.sample(&model.network, &model.chain(), alone, None);
        let alone = alone.expect("valid");
        assert!(difference(joint.states.narrow(0, 1, 1), alone.states) < 1e-4);
    }
}

#[test]
fn chunks_change_no_number() {
    for device in deq::devices::all() {
        let model = model(&tiny(5), &device);
        let latents = model.latents(2, 4, &device).expect("latents");
        let state = numbers([2, 5, 1, 2, 2], &device);
        let whole = args(&model, &latents, None).forward(state.clone());
        let whole = whole.expect("fits");
        for chunk in [1, 3, 10, 64] {
            let parts = args(&model, &latents, Some(chunk)).forward(state.clone());
            assert!(difference(parts.expect("fits"), whole.clone()) < 1e-5);
        }
    }
}

#[test]
fn the_prepared_map_is_the_map() {
    for device in deq::devices::all() {
        let mut config = tiny(4);
        config.network.attention_resolutions = vec![2];
        let model = model(&config, &device);
        let latents = model.latents(2, 4, &device).expect("latents");
        let z = numbers([2, 4, 1, 2, 2], &device);
        let rows = z.clone().reshape([8, 1, 2, 2]);
        for chunk in [None, Some(3)] {
            let plain = args(&model, &latents, chunk);
            for error in [
                check_prepared(&plain, &JointMap, &z),
                check_prepared(&plain, &RowMap, &rows),
            ] {
                assert!(error.is_some_and(|error| error < 1e-5), "{error:?}");
            }
            // The tracked step's operations come one by one.
            let lifted = args(&model, &latents.clone().autodiff(), chunk);
            let tracked = lifted.forward(z.clone().autodiff().require_grad());
            let found = plain.forward(z.clone()).expect("fits");
            assert!(difference(found, tracked.expect("fits")) < 1e-4);
        }
    }
}

#[test]
fn the_maps_own_transpose_is_autodiffs() {
    for device in deq::devices::all() {
        let model = model(&tiny(4), &device);
        let latents = model.latents(2, 4, &device).expect("latents");
        for chunk in [None, Some(3)] {
            let args = args(&model, &latents, chunk);
            let z = numbers([2, 4, 1, 2, 2], &device);
            let u = numbers([2, 4, 1, 2, 2], &device).flip([1]);
            let error = check_transpose(&args, &JointMap, &z, &u).expect("it has one");
            assert!(error < 1e-4, "{error}");
        }
    }
}

/// The gradient of a weighted sum of the images with respect to the latents.
fn gradient(image: impl Fn(Tensor<4>) -> Tensor<4>, latents: &Tensor<4>) -> Tensor<4> {
    let latents = latents.clone().autodiff().require_grad();
    let images = image(latents.clone());
    let weights = numbers(images.dims(), &latents.device());
    let gradients = (images * weights).sum().backward();
    latents.grad(&gradients).expect("a gradient")
}

#[test]
fn the_implicit_gradient_is_that_of_the_unrolled_chain() {
    for device in deq::devices::all() {
        let model = model(&tiny(4), &device);
        let latents = model.latents(1, 4, &device).expect("latents");
        let chain = model.chain();
        let unrolled = gradient(
            |latents| model.sample(latents, None).expect("valid"),
            &latents,
        );
        let joint = |gradient_kind: Gradient, samples: Samples| {
            let mut config = tight();
            config.deq.gradient = gradient_kind;
            config.samples = samples;
            if samples == Samples::Steps {
                config.deq.forward.termination.finish = Finish::Best;
            }
            config.chunk = Some(2);
            let sampler = config.init().expect("valid");
            let image = |latents| {
                let joint = sampler.sample(&model.network, &chain, latents, None);
                joint.expect("valid").images()
            };
            gradient(image, &latents)
        };
        let scale = largest(unrolled.clone());
        // The adjoint is triangular too: as many steps as the chain has are exact.
        let mut adjoint = SolveConfig::default().with_max_iter(4);
        adjoint.termination.finish = Finish::Final;
        for (gradient, samples) in [
            (Gradient::implicit(), Samples::Images),
            (Gradient::implicit_with(adjoint), Samples::Steps),
        ] {
            let implicit = joint(gradient, samples);
            assert!(difference(implicit, unrolled.clone()) < 1e-3 * scale);
        }
        // The cheap gradients are other ones, that point the same way.
        let cheap = joint(Gradient::JacobianFree, Samples::Images);
        assert!(difference(cheap.clone(), unrolled.clone()) > 1e-3 * scale);
        let dot: f32 = (cheap * unrolled).sum().into_scalar();
        assert!(dot > 0.0);
        // A phantom step of damping 0.1 is a tenth of the undamped one.
        let damped = joint(Gradient::phantom(1, 0.1), Samples::Images);
        let whole = joint(Gradient::phantom(1, 1.0), Samples::Images);
        assert!(difference(damped, whole * 0.1) < 1e-3 * scale);
    }
}

#[test]
fn options_that_cannot_work_are_refused() {
    let refused = |change: &dyn Fn(&mut EquilibriumConfig), field: &str| {
        let mut config = tight();
        change(&mut config);
        let error = config.init().expect_err("invalid").to_string();
        assert!(error.contains(field), "{error}");
        // A model refuses them too, before it draws a weight.
        let mut whole = small(3);
        whole.equilibrium = config;
        assert!(whole.init(&deq::devices::all()[0], 0).is_err());
    };
    refused(&|config| config.chunk = Some(0), "chunk");
    refused(&|config| config.samples = Samples::Steps, "finish");
    refused(
        &|config| {
            config.samples = Samples::Steps;
            config.deq.forward.termination.finish = Finish::Best;
            config.deq.gradient = Gradient::implicit();
        },
        "gradient.backward.termination.finish",
    );
    refused(
        &|config| config.deq.states = States::Count(2),
        "equilibrium.deq.states",
    );
    refused(
        &|config| config.deq.forward.termination.tolerance = -1.0,
        "tolerance",
    );
}

#[test]
fn a_start_of_another_shape_is_refused() {
    let device = &deq::devices::all()[0];
    let model = model(&tiny(4), device);
    let latents = model.latents(1, 4, device).expect("latents");
    let args = args(&model, &latents, None);
    let start = Tensor::zeros([1, 3, 1, 2, 2], device);
    let sampler = model.equilibrium();
    let error = sampler.solve(&args, Some(start), CallOptions::default());
    assert!(matches!(
        error,
        Err(DdimError::Shape { what: "starts", .. })
    ));
}
