//! The model, its presets and its training loop.

use burn::module::Module;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use deq::implicit::{check_prepared, with_prepare};
use deq::prelude::*;
use deq_datasets::{Audio, Frames, Image};
use deq_inr::{
    Filter, Fit, FitConfig, FitState, Inr, InrConfig, InrError, Mfn, Preset, Sampling, Signal,
    SignalKind, Start, StepReport,
};
use deq_parity::without_gradient;

fn small(filter: Filter) -> InrConfig {
    InrConfig {
        filter,
        layers: 1,
        width: 16,
        in_channels: 2,
        out_channels: 3,
        input_scale: 16.0,
        weight_norm: None,
        one_pass: false,
        deq: DeqConfig::default().with_gradient(Gradient::phantom(3, 1.0)),
    }
}

fn siren() -> InrConfig {
    small(Filter::SirenLike {})
}

fn picture() -> Signal {
    Signal::image(&Image::built_in(12, 10).expect("a picture"))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn coords(device: &Device) -> Tensor<2> {
    Tensor::from_floats([[-0.5, 0.1], [0.3, 0.9], [0.0, -1.0], [1.0, 0.7]], device)
}

fn output(config: &InrConfig, device: &Device, seed: u64) -> Vec<f32> {
    let model = config.init(device, seed).expect("a valid model");
    let output = model.forward(coords(device), Start::Zeros);
    values(output.expect("a valid call").output)
}

#[test]
fn every_parameter_gets_a_gradient() {
    let gabor = small(Filter::Gabor { alpha: 3.0 });
    let two = InrConfig {
        layers: 2,
        weight_norm: Some(WeightNormConfig::default()),
        ..small(Filter::Fourier {})
    };
    for device in deq::devices::all() {
        let device = device.autodiff();
        for config in [&siren(), &gabor, &two] {
            let model = config.init(&device, 0).expect("a valid model");
            let output = model.forward(coords(&device), Start::Zeros);
            let loss = output.expect("a valid call").output.square().mean();
            let missing = without_gradient(&model, &loss.backward());
            assert_eq!(missing, Vec::<String>::new(), "{config:?}");
        }
    }
}

#[test]
fn presets_have_the_published_sizes() {
    // Counts of the reference implementation (own counts in the facts, without gains).
    let counts = [
        (Preset::Fourier1x256, 67_585),
        (Preset::Siren1x512, 266_241),
        (Preset::Fourier4x256, 267_265),
        (Preset::Audio1x512, 265_217 + 512),
        (Preset::Video1x2048, 4_218_883 + 2048),
    ];
    let device = &deq::devices::all()[0];
    for (preset, count) in counts {
        let model = preset.config().init(device, 0).expect("a valid preset");
        assert_eq!(model.num_params(), count, "{preset:?}");
    }
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("siren"), None);
}

#[test]
fn a_seed_gives_the_same_model_on_every_device() {
    let gabor = small(Filter::Gabor { alpha: 3.0 });
    let devices = deq::devices::all();
    let first = output(&gabor, &devices[0], 7);
    assert_ne!(first, output(&gabor, &devices[0], 8));
    for device in &devices {
        for (a, b) in first.iter().zip(output(&gabor, device, 7)) {
            assert!((a - b).abs() < 1e-4, "{device:?}");
        }
    }
}

#[test]
fn the_prepared_map_is_the_map() {
    for device in deq::devices::all() {
        for filter in [
            Filter::Fourier {},
            Filter::Gabor { alpha: 3.0 },
            Filter::SirenLike {},
        ] {
            let config = InrConfig {
                layers: 2,
                weight_norm: Some(WeightNormConfig::default()),
                ..small(filter)
            };
            let model = config.init(&device, 3).expect("a valid model");
            let mut injections = model.injection.forward(coords(&device));
            let first = model.f.first(injections.remove(0));
            let z = first.clone() * 0.5;
            type Args = (Mfn, Tensor<2>, Vec<Tensor<2>>);
            let args: Args = (model.f, first, injections);
            let map = with_prepare(
                |(f, first, injections): &Args, z| f.forward(first.clone(), injections, z),
                |(f, first, injections): &Args| Box::new(f.prepare(first.clone(), injections)),
            );
            let error = check_prepared(&args, &map, &z).expect("it is prepared");
            assert!(error < 1e-5, "{filter:?}: {error}");
        }
    }
}

