//! From images to latents, through the equilibrium and through the unrolled chain.

use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq_ddim::{
    Ddim, DdimConfig, DdimError, Inversion, InversionConfig, InversionStart, Inverted, Method,
    invert, noise_for,
};

use crate::common::{difference, model, tiny};

const EQUILIBRIUM: Method = Method::Equilibrium { warm_start: true };

fn config(method: Method) -> InversionConfig {
    InversionConfig {
        steps: 3,
        learning_rate: 0.4,
        method,
        start: InversionStart::Noise { seed: 20 },
        tolerance: None,
    }
}

/// Images that the model can make.
fn images(model: &Ddim, count: usize, device: &Device) -> Tensor<4> {
    let latents = model.latents(count, 4, device).expect("latents");
    model.sample(latents, None).expect("valid")
}

/// What came out, and the sum of the first step's errors.
fn run(model: &Ddim, images: Tensor<4>, config: InversionConfig) -> (Inverted, f64) {
    let steps = config.steps;
    let mut inversion = Inversion::new(model, images, None, config).expect("valid");
    let mut first = None;
    let mut taken = 0;
    while !inversion.is_done() {
        let step = inversion.step().expect("finite");
        taken += 1;
        assert_eq!(step.step, taken);
        first.get_or_insert(step.errors.iter().sum());
    }
    assert_eq!(taken, steps);
    (inversion.finish().expect("valid"), first.expect("a step"))
}

#[test]
fn every_method_lowers_the_reconstruction_error() {
    for device in deq::devices::all() {
        let mut implicit = tiny(3);
        implicit.equilibrium.deq.gradient = Gradient::implicit();
        implicit.equilibrium.chunk = Some(1);
        for (settings, method) in [
            (tiny(3), EQUILIBRIUM),
            (implicit, EQUILIBRIUM),
            (tiny(3), Method::Unrolled {}),
        ] {
            let model = model(&settings, &device);
            let images = images(&model, 1, &device);
            let (found, first) = run(&model, images.clone(), config(method));
            let last: f64 = found.errors.iter().sum();
            assert!(last < 0.6 * first, "{method:?}: {last} of {first}");
            // The latents are those of the images returned.
            let sampled = model.sample(found.latents.clone(), None).expect("valid");
            assert!(difference(sampled, found.images.clone()) < 1e-5);
            let errors = deq_ddim::reconstruction_errors(found.images, images);
            for (image, error) in errors.expect("fits").into_iter().enumerate() {
                assert!((4.0 * error - found.errors[image]).abs() < 1e-3 * (1.0 + error));
                let psnr = deq_ddim::psnr(error);
                assert!((psnr - found.psnr[image]).abs() < 1e-2);
            }
        }
    }
}

#[test]
fn the_implicit_way_is_that_of_the_unrolled_chain() {
    for device in deq::devices::all() {
        let mut settings = tiny(3);
        settings.equilibrium.deq.gradient = Gradient::implicit();
        let model = model(&settings, &device);
        let images = images(&model, 2, &device);
        let latents = |method: Method| {
            let config = InversionConfig {
                steps: 2,
                ..config(method)
            };
            run(&model, images.clone(), config).0.latents
        };
        let implicit = latents(EQUILIBRIUM);
        assert!(difference(implicit, latents(Method::Unrolled {})) < 1e-2);
    }
}

#[test]
fn the_encoding_is_a_better_start_than_noise() {
    for device in deq::devices::all() {
        let model = model(&tiny(5), &device);
        let images = images(&model, 2, &device);
        let first = |start: InversionStart| {
            let config = InversionConfig {
                steps: 1,
                start,
                ..config(EQUILIBRIUM)
            };
            run(&model, images.clone(), config).1
        };
        let noise = first(InversionStart::Noise { seed: 20 });
        assert!(noise != first(InversionStart::Noise { seed: 21 }));
        assert!(first(InversionStart::Encoded {}) < 0.5 * noise);
    }
}

