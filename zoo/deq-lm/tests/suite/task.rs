//! Losses, training, perplexity and sampling.

#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use crate::common::{contracting, equilibrium, explicit, tokens, unrolled, values};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use deq::prelude::*;
use deq_datasets::text::{Segment, Streams};
use deq_lm::{
    Architecture, EvalConfig, Evaluation, LanguageModel, LmConfig, LmError, Memory, SampleConfig,
    evaluate, jacobian_loss, sample, segment_loss,
};
use deq_parity::without_gradient;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Picard's iteration to five digits.
fn tight() -> SolveConfig {
    let mut solve = SolveConfig::default()
        .with_tolerance(1e-5)
        .with_max_iter(100);
    solve.termination.mode = StopMode::Relative;
    solve
}

fn eval(batch: usize, segment: usize) -> EvalConfig {
    EvalConfig {
        reach: 8,
        batch,
        segment,
        chunk: 47,
        solve: None,
    }
}

fn score(model: &LanguageModel, text: &[u32], config: &EvalConfig) -> Evaluation {
    evaluate(model, text, config).unwrap()
}

/// The relative difference of two perplexities.
fn apart(a: &Evaluation, b: &Evaluation) -> f64 {
    assert_eq!(a.tokens, b.tokens);
    (a.perplexity() - b.perplexity()).abs() / a.perplexity()
}

#[test]
fn perplexity_does_not_depend_on_batch_and_segment_length() {
    for device in deq::devices::all() {
        // Three chunks, of which the last two have the same shape.
        let text = tokens(142);
        let explicit = explicit(Architecture::PreNorm).init(&device, 0).unwrap();
        let shapes = [(8, 64), (8, 32), (1, 64), (3, 17)];
        for (model, solve, shapes) in [
            (contracting(&device), Some(tight()), &shapes[..1]),
            (explicit, None, &shapes[..]),
        ] {
            let with = |batch, segment| EvalConfig {
                solve: solve.clone(),
                ..eval(batch, segment)
            };
            let first = score(&model, &text, &with(1, 32));
            assert_eq!(first.tokens, 141);
            let converged = matches!(first.status, None | Some(Status::Converged));
            assert!(converged, "{first:?}");
            for &(batch, segment) in shapes {
                let other = score(&model, &text, &with(batch, segment));
                let apart = apart(&first, &other);
                assert!(apart < 1e-4, "{batch} {segment}: {apart}");
            }
            // The reach is part of the question, and changes the answer.
            let shorter = EvalConfig {
                reach: 2,
                ..with(8, 64)
            };
            assert!(apart(&first, &score(&model, &text, &shorter)) > 1e-4);
        }
    }
}

#[test]
fn unconverged_models_are_independent_of_the_batch() {
    for device in deq::devices::all() {
        let model = unrolled(3).init(&device, 0).unwrap();
        let text = tokens(142);
        let one = score(&model, &text, &eval(1, 32));
        assert!(apart(&one, &score(&model, &text, &eval(8, 32))) < 1e-5);
        assert!(one.max_residual.unwrap() > 1e-3);
    }
}

#[test]
fn every_token_is_scored_once_with_its_own_loss() {
    for device in deq::devices::all() {
        let model = explicit(Architecture::PostNorm).init(&device, 0).unwrap();
        let text = tokens(25);
        let segment = Segment {
            data: text[..24].to_vec(),
            targets: text[1..].to_vec(),
            batch: 1,
            length: 24,
        };
        // All in one segment, with everything before in view.
        let loss = segment_loss(&model, &segment, &Memory::default(), None).unwrap();
        let expected = values(loss.loss)[0];
        let config = EvalConfig {
            reach: 24,
            segment: 7,
            chunk: 100,
            ..eval(2, 7)
        };
        let found = score(&model, &text, &config);
        assert_eq!(found.tokens, 24);
        assert!((found.loss - expected).abs() < 1e-4, "{found:?}");
        assert!((found.perplexity().ln() - found.loss).abs() < 1e-9);
        assert!((found.bits() * std::f64::consts::LN_2 - found.loss).abs() < 1e-9);
        assert_eq!((found.max_residual, found.status), (None, None));
    }
}

