//! Variational dropout: the masks, and a solve with one.

use burn::tensor::{Device, Tensor, TensorData};
use deq_implicit::DeqConfig;
use deq_regularizers::{DropoutError, Drops, Layout, Mask, VariationalDropout};
use rand::SeedableRng;
use rand::rngs::StdRng;

const FIRST: Layout = Layout::ChannelsFirst;
const LAST: Layout = Layout::ChannelsLast;

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

fn factors<const D: usize>(p: f64, drops: Drops, shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut rng = StdRng::seed_from_u64(11);
    let like = Tensor::<D>::zeros(shape, device);
    let mask = VariationalDropout { p, drops }.sample(&like, &mut rng);
    let mask = mask.expect("a mask");
    mask.factors().expect("something to drop").clone()
}

#[test]
fn draws_are_shared_along_torchdeqs_axes() {
    let channels = |layout| Drops::Channels { layout };
    let tokens = |layout| Drops::Tokens { layout };
    for device in deq_devices::all() {
        let shape = |drops| factors(0.5, drops, [2, 3, 4], &device).dims();
        assert_eq!(shape(Drops::Elements {}), [2, 3, 4]);
        assert_eq!(shape(channels(FIRST)), [2, 3, 1]);
        assert_eq!(shape(channels(LAST)), [2, 1, 4]);
        assert_eq!(shape(tokens(FIRST)), [2, 1, 4]);
        assert_eq!(shape(tokens(LAST)), [2, 3, 1]);
        let shape = |drops| factors(0.5, drops, [2, 3, 4, 5], &device).dims();
        assert_eq!(shape(channels(FIRST)), [2, 3, 1, 1]);
        assert_eq!(shape(channels(LAST)), [2, 1, 1, 5]);
        assert_eq!(shape(tokens(FIRST)), [2, 1, 4, 5]);
        assert_eq!(shape(tokens(LAST)), [2, 3, 4, 1]);
        let shape = |drops| factors(0.5, drops, [2, 3, 4, 5, 6], &device).dims();
        assert_eq!(shape(channels(FIRST)), [2, 3, 1, 1, 1]);
        assert_eq!(shape(channels(LAST)), [2, 1, 1, 1, 6]);
        assert_eq!(shape(tokens(FIRST)), [2, 1, 4, 5, 6]);
        assert_eq!(shape(tokens(LAST)), [2, 3, 4, 5, 1]);
    }
}

#[test]
fn a_dropped_channel_is_zero_everywhere_and_the_rest_is_scaled() {
    for device in deq_devices::all() {
        let drops = Drops::Channels { layout: FIRST };
        let mask = factors(0.5, drops, [4, 8, 3], &device);
        let kept = values(&mask);
        assert!(kept.iter().all(|&factor| factor == 0.0 || factor == 2.0));
        assert!(kept.contains(&0.0) && kept.contains(&2.0));

        let mut rng = StdRng::seed_from_u64(11);
        let dropout = VariationalDropout { p: 0.5, drops };
        let z = Tensor::<3>::full([4, 8, 3], 1.5, &device);
        let mask = dropout.sample(&z, &mut rng).expect("a mask");
        let expected: Vec<f64> = kept.iter().flat_map(|factor| [1.5 * factor; 3]).collect();
        assert_eq!(values(&mask.apply(z)), expected);
    }
}

#[test]
fn the_mean_factor_is_one() {
    // The mean of n draws has the standard deviation sqrt(p / (1 - p) / n).
    let count = 1 << 16;
    for device in deq_devices::all() {
        for p in [0.1, 0.5, 0.8] {
            let mask = factors(p, Drops::Elements {}, [1, count], &device);
            let mean = values(&mask).iter().sum::<f64>() / count as f64;
            let deviation = (p / (1.0 - p) / count as f64).sqrt();
            assert!((mean - 1.0).abs() < 4.0 * deviation, "{p}: {mean}");
        }
    }
}

