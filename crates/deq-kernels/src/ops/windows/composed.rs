//! Windows from burn's operations, where there is no kernel.

use burn::tensor::{Bool, Int, Tensor};

/// Rows read by one `select`. wgpu on software Vulkan silently drops rows of a selection beyond
/// 65,536, and the rows read also bound the memory.
const ROWS: usize = 32_768;

/// The pixels of windows. Axis 1 goes along x and axis 2 along y.
struct Window {
    /// `[windows, side, side]`, row-major places in the map.
    index: Tensor<3, Int>,
    /// Which of them lie outside.
    outside: Tensor<3, Bool>,
    /// How far the sample points lie beyond whole pixels, `[windows, 1, 1]`, along x and y.
    beyond: [Tensor<3>; 2],
}

/// See [`sample_windows`](super::sample_windows).
pub(super) fn sample(planes: Tensor<4>, centres: Tensor<3>, radius: usize) -> Tensor<3> {
    let [samples, positions, rows, columns] = planes.dims();
    let window = window(centres, [rows, columns], radius);
    let [windows, side, _] = window.index.dims();
    let planes: Tensor<2> = planes.reshape([windows, rows * columns]);
    let index: Tensor<2, Int> = window.index.reshape([windows, side * side]);
    let values: Tensor<3> = planes.gather(1, index).reshape([windows, side, side]);
    let values = interpolate(values, window.outside, window.beyond);
    in_windows(values, [samples, positions])
}

/// See [`correlate_windows`](super::correlate_windows).
pub(super) fn correlate(
    first: Tensor<3>,
    second: Tensor<4>,
    centres: Tensor<3>,
    radius: usize,
) -> Tensor<3> {
    let [samples, positions, channels] = first.dims();
    let [_, rows, columns, _] = second.dims();
    let window = window(centres, [rows, columns], radius);
    let [windows, side, _] = window.index.dims();
    // Row numbers in the features of all samples.
    let sample = Tensor::<1, Int>::arange(0..samples as i64, &window.index.device());
    let sample: Tensor<2, Int> = sample.reshape([samples, 1]);
    let offset = sample.repeat_dim(1, positions) * (rows * columns) as i64;
    let offset: Tensor<2, Int> = offset.reshape([windows, 1]);
    let index: Tensor<2, Int> = window.index.reshape([windows, side * side]);
    let values = products(
        first.reshape([windows, channels]),
        second.reshape([samples * rows * columns, channels]),
        index + offset,
    );
    let values: Tensor<3> = values.reshape([windows, side, side]);
    let values = interpolate(values, window.outside, window.beyond);
    in_windows(values, [samples, positions])
}

/// Products of each window's features and those of the rows that it reads, `[windows, reads]`.
fn products(first: Tensor<2>, second: Tensor<2>, index: Tensor<2, Int>) -> Tensor<2> {
    let [windows, reads] = index.dims();
    let [_, channels] = first.dims();
    let at_once = (ROWS / reads).max(1);
    let parts = (0..windows).step_by(at_once).map(|start| -> Tensor<2> {
        let count = at_once.min(windows - start);
        let rows = index.clone().narrow(0, start, count);
        let rows: Tensor<1, Int> = rows.reshape([count * reads]);
        let second = second.clone().select(0, rows);
        let second: Tensor<3> = second.reshape([count, reads, channels]);
        let first = first.clone().narrow(0, start, count);
        let first: Tensor<3> = first.reshape([count, channels, 1]);
        second.matmul(first).reshape([count, reads])
    });
    Tensor::cat(parts.collect(), 0)
}

/// The windows around the centres `[samples, 2, positions]` in maps of this height and width.
fn window(centres: Tensor<3>, [rows, columns]: [usize; 2], radius: usize) -> Window {
    let [samples, _, positions] = centres.dims();
    let windows = samples * positions;
    let side = 2 * radius + 2;
    let steps = Tensor::<1, Int>::arange(0..side as i64, &centres.device());
    let steps: Tensor<2, Int> = steps.reshape([1, side]);
    let steps = steps - radius as i64;
    let along = |axis: usize, length: usize| {
        // Beyond this margin every pixel is outside, and numbers stay small enough for integers.
        let margin = (radius + 2) as f64;
        let centre = centres.clone().narrow(1, axis, 1);
        let centre: Tensor<2> = centre.reshape([windows, 1]);
        let centre = centre.clamp(-margin, (length - 1) as f64 + margin);
        let whole = centre.clone().detach().floor();
        let beyond: Tensor<3> = (centre - whole.clone()).reshape([windows, 1, 1]);
        // NaN is no place; it goes on through what lies beyond.
        let is_nan = whole.clone().is_nan();
        let places: Tensor<2, Int> = whole.mask_fill(is_nan, 0.0).int() + steps.clone();
        let inside = places.clone().clamp(0i64, length as i64 - 1);
        let outside = (places - inside.clone()).abs();
        (inside, outside, beyond)
    };
    let (x, outside_x, beyond_x) = along(0, columns);
    let (y, outside_y, beyond_y) = along(1, rows);
    let on_x = |places: Tensor<2, Int>| -> Tensor<3, Int> { places.reshape([windows, side, 1]) };
    let on_y = |places: Tensor<2, Int>| -> Tensor<3, Int> { places.reshape([windows, 1, side]) };
    Window {
        index: on_x(x) + on_y(y) * columns as i64,
        outside: (on_x(outside_x) + on_y(outside_y)).greater_elem(0i64),
        beyond: [beyond_x, beyond_y],
    }
}

/// The bilinear values `[windows, (2r + 1)²]` between pixels `[windows, side, side]`.
fn interpolate(values: Tensor<3>, outside: Tensor<3, Bool>, [x, y]: [Tensor<3>; 2]) -> Tensor<2> {
    let [windows, side, _] = values.dims();
    let between = |values: Tensor<3>, axis: usize, beyond: Tensor<3>| {
        let low = values.clone().narrow(axis, 0, side - 1);
        let high = values.narrow(axis, 1, side - 1);
        low * (beyond.clone().neg() + 1.0) + high * beyond
    };
    let values = between(values.mask_fill(outside, 0.0), 1, x);
    let values = between(values, 2, y);
    values.reshape([windows, (side - 1) * (side - 1)])
}

/// Values of windows, a row each, with the positions last.
fn in_windows(values: Tensor<2>, [samples, positions]: [usize; 2]) -> Tensor<3> {
    let [_, points] = values.dims();
    let values: Tensor<3> = values.reshape([samples, positions, points]);
    values.swap_dims(1, 2)
}
