//! Sparse matrices times dense ones.

use pulp::{Arch, Simd, WithSimd};

use super::finish::{Addend, Finish};
use super::gemm::{Matrix, Panels, multiply};
use super::parallel::{CHUNK, assert_length, is_large};
use super::simd::{Arithmetic, Fused, Separate};
use super::{Activation, Real, elementwise, scratch};

/// Numbers whose sums are taken before the activation follows: few enough for the first cache.
const BLOCK: usize = 4 * 1024;

/// A task of at most so many multiplications is not cut in two: some ten microseconds.
const TASK: usize = 16 * CHUNK;

/// So few rows are not cut when a product of matrices follows, which is slow on fewer.
const PRODUCT_ROWS: usize = 96;

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
        let Finish { addend, activation } = finish;
        let share = Share {
            features,
            row_cost: 1,
            least: 1,
        };
        let work = |first: usize, values: &mut [T]| {
            self.sum_rows(dense, features, addend, activation, first, values);
        };
        self.share_out(share, height, output, &work);
    }

    /// `finish` of this matrix times a dense one times a packed right factor: rows of the first
    /// product are still in the cache when they are multiplied again, and are nowhere else.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn multiply_twice<T: Real>(
        &self,
        dense: &[T],
        right: &Panels<T>,
        finish: Finish<'_, T>,
        output: &mut [T],
    ) {
        let [height, width] = self.shape();
        let (features, columns) = (right.depth(), right.count());
        assert_length("dense matrix", dense.len(), width * features);
        assert_length("output", output.len(), height * columns);
        finish.check(height, columns);
        if output.is_empty() {
            return;
        }
        let share = Share {
            features: columns,
            // A multiplication of the second product costs about an eighth of one of the first.
            row_cost: 1 + features / 8,
            least: PRODUCT_ROWS,
        };
        let work = |first: usize, output: &mut [T]| {
            let rows = output.len() / columns;
            let addend = match finish.addend {
                Addend::Matrix(values) => {
                    Addend::Matrix(&values[first * columns..][..output.len()])
                }
                Addend::Rows(values) => Addend::Rows(&values[first..first + rows]),
                same => same,
            };
            scratch::with::<T, _, 1>([rows * features], |[sums]| {
                self.sum_rows(dense, features, Addend::None, None, first, sums);
                let left = Matrix::new(sums, [rows, features]);
                multiply(left, right, Finish { addend, ..finish }, output);
            });
        };
        self.share_out(share, height, output, &work);
    }

    /// `work(first, values)` on pieces of the output that begin at row `first`.
    fn share_out<T: Send>(
        &self,
        share: Share,
        height: usize,
        output: &mut [T],
        work: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        let cost = self.cost(share, height);
        if is_large(cost.saturating_mul(share.features)) {
            self.share_between(share, 0, output, work);
        } else {
            work(0, output);
        }
    }

    /// Halves by cost, not by rows: a few nodes of a graph may have most of its edges.
    fn share_between<T: Send>(
        &self,
        share: Share,
        first: usize,
        output: &mut [T],
        work: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        let last = first + output.len() / share.features;
        let Some(middle) = self.middle(share, first, last) else {
            work(first, output);
            return;
        };
        let (upper, lower) = output.split_at_mut((middle - first) * share.features);
        rayon::join(
            || self.share_between(share, first, upper, work),
            || self.share_between(share, middle, lower, work),
        );
    }

    /// Where these rows are cut; `None` where they stay together.
    fn middle(&self, share: Share, first: usize, last: usize) -> Option<usize> {
        let (before, until) = (self.cost(share, first), self.cost(share, last));
        let is_small = (until - before).saturating_mul(share.features) <= TASK;
        if is_small || last - first < 2 * share.least {
            return None;
        }
        let half = before + (until - before) / 2;
        let (mut low, mut high) = (first + share.least, last - share.least);
        while low < high {
            let row = low + (high - low) / 2;
            if self.cost(share, row) < half {
                low = row + 1;
            } else {
                high = row;
            }
        }
        Some(low)
    }

    /// The cost of all rows before this one, for each feature.
    fn cost(&self, share: Share, row: usize) -> usize {
        self.starts[row] + row * share.row_cost
    }

    /// The rows from `first` on, on this thread.
    fn sum_rows<T: Real>(
        &self,
        dense: &[T],
        features: usize,
        addend: Addend<'_, T>,
        activation: Option<Activation>,
        first: usize,
        output: &mut [T],
    ) {
        let rows = (BLOCK / features.max(1)).max(1);
        let blocks = output.chunks_mut((rows * features).max(1));
        for (index, values) in blocks.enumerate() {
            Arch::new().dispatch(Propagate {
                matrix: self,
                dense,
                features,
                first: first + index * rows,
                addend,
                values: &mut *values,
            });
            if let Some(activation) = activation {
                elementwise::map(activation, None, values);
            }
        }
    }
}

