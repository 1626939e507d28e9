//! Convolutions, as products of a kernel with the patches of a picture.
//!
//! The patches of a few lines of the output are written in the order in which the product reads
//! them, straight from the picture; there is no matrix of all patches. A kernel that stays the
//! same is packed once, as the left factor of all products.

mod backward;
mod geometry;
mod patches;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::Real;
use super::finish::{Addend, Finish};
use super::gemm::{Panels, Product, Tile, is_large_product, packed_length};
use super::parallel::assert_length;
use super::scratch;
pub use backward::{convolve_input_gradient, convolve_kernel_gradient};
pub use geometry::Geometry;
use patches::for_each_tap;

/// Some lines of one output.
struct Task<'r, T> {
    sample: usize,
    first_line: usize,
    /// A row a channel.
    rows: Vec<&'r mut [T]>,
}

/// `finish` of the convolution of every sample. `kernel` is the packed left factor
/// `[outputs, taps]`; the addend is one number an output channel ([`Addend::Rows`]) or one for
/// every number of the output ([`Addend::Matrix`]).
///
/// # Panics
/// When the lengths do not fit the geometry, and for an addend of columns.
pub fn convolve<T: Real>(
    geometry: &Geometry,
    input: &[T],
    kernel: &Panels<T>,
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    let outputs = kernel.count();
    let positions = geometry.positions();
    let size = outputs * positions;
    assert_length("kernel's columns", kernel.depth(), geometry.taps());
    if output.is_empty() {
        return;
    }
    let samples = input.len() / geometry.sample().max(1);
    assert_length("input", input.len(), samples * geometry.sample());
    assert_length("output", output.len(), samples * size);
    match finish.addend {
        Addend::None => {}
        Addend::Rows(values) => assert_length("addend", values.len(), outputs),
        Addend::Matrix(values) => assert_length("addend", values.len(), output.len()),
        Addend::Columns(_) => panic!("a convolution has no columns to add numbers to"),
    }

    let [height, width] = geometry.output();
    let lines = geometry.lines();
    let mut tasks: Vec<Task<'_, T>> = Vec::new();
    for (sample, output) in output.chunks_exact_mut(size).enumerate() {
        let before = tasks.len();
        tasks.extend((0..height).step_by(lines).map(|first_line| Task {
            sample,
            first_line,
            rows: Vec::with_capacity(outputs),
        }));
        for plane in output.chunks_exact_mut(positions) {
            for (task, part) in tasks[before..]
                .iter_mut()
                .zip(plane.chunks_mut(lines * width))
            {
                task.rows.push(part);
            }
        }
    }
    let work = |mut task: Task<'_, T>| {
        let input = &input[task.sample * geometry.sample()..][..geometry.sample()];
        let finish = finish.of_sample(task.sample, size);
        convolve_lines(geometry, input, kernel, finish, &mut task);
    };
    if is_large_product(samples * size, geometry.taps(), 1) {
        tasks.into_par_iter().for_each(work);
    } else {
        tasks.into_iter().for_each(work);
    }
}

fn convolve_lines<T: Real>(
    geometry: &Geometry,
    input: &[T],
    kernel: &Panels<T>,
    finish: Finish<'_, T>,
    task: &mut Task<'_, T>,
) {
    let [_, width] = geometry.output();
    let count = task.rows.first().map_or(0, |row| row.len());
    let (taps, columns) = (geometry.taps(), Tile::of::<T>().columns);
    let lines = task.first_line..task.first_line + count / width;
    let lengths = [packed_length(taps, count, columns), count];
    scratch::with::<T, _, 2>(lengths, |[patches, line]| {
        for_each_tap(geometry, input, lines, line, |tap, values| {
            for (group, part) in values.chunks(columns).enumerate() {
                let start = (group * taps + tap) * columns;
                let places = &mut patches[start..start + columns];
                places[..part.len()].copy_from_slice(part);
                places[part.len()..].fill(T::ZERO);
            }
        });
        Product {
            left: kernel.values(),
            right: patches,
            depth: taps,
            rows: &mut task.rows,
            adds: false,
        }
        .run();
    });
    let first = [0, task.first_line * width];
    finish.apply(&mut task.rows, first, geometry.positions());
}
