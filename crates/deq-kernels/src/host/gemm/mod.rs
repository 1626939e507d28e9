//! Products of matrices.
//!
//! The right factor is packed ([`Panels`]); one that stays the same, as the weights of a map during
//! a solve, is packed once. The left one is read as it is, row by row, or packed where that is
//! faster ([`rows_as_they_are`]). Every number of a product is the sum of its terms in order, in
//! parts of 256, whatever the shape and however the work is cut, so results do not depend on the
//! number of threads. [`host`](super) states the error.

mod matrix;
mod pack;
mod stack;
mod tile;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::finish::Finish;
use super::output::Output;
use super::parallel::{assert_length, for_each_chunk, is_large};
use super::{Real, scratch};
pub use matrix::Matrix;
pub(crate) use pack::Factor;
pub use pack::Panels;
pub use stack::Stack;
pub(crate) use tile::{Left, Tile};
use tile::{Product, Rows};

/// Rows that are gone through at a time: a multiple of every tile's, and so few that the terms of
/// them that are summed up at a time stay in the second cache.
const ROWS: usize = 144;

/// From so many tiles side by side on a left factor is packed. Packing a number takes about as long
/// as using it in one of them, and rows that are read as they are make a product slower by about a
/// twentieth.
const PACKED_FROM: usize = 16;

/// A piece of a large product that is cut between rows alone has at least so many rows.
const PIECE_ROWS: usize = 96;

/// From so many rows on a product is cut like that: into eight pieces at least.
const MANY_ROWS: usize = 8 * PIECE_ROWS;

/// Into about so many tasks a large product of fewer rows is cut.
const TASKS: usize = 16;

/// So few products are cut themselves; more are shared out whole.
const FEW: usize = 4;

/// From this many multiplications on a product runs on rayon's threads: some twenty microseconds
/// of one core.
const PARALLEL_PRODUCT: usize = 1 << 20;

pub(crate) fn is_large_product(rows: usize, columns: usize, depth: usize) -> bool {
    rows.saturating_mul(columns).saturating_mul(depth) >= PARALLEL_PRODUCT
}

/// `finish` of `left` times a packed right factor, into a row-major output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply<'a, T: Real>(
    left: Matrix<'_, T>,
    right: &Panels<T>,
    finish: Finish<'_, T>,
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    let [rows, depth] = left.shape();
    check_depths(depth, right.depth());
    assert_length("output", output.len(), rows * right.count());
    finish.check(rows, right.count());
    let product = Whole {
        left,
        right: right.values(),
        columns: right.count(),
        tile: Tile::of::<T>(),
        finish,
    };
    product.run(output);
}

/// `finish` of `left` times `right`, into a row-major output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply_once<'a, T: Real>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    finish: Finish<'_, T>,
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    let ([rows, depth], [terms, columns]) = (left.shape(), right.shape());
    check_depths(depth, terms);
    assert_length("output", output.len(), rows * columns);
    finish.check(rows, columns);
    let parallel = is_large_product(rows, columns, depth);
    let length = Factor::Right.length::<T>(columns, depth);
    scratch::with::<T, _, 1>([length], |[packed]| {
        Factor::Right.pack(right, packed, parallel);
        let product = Whole {
            left,
            right: packed,
            columns,
            tile: Tile::of::<T>(),
            finish,
        };
        product.run(output);
    });
}

/// The products of the matrices of two stacks, one after the other in the output.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply_stacks<'a, T: Real>(
    left: Stack<'_, T>,
    right: Stack<'_, T>,
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    let ([samples, heads, rows, depth], [others, other_heads, terms, columns]) =
        (left.shape(), right.shape());
    assert!(
        [samples, heads] == [others, other_heads],
        "a stack of {samples} × {heads} matrices cannot be multiplied with one of {others} × {other_heads}"
    );
    check_depths(depth, terms);
    let count = samples * heads;
    let size = rows * columns;
    assert_length("output", output.len(), count * size);
    if output.is_empty() {
        return;
    }
    if count < FEW {
        overwrite(output, |output| {
            for (index, output) in output.chunks_exact_mut(size).enumerate() {
                let (left, right) = (left.matrix(index), right.matrix(index));
                multiply_once(left, right, Finish::NOTHING, output);
            }
        });
        return;
    }
    let parallel = is_large_product(count * rows, columns, depth);
    fill(output, size, parallel, |start, outputs| {
        for (index, output) in outputs.chunks_exact_mut(size).enumerate() {
            let index = start / size + index;
            product(left.matrix(index), right.matrix(index), output);
        }
    });
}