/// How a product is cut.
#[derive(Clone, Copy)]
struct Share {
    /// Numbers in a row of the output.
    features: usize,
    /// What a row costs besides its entries.
    row_cost: usize,
    /// The fewest rows of a piece.
    least: usize,
}

struct Propagate<'a, T> {
    matrix: &'a SparseRows,
    dense: &'a [T],
    features: usize,
    /// The first of these rows.
    first: usize,
    addend: Addend<'a, T>,
    values: &'a mut [T],
}

/// The entries of a row, and the matrix whose rows they weigh.
#[derive(Clone, Copy)]
struct Line<'a, T> {
    columns: &'a [u32],
    weights: Option<&'a [f64]>,
    dense: &'a [T],
    features: usize,
}

impl<T: Real> WithSimd for Propagate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (matrix, features) = (self.matrix, self.features);
        for (index, row) in self.values.chunks_exact_mut(features).enumerate() {
            let number = self.first + index;
            match self.addend {
                Addend::Columns(values) => row.copy_from_slice(values),
                Addend::Matrix(values) => {
                    row.copy_from_slice(&values[number * features..(number + 1) * features]);
                }
                Addend::None | Addend::Rows(_) => row.fill(T::ZERO),
            }
            let places = matrix.starts[number]..matrix.starts[number + 1];
            let line = Line {
                columns: &matrix.columns[places.clone()],
                weights: matrix.weights.as_ref().map(|weights| &weights[places]),
                dense: self.dense,
                features,
            };
            let done = line.add_strips::<S, 4>(simd, row, 0);
            let done = line.add_strips::<S, 1>(simd, row, done);
            // As the vectors do it.
            if S::IS_SCALAR || cfg!(target_family = "wasm") {
                line.add_rest::<Separate>(row, done);
            } else {
                line.add_rest::<Fused>(row, done);
            }
        }
    }
}

impl<T: Real> Line<'_, T> {
    /// Adds up strips of `V` vectors from `done` on, each of which stays in registers for all
    /// entries, and returns the place behind the last one.
    #[inline(always)]
    fn add_strips<S: Simd, const V: usize>(self, simd: S, row: &mut [T], mut done: usize) -> usize {
        let strip = V * (size_of::<T::Vector<S>>() / size_of::<T>());
        while done + strip <= row.len() {
            self.add_strip::<S, V>(simd, &mut row[done..done + strip], done);
            done += strip;
        }
        done
    }

    /// The sums are a local array that only constants index, as in a product's tile.
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators over the sums would borrow them"
    )]
    fn add_strip<S: Simd, const V: usize>(self, simd: S, strip: &mut [T], start: usize) {
        let (places, _) = T::vectors_mut::<S>(strip).as_chunks_mut::<V>();
        let Some(place) = places.first_mut() else {
            return;
        };
        let mut sums = *place;
        match self.weights {
            None => {
                for &column in self.columns {
                    if let Some(source) = self.source::<S, V>(column, start) {
                        for at in 0..V {
                            sums[at] = T::plus(simd, sums[at], source[at]);
                        }
                    }
                }
            }
            Some(weights) => {
                for (&column, &weight) in self.columns.iter().zip(weights) {
                    let weight = T::splat(simd, T::of(weight));
                    if let Some(source) = self.source::<S, V>(column, start) {
                        for at in 0..V {
                            sums[at] = T::times_plus(simd, weight, source[at], sums[at]);
                        }
                    }
                }
            }
        }
        *place = sums;
    }

    /// As much of a row of the dense matrix, from `start` on, as `V` vectors hold.
    #[inline(always)]
    fn source<S: Simd, const V: usize>(
        &self,
        column: u32,
        start: usize,
    ) -> Option<&[T::Vector<S>; V]> {
        let start = column as usize * self.features + start;
        let length = V * (size_of::<T::Vector<S>>() / size_of::<T>());
        let vectors = T::vectors::<S>(&self.dense[start..start + length]);
        vectors.as_chunks::<V>().0.first()
    }

    /// What is left behind the last whole vector.
    #[inline(always)]
    fn add_rest<A: Arithmetic>(self, row: &mut [T], done: usize) {
        let rest = &mut row[done..];
        if rest.is_empty() {
            return;
        }
        for (index, &column) in self.columns.iter().enumerate() {
            let start = column as usize * self.features + done;
            let source = &self.dense[start..start + rest.len()];
            match self.weights {
                None => {
                    for (value, &source) in rest.iter_mut().zip(source) {
                        *value += source;
                    }
                }
                Some(weights) => {
                    let weight = T::of(weights[index]);
                    for (value, &source) in rest.iter_mut().zip(source) {
                        *value = A::mul_add(weight, source, *value);
                    }
                }
            }
        }
    }
}
