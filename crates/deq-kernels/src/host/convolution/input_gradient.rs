//! The gradient of a convolution in its input.

use super::super::finish::Finish;
use super::super::gemm::{Factor, Matrix, Tile, is_large_product, product_packed};
use super::super::parallel::{assert_length, for_each_chunk, is_large};
use super::super::{Real, scratch};
use super::Geometry;
use super::plan::{BLOCK, TASKS};
use super::scatter::scatter;
use super::task::{Convolution, Packed};

/// To turn a kernel costs about as much as to convolve so many positions with it.
const POSITIONS: usize = 64;

/// With fewer channels most rows of a product's tile would be empty. Not the tile's own number of
/// rows, so that all processors add in the same order.
const CHANNELS: usize = 6;

/// The gradient in the input, from a kernel `[outputs, taps]` and the gradient in the output.
///
/// # Panics
/// When the lengths do not fit the geometry.
pub fn convolve_input_gradient<T: Real>(
    geometry: &Geometry,
    kernel: &[T],
    gradient: &[T],
    samples: usize,
) -> Vec<T> {
    let taps = geometry.taps();
    let outputs = kernel.len().checked_div(taps).unwrap_or(0);
    assert_length("kernel", kernel.len(), outputs * taps);
    let size = geometry.sample();
    let positions = geometry.positions();
    assert_length("gradient", gradient.len(), samples * outputs * positions);
    let mut result = vec![T::ZERO; samples * size];
    if gradient.is_empty() || result.is_empty() || taps == 0 {
        return result;
    }
    if let Some(transposed) = transposed(geometry, outputs)
        && samples * positions >= POSITIONS
        && geometry.channels >= CHANNELS
    {
        let length = Factor::Left.length::<T>(geometry.channels, transposed.taps());
        scratch::with::<T, _, 1>([length], |[left]| {
            turn(geometry, kernel, left);
            let kernel = Packed {
                values: left,
                outputs: geometry.channels,
            };
            Convolution::new(&transposed, gradient, samples, kernel, Finish::NOTHING)
                .run(&mut result);
        });
        return result;
    }
    let kernel = Matrix::new(kernel, [outputs, taps]);
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

/// With steps of one the gradient is itself a convolution, of the gradient in the output with the
/// kernel turned by 180°. `None` where that would need negative padding.
fn transposed(geometry: &Geometry, outputs: usize) -> Option<Geometry> {
    let [down, across] = geometry.kernel;
    let [above, beside] = geometry.padding;
    let padding = [
        down.checked_sub(above + 1)?,
        across.checked_sub(beside + 1)?,
    ];
    (geometry.stride == [1, 1]).then(|| Geometry {
        channels: outputs,
        size: geometry.output(),
        padding,
        ..*geometry
    })
}

/// Turns a kernel by 180°, with input channels for output channels, and packs it as a left factor.
fn turn<T: Real>(geometry: &Geometry, kernel: &[T], packed: &mut [T]) {
    match Tile::of::<T>().rows {
        12 => turn_by::<T, 12>(geometry, kernel, packed),
        6 => turn_by::<T, 6>(geometry, kernel, packed),
        rows => unreachable!("tiles have no {rows} rows"),
    }
}

fn turn_by<T: Real, const ROWS: usize>(geometry: &Geometry, kernel: &[T], packed: &mut [T]) {
    let (taps, window) = (geometry.taps(), geometry.window());
    let depth = kernel.len() / geometry.channels;
    let parallel = is_large(packed.len());
    for_each_chunk(packed, depth * ROWS, parallel, |start, strip| {
        let channel = start / depth;
        let count = ROWS.min(geometry.channels - channel);
        if count < ROWS {
            strip.fill(T::ZERO);
        }
        let (strip, _) = strip.as_chunks_mut::<ROWS>();
        let of_outputs = kernel.chunks_exact(taps);
        for (strip, row) in strip.chunks_exact_mut(window).zip(of_outputs) {
            let windows = row[channel * window..][..count * window].chunks_exact(window);
            for (index, values) in windows.enumerate() {
                for (places, &value) in strip.iter_mut().rev().zip(values) {
                    places[index] = value;
                }
            }
        }
    });
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
    let block = BLOCK / size_of::<T>() / (outputs + taps).max(1);
    let lines = (block / width).clamp(1, height);
    let most = lines * width;
    let lengths = [
        Factor::Left.length::<T>(taps, outputs),
        Factor::Right.length::<T>(most, outputs),
        taps * most,
    ];
    scratch::with::<T, _, 3>(lengths, |[left, right, columns]| {
        Factor::Left.pack(kernel.transposed(), left, false);
        for start in (0..height).step_by(lines) {
            let lines = start..height.min(start + lines);
            let count = lines.len() * width;
            let right = &mut right[..Factor::Right.length::<T>(count, outputs)];
            let part = gradient.columns(start * width, count);
            Factor::Right.pack(part, right, false);
            let columns = &mut columns[..taps * count];
            product_packed(&*left, right, [outputs, count], columns);
            scatter(geometry, columns, lines, planes);
        }
    });
}
