//! The inputs as each tap of a kernel sees them.

use std::ops::Range;

use super::super::Real;
use super::super::layer_norm::add;
use super::Geometry;

/// `work(tap, values)` for each tap: what it reads for the positions of some lines of the output.
/// `buffer` has room for these.
pub(super) fn for_each_tap<T: Real>(
    geometry: &Geometry,
    input: &[T],
    lines: Range<usize>,
    buffer: &mut [T],
    mut work: impl FnMut(usize, &[T]),
) {
    let [_, places] = geometry.output();
    let planes = input.chunks_exact(geometry.plane());
    for (channel, plane) in planes.enumerate() {
        if geometry.is_pointwise() {
            work(channel, &plane[lines.start * places..lines.end * places]);
            continue;
        }
        for tap in 0..geometry.window() {
            let (y, x) = (tap / geometry.kernel[1], tap % geometry.kernel[1]);
            for (line, values) in lines.clone().zip(buffer.chunks_exact_mut(places)) {
                read(geometry, plane, geometry.source_line(line, y), x, values);
            }
            work(channel * geometry.window() + tap, buffer);
        }
    }
}

/// One line of what a tap in kernel column `x` reads from a line of the input.
fn read<T: Real>(
    geometry: &Geometry,
    plane: &[T],
    line: Option<usize>,
    x: usize,
    values: &mut [T],
) {
    let inside = geometry.inside(x);
    let Some(line) = line.filter(|_| !inside.is_empty()) else {
        values.fill(T::ZERO);
        return;
    };
    let width = geometry.size[1];
    let source = &plane[line * width..(line + 1) * width];
    let first = geometry.source_place(inside.start, x);
    values[..inside.start].fill(T::ZERO);
    values[inside.end..].fill(T::ZERO);
    let values = &mut values[inside];
    if geometry.stride[1] == 1 {
        values.copy_from_slice(&source[first..first + values.len()]);
    } else {
        let source = source[first..].iter().step_by(geometry.stride[1]);
        for (value, &source) in values.iter_mut().zip(source) {
            *value = source;
        }
    }
}

/// Adds what each tap of some channels read to where it read it from: the transpose of
/// [`for_each_tap`]. `columns` has a row a tap and a column a position of the lines, `planes` the
/// channels' part of an input.
pub(super) fn scatter<T: Real>(
    geometry: &Geometry,
    columns: &[T],
    lines: Range<usize>,
    planes: &mut [T],
) {
    let [_, places] = geometry.output();
    let window = geometry.window();
    let count = lines.len() * places;
    let channels = columns.chunks_exact(window * count);
    for (plane, columns) in planes.chunks_exact_mut(geometry.plane()).zip(channels) {
        for (tap, values) in columns.chunks_exact(count).enumerate() {
            let (y, x) = (tap / geometry.kernel[1], tap % geometry.kernel[1]);
            for (line, values) in lines.clone().zip(values.chunks_exact(places)) {
                write(geometry, plane, geometry.source_line(line, y), x, values);
            }
        }
    }
}

fn write<T: Real>(
    geometry: &Geometry,
    plane: &mut [T],
    line: Option<usize>,
    x: usize,
    values: &[T],
) {
    let inside = geometry.inside(x);
    let Some(line) = line.filter(|_| !inside.is_empty()) else {
        return;
    };
    let width = geometry.size[1];
    let target = &mut plane[line * width..(line + 1) * width];
    let first = geometry.source_place(inside.start, x);
    let target = &mut target[first..];
    let values = &values[inside];
    if geometry.stride[1] == 1 {
        add(target, values);
    } else {
        let target = target.iter_mut().step_by(geometry.stride[1]);
        for (target, &value) in target.zip(values) {
            *target += value;
        }
    }
}
