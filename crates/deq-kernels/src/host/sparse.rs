//! Sparse matrices times dense ones.

use std::marker::PhantomData;

use super::Real;
use super::elementwise::apply;
use super::finish::{Addend, Finish};
use super::layer_norm::add;
use super::parallel::{assert_length, for_each_chunk, is_large, rows_in_chunk};
use super::pointwise::{Identity, Pointwise, with_pointwise};
use super::simd::{Arithmetic, Kernel, vectorised};

/// A sparse matrix by its rows: compressed sparse row storage.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    columns: Vec<u32>,
    /// `None` when all are 1.
    weights: Option<Vec<f64>>,
    width: usize,
}

/// An entry of a matrix: row, column and weight.
pub type Entry = (u32, u32, f64);

impl SparseRows {
    /// A matrix of this shape with these entries, in any order; entries of one place add up.
    ///
    /// # Panics
    /// When an entry lies outside.
    pub fn new(shape: [usize; 2], entries: &[Entry]) -> Self {
        let [height, width] = shape;
        let mut starts = vec![0; height + 1];
        for &(row, column, _) in entries {
            assert!(
                (row as usize) < height && (column as usize) < width,
                "there is no place ({row}, {column}) in a matrix of {height} × {width}"
            );
            starts[row as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        // A stable counting sort: columns keep the order of the entries.
        let mut next = starts.clone();
        let mut columns = vec![0; entries.len()];
        let mut weights = vec![0.0; entries.len()];
        for &(row, column, weight) in entries {
            let place = next[row as usize];
            next[row as usize] += 1;
            columns[place] = column;
            weights[place] = weight;
        }
        let is_unit = weights.iter().all(|&weight| weight == 1.0);
        Self {
            starts,
            columns,
            weights: (!is_unit).then_some(weights),
            width,
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.starts.len() - 1, self.width]
    }

    /// The number of entries.
    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    /// The same numbers with rows for columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let [height, width] = self.shape();
        let entries = self.iter();
        let entries: Vec<Entry> = entries
            .map(|(row, column, weight)| (column, row, weight))
            .collect();
        Self::new([width, height], &entries)
    }

    /// The entries, row by row.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        let [height, _] = self.shape();
        (0..height).flat_map(move |row| {
            (self.starts[row]..self.starts[row + 1]).map(move |place| {
                let weight = self.weights.as_ref().map_or(1.0, |weights| weights[place]);
                (row as u32, self.columns[place], weight)
            })
        })
    }

    /// `finish` of this matrix times a dense one with `features` columns, both row-major. The
    /// addend is none, one number a column or one for every number.
    ///
    /// Terms of a row are added in the order of its entries.
    ///
    /// # Panics
    /// When the lengths do not fit, and for an addend of rows.
    pub fn multiply<T: Real>(
        &self,
        dense: &[T],
        features: usize,
        finish: Finish<'_, T>,
        output: &mut [T],
    ) {
        let [height, width] = self.shape();
        assert_length("dense matrix", dense.len(), width * features);
        assert_length("output", output.len(), height * features);
        finish.check(height, features);
        assert!(
            !matches!(finish.addend, Addend::Rows(_)),
            "a sparse product has no addend of rows"
        );
        if output.is_empty() {
            return;
        }
        match finish.activation {
            Some(activation) => with_pointwise!(activation, Function => {
                self.multiply_with::<T, Function>(dense, features, finish.addend, output);
            }),
            None => self.multiply_with::<T, Identity>(dense, features, finish.addend, output),
        }
    }

    fn multiply_with<T: Real, F: Pointwise>(
        &self,
        dense: &[T],
        features: usize,
        addend: Addend<'_, T>,
        output: &mut [T],
    ) {
        let parallel = is_large(
            self.columns
                .len()
                .saturating_mul(features)
                .max(output.len()),
        );
        let chunk = rows_in_chunk(features) * features;
        for_each_chunk(output, chunk, parallel, |start, values| {
            vectorised(Propagate::<T, F> {
                matrix: self,
                dense,
                features,
                first: start / features,
                addend,
                values,
                function: PhantomData,
            });
        });
    }
}

struct Propagate<'a, T, F> {
    matrix: &'a SparseRows,
    dense: &'a [T],
    features: usize,
    /// The first of these rows.
    first: usize,
    addend: Addend<'a, T>,
    values: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for Propagate<'_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let features = self.features;
        let matrix = self.matrix;
        for (index, row) in self.values.chunks_exact_mut(features).enumerate() {
            let line = self.first + index;
            match self.addend {
                Addend::Columns(values) => row.copy_from_slice(values),
                Addend::Matrix(values) => {
                    row.copy_from_slice(&values[line * features..(line + 1) * features]);
                }
                Addend::None | Addend::Rows(_) => row.fill(T::ZERO),
            }
            let places = matrix.starts[line]..matrix.starts[line + 1];
            let columns = &matrix.columns[places.clone()];
            match &matrix.weights {
                None => {
                    for &column in columns {
                        add(row, &self.dense[column as usize * features..][..features]);
                    }
                }
                Some(weights) => {
                    for (&column, &weight) in columns.iter().zip(&weights[places]) {
                        let weight = T::of(weight);
                        let source = &self.dense[column as usize * features..][..features];
                        for (value, &source) in row.iter_mut().zip(source) {
                            *value = A::mul_add(weight, source, *value);
                        }
                    }
                }
            }
            apply::<T, F, A>(row);
        }
    }
}
