use std::ops::Range;

use super::super::Real;
use super::super::layer_norm::add;
use super::Geometry;

/// Adds what each tap of some channels read to where it read it from. `columns` has a row a tap and
/// a column a position of the lines, `planes` the channels' part of an input.
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
    let inside = geometry.inside(x, values.len());
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