/// `work(start, piece)` for pieces of this length, or a multiple of it, and for what is left.
fn fill<T: Real>(
    output: Output<'_, T>,
    piece: usize,
    parallel: bool,
    work: impl Fn(usize, &mut [T]) + Send + Sync,
) {
    if parallel && is_large(output.len()) && matches!(output, Output::New(..)) {
        output.fill(piece, work);
    } else {
        overwrite(output, |values| {
            for_each_chunk(values, piece, parallel, work);
        });
    }
}

/// Has zeros overwritten where memory is new.
fn overwrite<T: Real>(output: Output<'_, T>, work: impl FnOnce(&mut [T])) {
    match output {
        Output::Over(values) => work(values),
        Output::New(vector, length) => {
            *vector = vec![T::ZERO; length];
            work(vector);
        }
    }
}

/// `left` times `right` on this thread.
pub(crate) fn product<T: Real>(left: Matrix<'_, T>, right: Matrix<'_, T>, output: &mut [T]) {
    let ([rows, depth], [terms, columns]) = (left.shape(), right.shape());
    check_depths(depth, terms);
    assert_length("output", output.len(), rows * columns);
    let tile = Tile::of::<T>();
    let shape = [depth, columns];
    let right_length = Factor::Right.length::<T>(columns, depth);
    if let Some(left) = rows_as_they_are(left, columns, tile) {
        scratch::with::<T, _, 1>([right_length], |[packed]| {
            Factor::Right.pack(right, packed, false);
            product_packed(left, packed, shape, output);
        });
        return;
    }
    let lengths = [Factor::Left.length::<T>(rows, depth), right_length];
    scratch::with::<T, _, 2>(lengths, |[left_packed, right_packed]| {
        Factor::Left.pack(left, left_packed, false);
        Factor::Right.pack(right, right_packed, false);
        product_packed(&*left_packed, right_packed, shape, output);
    });
}

/// The left factor where it is not worth packing.
fn rows_as_they_are<T: Real>(
    left: Matrix<'_, T>,
    columns: usize,
    tile: Tile,
) -> Option<Rows<'_, T>> {
    let [rows, _] = left.shape();
    let is_packed = rows >= tile.rows && columns >= PACKED_FROM * tile.columns;
    if is_packed { None } else { Rows::of(left) }
}

/// The product with a packed right factor on this thread.
pub(crate) fn product_packed<T: Real>(
    left: impl Left<T>,
    right: &[T],
    [depth, columns]: [usize; 2],
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    for (block, output) in output.chunks_mut(ROWS * columns).enumerate() {
        let mut rows: Vec<&mut [T]> = output.chunks_exact_mut(columns).collect();
        Product {
            left: left.below(block * ROWS, depth),
            right,
            depth,
            rows: &mut rows,
        }
        .run();
    }
}

fn check_depths(columns: usize, rows: usize) {
    assert!(
        columns == rows,
        "a matrix of {columns} columns cannot be multiplied with one of {rows} rows"
    );
}

/// A product with the right factor packed.
struct Whole<'a, T> {
    left: Matrix<'a, T>,
    right: &'a [T],
    columns: usize,
    tile: Tile,
    finish: Finish<'a, T>,
}

/// A rectangle of a product.
struct Task<'r, T> {
    /// Its first row and column.
    first: [usize; 2],
    rows: Vec<&'r mut [T]>,
}