#[test]
fn a_solve_of_ones_own_replaces_the_models() {
    for device in deq::devices::all() {
        let model = contracting(&device);
        let text = tokens(40);
        let mut config = eval(2, 16);
        let own = score(&model, &text, &config);
        config.solve = Some(SolveConfig::default().with_max_iter(1));
        let short = score(&model, &text, &config);
        assert!(short.max_residual.unwrap() > 10.0 * own.max_residual.unwrap());
        assert_eq!(short.status, Some(Status::MaxIterations));
        assert_ne!(own.loss, short.loss);
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let device = &deq::devices::all()[0];
    let model = contracting(device);
    let field = |text: &[u32], config: &EvalConfig| match evaluate(&model, text, config) {
        Err(LmError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(&tokens(9), &eval(0, 4)), "batch");
    assert_eq!(field(&tokens(9), &eval(1, 0)), "segment");
    let no_chunk = EvalConfig {
        chunk: 0,
        ..eval(1, 4)
    };
    assert_eq!(field(&tokens(9), &no_chunk), "chunk");
    assert_eq!(field(&[1], &eval(1, 4)), "tokens");
    assert!(matches!(
        evaluate(&model, &[1, 30], &eval(1, 4)),
        Err(LmError::UnknownToken { token: 30, .. })
    ));
    assert!(serde_json::from_str::<EvalConfig>(r#"{"mem_len": 3}"#).is_err());

    let field = |prompt: &[u32], config: SampleConfig| match sample(&model, prompt, 1, &config) {
        Err(LmError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let base = SampleConfig::default();
    let hot = SampleConfig {
        temperature: -1.0,
        ..base.clone()
    };
    assert_eq!(field(&[1], hot), "temperature");
    let none = SampleConfig {
        top_k: Some(0),
        ..base.clone()
    };
    assert_eq!(field(&[1], none), "top_k");
    assert_eq!(field(&[], base), "prompt");
    assert!(serde_json::from_str::<SampleConfig>(r#"{"top_p": 0.9}"#).is_err());
}

/// The loss before the first step and before the last of eight, on a text that repeats.
fn training(config: &LmConfig, device: &Device) -> (f64, f64) {
    let mut model = config.init(&device.clone().autodiff(), 0).unwrap();
    let mut adam = AdamConfig::new().init();
    let text: Vec<u32> = (0..34).map(|i| [3, 1, 4, 11, 5, 9, 2, 6][i % 8]).collect();
    let streams = Streams::new(&text, 2, 8).unwrap();
    let mut losses = Vec::new();
    for _ in 0..4 {
        let mut memory = Memory::default();
        for segment in streams.iter() {
            let found = segment_loss(&model, &segment, &memory, None).unwrap();
            losses.push(values(found.loss.clone())[0]);
            memory = found.output.memory.clone();
            let gradients = found.loss.backward();
            assert_eq!(without_gradient(&model, &gradients), Vec::<String>::new());
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = adam.step(5e-2, model, gradients);
        }
    }
    (losses[0], losses[7])
}

#[test]
fn equilibria_and_explicit_models_learn() {
    for device in deq::devices::all() {
        let solved = LmConfig {
            deq: equilibrium().deq.with_max_iter(4),
            weight_norm: Some(WeightNormConfig::default()),
            ..equilibrium()
        };
        for config in [unrolled(3), solved, explicit(Architecture::PreNorm)] {
            let (first, last) = training(&config, &device);
            assert!(last < first - 0.2, "{first} {last} {config:?}");
        }
    }
}

#[test]
fn several_states_are_weighted_by_the_correction() {
    for device in deq::devices::all() {
        let config = LmConfig {
            deq: unrolled(2).deq.with_states(States::Count(2)),
            ..unrolled(2)
        };
        let model = config.init(&device.autodiff(), 0).unwrap();
        let segment = Segment {
            data: tokens(6),
            targets: tokens(7)[1..].to_vec(),
            batch: 2,
            length: 3,
        };
        let found = segment_loss(&model, &segment, &Memory::default(), None).unwrap();
        assert_eq!(found.output.states.len(), 2);
        let each = model
            .token_losses(&found.output.states, &segment.targets, None)
            .unwrap();
        let mean = |index: usize| values(each[index].clone().mean())[0];
        let expected = 0.8 * mean(0) + mean(1);
        assert!((values(found.loss)[0] - expected).abs() < 1e-4);
        assert_eq!(found.token_losses.dims(), [2, 3]);
    }
}

#[test]
fn the_jacobian_penalty_belongs_to_equilibria() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let segment = Segment {
            data: tokens(6),
            targets: tokens(7)[1..].to_vec(),
            batch: 1,
            length: 6,
        };
        let penalty = |config: LmConfig| {
            let model = config.init(&device, 0).unwrap();
            let found = segment_loss(&model, &segment, &Memory::default(), None).unwrap();
            let mut rng = StdRng::seed_from_u64(0);
            jacobian_loss(&found.output, &mut rng).map(|penalty| {
                let gradients = GradientsParams::from_grads(penalty.backward(), &model);
                (values(penalty)[0], gradients.len())
            })
        };
        let (value, gradients) = penalty(unrolled(2)).unwrap();
        assert!(value > 0.0 && value.is_finite(), "{value}");
        assert!(gradients > 5);
        assert!(penalty(explicit(Architecture::PreNorm)).is_none());
    }
}

#[test]
fn samples_are_reproducible_and_obey_their_options() {
    for device in deq::devices::all() {
        for config in [explicit(Architecture::PostNorm), unrolled(2)] {
            let model = config.init(&device, 0).unwrap();
            let draw = |seed: u64, top_k: Option<usize>, temperature: f64| {
                let config = SampleConfig {
                    seed,
                    top_k,
                    temperature,
                    ..SampleConfig::default()
                };
                let drawn = sample(&model, &tokens(9), 6, &config).unwrap();
                assert!(drawn.len() == 6 && drawn.iter().all(|&token| token < 30));
                drawn
            };
            assert_eq!(draw(1, None, 1.0), draw(1, None, 1.0));
            assert_ne!(draw(1, None, 1.0), draw(2, None, 1.0));
            // Three ways to ask for the likeliest token.
            let likeliest = draw(0, None, 0.0);
            assert_eq!(draw(3, Some(1), 1.0), likeliest);
            assert_eq!(draw(4, None, 1e-7), likeliest);
        }
        let model = explicit(Architecture::PostNorm).init(&device, 0).unwrap();
        let none = sample(&model, &[1], 0, &SampleConfig::default());
        assert!(none.unwrap().is_empty());
    }
}

#[test]
fn a_sample_continues_as_its_text_is_scored() {
    for device in deq::devices::all() {
        // The likeliest token after each prefix is what greedy sampling takes, whatever was
        // remembered of the prefix.
        let model = explicit(Architecture::PreNorm).init(&device, 0).unwrap();
        let greedy = SampleConfig {
            temperature: 0.0,
            reach: Some(20),
            ..SampleConfig::default()
        };
        let mut text = tokens(5);
        let together = sample(&model, &text, 3, &greedy).unwrap();
        for expected in together {
            let next = sample(&model, &text, 1, &greedy).unwrap();
            assert_eq!(next, [expected]);
            text.push(expected);
        }
    }
}
