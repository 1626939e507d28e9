//! The training loss and its masks.

use crate::common::{close, frames, noise, small, tensor, values};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Tensor;
use deq::prelude::*;
use deq::regularizers::Correction;
use deq_flow::{FlowBatch, FlowConfig, FlowError, Target, sequence_loss, train_loss};

const NAN: f32 = f32::NAN;

/// Two samples of 1×3 pixels. In the first, pixel 1 is too long and pixel 2 unknown; in the second,
/// pixel 0 is marked invalid.
const TRUTH: [f32; 12] = [
    1.0, 300.0, NAN, 2.0, 300.0, 0.0, //
    5.0, 0.0, 1.0, 5.0, 0.0, -1.0,
];
const VALID: [f32; 6] = [1.0, 1.0, 1.0, 0.0, 1.0, 0.7];

#[test]
fn invalid_and_very_long_flow_adds_zero() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let truth = tensor(TRUTH.to_vec(), [2, 2, 1, 3], &device);
        let valid = tensor(VALID.to_vec(), [2, 1, 3], &device);
        let target = Target::new(truth, Some(valid), 400.0).expect("fits");
        let flow = Tensor::<4>::zeros([2, 2, 1, 3], &device).require_grad();
        let loss = target.loss(flow.clone()).expect("fits");
        let gradient = flow.grad(&loss.backward()).expect("a gradient");
        // |1| + |2| and |1| + |−1|, over all twelve numbers.
        assert!((loss.into_scalar::<f32>() - 5.0 / 12.0).abs() < 1e-6);
        let part = 1.0 / 12.0;
        let signs = [-1., 0., 0., -1., 0., 0., 0., 0., -1., 0., 0., 1.];
        close(&values(gradient), &signs.map(|sign: f32| sign * part), 1e-6);

        let errors = target.end_point_errors(flow).expect("fits");
        assert_eq!(errors.dims(), [2, 1, 3]);
        let (five, two) = (5.0f32.sqrt(), 2.0f32.sqrt());
        close(&values(errors), &[five, 0.0, 0.0, 0.0, 0.0, two], 1e-5);
    }
}

#[test]
fn max_flow_decides_what_is_too_long() {
    for device in deq::devices::all() {
        let loss = |max_flow: f64| {
            let truth = tensor(vec![3.0, 0.0, 4.0, 0.0], [1, 2, 1, 2], &device);
            let target = Target::new(truth, None, max_flow).expect("fits");
            let flow = Tensor::zeros([1, 2, 1, 2], &device);
            target.loss(flow).expect("fits").into_scalar::<f32>()
        };
        assert_eq!([loss(5.0), loss(5.1)], [0.0, 7.0 / 4.0]);
    }
}

#[test]
fn states_are_joined_by_correction() {
    for device in deq::devices::all() {
        let truth = Tensor::<4>::zeros([1, 2, 2, 2], &device);
        let target = Target::new(truth.clone(), None, 400.0).expect("fits");
        let flows: Vec<Tensor<4>> = [4.0, 2.0, 1.0].map(|by| truth.clone() + by).to_vec();
        let loss = |correction: &Correction| {
            let loss = sequence_loss(&flows, &target, correction).expect("fits");
            loss.into_scalar::<f32>()
        };
        let expected = 0.64 * 4.0 + 0.8 * 2.0 + 1.0;
        assert!((loss(&Correction::default()) - expected).abs() < 1e-5);
        assert!((loss(&Correction::Const(1.0)) - 7.0).abs() < 1e-5);
        let none = sequence_loss(&[], &target, &Correction::default());
        assert!(matches!(none, Err(FlowError::Correction(_))));
        let other = Tensor::zeros([1, 2, 2, 3], &device);
        assert!(matches!(
            sequence_loss(&[other], &target, &Correction::default()),
            Err(FlowError::Shape { .. })
        ));
    }
}

fn batch(config: &FlowConfig, device: &burn::tensor::Device) -> FlowBatch {
    let side = config.least_side();
    let [first, second] = frames(2, [side, side], 2.0, device);
    let flow = tensor(noise(2 * 2 * side * side, 4), [2, 2, side, side], device);
    FlowBatch {
        first,
        second,
        flow: flow + 2.0,
        valid: None,
    }
}

#[test]
fn the_options_of_the_loss_have_an_effect() {
    let base = FlowConfig {
        deq: small().deq.with_states(States::Count(2)),
        ..small()
    };
    let changed = [
        FlowConfig {
            correction: Correction::Exp { gamma: 0.1 },
            ..base.clone()
        },
        FlowConfig {
            max_flow: 2.5,
            ..base.clone()
        },
        FlowConfig {
            deq: base.deq.clone().with_states(States::Count(1)),
            ..base.clone()
        },
    ];
    for device in deq::devices::all() {
        let device = device.autodiff();
        let loss = |config: &FlowConfig| {
            let model = config.init(&device, 0).expect("a valid model");
            let step = train_loss(&model, &batch(config, &device)).expect("a loss");
            assert_eq!(step.flow.dims(), [2, 2, 16, 16]);
            step.loss.into_scalar::<f32>()
        };
        let found = loss(&base);
        for config in &changed {
            assert!((loss(config) - found).abs() > 1e-3, "{config:?}");
        }
    }
}

#[test]
fn training_lowers_the_loss() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let config = small();
        let data = batch(&config, &device);
        let mut model = config.init(&device, 0).expect("a valid model");
        let mut adam = AdamConfig::new().init();
        let mut losses = Vec::new();
        for _ in 0..8 {
            let step = train_loss(&model, &data).expect("a loss");
            let gradients = GradientsParams::from_grads(step.loss.backward(), &model);
            losses.push(step.loss.into_scalar::<f32>());
            model = adam.step(1e-2, model, gradients);
        }
        assert!(losses[7] < 0.9 * losses[0], "{losses:?}");
    }
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let device = &deq::devices::all()[0];
    let flow = || Tensor::<4>::zeros([1, 2, 2, 2], device);
    let valid = Tensor::<3>::zeros([1, 2, 3], device);
    assert!(matches!(
        Target::new(flow(), Some(valid), 400.0),
        Err(FlowError::Shape { .. })
    ));
    let three = Tensor::<4>::zeros([1, 3, 2, 2], device);
    assert!(matches!(
        Target::new(three, None, 400.0),
        Err(FlowError::Shape { .. })
    ));
    for max_flow in [0.0, -1.0, f64::NAN] {
        assert!(matches!(
            Target::new(flow(), None, max_flow),
            Err(FlowError::InvalidConfig { .. })
        ));
    }
}
