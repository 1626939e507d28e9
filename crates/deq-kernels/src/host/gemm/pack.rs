//! Copies of matrices in the order in which products read them.
//!
//! A matrix of `depth` rows is cut into groups of neighbouring columns, as many as a tile of the
//! product has, and each group is stored row by row; the last one is filled up with zeros. The
//! left factor of a product is packed transposed.

use super::super::Real;
use super::super::parallel::for_each_chunk;
use super::{Matrix, Tile};

/// The rows that are gone through at a time when columns are copied, so that what is written stays
/// in the first cache.
const RUN: usize = 256;

/// One factor of a product, packed once for many products.
#[derive(Clone, Debug)]
pub struct Panels<T> {
    values: Vec<T>,
    depth: usize,
    count: usize,
}

impl<T: Real> Panels<T> {
    /// The right factor, `[depth, columns]`.
    pub fn right(matrix: Matrix<'_, T>) -> Self {
        Self::packed(matrix, Tile::of::<T>().columns)
    }

    /// The left factor, `[rows, depth]`.
    pub fn left(matrix: Matrix<'_, T>) -> Self {
        Self::packed(matrix.transposed(), Tile::of::<T>().rows)
    }

    fn packed(matrix: Matrix<'_, T>, width: usize) -> Self {
        let [depth, count] = matrix.shape();
        let mut values = vec![T::ZERO; packed_length(depth, count, width)];
        pack(matrix, width, &mut values, true);
        Self {
            values,
            depth,
            count,
        }
    }

    /// The length of the sums in a product.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The columns of a right factor, or the rows of a left one.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }
}

/// The numbers in a packed matrix.
pub(crate) fn packed_length(depth: usize, columns: usize, width: usize) -> usize {
    depth * columns.next_multiple_of(width)
}

/// Packs the columns in groups of `width`.
pub(crate) fn pack<T: Real>(matrix: Matrix<'_, T>, width: usize, packed: &mut [T], parallel: bool) {
    let [depth, _] = matrix.shape();
    if packed.is_empty() {
        return;
    }
    for_each_chunk(packed, depth * width, parallel, |start, group| {
        pack_group(matrix, start / depth, width, group);
    });
}

/// Packs the columns from `first` on.
fn pack_group<T: Real>(matrix: Matrix<'_, T>, first: usize, width: usize, group: &mut [T]) {
    let (values, [down, across]) = (matrix.values(), matrix.strides());
    let [_, columns] = matrix.shape();
    let count = width.min(columns - first);
    if count < width {
        group.fill(T::ZERO);
    }
    if across == 1 {
        for (row, places) in group.chunks_exact_mut(width).enumerate() {
            let start = row * down + first;
            places[..count].copy_from_slice(&values[start..start + count]);
        }
        return;
    }
    for (run, places) in group.chunks_mut(width * RUN).enumerate() {
        let rows = places.len() / width;
        for column in 0..count {
            let start = run * RUN * down + (first + column) * across;
            let places = places[column..].iter_mut().step_by(width);
            if down == 1 {
                for (place, &value) in places.zip(&values[start..start + rows]) {
                    *place = value;
                }
            } else {
                for (place, &value) in places.zip(values[start..].iter().step_by(down)) {
                    *place = value;
                }
            }
        }
    }
}
