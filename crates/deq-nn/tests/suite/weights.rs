//! What is drawn: the same on every device, and from the distribution that was asked for.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor};
use deq_nn::{Draw, Init};
use rand_distr::Normal;

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

/// Trained figures and checkpoints in the models' READMEs came from these numbers.
#[test]
fn a_seed_draws_what_it_always_drew() {
    for device in deq_devices::all() {
        let mut init = Init::new(&device, 0);
        let mut drawn = init.uniform(2, 1.0);
        drawn.extend(init.normal(2, 1.0));
        drawn.extend(init.sample(1, &Normal::new(1.0, 0.5).expect("a distribution")));
        let linear = init.linear(3, 1, true);
        drawn.extend(values(&linear.weight));
        drawn.extend(values(&linear.bias.expect("a bias")));
        let bits: Vec<u32> = drawn.iter().map(|number| number.to_bits()).collect();
        let always = [
            1055697151, 1057751801, 3223055211, 1042760632, 1052350702, 1050725612, 3198570218,
            1051567414, 1049848089,
        ];
        assert_eq!(bits, always, "{drawn:?} on {device:?}");
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
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / weights.len() as f64;
        assert!(mean.abs() <= 0.05 * expected, "{rule:?}: {mean}");
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
