//! The gradients of a convolution.

use super::super::gemm::{Matrix, Tile, is_large_product, pack, packed_length, product_packed};
use super::super::layer_norm::add;
use super::super::parallel::{assert_length, for_each_chunk};
use super::super::{Real, scratch};
use super::Geometry;
use super::patches::{for_each_tap, scatter};

/// Partial sums of the gradient in a kernel hold at most so many numbers together.
const PARTIAL_SUMS: usize = 1 << 22;

/// And are at most so many.
const GROUPS: usize = 16;

/// Into about so many tasks the gradient in the input is cut.
const TASKS: usize = 16;

/// The gradient in a kernel `[outputs, taps]`, from the input and the gradient in the output.
///
/// # Panics
/// When the lengths do not fit the geometry.
pub fn convolve_kernel_gradient<T: Real>(
    geometry: &Geometry,
    input: &[T],
    gradient: &[T],
    outputs: usize,
) -> Vec<T> {
    let samples = check(geometry, input.len(), gradient.len(), outputs);
    let (positions, taps) = (geometry.positions(), geometry.taps());
    let size = outputs * taps;
    let mut result = vec![T::ZERO; size];
    if gradient.is_empty() || size == 0 {
        return result;
    }
    let [height, width] = geometry.output();
    let lines = geometry.lines();
    let blocks = height.div_ceil(lines);
    let groups = (PARTIAL_SUMS / size).clamp(1, GROUPS).min(samples * blocks);
    let in_group = (samples * blocks).div_ceil(groups);
    let tile = Tile::of::<T>();
    let most = lines.min(height) * width;
    let lengths = [
        packed_length(most, outputs, tile.rows),
        packed_length(most, taps, tile.columns),
        most,
    ];
    let mut sums = vec![T::ZERO; groups * size];
    let parallel = is_large_product(size, samples, positions);
    for_each_chunk(&mut sums, size, parallel, |start, sums| {
        let first = start / size * in_group;
        let last = (first + in_group).min(samples * blocks);
        scratch::with::<T, _, 3>(lengths, |[left, right, line]| {
            for block in first..last {
                let (sample, start) = (block / blocks, block % blocks * lines);
                let lines = start..height.min(start + lines);
                let count = lines.len() * width;
                let input = &input[sample * geometry.sample()..][..geometry.sample()];
                let gradient = &gradient[sample * outputs * positions..][..outputs * positions];

                let left = &mut left[..packed_length(count, outputs, tile.rows)];
                let part = Matrix::new(gradient, [outputs, positions]);
                let part = part.columns(start * width, count).transposed();
                pack(part, tile.rows, left, false);

                let right = &mut right[..packed_length(count, taps, tile.columns)];
                right.fill(T::ZERO);
                for_each_tap(geometry, input, lines, &mut line[..count], |tap, values| {
                    let (group, column) = (tap / tile.columns, tap % tile.columns);
                    let places = &mut right[group * count * tile.columns + column..];
                    let places = places.iter_mut().step_by(tile.columns);
                    for (place, &value) in places.zip(values) {
                        *place = value;
                    }
                });
                product_packed(left, right, [count, taps], true, sums);
            }
        });
    });
    for sums in sums.chunks_exact(size) {
        add(&mut result, sums);
    }
    result
}

/// The gradient in the input, from a kernel `[outputs, taps]` and the gradient in the output.
///
/// # Panics
/// When the lengths do not fit the geometry.
pub fn convolve_input_gradient<T: Real>(
    geometry: &Geometry,
    kernel: Matrix<'_, T>,
    gradient: &[T],
    samples: usize,
) -> Vec<T> {
    let [outputs, taps] = kernel.shape();
    assert_length("kernel's columns", taps, geometry.taps());
    let size = geometry.sample();
    check(geometry, samples * size, gradient.len(), outputs);
    let mut result = vec![T::ZERO; samples * size];
    if gradient.is_empty() || result.is_empty() {
        return result;
    }
    let positions = geometry.positions();
    // Channels of a task.
    let channels = geometry.channels.div_ceil(TASKS.div_ceil(samples));
    let parallel = is_large_product(samples * outputs, taps, positions);
    for_each_chunk(&mut result, size, parallel, |start, planes| {
        let sample = start / size;
        let gradient = &gradient[sample * outputs * positions..][..outputs * positions];
        let gradient = Matrix::new(gradient, [outputs, positions]);
        let task = channels * geometry.plane();
        for_each_chunk(planes, task, parallel, |start, planes| {
            let count = planes.len() / geometry.plane() * geometry.window();
            let first = start / geometry.plane() * geometry.window();
            let kernel = kernel.columns(first, count);
            gradient_of_channels(geometry, kernel, gradient, planes);
        });
    });
    result
}

/// The part of one sample's gradient that belongs to the channels of these taps.
fn gradient_of_channels<T: Real>(
    geometry: &Geometry,
    kernel: Matrix<'_, T>,
    gradient: Matrix<'_, T>,
    planes: &mut [T],
) {
    let [outputs, taps] = kernel.shape();
    let [height, width] = geometry.output();
    let lines = geometry.lines().min(height);
    let tile = Tile::of::<T>();
    let most = lines * width;
    let lengths = [
        packed_length(outputs, taps, tile.rows),
        packed_length(outputs, most, tile.columns),
        taps * most,
    ];
    scratch::with::<T, _, 3>(lengths, |[left, right, columns]| {
        pack(kernel, tile.rows, left, false);
        for start in (0..height).step_by(lines) {
            let lines = start..height.min(start + lines);
            let count = lines.len() * width;
            let right = &mut right[..packed_length(outputs, count, tile.columns)];
            let part = gradient.columns(start * width, count);
            pack(part, tile.columns, right, false);
            let columns = &mut columns[..taps * count];
            product_packed(left, right, [outputs, count], false, columns);
            scatter(geometry, columns, lines, planes);
        }
    });
}

/// The number of samples.
fn check(geometry: &Geometry, input: usize, gradient: usize, outputs: usize) -> usize {
    let sample = geometry.sample();
    let samples = input.checked_div(sample).unwrap_or(0);
    assert_length("input", input, samples * sample);
    let needed = samples * outputs * geometry.positions();
    assert_length("gradient", gradient, needed);
    samples
}