#[test]
fn every_hyper_parameter_changes_the_output() {
    for device in deq::devices::all() {
        let base = output(&siren(), &device, 0);
        let changed = [
            InrConfig {
                filter: Filter::Fourier {},
                ..siren()
            },
            InrConfig {
                layers: 2,
                ..siren()
            },
            InrConfig {
                width: 17,
                ..siren()
            },
            InrConfig {
                input_scale: 17.0,
                ..siren()
            },
            InrConfig {
                one_pass: true,
                ..siren()
            },
            InrConfig {
                weight_norm: Some(WeightNormConfig {
                    learn_scale: false,
                    target_norm: 0.5,
                    clip: None,
                }),
                ..siren()
            },
            InrConfig {
                deq: siren().deq.with_max_iter(2),
                ..siren()
            },
        ];
        for config in changed {
            assert_ne!(base, output(&config, &device, 0), "{config:?}");
        }
        let gabor = |alpha: f64| output(&small(Filter::Gabor { alpha }), &device, 0);
        assert_ne!(gabor(3.0), gabor(6.0));
    }
}

#[test]
fn a_reused_state_skips_the_solver() {
    for device in deq::devices::all() {
        let model = siren()
            .init(&device.clone().autodiff(), 0)
            .expect("a valid model");
        let x = coords(&device.clone().autodiff());
        let solved = model
            .forward(x.clone(), Start::Zeros)
            .expect("a valid call");
        assert!(solved.stats.expect("a solve").evaluations > 1);
        let z = solved.z.inner();
        let reused = model
            .forward(x.clone(), Start::Reuse(z.clone()))
            .expect("a valid call");
        assert_eq!(reused.stats.expect("a solve").evaluations, 0);
        let warm = model.forward(x, Start::From(z)).expect("a valid call");
        assert_eq!(
            warm.stats.expect("a solve").evaluations,
            1,
            "already solved"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let model = siren().init(&device, 0).expect("a valid model");
        let error = model
            .forward(Tensor::zeros([4, 3], &device), Start::Zeros)
            .err();
        assert!(matches!(
            error,
            Some(InrError::Mismatch { expected: 2, .. })
        ));
        let narrow = Start::From(Tensor::zeros([4, 15], &device));
        assert!(model.forward(coords(&device), narrow).is_err());
        let short = Start::From(Tensor::zeros([3, 16], &device));
        assert!(model.forward(coords(&device), short).is_err());
        let none = model
            .forward(Tensor::zeros([0, 2], &device), Start::Zeros)
            .err();
        assert!(matches!(none, Some(InrError::Solve(SolveError::Empty(_)))));

        let error = Fit::new(model, &picture(), FitConfig::default()).err();
        assert!(error.is_some_and(|error| error.to_string().contains("autodiff")));
        let sound = Signal::audio(&Audio::built_in(100, 0.1).expect("a sound"));
        let model = siren().init(&device.autodiff(), 0).expect("a valid model");
        assert!(Fit::new(model, &sound, FitConfig::default()).is_err());
    }
    let field = |config: InrConfig| match config.init(&deq::devices::all()[0], 0) {
        Err(InrError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        field(InrConfig {
            layers: 0,
            ..siren()
        }),
        "layers"
    );
    assert_eq!(
        field(InrConfig {
            width: 0,
            ..siren()
        }),
        "width"
    );
    let scale = InrConfig {
        input_scale: 0.0,
        ..siren()
    };
    assert_eq!(field(scale), "input_scale");
    assert_eq!(field(small(Filter::Gabor { alpha: -1.0 })), "alpha");
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        let config = preset.config();
        let text = toml::to_string(&config).expect("serialises");
        let again: InrConfig = toml::from_str(&text).expect("reads back");
        assert_eq!(again, config);
        assert!(toml::from_str::<InrConfig>(&format!("depth = 3\n{text}")).is_err());
    }
    let gabor: Filter = serde_json::from_str(r#"{"kind": "gabor", "alpha": 2.0}"#).expect("reads");
    assert_eq!(gabor, Filter::Gabor { alpha: 2.0 });
    assert!(serde_json::from_str::<Filter>(r#"{"kind": "fourier", "alpha": 2.0}"#).is_err());
    assert!(serde_json::from_str::<FitConfig>(r#"{"lr": 2.0}"#).is_err());
}

fn fit(device: &Device, config: FitConfig, signal: &Signal) -> Fit {
    let model = siren()
        .for_signal(signal)
        .init(&device.clone().autodiff(), 0);
    Fit::new(model.expect("a valid model"), signal, config).expect("a valid fit")
}

#[test]
fn fitting_raises_the_psnr_and_reuses_the_state() {
    for device in deq::devices::all() {
        let signal = picture();
        let config = FitConfig {
            learning_rate: 1e-2,
            ..FitConfig::default()
        };
        let mut fit = fit(&device, config, &signal);
        let before = fit.render(&signal).expect("renders");
        let first = fit.step().expect("a step");
        assert!(first.solver_steps > 0 && first.residual.is_some());
        let mut last = first;
        for _ in 0..14 {
            last = fit.step().expect("a step");
        }
        assert_eq!((last.step, last.solver_steps, last.residual), (15, 0, None));
        let after = fit.render(&signal).expect("renders");
        assert!(
            after.psnr > before.psnr + 3.0,
            "{} {}",
            before.psnr,
            after.psnr
        );
        assert!(after.solver_steps > 0 && after.values.len() == 12 * 10 * 3);
    }
}

#[test]
fn every_option_of_a_fit_changes_it_and_chunks_do_not() {
    for device in deq::devices::all() {
        let signal = picture();
        let loss = |config: FitConfig| {
            let mut fit = fit(&device, config, &signal);
            (0..3).map(|_| fit.step().expect("a step").loss).last()
        };
        let base = FitConfig::default();
        let reference = loss(base.clone());
        let changed = [
            FitConfig {
                learning_rate: 2e-3,
                ..base.clone()
            },
            FitConfig {
                sampling: Sampling::All { reuse: false },
                ..base.clone()
            },
            FitConfig {
                sampling: Sampling::Random { points: 50 },
                ..base.clone()
            },
            FitConfig {
                clip_gradient: Some(1e-9),
                ..base.clone()
            },
        ];
        for config in changed {
            assert_ne!(loss(config.clone()), reference, "{config:?}");
        }
        let random = |seed: u64| {
            loss(FitConfig {
                sampling: Sampling::Random { points: 50 },
                seed,
                ..base.clone()
            })
        };
        assert_ne!(random(0), random(1));
        assert_eq!(random(1), random(1));

        let chunked = loss(FitConfig {
            chunk: 37,
            ..base.clone()
        });
        let difference = chunked.expect("a loss") - reference.expect("a loss");
        assert!(difference.abs() < 1e-4 * reference.expect("a loss"));
    }
    let refused = |config: FitConfig| {
        let device = deq::devices::all().swap_remove(0).autodiff();
        let model = siren().init(&device, 0).expect("a valid model");
        matches!(
            Fit::new(model, &picture(), config),
            Err(InrError::InvalidConfig { .. })
        )
    };
    let base = FitConfig::default();
    assert!(refused(FitConfig {
        learning_rate: 0.0,
        ..base.clone()
    }));
    assert!(refused(FitConfig {
        clip_gradient: Some(0.0),
        ..base.clone()
    }));
    assert!(refused(FitConfig {
        chunk: 0,
        ..base.clone()
    }));
    let sampling = Sampling::Random { points: 0 };
    assert!(refused(FitConfig { sampling, ..base }));
}

fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// A step by the test's own optimiser.
fn step(fit: &mut Fit, adam: &mut ModuleOptimizer) -> StepReport {
    let rate = FitConfig::default().learning_rate;
    let report =
        fit.step_with(|model, gradients| Ok::<_, InrError>(adam.step(rate, model, gradients)));
    report.expect("a step")
}

fn same(one: &StepReport, other: &StepReport) {
    assert_eq!(one.step, other.step);
    // A step that reuses its fixed point must not solve.
    assert_eq!(one.solver_steps == 0, other.solver_steps == 0);
    assert!(
        (one.loss - other.loss).abs() < 1e-4 * one.loss,
        "{one:?} {other:?}"
    );
}

/// Every way to see the signal, with the gradient clipped.
fn samplings() -> [FitConfig; 3] {
    let samplings = [
        Sampling::All { reuse: true },
        Sampling::All { reuse: false },
        Sampling::Random { points: 50 },
    ];
    samplings.map(|sampling| FitConfig {
        sampling,
        clip_gradient: Some(1e-3),
        chunk: 70,
        ..FitConfig::default()
    })
}

#[test]
fn a_fit_goes_on_where_another_was() {
    for device in deq::devices::all() {
        let signal = picture();
        for config in samplings() {
            let (mut straight, mut optimizer) = (fit(&device, config.clone(), &signal), adam());
            // In the middle of the second pass over the points.
            for _ in 0..4 {
                step(&mut straight, &mut optimizer);
            }
            let (model, state) = (straight.model().clone(), straight.state());
            let (mut resumed, mut restored) = (fit(&device, config, &signal), optimizer.clone());
            resumed.step().expect("a step");
            resumed.restore(model, state).expect("the same fit");
            assert_eq!(resumed.steps(), 4);
            for _ in 0..3 {
                let expected = step(&mut straight, &mut optimizer);
                same(&expected, &step(&mut resumed, &mut restored));
            }
        }
    }
}

#[test]
fn the_fits_own_adam_is_that_of_a_caller() {
    for device in deq::devices::all() {
        let signal = picture();
        for config in samplings() {
            let (mut own, mut other) = (
                fit(&device, config.clone(), &signal),
                fit(&device, config, &signal),
            );
            let mut optimizer = adam();
            for _ in 0..4 {
                same(
                    &own.step().expect("a step"),
                    &step(&mut other, &mut optimizer),
                );
            }
        }
    }
}

#[test]
fn a_step_that_failed_is_made_again() {
    for device in deq::devices::all() {
        let signal = picture();
        for config in samplings() {
            let (mut straight, mut failing) = (
                fit(&device, config.clone(), &signal),
                fit(&device, config, &signal),
            );
            let (mut one, mut other) = (adam(), adam());
            // Into the second pass over the points.
            for _ in 0..4 {
                let failed: Result<StepReport, InrError> =
                    failing.step_with(|_, _| -> Result<Inr, InrError> {
                        Err(InrError::NotFinite(f64::NAN, 0))
                    });
                assert!(matches!(failed, Err(InrError::NotFinite(_, 0))));
                let expected = step(&mut straight, &mut one);
                same(&expected, &step(&mut failing, &mut other));
            }
        }
    }
}

#[test]
fn the_state_of_another_fit_is_refused() {
    for device in deq::devices::all() {
        let signal = picture();
        let mut fit = fit(&device, FitConfig::default(), &signal);
        fit.step().expect("a step");
        let (model, state) = (fit.model().clone(), fit.state());
        let none = FitState {
            fixed_points: Vec::new(),
            ..state.clone()
        };
        let short = FitState {
            fixed_points: vec![Tensor::zeros([7, 16], &device)],
            ..state.clone()
        };
        let narrow = FitState {
            fixed_points: vec![Tensor::zeros([120, 15], &device)],
            ..state.clone()
        };
        for state in [none, short, narrow] {
            let error = fit.restore(model.clone(), state).err();
            assert!(
                matches!(error, Some(InrError::Mismatch { .. })),
                "{error:?}"
            );
        }
        let wider = InrConfig {
            width: 17,
            ..siren()
        };
        let wider = wider.init(&device.clone().autodiff(), 0).expect("a model");
        let error = fit.restore(wider, state).err();
        assert!(
            matches!(error, Some(InrError::InvalidConfig { field: "model", .. })),
            "{error:?}"
        );
        assert_eq!(fit.steps(), 1);
        assert_eq!(fit.step().expect("a step").solver_steps, 0, "as it was");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_fit() {
    for device in deq::devices::all() {
        let config = FitConfig {
            learning_rate: 1e30,
            ..FitConfig::default()
        };
        let mut fit = fit(&device, config, &picture());
        let error = (0..4).find_map(|_| fit.step().err());
        assert!(matches!(error, Some(InrError::NotFinite(..))), "{error:?}");
    }
}

#[test]
fn a_denser_grid_keeps_the_old_points() {
    let kinds = [
        SignalKind::Image {
            width: 4,
            height: 3,
            channels: 1,
        },
        SignalKind::Audio {
            rate: 8_000,
            samples: 5,
            peak: 1.0,
        },
        SignalKind::Video {
            frames: 2,
            width: 3,
            height: 2,
            channels: 3,
        },
    ];
    for kind in kinds {
        let width = kind.in_channels();
        let sparse = kind.grid(1);
        let dense = kind.grid(3);
        let points: Vec<&[f32]> = dense.chunks(width).collect();
        for point in sparse.chunks(width) {
            let near = |other: &&[f32]| point.iter().zip(*other).all(|(a, b)| (a - b).abs() < 1e-6);
            assert_eq!(
                points.iter().filter(|other| near(other)).count(),
                1,
                "{kind:?}"
            );
        }
        assert!(dense.iter().all(|x| (-1.0..=1.0).contains(x)));
    }
    assert_eq!(
        kinds[0].grid(1)[..6],
        [-1.0, -1.0, -1.0 / 3.0, -1.0, 1.0 / 3.0, -1.0]
    );
}

#[test]
fn signals_come_back_as_they_went_in() {
    let picture = Image::built_in(6, 4).expect("a picture");
    let signal = Signal::image(&picture);
    let again = signal.kind().to_image(signal.targets()).expect("a picture");
    let errors = picture.pixels().iter().zip(again.pixels());
    assert!(errors.map(|(a, b)| (a - b).abs()).all(|e| e < 1e-6));
    assert!(signal.psnr(signal.targets()).is_infinite());
    let off: Vec<f32> = signal.targets().iter().map(|v| v * 0.8).collect();
    let half = |v: &f32| f64::from(v * 0.2 / 2.0).powi(2);
    let mse = signal.targets().iter().map(half).sum::<f64>() / off.len() as f64;
    assert!((signal.psnr(&off) - deq_inr::psnr(mse)).abs() < 1e-3);
    assert!(signal.kind().to_audio(&off).is_err());

    let sound = Audio::built_in(1_000, 0.05).expect("a sound");
    let signal = Signal::audio(&sound);
    let peak = signal.targets().iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!((peak - 1.0).abs() < 1e-6);
    let again = signal.kind().to_audio(signal.targets()).expect("a sound");
    let errors = sound.samples.iter().zip(&again.samples);
    assert!(errors.map(|(a, b)| (a - b).abs()).all(|e| e < 1e-6));

    let video = Frames::built_in(2, 5, 4).expect("a video");
    let signal = Signal::video(&video);
    let again = signal.kind().to_video(signal.targets()).expect("a video");
    assert_eq!(again.frames().len(), 2);
    assert_eq!(signal.in_channels(), 3);
}

#[test]
fn sounds_and_videos_are_fitted_too() {
    for device in deq::devices::all() {
        let sound = Signal::audio(&Audio::built_in(400, 0.1).expect("a sound"));
        let video = Signal::video(&Frames::built_in(2, 5, 4).expect("a video"));
        for signal in [sound, video] {
            let config = FitConfig {
                learning_rate: 1e-2,
                ..FitConfig::for_kind(signal.kind())
            };
            let mut fit = fit(&device, config, &signal);
            let losses: Vec<f64> = (0..8).map(|_| fit.step().expect("a step").loss).collect();
            assert!(losses[7] < losses[0], "{losses:?}");
            let dense = fit.render_denser(2).expect("renders");
            let kind = signal.kind().denser(2);
            assert_eq!(
                dense.values.len() * kind.in_channels(),
                kind.grid(1).len() * kind.out_channels()
            );
        }
    }
}
