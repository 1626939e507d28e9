use super::super::Real;
use super::Geometry;

/// Planes as long as a multiple of this are put further apart, so that the same place of many of
/// them does not fall into one set of a cache.
const APART: usize = 256;

/// By so much.
const SHIFT: usize = 16;

/// Copies of some lines of each channel, with the zeros of the padding, in which each tap of a
/// kernel sees neighbouring places of the output beside each other, and neighbouring lines one row
/// apart.
///
/// A picture that the kernel steps over by more than one is split: rows, and places of a row, are
/// sorted by the remainder that the steps leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes<'g> {
    geometry: &'g Geometry,
    /// Remainders that the kernel reads, down and across.
    phases: [usize; 2],
    /// Rows of each phase.
    rows: usize,
    /// Lines of the output that these serve.
    lines: usize,
    /// Numbers in a row.
    row: usize,
    /// Numbers from one channel to the next.
    plane: usize,
}

impl<'g> Planes<'g> {
    /// With room for what so many lines of the output read.
    pub(super) fn new(geometry: &'g Geometry, lines: usize) -> Self {
        let [_, width] = geometry.output();
        let (kernel, stride) = (geometry.kernel, geometry.stride);
        let reach = |axis: usize| kernel[axis].saturating_sub(1) / stride[axis];
        let phases = [0, 1].map(|axis| stride[axis].min(kernel[axis]));
        let (rows, row) = (lines + reach(0), width + reach(1));
        let plane = phases[0] * phases[1] * rows * row;
        let shift = if plane.is_multiple_of(APART) {
            SHIFT
        } else {
            0
        };
        Self {
            geometry,
            phases,
            rows,
            lines,
            row,
            plane: plane + shift,
        }
    }

    /// The picture itself, for a pointwise kernel.
    pub(super) fn in_place(geometry: &'g Geometry) -> Self {
        let [height, width] = geometry.size;
        Self {
            geometry,
            phases: [1, 1],
            rows: height,
            lines: height,
            row: width,
            plane: geometry.plane(),
        }
    }

    /// Numbers from one line of the output to the next.
    pub(super) fn row(&self) -> usize {
        self.row
    }

    /// The numbers of all channels.
    pub(super) fn sample(&self) -> usize {
        self.geometry.channels * self.plane
    }

    /// Where each tap reads for the first place of the first line.
    pub(super) fn taps(&self) -> Vec<usize> {
        let [_, across] = self.geometry.kernel;
        let [down_by, across_by] = self.geometry.stride;
        let (window, phase) = (self.geometry.window(), self.rows * self.row);
        let place = |tap: usize| {
            let (channel, tap) = (tap / window, tap % window);
            let (y, x) = (tap / across, tap % across);
            let phases = y % down_by * self.phases[1] + x % across_by;
            channel * self.plane + phases * phase + y / down_by * self.row + x / across_by
        };
        (0..self.geometry.taps()).map(place).collect()
    }

    /// Copies what some lines of the output read of one input. What the kernel does not read stays
    /// as it was.
    pub(super) fn fill<T: Real>(&self, input: &[T], first: usize, lines: usize, target: &mut [T]) {
        let phase = self.rows * self.row;
        let rows = self.rows - self.lines + lines;
        let planes = input.chunks_exact(self.geometry.plane());
        for (plane, target) in planes.zip(target.chunks_exact_mut(self.plane)) {
            for (index, target) in target.chunks_exact_mut(phase).enumerate() {
                let (y, x) = (index / self.phases[1], index % self.phases[1]);
                for (row, target) in target.chunks_exact_mut(self.row).take(rows).enumerate() {
                    read(self.geometry, plane, first + row, [y, x], target);
                }
            }
        }
    }
}

/// What a tap reads for the first places of a line of the output.
fn read<T: Real>(
    geometry: &Geometry,
    plane: &[T],
    line: usize,
    [y, x]: [usize; 2],
    values: &mut [T],
) {
    let inside = geometry.inside(x, values.len());
    let line = geometry.source_line(line, y);
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
        copy(&source[first..first + values.len()], values);
    } else {
        let source = source[first..].iter().step_by(geometry.stride[1]);
        for (value, &source) in values.iter_mut().zip(source) {
            *value = source;
        }
    }
}

/// Lines are short: calls of the C library's copy would cost more than these loops.
pub(super) fn copy<T: Real>(source: &[T], target: &mut [T]) {
    let (chunks, rest) = target.as_chunks_mut::<8>();
    let (sources, others) = source.as_chunks::<8>();
    for (chunk, source) in chunks.iter_mut().zip(sources) {
        *chunk = *source;
    }
    for (place, &value) in rest.iter_mut().zip(others) {
        *place = value;
    }
}
