//! Products of matrices.
//!
//! Both factors are packed ([`Panels`]); a factor that stays the same, as the weights of a map
//! during a solve, is packed once. Every number of a product is the sum of its terms in order, in
//! parts of 256, whatever the shape and however the work is cut, so results do not depend on the
//! number of threads. [`host`](super) states the error.

mod matrix;
mod pack;
mod stack;
mod tile;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::finish::Finish;
use super::parallel::{assert_length, for_each_chunk};
use super::{Real, scratch};
pub use matrix::Matrix;
pub use pack::Panels;
pub(crate) use pack::{pack, packed_length};
pub use stack::Stack;
pub(crate) use tile::{Product, Tile};

/// Rows of a task: a multiple of every tile's, and so few that what is packed of them stays in the
/// second cache.
const ROWS: usize = 96;

/// Rows whose left factor is packed at a time.
const PACKED_ROWS: usize = 16 * ROWS;

/// Into about so many tasks a large product is cut.
const TASKS: usize = 16;

/// So few products are cut themselves; more are shared out whole.
const FEW: usize = 4;

/// From this many multiplications on a product runs on rayon's threads: some forty microseconds of
/// one core.
const PARALLEL_PRODUCT: usize = 1 << 22;

pub(crate) fn is_large_product(rows: usize, columns: usize, depth: usize) -> bool {
    rows.saturating_mul(columns).saturating_mul(depth) >= PARALLEL_PRODUCT
}

/// `finish` of `left` times a packed right factor, into a row-major output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply<T: Real>(
    left: Matrix<'_, T>,
    right: &Panels<T>,
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    let [rows, depth] = left.shape();
    check_depths(depth, right.depth());
    assert_length("output", output.len(), rows * right.count());
    finish.check(rows, right.count());
    multiply_packed(left, right.values(), right.count(), finish, output);
}

/// `finish` of `left` times `right`, into a row-major output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply_once<T: Real>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    let ([rows, depth], [terms, columns]) = (left.shape(), right.shape());
    check_depths(depth, terms);
    assert_length("output", output.len(), rows * columns);
    finish.check(rows, columns);
    let width = Tile::of::<T>().columns;
    let parallel = is_large_product(rows, columns, depth);
    let length = packed_length(depth, columns, width);
    scratch::with::<T, _, 1>([length], |[packed]| {
        pack(right, width, packed, parallel);
        multiply_packed(left, packed, columns, finish, output);
    });
}

/// The products of the matrices of two stacks, one after the other in the output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply_stacks<T: Real>(left: Stack<'_, T>, right: Stack<'_, T>, output: &mut [T]) {
    let ([samples, heads, rows, depth], [others, other_heads, terms, columns]) =
        (left.shape(), right.shape());
    assert!(
        [samples, heads] == [others, other_heads],
        "a stack of {samples} × {heads} matrices cannot be multiplied with one of {others} × {other_heads}"
    );
    check_depths(depth, terms);
    let count = samples * heads;
    assert_length("output", output.len(), count * rows * columns);
    if output.is_empty() {
        return;
    }
    let size = rows * columns;
    if count < FEW {
        for (index, output) in output.chunks_exact_mut(size).enumerate() {
            let (left, right) = (left.matrix(index), right.matrix(index));
            multiply_once(left, right, Finish::NOTHING, output);
        }
        return;
    }
    let parallel = is_large_product(count * rows, columns, depth);
    for_each_chunk(output, size, parallel, |start, output| {
        let index = start / size;
        product(left.matrix(index), right.matrix(index), output);
    });
}

/// `left` times `right` on this thread.
pub(crate) fn product<T: Real>(left: Matrix<'_, T>, right: Matrix<'_, T>, output: &mut [T]) {
    let ([rows, depth], [terms, columns]) = (left.shape(), right.shape());
    check_depths(depth, terms);
    assert_length("output", output.len(), rows * columns);
    let tile = Tile::of::<T>();
    let lengths = [
        packed_length(depth, rows, tile.rows),
        packed_length(depth, columns, tile.columns),
    ];
    scratch::with::<T, _, 2>(lengths, |[left_packed, right_packed]| {
        pack(left.transposed(), tile.rows, left_packed, false);
        pack(right, tile.columns, right_packed, false);
        product_packed(left_packed, right_packed, [depth, columns], false, output);
    });
}