impl<T: Real> Whole<'_, T> {
    fn run(&self, output: Output<'_, T>) {
        if output.is_empty() {
            return;
        }
        let [rows, depth] = self.left.shape();
        if !is_large_product(rows, self.columns, depth) {
            overwrite(output, |output| self.write_rows(0, output));
        } else if rows >= MANY_ROWS {
            // Halves of halves, so that threads get as much.
            let pieces = 1 << (rows / PIECE_ROWS).ilog2();
            fill(output, rows / pieces * self.columns, true, |start, rows| {
                self.write_rows(start / self.columns, rows);
            });
        } else {
            overwrite(output, |output| self.share_out(output));
        }
    }

    /// Whole rows on this thread.
    fn write_rows(&self, first: usize, output: &mut [T]) {
        let [_, depth] = self.left.shape();
        for (index, output) in output.chunks_mut(ROWS * self.columns).enumerate() {
            let first = first + index * ROWS;
            let mut rows: Vec<&mut [T]> = output.chunks_exact_mut(self.columns).collect();
            let left = self.left.rows(first, rows.len());
            if let Some(left) = rows_as_they_are(left, self.columns, self.tile) {
                self.rectangle(left, [first, 0], &mut rows);
                continue;
            }
            let length = Factor::Left.length::<T>(rows.len(), depth);
            scratch::with::<T, _, 1>([length], |[packed]| {
                Factor::Left.pack(left, packed, false);
                self.rectangle(&*packed, [first, 0], &mut rows);
            });
        }
    }

    /// Rows and columns, with all of the left factor packed for all tasks.
    fn share_out(&self, output: &mut [T]) {
        if let Some(left) = rows_as_they_are(self.left, self.columns, self.tile) {
            self.run_tasks(left, output);
            return;
        }
        let [rows, depth] = self.left.shape();
        let length = Factor::Left.length::<T>(rows, depth);
        scratch::with::<T, _, 1>([length], |[packed]| {
            Factor::Left.pack(self.left, packed, true);
            self.run_tasks(&*packed, output);
        });
    }

    fn run_tasks(&self, left: impl Left<T>, output: &mut [T]) {
        let [_, depth] = self.left.shape();
        self.tasks(output).into_par_iter().for_each(|mut task| {
            let [row, _] = task.first;
            self.rectangle(left.below(row, depth), task.first, &mut task.rows);
        });
    }

    fn tasks<'r>(&self, output: &'r mut [T]) -> Vec<Task<'r, T>> {
        let [height, width] = self.task_shape();
        let mut tasks: Vec<Task<'_, T>> = Vec::new();
        for (block, output) in output.chunks_mut(height * self.columns).enumerate() {
            let before = tasks.len();
            let count = output.len() / self.columns;
            tasks.extend((0..self.columns).step_by(width).map(|column| Task {
                first: [block * height, column],
                rows: Vec::with_capacity(count),
            }));
            for row in output.chunks_mut(self.columns) {
                for (task, part) in tasks[before..].iter_mut().zip(row.chunks_mut(width)) {
                    task.rows.push(part);
                }
            }
        }
        tasks
    }

    /// The rows and columns of a task.
    fn task_shape(&self) -> [usize; 2] {
        let [rows, _] = self.left.shape();
        let height = rows
            .div_ceil(rows.div_ceil(ROWS))
            .next_multiple_of(self.tile.rows);
        let across = TASKS.div_ceil(rows.div_ceil(height));
        let width = self
            .columns
            .div_ceil(across)
            .next_multiple_of(self.tile.columns)
            .max(4 * self.tile.columns);
        [height, width]
    }

    /// A part of the product, of the left factor from its first row on.
    fn rectangle(&self, left: impl Left<T>, first: [usize; 2], rows: &mut [&mut [T]]) {
        let [_, depth] = self.left.shape();
        let [_, column] = first;
        let width = rows.first().map_or(0, |row| row.len());
        let start = column * depth;
        let end = start + Factor::Right.length::<T>(width, depth);
        Product {
            left,
            right: &self.right[start..end],
            depth,
            rows: &mut *rows,
        }
        .run();
        self.finish.apply(rows, first, self.columns);
    }
}
