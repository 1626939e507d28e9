//! Norms on parts of a module, chosen by name.

use burn::module::{Module, Param, Reparameterization};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use deq_regularizers::{
    NormConfig, NormError, Selection, SpectralNorm, SpectralNormConfig, WeightNorm,
    WeightNormConfig, apply_custom, remove_norms, reset_norms,
};

#[derive(Module, Debug)]
struct Net {
    blocks: Vec<Linear>,
    fuse: Conv2d,
    kernel: Param<Tensor<2>>,
    norm: LayerNorm,
}

fn net(device: &Device) -> Net {
    device.seed(5);
    let linear = || LinearConfig::new(3, 2).init(device);
    let kernel: Vec<f64> = (1..=12).map(f64::from).collect();
    let kernel = TensorData::new(kernel, [4, 3]);
    Net {
        blocks: vec![linear(), linear()],
        fuse: Conv2dConfig::new([2, 3], [1, 1]).init(device),
        kernel: Param::from_tensor(Tensor::from_data(kernel, device)),
        norm: LayerNormConfig::new(3).init(device),
    }
}

fn weight_norm() -> NormConfig {
    NormConfig::WeightNorm(WeightNormConfig::default())
}

fn spectral_norm() -> NormConfig {
    NormConfig::SpectralNorm(SpectralNormConfig::default())
}

/// Which of `blocks.0`, `blocks.1`, `fuse` and `kernel` have a norm of that type.
fn normed<R: Reparameterization>(net: &Net) -> [bool; 4] {
    [
        net.blocks[0].weight.reparameterization::<R>().is_some(),
        net.blocks[1].weight.reparameterization::<R>().is_some(),
        net.fuse.weight.reparameterization::<R>().is_some(),
        net.kernel.reparameterization::<R>().is_some(),
    ]
}

#[test]
fn patterns_say_which_weights_are_normed() {
    let cases = [
        (Selection::all(), [true, true, true, false]),
        (Selection::all_but(["fuse.*"]), [true, true, false, false]),
        (Selection::only(["blocks.*"]), [true, true, false, false]),
        (Selection::only(["*.1.weight"]), [false, true, false, false]),
        (Selection::only(["kernel"]), [false, false, false, true]),
        (
            Selection {
                include: vec!["blocks.*".to_owned(), "kernel".to_owned()],
                exclude: vec!["*.0.*".to_owned()],
            },
            [false, true, false, true],
        ),
    ];
    for device in deq_devices::all() {
        for (selection, expected) in &cases {
            let net = |norm: NormConfig| {
                let net = norm.apply_to(net(&device), selection);
                net.expect("applies")
            };
            assert_eq!(normed::<WeightNorm>(&net(weight_norm())), *expected);
            assert_eq!(normed::<SpectralNorm>(&net(spectral_norm())), *expected);
        }
    }
}

#[test]
fn a_bare_parameter_has_its_channels_first() {
    for device in deq_devices::all() {
        let selection = Selection::only(["kernel"]);
        let net = spectral_norm().apply_to(net(&device), &selection);
        let net = net.expect("applies");
        let norm = net.kernel.reparameterization::<SpectralNorm>();
        let norm = norm.expect("a spectral norm");
        assert_eq!((norm.u.dims(), norm.v.dims()), ([4], [3]));
        // The largest singular value of 1..=12 as 4 rows of 3.
        let base = net.kernel.base().max().into_scalar::<f64>();
        let effective = net.kernel.val().max().into_scalar::<f64>();
        assert!((base / effective - 25.462_407_436).abs() < 1e-3);
    }
}

#[test]
fn a_selection_without_effect_is_refused() {
    let refused = |device: &Device, selection: Selection| {
        let error = weight_norm().apply_to(net(device), &selection).err();
        error.expect("must be refused")
    };
    for device in deq_devices::all() {
        for pattern in ["blocks.7.*", "kern*", "norm.*", "blocks", "*.Weight"] {
            let error = refused(&device, Selection::only([pattern, "fuse.weight"]));
            assert_eq!(error, NormError::NoMatch(pattern.to_owned()));
        }
        let error = refused(&device, Selection::all_but(["kernel"]));
        assert_eq!(error, NormError::NoMatch("kernel".to_owned()));
        let error = refused(&device, Selection::all_but(["*"]));
        assert_eq!(error, NormError::NoWeight);
        let error = refused(&device, Selection::only(["norm.gamma"]));
        assert_eq!(error, NormError::NotAMatrix("norm.gamma".to_owned()));
    }
}

