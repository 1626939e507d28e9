//! Spectral norm against singular values computed on the host, and as part of a module's life.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{
    Conv1dConfig, Conv2dConfig, Conv3dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig,
    ConvTranspose3dConfig,
};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_import::{StateDict, load};
use deq_regularizers::{NormError, SpectralNorm, SpectralNormConfig, remove_norms, reset_norms};

/// Numbers without structure; the matrices of this file have no two close singular values.
fn waves(count: usize) -> Vec<f64> {
    let wave = |i: f64| (1.7 * i * (1.0 + 0.01 * i) + 0.3).sin() + 0.4;
    (0..count).map(|i| wave(i as f64)).collect()
}

fn weight<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let data = TensorData::new(waves(shape.iter().product()), shape);
    Param::from_tensor(Tensor::from_data(data, device))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn state<const D: usize>(weight: &Param<Tensor<D>>) -> &SpectralNorm {
    weight.reparameterization().expect("a spectral norm")
}

fn vectors(linear: &Linear) -> (Vec<f64>, Vec<f64>) {
    let norm = state(&linear.weight);
    (values(norm.u.val()), values(norm.v.val()))
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

/// The largest singular value of a weight as a matrix whose rows are the places along `axis`: the
/// root of the largest eigenvalue of its Gram matrix, by Jacobi rotations.
fn largest_singular_value(values: &[f64], shape: &[usize], axis: usize) -> f64 {
    let n = shape[axis];
    let after: usize = shape[axis + 1..].iter().product();
    let mut rows = vec![Vec::new(); n];
    for (i, &value) in values.iter().enumerate() {
        rows[i / after % n].push(value);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut gram: Vec<Vec<f64>> = rows
        .iter()
        .map(|a| rows.iter().map(|b| dot(a, b)).collect())
        .collect();
    for _ in 0..30 {
        for p in 0..n {
            for q in p + 1..n {
                let angle = 0.5 * (2.0 * gram[p][q]).atan2(gram[q][q] - gram[p][p]);
                let (sin, cos) = angle.sin_cos();
                for row in &mut gram {
                    let (a, b) = (row[p], row[q]);
                    row[p] = cos * a - sin * b;
                    row[q] = sin * a + cos * b;
                }
                #[allow(clippy::needless_range_loop, reason = "two rows change together")]
                for k in 0..n {
                    let (a, b) = (gram[p][k], gram[q][k]);
                    gram[p][k] = cos * a - sin * b;
                    gram[q][k] = sin * a + cos * b;
                }
            }
        }
    }
    (0..n).fold(0.0, |m: f64, i| m.max(gram[i][i])).sqrt()
}

#[test]
fn the_jacobi_rotations_of_this_test_are_right() {
    // The singular values of [[3, 0], [4, 5]] are the roots of 45 and 5.
    let found = largest_singular_value(&[3.0, 0.0, 4.0, 5.0], &[2, 2], 0);
    assert!((found - 45f64.sqrt()).abs() < 1e-12, "{found}");
}

/// After many power iterations the weight's largest singular value is the target.
fn check_converged<M: Module, const D: usize>(
    layer: M,
    weight: impl Fn(&M) -> &Param<Tensor<D>>,
    axis: usize,
) {
    let config = SpectralNormConfig {
        n_power_iterations: 30,
        target_norm: 0.7,
        ..Default::default()
    };
    let shape = weight(&layer).dims();
    let before = values(weight(&layer).val());
    let sigma = largest_singular_value(&before, &shape, axis);
    let layer = reset_norms(config.apply(layer).expect("applies"));
    let after = values(weight(&layer).val());
    let expected: Vec<f64> = before.iter().map(|w| w * 0.7 / sigma).collect();
    let error = largest_difference(&after, &expected);
    assert!(error < 1e-5, "{shape:?}: {error}");
    let norm = largest_singular_value(&after, &shape, axis);
    assert!((norm - 0.7).abs() < 1e-5, "{shape:?}: {norm}");
    assert_eq!(state(weight(&layer)).u.dims(), [shape[axis]]);
}

macro_rules! check_layer {
    ($config:expr, $axis:literal, $device:expr) => {{
        let mut layer = $config.init($device);
        layer.weight = weight(layer.weight.dims(), $device);
        check_converged(layer, |layer| &layer.weight, $axis);
    }};
}

#[test]
fn the_largest_singular_value_becomes_the_target_on_every_layer() {
    for device in deq_devices::all() {
        let device = &device.autodiff();
        check_layer!(LinearConfig::new(5, 3), 1, device);
        check_layer!(Conv1dConfig::new(3, 4, 3), 0, device);
        check_layer!(Conv2dConfig::new([3, 5], [3, 2]), 0, device);
        check_layer!(Conv3dConfig::new([2, 3], [1, 2, 3]), 0, device);
        check_layer!(ConvTranspose1dConfig::new([4, 3], 3), 1, device);
        check_layer!(ConvTranspose2dConfig::new([3, 2], [2, 3]), 1, device);
        check_layer!(ConvTranspose3dConfig::new([3, 2], [1, 2, 2]), 1, device);
    }
}

#[test]
fn sigma_is_meaningful_from_the_start_and_in_evaluation() {
    for device in deq_devices::all() {
        let mut linear = LinearConfig::new(5, 3).init(&device);
        linear.weight = weight([5, 3], &device);
        let sigma = largest_singular_value(&waves(15), &[5, 3], 1);
        let normed = SpectralNormConfig::default()
            .apply(linear)
            .expect("applies");
        let ratio = waves(15)[0] / values(normed.weight.val())[0];
        assert!((ratio / sigma - 1.0).abs() < 1e-4, "{ratio}, {sigma}");
    }
}

/// Adds a step to one element of one parameter, counted in a module's order.
struct Nudge {
    parameter: usize,
    element: usize,
    step: f64,
}

impl ModuleMapper for Nudge {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (this, rest) = (self.parameter == 0, self.parameter.wrapping_sub(1));
        self.parameter = rest;
        if !this {
            return param;
        }
        param.map(|value| {
            let mut step = vec![0.0; value.shape().num_elements()];
            step[self.element] = self.step;
            let data = TensorData::new(step, value.dims());
            let step = Tensor::<D>::from_data(data, (&value.device(), value.dtype()));
            value + step
        })
    }
}

#[test]
fn the_gradient_holds_the_vectors_fixed() {
    for device in deq_devices::double_precision() {
        let device = device.autodiff();
        let data = |shape: [usize; 2]| TensorData::new(waves(12), shape);
        let double = (&device, DType::F64);
        let mut linear = LinearConfig::new(4, 3).with_bias(false).init(&device);
        linear.weight = Param::from_tensor(Tensor::from_data(data([4, 3]), double));
        let cotangent = Tensor::<2>::from_data(data([4, 3]), double).cos();
        let normed = SpectralNormConfig::default()
            .apply(linear)
            .expect("applies");

        let norm = state(&normed.weight);
        let gain = norm.gain.as_ref().expect("a gain");
        let loss = (normed.weight.val() * cotangent.clone()).sum();
        let gradients = loss.backward();
        assert!(norm.u.val().grad(&gradients).is_none());
        assert!(norm.v.val().grad(&gradients).is_none());
        let weight = normed.weight.base().grad(&gradients).expect("a gradient");
        let gain = gain.val().grad(&gradients).expect("a gradient");

        let plain = normed.valid();
        let loss = |parameter, element, step| {
            let mut nudge = Nudge {
                parameter,
                element,
                step,
            };
            let nudged = plain.clone().map(&mut nudge);
            let loss = (nudged.weight.val() * cotangent.clone().inner()).sum();
            loss.into_scalar::<f64>()
        };
        for (parameter, gradient) in [(0, values(weight)), (1, values(gain))] {
            for (element, found) in gradient.iter().enumerate() {
                let up = loss(parameter, element, 1e-5);
                let down = loss(parameter, element, -1e-5);
                let expected = (up - down) / 2e-5;
                let error = (found - expected).abs();
                assert!(error < 1e-8, "{parameter}, {element}: {found}, {expected}");
            }
        }
    }
}

/// Two close singular values, so that the vectors move for long.
fn slow(device: &Device) -> Linear {
    let mut linear = LinearConfig::new(2, 2).with_bias(false).init(device);
    let weight = Tensor::from_floats([[1.0, 0.0], [0.0, 0.97]], device);
    linear.weight = Param::from_tensor(weight);
    linear
}

#[test]
fn a_reset_moves_the_vectors_in_training_only() {
    for device in deq_devices::all() {
        let config = SpectralNormConfig::default();
        let apply = |config: &SpectralNormConfig| {
            let normed = config.apply(slow(&device.clone().autodiff()));
            normed.expect("applies")
        };
        let start = apply(&config);
        let once = reset_norms(start.clone());
        assert!(largest_difference(&vectors(&start).0, &vectors(&once).0) > 1e-4);
        let twice = reset_norms(once.clone());
        let two = SpectralNormConfig {
            n_power_iterations: 2,
            ..config
        };
        let at_once = reset_norms(apply(&two));
        assert!(largest_difference(&vectors(&twice).0, &vectors(&at_once).0) < 1e-6);
        assert!(largest_difference(&vectors(&twice).1, &vectors(&at_once).1) < 1e-6);

        let plain = once.valid();
        assert_eq!(vectors(&plain), vectors(&once));
        assert_eq!(vectors(&reset_norms(plain.clone())), vectors(&plain));
        // Back in training they go on from where they were.
        let again = reset_norms(plain.train());
        assert!(largest_difference(&vectors(&again).0, &vectors(&twice).0) < 1e-6);
    }
}

#[test]
fn every_option_changes_the_weight() {
    for device in deq_devices::all() {
        let effective = |config: &SpectralNormConfig| {
            let normed = config.apply(slow(&device)).expect("applies");
            values(normed.weight.val())
        };
        let learned = SpectralNormConfig::default();
        let fixed = SpectralNormConfig {
            learn_scale: false,
            ..learned.clone()
        };
        // Gains start at the target norm; they are what the option adds.
        assert!(largest_difference(&effective(&learned), &effective(&fixed)) < 1e-6);
        let gain = |config: &SpectralNormConfig| {
            let normed = config.apply(slow(&device)).expect("applies");
            let gain = &state(&normed.weight).gain;
            gain.as_ref().map(|gain| values(gain.val()))
        };
        assert_eq!(gain(&learned), Some(vec![1.0; 2]));
        assert_eq!(gain(&fixed), None);
        for scaled in [&learned, &fixed] {
            let target = SpectralNormConfig {
                target_norm: 0.5,
                ..scaled.clone()
            };
            let (half, one) = (effective(&target), effective(scaled));
            assert!((2.0 * half[0] - one[0]).abs() < 1e-6);
        }
        let clipped = SpectralNormConfig {
            clip: Some(0.25),
            ..learned.clone()
        };
        assert!((effective(&clipped)[0] - 0.25).abs() < 1e-6);
        let seeded = SpectralNormConfig {
            seed: 1,
            ..learned.clone()
        };
        assert_ne!(effective(&learned), effective(&seeded));
    }
}

#[test]
fn a_seed_gives_the_same_vectors_on_every_device() {
    let devices = deq_devices::all();
    let vectors = |device: &Device| {
        let normed = SpectralNormConfig::default().apply(slow(device));
        vectors(&normed.expect("applies"))
    };
    let (u, v) = vectors(&devices[0]);
    for device in &devices {
        let (other_u, other_v) = vectors(device);
        assert!(largest_difference(&u, &other_u) < 1e-5, "{device:?}");
        assert!(largest_difference(&v, &other_v) < 1e-5, "{device:?}");
    }
}

#[test]
fn the_vectors_are_saved_loaded_and_never_trained() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let config = SpectralNormConfig::default();
        let other = SpectralNormConfig {
            seed: 1,
            ..config.clone()
        };
        let saved = config.apply(slow(&device)).expect("applies");
        let fresh = other.apply(slow(&device)).expect("applies");
        assert_ne!(vectors(&saved), vectors(&fresh));
        let loaded = fresh.load_record(saved.clone().into_record());
        assert_eq!(vectors(&loaded), vectors(&saved));

        let unfrozen = loaded.freeze().unfreeze();
        let norm = state(&unfrozen.weight);
        assert!(unfrozen.weight.base().is_require_grad());
        assert!(!norm.u.is_require_grad() && !norm.v.is_require_grad());
        // Weight, gains and both vectors.
        assert_eq!(unfrozen.num_params(), 4 + 2 + 2 + 2);
    }
}

