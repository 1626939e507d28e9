use burn::tensor::{Bool, Tensor};

use super::{Mixture, Regularization, forget_rows, put_row, window_of_zeros};
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
    /// 1 where a sample has an entry, `[samples, window, 1]`.
    valid: Tensor<3>,
    /// Whether a sample's window was ever forgotten.
    ragged: bool,
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
            valid: window_of_zeros(window, &like.clone().narrow(1, 0, 1)),
            ragged: false,
            stored: 0,
        }
    }

    fn window(&self) -> usize {
        self.images.dims()[1]
    }

    /// $\alpha$ of each sample, `[samples, entries, 1]`: proportional to the solution of
    /// $(G + \lambda I) a = 1$.
    fn coefficients(&self) -> Tensor<3> {
        let filled = self.entries();
        let newest = (self.stored - 1) % self.window();
        let gram = self.gram.clone().narrow(1, 0, filled).narrow(2, 0, filled);
        let identity = dense::identity(filled, &gram);
        let squares = dense::diagonal(&gram);
        let absent = self
            .ragged
            .then(|| self.valid.clone().narrow(1, 0, filled).equal_elem(0.0));

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
        // Unit diagonals make the pivots of small and large residuals comparable.
        let lengths = squares.sqrt();
        let mut scales = finite_or_zero(lengths.recip());
        if let Some(absent) = absent {
            scales = scales.mask_fill(absent, 0.0);
        }
        let matrix = matrix * scales.clone() * scales.clone().swap_dims(1, 2);
        let weights = dense::solve(matrix, scales.clone()) * scales;

        // Without any direction to mix, the newest evaluation stands alone.
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
        let one = evaluation.point.clone().narrow(1, 0, 1).ones_like();
        put_row(&mut self.valid, slot, one);
        let products = products(&self.residuals, &evaluation.residual);
        let row = products.clone().reshape([batch, window]);
        put_row(&mut self.gram, slot, row);
        self.gram
            .inplace(|gram| gram.slice_assign([0..batch, 0..window, slot..slot + 1], products));
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        self.ragged = true;
        for rows in [
            &mut self.images,
            &mut self.residuals,
            &mut self.gram,
            &mut self.valid,
        ] {
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
