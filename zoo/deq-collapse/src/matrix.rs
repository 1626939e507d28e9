use std::ops::{Index, IndexMut};

use serde::Serialize;

use crate::CollapseError;
use crate::error::fits;

/// A small dense matrix of `f64` on the host, row-major.
///
/// The measures and the unconstrained feature model need a handful of operations on matrices of a
/// few hundred rows, in `f64` on every machine; tensors would tie them to devices that compute in
/// it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix from its values, row after row.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] when their number is not `rows * columns`.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> Result<Self, CollapseError> {
        fits("numbers for the matrix", rows * columns, values.len())?;
        Ok(Self {
            rows,
            columns,
            values,
        })
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self::from_fn(rows, columns, |_, _| 0.0)
    }

    /// The identity.
    pub fn identity(size: usize) -> Self {
        Self::from_fn(size, size, |i, j| if i == j { 1.0 } else { 0.0 })
    }

    /// A matrix from a function of row and column.
    pub fn from_fn(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for i in 0..rows {
            values.extend((0..columns).map(|j| value(i, j)));
        }
        Self {
            rows,
            columns,
            values,
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// All values, by value.
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }

    /// A row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transpose(&self) -> Self {
        Self::from_fn(self.columns, self.rows, |i, j| self[(j, i)])
    }

    /// The Euclidean norm of all values.
    pub fn norm(&self) -> f64 {
        norm(&self.values)
    }

    /// The matrix times a number.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for value in &mut self.values {
            *value *= factor;
        }
        self
    }

    /// Adds `factor * other`, which has the same shape.
    pub(crate) fn add(&mut self, factor: f64, other: &Self) {
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            *value += factor * other;
        }
    }

    /// The product $A B$.
    ///
    /// # Panics
    /// When `other` has not as many rows as this has columns.
    #[must_use]
    pub fn matmul(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows, "inner sides of a product");
        let mut product = Self::zeros(self.rows, other.columns);
        for i in 0..self.rows {
            for (k, &factor) in self.row(i).iter().enumerate() {
                let row = &mut product.values[i * other.columns..(i + 1) * other.columns];
                for (value, term) in row.iter_mut().zip(other.row(k)) {
                    *value += factor * term;
                }
            }
        }
        product
    }

    /// The product $A B^\top$.
    pub(crate) fn matmul_transposed(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, other.rows, |i, j| dot(self.row(i), other.row(j)))
    }

    /// The product $A^\top B$.
    pub(crate) fn transposed_matmul(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.columns, other.columns);
        for k in 0..self.rows {
            for (i, &factor) in self.row(k).iter().enumerate() {
                for (value, term) in product.row_mut(i).iter_mut().zip(other.row(k)) {
                    *value += factor * term;
                }
            }
        }
        product
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, (row, column): (usize, usize)) -> &f64 {
        &self.row(row)[column]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut f64 {
        &mut self.row_mut(row)[column]
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}
