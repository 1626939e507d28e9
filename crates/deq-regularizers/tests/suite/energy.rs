//! The denoising energy and its gradient against closed forms and differences.

use burn::tensor::{DType, Tensor, TensorData};
use deq_regularizers::{EnergyError, denoising_energy, denoising_energy_with};

type Matrix = Tensor<2>;

fn values(tensor: Matrix) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{found:?} for {expected:?}");
    }
}

#[test]
fn the_energy_estimates_the_frobenius_norm() {
    for device in deq_devices::all() {
        device.seed(5);
        let rows = [[0.5, -0.3, 0.2], [0.1, 0.7, -0.4], [0.3, 0.2, -0.6]];
        let w = Matrix::from_floats(rows, &device);
        // An affine map about its fixed point 0: the energy is σ² times the squared norm per
        // element, for each σ.
        let linear = |w: &Matrix, z: Matrix| z.matmul(w.clone());
        let norm: f64 = rows.iter().flatten().map(|w: &f64| w * w).sum();
        // 32 draws for a batch of 256.
        let z = Matrix::zeros([256, 3], &device);
        for sigma in [0.1_f64, 2.0] {
            let exact = sigma * sigma * norm / 3.0;
            let draws: Vec<f64> = (0..32)
                .map(|_| {
                    let energy = denoising_energy(&w, linear, &z, sigma, 1);
                    energy.expect("valid").into_scalar()
                })
                .collect();
            let mean = draws.iter().sum::<f64>() / 32.0;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            let error = (variance / 31.0 / 32.0).sqrt();
            assert!(
                (mean - exact).abs() < 4.0 * error,
                "{mean} ± {error}, exactly {exact}"
            );
            assert!(error < 0.03 * exact);
        }
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = denoising_energy(&w, linear, &z, sigma, 1);
            assert!(matches!(refused, Err(EnergyError::Sigma(_))), "{sigma}");
        }
        let refused = denoising_energy(&w, linear, &z, 0.1, 0);
        assert!(matches!(refused, Err(EnergyError::NoProbe)));
    }
}

#[test]
fn the_energy_of_a_linear_map_has_a_closed_gradient() {
    for device in deq_devices::all() {
        let linear = |w: &Matrix, z: Matrix| z.matmul(w.clone());
        let rows = [[0.5, -0.3], [0.1, 0.7]];
        let w = Matrix::from_floats(rows, &device.clone().autodiff()).require_grad();
        let z = Matrix::zeros([2, 2], &device).autodiff().require_grad();
        let noises = [[[0.3, -0.8], [1.1, 0.4]], [[-0.5, 0.2], [0.6, 0.9]]]
            .map(|noise: [[f32; 2]; 2]| Matrix::from_floats(noise, &device));
        let energy = denoising_energy_with(&w, linear, &z, &noises).expect("noises");
        // E = Σ‖εW‖² / pN with p = 2 and N = 4, and its gradient 2 Σ εᵀεW / pN.
        let plain = w.clone().inner();
        let images = noises.clone().map(|noise| noise.matmul(plain.clone()));
        let sum: f64 = images
            .iter()
            .map(|image| image.clone().square().sum().into_scalar::<f64>())
            .sum();
        let expected = noises
            .iter()
            .zip(&images)
            .map(|(noise, image)| noise.clone().transpose().matmul(image.clone()) * 0.25)
            .reduce(|a, b| a + b)
            .expect("two noises");
        close(&[energy.clone().into_scalar::<f64>()], &[sum / 8.0], 1e-5);
        let gradients = energy.backward();
        let found = w.grad(&gradients).expect("a gradient");
        close(&values(found), &values(expected), 1e-5);
        assert!(z.grad(&gradients).is_none(), "the state is a constant");

        // Inference gives the same value without a graph.
        let inference = denoising_energy_with(&plain, linear, &z, &noises).expect("noises");
        assert!(!inference.is_autodiff());
        close(&[inference.into_scalar::<f64>()], &[sum / 8.0], 1e-5);
    }
}

#[test]
fn the_gradient_of_the_energy_agrees_with_differences() {
    for device in deq_devices::double_precision() {
        let options = (&device, DType::F64);
        let matrix = |values: &[f64], shape: [usize; 2]| {
            Matrix::from_data(TensorData::new(values.to_vec(), shape), options)
        };
        let map = |w: &Matrix, z: Matrix| (z.matmul(w.clone()) + 0.3).tanh();
        let z = matrix(&[0.2, -0.5, 0.9, 1.0, 0.3, -0.2], [2, 3]);
        let noises = [matrix(&[0.4, 0.1, -0.7, -0.3, 0.8, 0.6], [2, 3])];
        let weights = [0.5, -0.3, 0.2, 0.1, 0.7, -0.4, 0.3, 0.2, -0.6];
        let energy = |w: &Matrix| denoising_energy_with(w, map, &z, &noises).expect("a noise");
        let tracked = matrix(&weights, [3, 3]).autodiff().require_grad();
        let gradients = energy(&tracked).backward();
        let found = values(tracked.grad(&gradients).expect("a gradient"));
        let step = 1e-5;
        let expected: Vec<f64> = (0..weights.len())
            .map(|index| {
                let moved = |by: f64| {
                    let mut weights = weights;
                    weights[index] += by;
                    energy(&matrix(&weights, [3, 3])).into_scalar::<f64>()
                };
                (moved(step) - moved(-step)) / (2.0 * step)
            })
            .collect();
        close(&found, &expected, 1e-8);
        assert!(found.iter().any(|value| value.abs() > 1e-2), "{found:?}");
    }
}
