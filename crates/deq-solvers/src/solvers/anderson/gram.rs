use burn::tensor::{Bool, Tensor, TensorData};

use super::{Mixture, Regularization, forget_rows, put_row, window_of_zeros};
use crate::driver::epsilon;
use crate::inverse_jacobian::{combine, products};
use crate::linear::dense;
use crate::mask::finite_or_zero;
use crate::{Evaluation, InverseJacobian};

/// Type II by the Gram matrix of the residuals.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    regularization: Regularization,
    /// `[samples, window, features]`.
    images: Tensor<3>,
    residuals: Tensor<3>,
    /// Entry `i, j` is $g_i \cdot g_j$: `[samples, window, window]`.
    gram: Tensor<3>,
    /// 1 where a sample has an entry, `[samples, window, 1]`; `None` while no window was forgotten,
    /// and all samples have all entries.
    valid: Option<Tensor<3>>,
    stored: usize,
}

impl Gram {
    pub(super) fn new(window: usize, regularization: Regularization, like: &Tensor<2>) -> Self {
        let zeros = window_of_zeros(window, like);
        Self {
            regularization,
            images: zeros.clone(),
            residuals: zeros,
            gram: window_of_zeros(window, &like.clone().narrow(1, 0, 1)).repeat_dim(2, window),
            valid: None,
            stored: 0,
        }
    }

    fn window(&self) -> usize {
        self.images.dims()[1]
    }

    fn newest(&self) -> usize {
        (self.stored - 1) % self.window()
    }

    /// $\alpha$ of each sample, `[samples, entries, 1]`: proportional to the solution of
    /// $(G + \lambda I) a = 1$.
    fn coefficients(&self) -> Tensor<3> {
        if dense::computes_on_host(&self.gram.device()) {
            self.coefficients_on_host()
        } else {
            self.coefficients_on_device()
        }
    }

    /// Sample by sample and in `f64`: a chain of some forty operations on tensors costs more than
    /// all these small systems.
    fn coefficients_on_host(&self) -> Tensor<3> {
        let [batch, window, _] = self.gram.dims();
        let (device, dtype) = (self.gram.device(), self.gram.dtype());
        let filled = self.entries();
        let read = |tensor: &Tensor<3>| -> Vec<f64> { tensor.to_data().iter::<f64>().collect() };
        let (gram, valid) = (read(&self.gram), self.valid.as_ref().map(read));
        let mut coefficients = Vec::with_capacity(batch * filled);
        for (sample, gram) in gram.chunks(window * window).enumerate() {
            let product = |i: usize, j: usize| gram[i * window + j];
            let is_absent = |i: usize| match &valid {
                Some(valid) => valid[sample * window + i] == 0.0,
                None => false,
            };
            coefficients.extend(self.mix(product, is_absent, epsilon(dtype)));
        }
        let data = TensorData::new(coefficients, [batch, filled, 1]).convert_dtype(dtype);
        Tensor::from_data(data, (&device, dtype))
    }

    /// $\alpha$ of one sample, from its Gram matrix.
    fn mix(
        &self,
        product: impl Fn(usize, usize) -> f64,
        is_absent: impl Fn(usize) -> bool,
        epsilon: f64,
    ) -> Vec<f64> {
        let filled = self.entries();
        let lambda = match self.regularization {
            Regularization::Absolute(lambda) => lambda,
            Regularization::Relative(factor) => {
                let counted = (0..filled).filter(|&i| !is_absent(i));
                let squares = counted.map(|i| product(i, i));
                squares.fold(f64::INFINITY, f64::min) * factor
            }
        };
        // Unit diagonals make the pivots of small and large residuals comparable.
        let scale = |i: usize| {
            let scale = (product(i, i) + lambda).sqrt().recip();
            if is_absent(i) || !scale.is_finite() {
                0.0
            } else {
                scale
            }
        };
        let scales: Vec<f64> = (0..filled).map(scale).collect();
        let width = filled + 1;
        let mut system = Vec::with_capacity(filled * width);
        for (i, row) in scales.iter().enumerate() {
            for (j, column) in scales.iter().enumerate() {
                let ridge = if i == j { lambda } else { 0.0 };
                system.push((product(i, j) + ridge) * row * column);
            }
            system.push(*row);
        }
        let kept = dense::eliminate(&mut system, filled, width, epsilon);
        let mut weights = scales;
        for ((weight, row), kept) in weights.iter_mut().zip(system.chunks(width)).zip(kept) {
            *weight *= if kept { row[filled] } else { 0.0 };
        }
        let total: f64 = weights.iter().sum();
        let usable = total != 0.0 && total.is_finite();
        for (i, weight) in weights.iter_mut().enumerate() {
            // Without any direction to mix, the newest evaluation stands alone.
            let alone = f64::from(u8::from(i == self.newest()));
            *weight = if usable { *weight / total } else { alone };
        }
        weights
    }