#[test]
fn several_norms_live_in_one_module() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let blocks = Selection::only(["blocks.*"]);
        let net = spectral_norm().apply_to(net(&device), &blocks);
        let net = weight_norm().apply_to(net.expect("applies"), &Selection::only(["fuse.*"]));
        let net = reset_norms(net.expect("applies"));
        assert_eq!(normed::<SpectralNorm>(&net), [true, true, false, false]);
        assert_eq!(normed::<WeightNorm>(&net), [false, false, true, false]);
        let error = weight_norm().apply(net.clone()).err();
        let name = "blocks.0.weight".to_owned();
        assert_eq!(error, Some(NormError::AlreadyApplied(name)));

        let plain = remove_norms(net.clone());
        assert_eq!(normed::<SpectralNorm>(&plain), [false; 4]);
        assert_eq!(normed::<WeightNorm>(&plain), [false; 4]);
        let difference = plain.blocks[1].weight.val() - net.blocks[1].weight.val();
        assert_eq!(difference.abs().max().into_scalar::<f32>(), 0.0);
        assert_eq!(plain.num_params(), self::net(&device).num_params());
    }
}

/// The weight times a number.
#[derive(Module, Debug)]
struct Scaled {
    scale: Param<Tensor<1>>,
}

impl Reparameterization for Scaled {
    const NAME: &'static str = "scaled";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let scale: Tensor<D> = self.scale.val().reshape([1usize; D]);
        base * scale
    }
}

#[test]
fn a_norm_of_ones_own_attaches_by_the_same_patterns() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let mut seen = Vec::new();
        let selection = Selection::only(["blocks.*", "kernel"]);
        let net = apply_custom(net(&device), &selection, |path, weight| {
            seen.push((path.to_owned(), weight.shape().to_vec(), weight.axis()));
            assert_eq!(weight.matrix().dims()[0], weight.channels());
            let largest = weight.channel_norms().max();
            assert!(!largest.is_require_grad());
            Scaled {
                scale: Param::from_tensor(largest),
            }
        });
        let net = net.expect("applies");
        assert_eq!(
            seen,
            [
                ("blocks.0.weight".to_owned(), vec![3, 2], 1),
                ("blocks.1.weight".to_owned(), vec![3, 2], 1),
                ("kernel".to_owned(), vec![4, 3], 0),
            ]
        );
        assert_eq!(normed::<Scaled>(&net), [true, true, false, true]);
        // The last row, 10, 11, 12, is the longest.
        let ratio = net.kernel.val().max() / net.kernel.base().max();
        let expected = 365f32.sqrt();
        assert!((ratio.into_scalar::<f32>() / expected - 1.0).abs() < 1e-5);
        // Its parameters are trained with the module.
        let gradients = net.kernel.val().sum().backward();
        let scaled = net.kernel.reparameterization::<Scaled>();
        let scale = scaled.expect("attached").scale.val();
        assert!(scale.grad(&gradients).is_some());
    }
}

#[test]
fn a_norm_is_the_same_from_a_file() {
    let json = r#"{"kind": "weight_norm", "learn_scale": false, "target_norm": 2.0}"#;
    let norm: NormConfig = serde_json::from_str(json).expect("well-formed");
    let expected = WeightNormConfig {
        learn_scale: false,
        target_norm: 2.0,
        clip: None,
    };
    assert_eq!(norm, NormConfig::WeightNorm(expected));
    let text = serde_json::to_string(&spectral_norm()).expect("plain data");
    let again: NormConfig = serde_json::from_str(&text).expect("well-formed");
    assert_eq!(again, spectral_norm());
    for wrong in [
        r#"{"kind": "weight_norm", "seed": 1}"#,
        r#"{"kind": "batch_norm"}"#,
        r#"{"learn_scale": true}"#,
    ] {
        assert!(serde_json::from_str::<NormConfig>(wrong).is_err());
    }
    assert!(serde_json::from_str::<Selection>(r#"{"only": ["a"]}"#).is_err());
}
