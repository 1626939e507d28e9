//! The adaptive embedding and softmax on their own.

#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use deq_lm::LmError;
use deq_lm::adaptive::{AdaptiveConfig, Tying};

fn config(cutoffs: &[usize], d_embed: usize, div_val: usize) -> AdaptiveConfig {
    AdaptiveConfig {
        n_token: 23,
        d_embed,
        d_proj: 8,
        cutoffs: cutoffs.to_vec(),
        div_val,
        init_std: 0.7,
    }
}

/// Every form: one table or several, projected or not.
fn configs() -> Vec<AdaptiveConfig> {
    vec![
        config(&[], 8, 1),
        config(&[], 6, 1),
        config(&[5, 12], 8, 1),
        config(&[5, 12], 6, 1),
        config(&[5, 12], 8, 2),
        config(&[4, 9, 15], 8, 2),
    ]
}

const TYINGS: [Tying; 4] = [
    Tying {
        weights: false,
        projections: false,
    },
    Tying {
        weights: true,
        projections: false,
    },
    Tying {
        weights: false,
        projections: true,
    },
    Tying {
        weights: true,
        projections: true,
    },
];

/// Tokens of all clusters, out of order, some of them twice.
const TOKENS: [u32; 9] = [22, 0, 13, 5, 4, 12, 22, 1, 7];

fn hidden(device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..9 * 8)
        .map(|i| ((i * 37 % 19) as f32 - 9.0) / 6.0)
        .collect();
    Tensor::from_data(TensorData::new(values, [9, 8]), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn probabilities_sum_to_one_and_losses_come_in_token_order() {
    for device in deq::devices::all() {
        for config in configs() {
            let embedding = config.embedding(&device, 1).unwrap();
            for tying in TYINGS {
                let softmax = config.softmax(tying, &device, 2).unwrap();
                let softmax = softmax.bind(Some(&embedding)).unwrap();
                let logarithms = softmax.log_probabilities(hidden(&device));
                assert_eq!(logarithms.dims(), [9, 23]);
                let sums = values(logarithms.clone().exp().sum_dim(1));
                assert!(close(&sums, &[1.0; 9], 1e-5), "{config:?}: {sums:?}");

                let all = values(logarithms);
                let expected: Vec<f64> = TOKENS
                    .iter()
                    .enumerate()
                    .map(|(row, &token)| -all[row * 23 + token as usize])
                    .collect();
                let losses = softmax.token_losses(hidden(&device), &TOKENS).unwrap();
                let losses = values(losses);
                assert!(close(&losses, &expected, 1e-4), "{config:?} {tying:?}");
            }
        }
    }
}

#[test]
fn without_cutoffs_it_is_a_plain_softmax() {
    for device in deq::devices::all() {
        let config = config(&[], 8, 1);
        let softmax = config.softmax(Tying::default(), &device, 3).unwrap();
        let layer = &softmax.out_layers[0];
        let weight = layer.weight.as_ref().unwrap().val();
        let logits = hidden(&device).matmul(weight.transpose());
        let logits = logits + layer.bias.val().unsqueeze::<2>();
        let expected = values(log_softmax(logits, 1));
        let found = softmax
            .bind(None)
            .unwrap()
            .log_probabilities(hidden(&device));
        assert!(close(&values(found), &expected, 1e-5));
    }
}

#[test]
fn embeddings_are_projected_rows_in_token_order() {
    for device in deq::devices::all() {
        for config in configs() {
            let embedding = config.embedding(&device, 1).unwrap();
            let together = values(embedding.forward(&TOKENS).unwrap());
            let alone: Vec<f64> = TOKENS
                .iter()
                .flat_map(|&token| values(embedding.forward(&[token]).unwrap()))
                .collect();
            assert!(close(&together, &alone, 1e-5), "{config:?}");
        }
        // The last token of three clusters: row 10 of a table of width 2, projected to 8.
        let config = config(&[5, 12], 8, 2);
        let embedding = config.embedding(&device, 1).unwrap();
        let row = embedding.emb_layers[2].weight.val().narrow(0, 10, 1);
        assert_eq!(row.dims(), [1, 2]);
        let expected = row.matmul(embedding.emb_projs[2].weight.val()) * 8f64.sqrt();
        let found = embedding.forward(&[22]).unwrap();
        assert!(close(&values(found), &values(expected), 1e-5));
    }
}

#[test]
fn shared_tables_must_be_there_and_have_an_effect() {
    for device in deq::devices::all() {
        let config = config(&[5, 12], 8, 2);
        let [first, second] = [1, 2].map(|seed| config.embedding(&device, seed).unwrap());
        let losses = |tying: Tying| {
            let softmax = config.softmax(tying, &device, 3).unwrap();
            [&first, &second].map(|embedding| {
                let softmax = softmax.bind(Some(embedding)).unwrap();
                values(softmax.token_losses(hidden(&device), &TOKENS).unwrap())
            })
        };
        let [a, b] = losses(Tying::default());
        assert_eq!(a, b);
        for tying in &TYINGS[1..] {
            let [a, b] = losses(*tying);
            assert_ne!(a, b, "{tying:?}");
            let softmax = config.softmax(*tying, &device, 3).unwrap();
            assert!(matches!(softmax.bind(None), Err(LmError::MissingEmbedding)));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = &deq::devices::all()[0];
    let plain = config(&[5, 12], 8, 2);
    let embedding = plain.embedding(device, 0).unwrap();
    assert!(matches!(
        embedding.forward(&[1, 23]),
        Err(LmError::UnknownToken { token: 23, .. })
    ));
    let softmax = plain.softmax(TYINGS[1], device, 0).unwrap();
    let bound = softmax.bind(Some(&embedding)).unwrap();
    assert!(bound.token_losses(hidden(device), &[1, 2]).is_err());
    assert!(bound.token_losses(hidden(device), &[23; 9]).is_err());
    let other = config(&[5], 8, 2).embedding(device, 0).unwrap();
    assert!(softmax.bind(Some(&other)).is_err());
    let moved = config(&[6, 12], 8, 2).embedding(device, 0).unwrap();
    assert!(softmax.bind(Some(&moved)).is_err());

    let refused = |config: AdaptiveConfig| config.embedding(device, 0).is_err();
    assert!(refused(config(&[12, 5], 8, 2)));
    assert!(refused(config(&[5, 23], 8, 2)));
    // The last of four clusters would have width 1/8.
    assert!(refused(config(&[4, 9, 15], 1, 2)));
    assert!(refused(config(&[5], 8, 0)));
    assert!(refused(config(&[5], 0, 1)));
    let no_spread = AdaptiveConfig {
        init_std: 0.0,
        ..plain
    };
    assert!(refused(no_spread));
}
