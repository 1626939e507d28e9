//! The Jacobian penalty, the spectral radius and fixed-point correction against the reference and
//! closed forms.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use deq_parity::compare_folder;
use deq_regularizers::{
    Correction, CorrectionError, denoising_energy, dense_jacobian, jacobian_penalty, parity,
    spectral_radius,
};

type Matrix = Tensor<2>;

#[test]
fn values_and_gradients_reproduce_torchdeq() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/regularizers");
    for device in deq_devices::all() {
        let replay = parity::replay_regularizers;
        let reports = compare_folder(&folder, &device, 10.0, replay).expect("replays");
        assert_eq!(reports.len(), 8);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}

fn map(w: &Matrix, z: Matrix) -> Matrix {
    z.matmul(w.clone()).tanh()
}

fn weight(device: &Device) -> Matrix {
    Matrix::from_floats(
        [[0.5, -0.3, 0.2], [0.1, 0.7, -0.4], [0.3, 0.2, -0.6]],
        device,
    )
}

#[test]
fn the_penalty_estimates_the_frobenius_norm() {
    for device in deq_devices::all() {
        device.seed(3);
        let w = weight(&device);
        let z = Matrix::from_floats([[0.2, -0.5, 0.9], [1.0, 0.3, -0.2]], &device);
        let exact = dense_jacobian(&w, map, &z).square().sum() / 6.0;
        let exact: f64 = exact.into_scalar();
        // 4096 probes of each sample: 32 draws for a batch that holds it 128 times.
        let copies = z.repeat_dim(0, 128);
        let groups: Vec<f64> = (0..32)
            .map(|_| jacobian_penalty(&w, map, &copies, 1).into_scalar())
            .collect();
        let mean = groups.iter().sum::<f64>() / groups.len() as f64;
        let variance = groups.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let error = (variance / (groups.len() - 1) as f64 / groups.len() as f64).sqrt();
        assert!(
            (mean - exact).abs() < 4.0 * error,
            "{mean} ± {error}, exactly {exact}"
        );
        assert!(error < 0.03 * exact);
    }
}

#[test]
fn the_penalty_has_a_gradient_whichever_argument_is_tracked() {
    for device in deq_devices::all() {
        let z = Matrix::from_floats([[0.2, -0.5, 0.9], [1.0, 0.3, -0.2]], &device);
        let map = |(x, w): &(Matrix, Matrix), z: Matrix| (z.matmul(w.clone()) + x.clone()).tanh();
        let w = weight(&device.clone().autodiff()).require_grad();
        // A plain tensor in front hides the tracked one in burn's list of devices.
        for x in [z.clone(), z.clone().autodiff()] {
            let penalty = jacobian_penalty(&(x.clone(), w.clone()), map, &z, 1);
            let gradient = w.grad(&penalty.backward()).expect("a gradient");
            let size: f64 = gradient.abs().sum().into_scalar();
            assert!(size > 1e-3, "{size}");
            let energy = denoising_energy(&(x, w.clone()), map, &z, 0.1, 1).expect("one noise");
            assert!(w.grad(&energy.backward()).is_some());
        }
    }
}

#[test]
fn a_map_that_ignores_its_state_has_the_spectral_radius_zero() {
    for device in deq_devices::all() {
        let z = Matrix::zeros([3, 2], &device);
        for iterations in [1, 2, 9] {
            let found = spectral_radius(&z, |w: &Matrix, z| z * 0.0 + w.clone(), &z, iterations);
            assert_eq!((found.growth, found.rayleigh), (vec![0.0; 3], vec![0.0; 3]));
        }
    }
}

#[test]
fn the_spectral_radius_of_a_rotation_is_its_radius() {
    for device in deq_devices::all() {
        let turn = Matrix::from_floats([[0.0, 0.9], [-0.9, 0.0]], &device);
        let affine = |w: &Matrix, z: Matrix| z.matmul(w.clone());
        let z = Matrix::zeros([3, 2], &device);
        let found = spectral_radius(&turn, affine, &z, 20);
        for (growth, rayleigh) in found.growth.iter().zip(&found.rayleigh) {
            assert!((growth - 0.9).abs() < 1e-4, "{growth}");
            // What TorchDEQ would say of a quarter turn.
            assert!(rayleigh.abs() < 1e-4, "{rayleigh}");
        }
    }
}

#[test]
fn correction_weights_rise_towards_the_last_state() {
    let close = |found: Vec<f64>, expected: &[f64]| {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(found.len(), expected.len());
    };
    let weights = |correction: Correction| correction.weights(3).expect("weights");
    close(weights(Correction::default()), &[0.64, 0.8, 1.0]);
    let linear = |gamma, bias| Correction::Linear { gamma, bias };
    close(weights(linear(0.9, 0.0)), &[0.4, 0.7, 1.0]);
    close(weights(linear(0.9, 0.5)), &[0.9, 1.2, 1.5]);
    close(weights(Correction::Const(0.5)), &[0.5; 3]);
    let custom = Correction::Custom(vec![1.0, 2.0, 3.0, 4.0]);
    close(weights(custom.clone()), &[2.0, 3.0, 4.0]);
    assert_eq!(custom.weights(0), Err(CorrectionError::NoLoss));
    let short = CorrectionError::TooFewWeights {
        losses: 5,
        weights: 4,
    };
    assert_eq!(custom.weights(5), Err(short));
    for device in deq_devices::all() {
        let losses = (1..=3)
            .map(|k| Tensor::<1>::full([1], k, &device))
            .collect();
        let total = Correction::Const(2.0).combine(losses).expect("a sum");
        assert_eq!(total.into_scalar::<f32>(), 12.0);
    }
}
