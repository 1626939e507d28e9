//! What is drawn: the same on every device, and from the distribution that was asked for.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor};
use deq_nn::{Draw, Init};

fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().into_data().iter::<f32>().collect()
}

/// Everything that a model may draw, in one order.
fn drawn(device: &Device, seed: u64) -> Vec<f32> {
    let mut init = Init::new(device, seed);
    let conv = init.conv_from([2, 3], [3, 5], 2, Draw::KaimingNormal, Some(Draw::Torch));
    let linear = init.linear_from(4, 5, Draw::XavierNormal, Some(Draw::Normal { std: 0.5 }));
    let numbers = [init.uniform(3, 2.0), init.normal(3, 2.0)].concat();
    let biases = [conv.bias, linear.bias].map(|bias| values(&bias.expect("a bias")));
    let weights = [values(&conv.weight), values(&linear.weight), numbers];
    [weights.concat(), biases.concat()].concat()
}

#[test]
fn a_seed_draws_the_same_bits_on_every_device() {
    let mut first: Option<Vec<f32>> = None;
    for device in deq_devices::all() {
        let here = drawn(&device, 3);
        assert_ne!(here, drawn(&device, 4), "{device:?}");
        assert_eq!(
            first.get_or_insert_with(|| here.clone()),
            &here,
            "{device:?}"
        );
    }
}

#[test]
fn weights_have_the_deviation_of_their_rule() {
    let device = deq_devices::all().remove(0);
    let (inputs, outputs) = (50, 200);
    let rules = [
        // A uniform number in [-b, b) has the deviation b / sqrt(3).
        (Draw::Torch, (1.0f64 / 50.0 / 3.0).sqrt()),
        (Draw::KaimingNormal, (2.0f64 / 200.0).sqrt()),
        (Draw::XavierNormal, (2.0f64 / 250.0).sqrt()),
        (Draw::Normal { std: 0.01 }, 0.01),
        (Draw::Zeros, 0.0),
    ];
    for (rule, expected) in rules {
        let mut init = Init::new(&device, 1);
        let weights = values(&init.linear_from(inputs, outputs, rule, None).weight);
        let squares = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>();
        let deviation = (squares / weights.len() as f64).sqrt();
        // Of 10,000 numbers: within five deviations of the estimate.
        assert!(
            (deviation - expected).abs() <= 0.036 * expected,
            "{rule:?}: {deviation}"
        );
        if rule == Draw::Torch {
            let bound = (1.0f64 / 50.0).sqrt() as f32;
            assert!(weights.iter().all(|w| w.abs() <= bound));
        }
    }
}

#[test]
fn a_convolution_counts_its_kernel_and_keeps_the_size() {
    let device = deq_devices::all().remove(0);
    let mut init = Init::new(&device, 1);
    let conv = init.conv([40, 20], [5, 1], 1, true);
    assert_eq!(conv.weight.shape().dims(), [20, 40, 5, 1]);
    assert_eq!(conv.padding, PaddingConfig2d::Explicit(2, 0, 2, 0));
    let bound = (1.0f32 / 200.0).sqrt();
    let largest = values(&conv.weight)
        .iter()
        .fold(0.0f32, |a, w| a.max(w.abs()));
    assert!(largest <= bound && largest > 0.99 * bound, "{largest}");
    let image = Tensor::ones([1, 40, 7, 6], &device);
    assert_eq!(conv.forward(image).dims(), [1, 20, 7, 6]);
}
