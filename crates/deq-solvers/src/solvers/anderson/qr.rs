use std::collections::VecDeque;

use burn::tensor::{Bool, Tensor};

use super::{Mixture, forget_rows, put_row, window_of_zeros};
use crate::driver::epsilon;
use crate::inverse_jacobian::{combine, products};
use crate::mask::{finite_or_zero, norm};
use crate::{Evaluation, InverseJacobian};

/// Type II by Gram–Schmidt on the differences of residuals.
///
/// With $Y = QR$ the step needs $Y \gamma = Q Q^\top g$ and $S \gamma = (S R^{-1}) Q^\top g$, and
/// $S R^{-1}$ comes from applying to $S$ what turns $Y$ into $Q$: no triangular system is left.
#[derive(Clone, Debug)]
pub(super) struct Qr {
    /// Differences of points and residuals, newest first. Apart, and not in one tensor: each is
    /// read on its own, and reading a row out of a tensor of rows is a slow copy.
    differences: VecDeque<(Tensor<2>, Tensor<2>)>,
    last: Option<Evaluation>,
    /// $Q$ and $S R^{-1}$.
    orthonormal: Tensor<3>,
    images: Tensor<3>,
}

impl Qr {
    pub(super) fn new(window: usize, like: &Tensor<2>) -> Self {
        let zeros = window_of_zeros(window - 1, like);
        Self {
            differences: VecDeque::with_capacity(window - 1),
            last: None,
            orthonormal: zeros.clone(),
            images: zeros,
        }
    }

    /// Orthonormalises the differences, newest first, so that it is the oldest that are left out
    /// when some depend on each other.
    fn factorise(&mut self) {
        for (place, (point, residual)) in self.differences.iter().enumerate() {
            let (mut point, mut residual) = (point.clone(), residual.clone());
            let tiny = 100.0 * epsilon(residual.dtype());
            let size = norm(&residual);
            if place > 0 {
                let orthonormal = self.orthonormal.clone().narrow(1, 0, place);
                let images = self.images.clone().narrow(1, 0, place);
                for _ in 0..2 {
                    let overlap = products(&orthonormal, &residual);
                    residual = residual - combine(&orthonormal, overlap.clone());
                    point = point - combine(&images, overlap);
                }
            }
            let length = norm(&residual);
            let dependent = length.clone().lower_equal(size * tiny);
            let inverse = finite_or_zero(length.recip()).mask_fill(dependent, 0.0);
            put_row(&mut self.orthonormal, place, residual * inverse.clone());
            put_row(&mut self.images, place, point * inverse);
        }
    }
}

impl Mixture for Qr {
    fn entries(&self) -> usize {
        self.differences.len() + usize::from(self.last.is_some())
    }

    fn push(&mut self, evaluation: &Evaluation) {
        let Some(last) = self.last.replace(evaluation.clone()) else {
            return;
        };
        let [_, slots, _] = self.orthonormal.dims();
        self.differences.truncate(slots - 1);
        self.differences.push_front((
            evaluation.point.clone() - last.point,
            evaluation.residual.clone() - last.residual,
        ));
        self.factorise();
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        for (point, residual) in &mut self.differences {
            for column in [point, residual] {
                let mask = samples.clone().expand(column.shape());
                column.inplace(|column| column.mask_fill(mask, 0.0));
            }
        }
        for rows in [&mut self.orthonormal, &mut self.images] {
            forget_rows(rows, samples);
        }
    }

    fn next(&self, evaluation: &Evaluation, damping: f64) -> Tensor<2> {
        let weights = products(&self.orthonormal, &evaluation.residual);
        let remaining = evaluation.residual.clone() - combine(&self.orthonormal, weights.clone());
        evaluation.point.clone() + remaining * damping - combine(&self.images, weights)
    }

    fn inverse_jacobian(&self, damping: f64) -> Option<InverseJacobian> {
        let us = self.images.clone() + self.orthonormal.clone() * damping;
        let factors = (us, self.orthonormal.clone());
        Some(InverseJacobian::new(-damping, Some(factors)))
    }

    fn clone_box(&self) -> Box<dyn Mixture> {
        Box::new(self.clone())
    }
}