#[test]
fn a_torchdeq_state_dict_fills_the_vectors() {
    for device in deq_devices::all() {
        let mut linear = LinearConfig::new(3, 2).with_bias(false).init(&device);
        linear.weight = weight([3, 2], &device);
        let normed = SpectralNormConfig::default()
            .apply(linear)
            .expect("applies");
        let mut dict = StateDict::new();
        let tensors: [(&str, &[usize], &[f32]); 4] = [
            ("weight_orig", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ("weight_g", &[2, 1], &[2.0, 1.0]),
            ("weight_u", &[2], &[0.6, 0.8]),
            ("weight_v", &[3], &[0.0, 1.0, 0.0]),
        ];
        for (name, shape, data) in tensors {
            dict.insert(name, TensorData::new(data.to_vec(), shape));
        }
        let loaded = load(normed, &dict).expect("loads");
        // sigma = 0.6 * 2 + 0.8 * 5 = 5.2, and burn's layout is [in, out].
        let expected = [2.0, 4.0, 4.0, 5.0, 6.0, 6.0].map(|w: f64| w / 5.2);
        let found = values(loaded.weight.val());
        assert!(largest_difference(&found, &expected) < 1e-6, "{found:?}");
    }
}

#[test]
fn a_removed_norm_leaves_the_weights_it_made() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let normed = SpectralNormConfig::default().apply(slow(&device));
        let normed = normed.expect("applies");
        let plain = remove_norms(normed.clone());
        assert_eq!(values(plain.weight.val()), values(normed.weight.val()));
        assert!(plain.weight.reparameterization::<SpectralNorm>().is_none());
        assert_eq!(plain.num_params(), 4);
        assert!(plain.weight.is_require_grad());
        // Free for another norm.
        assert!(SpectralNormConfig::default().apply(plain).is_ok());
    }
}

#[test]
fn what_cannot_be_normalised_is_refused() {
    for device in deq_devices::all() {
        let mut zero = slow(&device);
        zero.weight = Param::from_tensor(Tensor::zeros([2, 2], &device));
        let error = SpectralNormConfig::default().apply(zero).err();
        assert_eq!(error, Some(NormError::ZeroWeight("weight".to_owned())));
        for config in [
            r#"{"n_power_iterations": 0}"#,
            r#"{"target_norm": 0.0}"#,
            r#"{"clip": 0.0}"#,
        ] {
            let config: SpectralNormConfig = serde_json::from_str(config).expect("well-formed");
            let error = config.apply(slow(&device)).err();
            assert!(matches!(error, Some(NormError::InvalidConfig { .. })));
        }
        let unknown = serde_json::from_str::<SpectralNormConfig>(r#"{"iterations": 1}"#);
        assert!(unknown.is_err());
    }
}