    /// The same as a chain of tensor operations over the batch, so that nothing waits for a
    /// read-back.
    fn coefficients_on_device(&self) -> Tensor<3> {
        let (filled, newest) = (self.entries(), self.newest());
        let gram = self.gram.clone().narrow(1, 0, filled).narrow(2, 0, filled);
        let identity = dense::identity(filled, &gram);
        let squares = dense::diagonal(&gram);
        let valid = self.valid.as_ref();
        let absent = valid.map(|valid| valid.clone().narrow(1, 0, filled).equal_elem(0.0));

        let (matrix, squares) = match self.regularization {
            Regularization::Absolute(0.0) | Regularization::Relative(0.0) => (gram, squares),
            Regularization::Absolute(lambda) => {
                (gram + identity.clone() * lambda, squares + lambda)
            }
            Regularization::Relative(factor) => {
                let counted = match &absent {
                    Some(absent) => squares.clone().mask_fill(absent.clone(), f32::INFINITY),
                    None => squares.clone(),
                };
                let lambda = counted.min_dim(1) * factor;
                (gram + identity.clone() * lambda.clone(), squares + lambda)
            }
        };
        let lengths = squares.sqrt();
        let mut scales = finite_or_zero(lengths.recip());
        if let Some(absent) = absent {
            scales = scales.mask_fill(absent, 0.0);
        }
        let matrix = matrix * scales.clone() * scales.clone().swap_dims(1, 2);
        let weights = dense::solve(matrix, scales.clone()) * scales;

        let total = weights.clone().sum_dim(1);
        let usable = total.clone().abs().greater_elem(0.0);
        let usable = usable.bool_and(total.clone().is_finite());
        let alone = identity.narrow(2, newest, 1).expand(weights.shape());
        alone.mask_where(usable.expand(weights.shape()), weights.clone() / total)
    }
}

impl Mixture for Gram {
    fn entries(&self) -> usize {
        self.stored.min(self.window())
    }

    fn push(&mut self, evaluation: &Evaluation) {
        let window = self.window();
        let batch = evaluation.point.dims()[0];
        let slot = self.stored % window;
        self.stored += 1;
        put_row(&mut self.images, slot, evaluation.image.clone());
        put_row(&mut self.residuals, slot, evaluation.residual.clone());
        if let Some(valid) = &mut self.valid {
            let one = evaluation.point.clone().narrow(1, 0, 1).ones_like();
            put_row(valid, slot, one);
        }
        let products = products(&self.residuals, &evaluation.residual);
        let row = products.clone().reshape([batch, window]);
        put_row(&mut self.gram, slot, row);
        self.gram
            .inplace(|gram| gram.slice_assign([0..batch, 0..window, slot..slot + 1], products));
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        let all = || self.gram.clone().narrow(2, 0, 1).ones_like();
        let valid = self.valid.get_or_insert_with(all);
        for rows in [&mut self.images, &mut self.residuals, &mut self.gram, valid] {
            forget_rows(rows, samples);
        }
    }

    fn next(&self, evaluation: &Evaluation, damping: f64) -> Tensor<2> {
        let filled = self.entries();
        if filled < 2 {
            // TorchDEQ's damping acts on mixtures, not on the first step.
            return evaluation.image.clone();
        }
        let alpha = self.coefficients();
        let mixed = |rows: &Tensor<3>| combine(&rows.clone().narrow(1, 0, filled), alpha.clone());
        let next = mixed(&self.images);
        if damping == 1.0 {
            return next;
        }
        // With g = f(z) - z, the damped mixture is that of f(z) less (1 - tau) times that of g.
        next - mixed(&self.residuals) * (1.0 - damping)
    }

    fn inverse_jacobian(&self, _damping: f64) -> Option<InverseJacobian> {
        None
    }

    fn clone_box(&self) -> Box<dyn Mixture> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::mask::rows;

    fn wave(frequency: f64, phase: f64, device: &Device) -> Tensor<2> {
        let values = (0..12).map(|i| (frequency * f64::from(i) + phase).sin() as f32);
        let data = TensorData::new(values.collect::<Vec<f32>>(), [3, 4]);
        Tensor::from_data(data, device)
    }

    /// The window fills, the second sample forgets its own, and old entries are overwritten.
    #[test]
    fn host_and_device_find_the_same_mixtures() {
        for device in deq_devices::all() {
            for regularization in [
                Regularization::Absolute(0.0),
                Regularization::Absolute(0.3),
                Regularization::Relative(0.3),
            ] {
                let like = wave(1.0, 0.0, &device);
                let mut gram = Gram::new(3, regularization.clone(), &like);
                for step in 1..=5 {
                    if step == 4 {
                        gram.forget(&rows(vec![false, true, false], &device));
                    }
                    let frequency = 1.7 * f64::from(step);
                    let point = wave(frequency, 0.3, &device);
                    gram.push(&Evaluation::new(point, wave(frequency, 1.1, &device)));
                    let read = |found: Tensor<3>| -> Vec<f64> {
                        found.into_data().iter::<f64>().collect()
                    };
                    let expected = read(gram.coefficients_on_device());
                    let found = read(gram.coefficients_on_host());
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(&expected) {
                        let case = format!("{regularization:?}, step {step} on {device:?}");
                        assert!(
                            (found - expected).abs() < 1e-4,
                            "{found} {expected}: {case}"
                        );
                    }
                    if step == 4 {
                        // The fourth evaluation, in the first place, is all that this one has.
                        assert_eq!(found[3..6], [1.0, 0.0, 0.0]);
                    }
                }
            }
        }
    }
}
