use burn::tensor::{Bool, Tensor};

use super::{Differences, Mixture, forget_rows, put_row, window_of_zeros};
use crate::inverse_jacobian::{combine, products};
use crate::linear::dense;
use crate::mask::{finite_or_zero, norm};
use crate::{Evaluation, InverseJacobian};

/// Type I: $\gamma = (S^\top Y)^{-1} S^\top g$.
#[derive(Clone, Debug)]
pub(super) struct TypeOne {
    differences: Differences,
    /// $S^\top Y$, `[samples, window, window]`.
    products: Tensor<3>,
    /// One over the lengths of the columns of $S$ and $Y$, `[samples, window, 1]`; 0 for an empty
    /// one.
    points: Tensor<3>,
    residuals: Tensor<3>,
}

impl TypeOne {
    pub(super) fn new(window: usize, like: &Tensor<2>) -> Self {
        let column = window_of_zeros(window - 1, &like.clone().narrow(1, 0, 1));
        Self {
            differences: Differences::new(window, like),
            products: column.clone().repeat_dim(2, window - 1),
            points: column.clone(),
            residuals: column,
        }
    }

    /// $(S^\top Y)^{-1} X$ (or with the transposed matrix), rows and columns scaled to unit
    /// differences first, so that the pivots of old and new ones compare.
    fn solve(&self, transposed: bool, rhs: Tensor<3>) -> Tensor<3> {
        let (points, residuals) = (self.points.clone(), self.residuals.clone());
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
        let Some(newest) = self.differences.push(evaluation) else {
            return;
        };
        let [batch, slots, _] = self.products.dims();
        let slot = newest.slot;
        let row = products(&self.differences.residuals, &newest.point);
        let column = products(&self.differences.points, &newest.residual);
        put_row(&mut self.products, slot, row.reshape([batch, slots]));
        self.products
            .inplace(|matrix| matrix.slice_assign([0..batch, 0..slots, slot..slot + 1], column));
        let inverse = |vector: &Tensor<2>| finite_or_zero(norm(vector).recip());
        put_row(&mut self.points, slot, inverse(&newest.point));
        put_row(&mut self.residuals, slot, inverse(&newest.residual));
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        self.differences.forget(samples);
        for rows in [&mut self.products, &mut self.points, &mut self.residuals] {
            forget_rows(rows, samples);
        }
    }

    fn next(&self, evaluation: &Evaluation, damping: f64) -> Tensor<2> {
        let Differences {
            points, residuals, ..
        } = &self.differences;
        let weights = self.solve(false, products(points, &evaluation.residual));
        let residual = evaluation.residual.clone() - combine(residuals, weights.clone());
        evaluation.point.clone() + residual * damping - combine(points, weights)
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