/// The product of packed factors on this thread, added to the output or in its place.
pub(crate) fn product_packed<T: Real>(
    left: &[T],
    right: &[T],
    [depth, columns]: [usize; 2],
    adds: bool,
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    for (block, output) in output.chunks_mut(ROWS * columns).enumerate() {
        with_rows(output, columns, |rows| {
            let left = &left[block * ROWS * depth..];
            Product {
                left,
                right,
                depth,
                rows,
                adds,
            }
            .run();
        });
    }
}

fn check_depths(columns: usize, rows: usize) {
    assert!(
        columns == rows,
        "a matrix of {columns} columns cannot be multiplied with one of {rows} rows"
    );
}

/// At most [`ROWS`] rows of a matrix as slices.
fn with_rows<T>(output: &mut [T], columns: usize, work: impl FnOnce(&mut [&mut [T]])) {
    let mut rows: [&mut [T]; ROWS] = std::array::from_fn(|_| Default::default());
    let mut count = 0;
    for (place, row) in rows.iter_mut().zip(output.chunks_mut(columns)) {
        *place = row;
        count += 1;
    }
    work(&mut rows[..count]);
}

fn multiply_packed<T: Real>(
    left: Matrix<'_, T>,
    right: &[T],
    columns: usize,
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    let [rows, depth] = left.shape();
    let tile = Tile::of::<T>();
    let parallel = is_large_product(rows, columns, depth);
    for (index, output) in output.chunks_mut(PACKED_ROWS * columns).enumerate() {
        let first_row = index * PACKED_ROWS;
        let count = output.len() / columns;
        let part = left.rows(first_row, count).transposed();
        let length = packed_length(depth, count, tile.rows);
        scratch::with::<T, _, 1>([length], |[packed]| {
            pack(part, tile.rows, packed, parallel);
            let part = Part {
                left: packed,
                right,
                depth,
                columns,
                tile,
                first_row,
                finish,
            };
            if parallel {
                part.run_parallel(output);
            } else {
                part.run(output);
            }
        });
    }
}

/// Some rows of a product, with both factors packed.
struct Part<'a, T> {
    left: &'a [T],
    right: &'a [T],
    depth: usize,
    columns: usize,
    tile: Tile,
    /// The first of these rows in the whole product.
    first_row: usize,
    finish: Finish<'a, T>,
}

/// A rectangle of a product.
struct Task<'r, T> {
    /// Its place in the part.
    first: [usize; 2],
    rows: Vec<&'r mut [T]>,
}

impl<T: Real> Part<'_, T> {
    /// All of it on this thread.
    fn run(&self, output: &mut [T]) {
        for (block, output) in output.chunks_mut(ROWS * self.columns).enumerate() {
            with_rows(output, self.columns, |rows| {
                self.rectangle([block * ROWS, 0], rows);
            });
        }
    }

    fn run_parallel(&self, output: &mut [T]) {
        let width = self.task_columns(output.len() / self.columns);
        let mut tasks: Vec<Task<'_, T>> = Vec::new();
        for (block, output) in output.chunks_mut(ROWS * self.columns).enumerate() {
            let before = tasks.len();
            let height = output.len() / self.columns;
            tasks.extend((0..self.columns).step_by(width).map(|column| Task {
                first: [block * ROWS, column],
                rows: Vec::with_capacity(height),
            }));
            for row in output.chunks_mut(self.columns) {
                for (task, part) in tasks[before..].iter_mut().zip(row.chunks_mut(width)) {
                    task.rows.push(part);
                }
            }
        }
        tasks
            .into_par_iter()
            .for_each(|mut task| self.rectangle(task.first, &mut task.rows));
    }

    /// The columns of a task: all of them when there are enough rows to cut.
    fn task_columns(&self, rows: usize) -> usize {
        let across = TASKS.div_ceil(rows.div_ceil(ROWS));
        self.columns
            .div_ceil(across)
            .next_multiple_of(self.tile.columns)
            .max(4 * self.tile.columns)
    }

    fn rectangle(&self, first: [usize; 2], rows: &mut [&mut [T]]) {
        let [row, column] = first;
        let width = rows.first().map_or(0, |row| row.len());
        let right = column * self.depth;
        let right_length = packed_length(self.depth, width, self.tile.columns);
        Product {
            left: &self.left[row * self.depth..],
            right: &self.right[right..right + right_length],
            depth: self.depth,
            rows: &mut *rows,
            adds: false,
        }
        .run();
        let first = [self.first_row + row, column];
        self.finish.apply(rows, first, self.columns);
    }
}
