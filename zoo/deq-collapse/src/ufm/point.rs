use super::Ufm;
use crate::error::fits;
use crate::matrix::norm;
use crate::{CollapseError, Matrix};

/// A value of the model's variables, or a gradient or direction in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// $W$, `[classes, features]`.
    pub weight: Matrix,
    /// $H$, `[features, samples]`.
    pub features: Matrix,
    /// $b$, one a class; empty without a bias.
    pub bias: Vec<f64>,
}

impl Point {
    /// All zeros.
    pub fn zeros(ufm: &Ufm) -> Self {
        let bias = if ufm.has_bias() { ufm.classes() } else { 0 };
        Self {
            weight: Matrix::zeros(ufm.classes(), ufm.features()),
            features: Matrix::zeros(ufm.features(), ufm.samples()),
            bias: vec![0.0; bias],
        }
    }

    /// A point from its numbers in the order $W$, $H$, $b$, each row after row.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] when their number is not [`Ufm::dimension`].
    pub fn from_values(ufm: &Ufm, values: &[f64]) -> Result<Self, CollapseError> {
        fits("numbers for the point", ufm.dimension(), values.len())?;
        let mut point = Self::zeros(ufm);
        point.read(values);
        Ok(point)
    }

    /// Its numbers in the order $W$, $H$, $b$.
    pub fn to_values(&self) -> Vec<f64> {
        let parts = [
            self.weight.values(),
            self.features.values(),
            self.bias.as_slice(),
        ];
        parts.concat()
    }

    /// The Euclidean norm of all numbers.
    pub fn norm(&self) -> f64 {
        let parts = [self.weight.norm(), self.features.norm(), norm(&self.bias)];
        norm(&parts)
    }

    /// $W H + b$, the logits `[classes, samples]`.
    pub fn logits(&self) -> Matrix {
        let mut logits = self.weight.matmul(&self.features);
        for (class, bias) in self.bias.iter().enumerate() {
            for value in logits.row_mut(class) {
                *value += bias;
            }
        }
        logits
    }

    /// Takes these numbers, of which there are as many as it has.
    pub(super) fn read(&mut self, values: &[f64]) {
        let mut values = values.iter().copied();
        for matrix in [&mut self.weight, &mut self.features] {
            for row in 0..matrix.rows() {
                for (to, value) in matrix.row_mut(row).iter_mut().zip(&mut values) {
                    *to = value;
                }
            }
        }
        for (to, value) in self.bias.iter_mut().zip(values) {
            *to = value;
        }
    }

    pub(super) fn check(&self, ufm: &Ufm) -> Result<(), CollapseError> {
        let bias = if ufm.has_bias() { ufm.classes() } else { 0 };
        fits("rows of the weight", ufm.classes(), self.weight.rows())?;
        fits(
            "columns of the weight",
            ufm.features(),
            self.weight.columns(),
        )?;
        fits("rows of the features", ufm.features(), self.features.rows())?;
        fits(
            "columns of the features",
            ufm.samples(),
            self.features.columns(),
        )?;
        fits("biases", bias, self.bias.len())
    }
}
