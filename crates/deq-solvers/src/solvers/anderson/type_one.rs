use burn::tensor::{Bool, Tensor};

use super::{Differences, Mixture, forget_rows, put_row, window_of_zeros};
use crate::inverse_jacobian::{combine, products};
use crate::linear::dense;
use crate::mask::finite_or_zero;
use crate::{Evaluation, InverseJacobian};

/// Type I: $\gamma = (S^\top Y)^{-1} S^\top g$.
#[derive(Clone, Debug)]
pub(super) struct TypeOne {
    differences: Differences,
    /// $S^\top Y$, `[samples, window, window]`.
    products: Tensor<3>,
}

impl TypeOne {
    pub(super) fn new(window: usize, like: &Tensor<2>) -> Self {
        let column = like.clone().narrow(1, 0, 1);
        Self {
            differences: Differences::new(window, like),
            products: window_of_zeros(window - 1, &column).repeat_dim(2, window - 1),
        }
    }

    /// $(S^\top Y)^{-1} X$ (or with the transposed matrix), rows and columns scaled to unit
    /// differences first, so that the pivots of old and new ones compare.
    fn solve(&self, transposed: bool, rhs: Tensor<3>) -> Tensor<3> {
        let inverse_lengths =
            |rows: &Tensor<3>| finite_or_zero(rows.clone().square().sum_dim(2).sqrt().recip());
        let points = inverse_lengths(&self.differences.points);
        let residuals = inverse_lengths(&self.differences.residuals);
        let (matrix, left, right) = if transposed {
            (self.products.clone().swap_dims(1, 2), residuals, points)
        } else {
            (self.products.clone(), points, residuals)
        };
        let matrix = matrix * left.clone() * right.clone().swap_dims(1, 2);
        dense::solve(matrix, rhs * left) * right
    }
}

impl Mixture for TypeOne {
    fn entries(&self) -> usize {
        self.differences.entries()
    }

    fn push(&mut self, evaluation: &Evaluation) {
        let Some(slot) = self.differences.push(evaluation) else {
            return;
        };
        let [batch, slots, _] = self.products.dims();
        let Differences {
            points, residuals, ..
        } = &self.differences;
        let newest = |rows: &Tensor<3>| rows.clone().narrow(1, slot, 1).squeeze_dim::<2>(1);
        let row = products(residuals, &newest(points)).reshape([batch, slots]);
        let column = products(points, &newest(residuals));
        put_row(&mut self.products, slot, row);
        self.products
            .inplace(|matrix| matrix.slice_assign([0..batch, 0..slots, slot..slot + 1], column));
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        self.differences.forget(samples);
        forget_rows(&mut self.products, samples);
    }

    fn next(&self, evaluation: &Evaluation, damping: f64) -> Tensor<2> {
        let plain = evaluation.point.clone() + evaluation.residual.clone() * damping;
        let weights = self.solve(
            false,
            products(&self.differences.points, &evaluation.residual),
        );
        let Differences {
            points, residuals, ..
        } = &self.differences;
        plain - combine(&(points.clone() + residuals.clone() * damping), weights)
    }

    fn inverse_jacobian(&self, damping: f64) -> Option<InverseJacobian> {
        let Differences {
            points, residuals, ..
        } = &self.differences;
        let us = self.solve(true, points.clone() + residuals.clone() * damping);
        Some(InverseJacobian::new(-damping, Some((us, points.clone()))))
    }

    fn clone_box(&self) -> Box<dyn Mixture> {
        Box::new(self.clone())
    }
}