#[test]
fn nothing_is_dropped_with_p_0_or_without_a_mask() {
    for device in deq_devices::all() {
        let z = Tensor::<2>::from_floats([[1.0, -2.0], [0.5, 3.0]], &device);
        let dropout = VariationalDropout {
            p: 0.0,
            drops: Drops::Elements {},
        };
        let mut rng = StdRng::seed_from_u64(0);
        let mask = dropout.sample(&z, &mut rng).expect("a mask");
        assert!(mask.factors().is_none());
        assert_eq!(values(&mask.apply(z.clone())), values(&z));
        assert_eq!(values(&Mask::none().apply(z.clone())), values(&z));
    }
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    for device in deq_devices::all() {
        let mut rng = StdRng::seed_from_u64(0);
        for p in [-0.1, 1.0, 1.5, f64::NAN] {
            let drops = Drops::Elements {};
            let like = Tensor::<2>::zeros([2, 2], &device);
            let error = VariationalDropout { p, drops }.sample(&like, &mut rng);
            let error = error.expect_err("must be refused");
            assert!(matches!(error, DropoutError::InvalidProbability(_)));
        }
        let vector = Tensor::<1>::zeros([3], &device);
        for drops in [
            Drops::Channels { layout: FIRST },
            Drops::Tokens { layout: LAST },
        ] {
            let error = VariationalDropout { p: 0.5, drops }.sample(&vector, &mut rng);
            assert_eq!(error.err(), Some(DropoutError::NoChannels(1)));
        }
    }
    let known = r#"{"p": 0.1, "drops": {"kind": "tokens", "layout": "channels_last"}}"#;
    let dropout: VariationalDropout = serde_json::from_str(known).expect("well-formed");
    assert_eq!(dropout.drops, Drops::Tokens { layout: LAST });
    let unused = r#"{"p": 0.1, "drops": {"kind": "elements", "layout": "channels_last"}}"#;
    assert!(serde_json::from_str::<VariationalDropout>(unused).is_err());
}

type Args = (Tensor<2>, Tensor<2>, Mask<2>);

fn map((w, x, mask): &Args, z: Tensor<2>) -> Tensor<2> {
    mask.apply((z.matmul(w.clone()) + x.clone()).tanh())
}

#[test]
fn a_mask_lasts_for_one_solve() {
    let dropout = VariationalDropout {
        p: 0.5,
        drops: Drops::Elements {},
    };
    let deq = DeqConfig::default().with_tolerance(1e-5).with_max_iter(60);
    let deq = deq.init().expect("a valid layer");
    for device in deq_devices::all() {
        let training = device.clone().autodiff();
        let mut rng = StdRng::seed_from_u64(3);
        let waves: Vec<f64> = (0..36).map(|i| 0.1 * (1.7 * f64::from(i)).sin()).collect();
        let waves = TensorData::new(waves, [6, 6]);
        let mut solve = || {
            let weight = Tensor::<2>::from_data(waves.clone(), &training).require_grad();
            let x = Tensor::<2>::full([3, 6], 0.6, &training);
            let mask = dropout.sample(&x, &mut rng).expect("a mask");
            let factors = values(mask.factors().expect("something to drop"));
            let args = (weight.clone(), x, mask);
            let start = Tensor::zeros([3, 6], &device);
            let z = deq.solve(&args, start, map).expect("a solve").into_last();
            // A fixed point of the very map that was solved.
            let residual = (map(&args, z.clone()) - z.clone()).abs().max();
            assert!(residual.into_scalar::<f32>() < 1e-4);
            let zeros: Vec<bool> = values(&z).iter().map(|&z| z == 0.0).collect();
            let dropped: Vec<bool> = factors.iter().map(|&factor| factor == 0.0).collect();
            assert_eq!(zeros, dropped);
            let gradients = z.sum().backward();
            assert!(weight.grad(&gradients).is_some());
            dropped
        };
        assert_ne!(solve(), solve(), "each solve has its own mask");
    }
}