#[test]
fn a_warm_start_saves_evaluations() {
    for device in deq::devices::all() {
        let model = model(&tiny(6), &device);
        let images = images(&model, 2, &device);
        let second = |warm_start: bool| {
            let config = InversionConfig {
                learning_rate: 1e-3,
                ..config(Method::Equilibrium { warm_start })
            };
            let inversion = Inversion::new(&model, images.clone(), None, config);
            let mut inversion = inversion.expect("valid");
            inversion.step().expect("finite");
            let step = inversion.step().expect("finite");
            step.stats.expect("a solve").evaluations
        };
        assert!(second(true) < second(false));
    }
}

#[test]
fn the_best_latents_are_kept_and_the_tolerance_ends_it() {
    let device = &deq::devices::all()[0];
    let model = model(&tiny(4), device);
    let images = images(&model, 2, device);
    // A step so large that it leads away.
    let wild = InversionConfig {
        steps: 2,
        learning_rate: 1e3,
        ..config(EQUILIBRIUM)
    };
    let (found, first) = run(&model, images.clone(), wild);
    let last: f64 = found.errors.iter().sum();
    assert!(last <= 1.001 * first, "{last} {first}");

    let tolerant = InversionConfig {
        tolerance: Some(1e6),
        ..config(EQUILIBRIUM)
    };
    let inversion = Inversion::new(&model, images, None, tolerant);
    let mut inversion = inversion.expect("valid");
    assert!(!inversion.is_done());
    inversion.step().expect("finite");
    assert!(inversion.is_done());
}

#[test]
fn stochastic_chains_are_inverted_under_their_noise() {
    for device in deq::devices::all() {
        let mut settings = tiny(3);
        settings.sampling.eta = 0.5;
        let model = model(&settings, &device);
        let noise = noise_for(&model.chain(), &settings.network, 1, 6, &device).expect("noise");
        let latents = model.latents(1, 4, &device).expect("latents");
        let images = model.sample(latents, Some(&noise)).expect("valid");
        for method in [EQUILIBRIUM, Method::Unrolled {}] {
            let start = InversionConfig {
                steps: 1,
                ..config(method)
            };
            let error = |config: &InversionConfig| -> f64 {
                let found = invert(&model, images.clone(), Some(noise.clone()), config);
                found.expect("valid").errors.iter().sum()
            };
            assert!(error(&config(method)) < 0.7 * error(&start), "{method:?}");
        }
        let missing = invert(&model, images, None, &config(EQUILIBRIUM));
        assert_eq!(missing.err(), Some(DdimError::NoNoise(0.5)));
    }
}

#[test]
fn wrong_options_and_images_are_refused() {
    let device = &deq::devices::all()[0];
    let settings: DdimConfig = tiny(3);
    let model = model(&settings, device);
    let image = images(&model, 2, device);
    let refused = |change: &dyn Fn(&mut InversionConfig), field: &str| {
        let mut config = config(EQUILIBRIUM);
        change(&mut config);
        let error = Inversion::new(&model, image.clone(), None, config).err();
        let error = error.expect("invalid").to_string();
        assert!(error.contains(field), "{error}");
    };
    refused(&|config| config.steps = 0, "inversion.steps");
    refused(&|config| config.learning_rate = 0.0, "learning_rate");
    refused(
        &|config| config.learning_rate = f64::INFINITY,
        "learning_rate",
    );
    refused(
        &|config| config.tolerance = Some(0.0),
        "inversion.tolerance",
    );

    for shape in [[1, 1, 4, 4], [1, 3, 2, 2]] {
        let wrong = Tensor::<4>::zeros(shape, device);
        let error = invert(&model, wrong, None, &config(EQUILIBRIUM)).err();
        assert!(matches!(
            error,
            Some(DdimError::Shape { what: "images", .. })
        ));
    }
    let none = Tensor::<4>::zeros([0, 1, 2, 2], device);
    let error = invert(&model, none, None, &config(EQUILIBRIUM)).err();
    assert_eq!(error, Some(DdimError::Empty("images")));
    let broken = image * f32::NAN;
    let error = invert(&model, broken, None, &config(EQUILIBRIUM)).err();
    assert!(matches!(
        error,
        Some(DdimError::NotFinite {
            image: 0,
            step: 1,
            ..
        })
    ));
}
