//! The ways to join modalities against their formulas.

use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq_fusion::{Call, Combination, Fusion, FusionConfig, FusionMethod};

use crate::common::{WIDTH, difference, features, methods, values};

fn fusion(widths: &[usize], features: usize, method: FusionMethod, device: &Device) -> Fusion {
    let config = FusionConfig {
        widths: widths.to_vec(),
        features,
        method,
    };
    config.init(device, 0).expect("a valid fusion")
}

fn answer(fusion: &Fusion, views: &[Tensor<3>]) -> Vec<f64> {
    let fused = fusion.forward(views.to_vec(), Call::default());
    values(fused.expect("a valid call").features)
}

/// A linear layer of one sample, on the host.
fn apply(layer: &Linear, x: &[f64]) -> Vec<f64> {
    let weight = values(layer.weight.val());
    let bias = layer.bias.as_ref().map(|bias| values(bias.val()));
    let [_, outputs] = layer.weight.dims();
    (0..outputs)
        .map(|j| {
            let product: f64 = (0..x.len()).map(|i| x[i] * weight[i * outputs + j]).sum();
            product + bias.as_ref().map_or(0.0, |bias| bias[j])
        })
        .collect()
}

fn two_views(device: &Device) -> (Vec<Tensor<3>>, Vec<Vec<f64>>) {
    let x = vec![
        features(1, [1, 1, 3], device),
        features(2, [1, 1, 2], device),
    ];
    let on_host = x.iter().map(|x| values(x.clone())).collect();
    (x, on_host)
}

#[test]
fn a_weighted_sum_starts_as_the_sum() {
    for device in deq::devices::all() {
        let method = FusionMethod::WeightedSum {};
        let fusion = fusion(&[3, 3], 3, method, &device);
        let x = [
            features(1, [2, 1, 3], &device),
            features(2, [2, 1, 3], &device),
        ];
        let expected = values(x[0].clone() + x[1].clone());
        assert!(difference(&answer(&fusion, &x), &expected) < 1e-6);
    }
}

#[test]
fn concatenation_is_a_linear_map() {
    for device in deq::devices::all() {
        let fusion = fusion(&[3, 2], 4, FusionMethod::Concatenation {}, &device);
        let (x, on_host) = two_views(&device);
        let Combination::Concatenation(method) = &fusion.method else {
            panic!("it concatenates");
        };
        let expected = apply(&method.map, &on_host.concat());
        assert!(difference(&answer(&fusion, &x), &expected) < 1e-5);
    }
}

#[test]
fn tensor_fusion_is_the_outer_product() {
    for device in deq::devices::all() {
        let fusion = fusion(&[3, 2], 4, FusionMethod::Tensor { size: 2 }, &device);
        let (x, on_host) = two_views(&device);
        let Combination::Tensor(method) = &fusion.method else {
            panic!("it multiplies");
        };
        let factor = |index: usize| {
            let h = apply(&method.factors[index], &on_host[index]);
            let h = h.into_iter().map(|h| h.max(0.0));
            std::iter::once(1.0).chain(h).collect::<Vec<f64>>()
        };
        let (first, second) = (factor(0), factor(1));
        let product = first.iter().flat_map(|a| second.iter().map(move |b| a * b));
        let expected = apply(&method.output, &product.collect::<Vec<f64>>());
        assert!(difference(&answer(&fusion, &x), &expected) < 1e-5);
    }
}

#[test]
fn low_rank_fusion_is_a_sum_of_products() {
    for device in deq::devices::all() {
        let fusion = fusion(&[3, 2], 4, FusionMethod::LowRank { rank: 3 }, &device);
        let (x, on_host) = two_views(&device);
        let Combination::LowRank(method) = &fusion.method else {
            panic!("it has a rank");
        };
        let first = apply(&method.factors[0], &on_host[0]);
        let second = apply(&method.factors[1], &on_host[1]);
        let weights = values(method.weights.val());
        let bias = values(method.bias.val());
        let expected: Vec<f64> = (0..4)
            .map(|j| {
                let terms = (0..3).map(|k| weights[k] * first[k * 4 + j] * second[k * 4 + j]);
                terms.sum::<f64>() + bias[j]
            })
            .collect();
        assert!(difference(&answer(&fusion, &x), &expected) < 1e-5);
    }
}

#[test]
fn all_ways_take_and_give_the_same() {
    for device in deq::devices::all() {
        for method in methods() {
            let fusion = fusion(&[3, 5], WIDTH, method.clone(), &device);
            let shapes = [[2, 4, 3], [2, 4, 5]];
            let x = [
                features(1, shapes[0], &device),
                features(2, shapes[1], &device),
            ];
            let fused = fusion.forward(x.to_vec(), Call::default());
            let fused = fused.expect("a valid call");
            assert_eq!(fused.features.dims(), [2, 4, WIDTH], "{method:?}");
            let has_state = fusion.layer().is_some();
            assert_eq!(fused.equilibrium.is_some(), has_state);

            // What a missing view holds does not matter.
            let run = |second: u64| {
                let present = Tensor::from_floats([[1.0, 0.0], [1.0, 0.0]], &device);
                let call = Call {
                    present: Some(present),
                    ..Call::default()
                };
                let x = vec![x[0].clone(), features(second, shapes[1], &device)];
                values(fusion.forward(x, call).expect("a valid call").features)
            };
            let one = run(2);
            assert!(difference(&run(3), &one) < 1e-5, "{method:?}");
            assert!(
                difference(&values(fused.features), &one) > 1e-4,
                "{method:?}"
            );
            let short = fusion.forward(x[..1].to_vec(), Call::default());
            assert!(short.is_err());
            let narrow = vec![x[0].clone(), x[0].clone()];
            assert!(fusion.forward(narrow, Call::default()).is_err());
        }
    }
}
