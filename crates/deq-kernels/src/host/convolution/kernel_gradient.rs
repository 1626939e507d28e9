//! The gradient of a convolution in its kernel: the product of the gradient in the output, as the
//! left factor, with what taps see. Its sums run over positions, so its vectors are of taps.

use super::super::gemm::{Factor, Matrix, Tile, is_large_product};
use super::super::layer_norm::add;
use super::super::parallel::{assert_length, for_each_chunk, is_large};
use super::super::{Real, scratch};
use super::Geometry;
use super::pixels::Pixels;
use super::plan::{BLOCK, TASKS};
use super::windows::{DEPTH, Windows, lanes};

/// Partial sums hold at most so many numbers together.
const PARTIAL_SUMS: usize = 1 << 22;

/// A task does not take fewer output channels for the sake of more tasks.
const OUTPUTS: usize = 48;

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
    let size = geometry.sample();
    let samples = input.len().checked_div(size).unwrap_or(0);
    assert_length("input", input.len(), samples * size);
    let positions = geometry.positions();
    assert_length("gradient", gradient.len(), samples * outputs * positions);
    let mut result = vec![T::ZERO; outputs * geometry.taps()];
    if gradient.is_empty() || result.is_empty() {
        return result;
    }
    let sum = Sum::new(geometry, input, gradient, [samples, outputs]);
    let length = outputs * sum.row;
    let groups = (PARTIAL_SUMS / length).clamp(1, TASKS).min(sum.blocks());
    let blocks = sum.blocks().div_ceil(groups);
    let groups = sum.blocks().div_ceil(blocks);
    let cuts = (TASKS / groups).min(outputs / OUTPUTS).max(1);
    let rows = outputs.div_ceil(cuts).next_multiple_of(sum.tile.rows);

    let parallel = is_large_product(result.len(), samples, positions);
    scratch::with::<T, _, 1>([groups * length], |[sums]| {
        for_each_chunk(sums, length, parallel, |start, sums| {
            let first = start / length * blocks;
            let blocks = first..sum.blocks().min(first + blocks);
            for_each_chunk(sums, rows * sum.row, parallel, |start, sums| {
                for block in blocks.clone() {
                    sum.block(block, start / sum.row, block > first, sums);
                }
            });
        });
        let (total, others) = sums.split_at_mut(length);
        for sums in others.chunks_exact(length) {
            add(total, sums);
        }
        sum.arrange(total, &mut result);
    });
    result
}

/// The terms of the gradient, in blocks: some lines of a picture, or several small pictures.
struct Sum<'a, T> {
    geometry: &'a Geometry,
    input: &'a [T],
    gradient: &'a [T],
    outputs: usize,
    samples: usize,
    /// Samples of a block; more than one only of whole pictures.
    together: usize,
    /// Lines of a block.
    lines: usize,
    pixels: Pixels<'a>,
    tile: Tile,
    /// Numbers in the vectors of a row of the kernel, in all channels.
    line: usize,
    /// Numbers in a row of the sums.
    row: usize,
    /// Where each of its vectors reads.
    vectors: Vec<usize>,
}

impl<'a, T: Real> Sum<'a, T> {
    fn new(
        geometry: &'a Geometry,
        input: &'a [T],
        gradient: &'a [T],
        [samples, outputs]: [usize; 2],
    ) -> Self {
        let [height, width] = geometry.output();
        let pixels = Pixels::new(geometry);
        let numbers = pixels.line() * geometry.stride[0] + outputs * width;
        let lines = (BLOCK / size_of::<T>() / numbers).clamp(1, height);
        let lines = height.div_ceil(height.div_ceil(lines));
        let together = if lines == height {
            (DEPTH / geometry.positions()).clamp(1, samples)
        } else {
            1
        };
        let lanes = lanes::<T>();
        let [down, across] = geometry.kernel;
        let line = (across * geometry.channels).next_multiple_of(lanes);
        let of_row = |y: usize| {
            let vectors = (0..line).step_by(lanes);
            vectors.map(move |place| y * pixels.line() + place)
        };
        Self {
            geometry,
            input,
            gradient,
            outputs,
            samples,
            together,
            lines,
            pixels,
            tile: Tile::of::<T>(),
            line,
            row: down * line,
            vectors: (0..down).flat_map(of_row).collect(),
        }
    }

    fn blocks(&self) -> usize {
        let [height, _] = self.geometry.output();
        self.samples.div_ceil(self.together) * height.div_ceil(self.lines)
    }

    /// The sums of a block's terms for some of the output channels, from `output` on; `adds` says
    /// whether they are added to what is there.
    fn block(&self, block: usize, output: usize, adds: bool, sums: &mut [T]) {
        let ([height, width], size) = (self.geometry.output(), self.geometry.sample());
        let in_sample = height.div_ceil(self.lines);
        let sample = block / in_sample * self.together;
        let samples = self.together.min(self.samples - sample);
        let line = block % in_sample * self.lines;
        let lines = self.lines.min(height - line);
        let (depth, pixels) = (samples * lines * width, self.pixels.length(lines));
        let outputs = sums.len() / self.row;
        let slack = lanes::<T>();
        let lengths = [
            Factor::Left.length::<T>(outputs, depth),
            samples * pixels + slack,
        ];
        scratch::with::<T, _, 2>(lengths, |[left, values]| {
            let inputs = self.input[sample * size..].chunks_exact(size);
            for (input, target) in inputs.zip(values.chunks_exact_mut(pixels)).take(samples) {
                self.pixels.fill(input, line, lines, target);
            }
            self.pack([sample, line], [output, outputs], lines * width, left);
            let place = |term: usize| {
                let (sample, term) = (term / (lines * width), term % (lines * width));
                sample * pixels + self.pixels.place(term / width, term % width)
            };
            let terms: Vec<usize> = (0..depth).map(place).collect();
            let mut rows: Vec<&mut [T]> = sums.chunks_exact_mut(self.row).collect();
            Windows {
                left,
                depth,
                first: 0,
                values,
                terms: &terms,
                vectors: &self.vectors,
                adds,
            }
            .run(&mut rows);
        });
    }

    /// Packs the gradient in some output channels, `count` positions of each sample.
    fn pack(
        &self,
        [sample, line]: [usize; 2],
        [output, outputs]: [usize; 2],
        count: usize,
        packed: &mut [T],
    ) {
        let ([_, width], positions) = (self.geometry.output(), self.geometry.positions());
        let size = self.outputs * positions;
        let samples = packed.len() / (outputs.next_multiple_of(self.tile.rows) * count);
        let strips = packed.chunks_exact_mut(samples * count * self.tile.rows);
        for (strip, packed) in strips.enumerate() {
            let first = output + strip * self.tile.rows;
            let rows = self.tile.rows.min(output + outputs - first);
            let parts = packed.chunks_exact_mut(count * self.tile.rows);
            for (index, packed) in parts.enumerate() {
                let gradient = &self.gradient[(sample + index) * size..][..size];
                let part = Matrix::new(gradient, [self.outputs, positions]);
                let part = part.rows(first, rows).columns(line * width, count);
                Factor::Left.pack(part, packed, false);
            }
        }
    }

    /// Orders the sums of each output channel by channel, row and column of the kernel.
    fn arrange(&self, sums: &[T], result: &mut [T]) {
        let [_, across] = self.geometry.kernel;
        let (channels, window) = (self.geometry.channels, self.geometry.window());
        let taps = self.geometry.taps();
        for_each_chunk(result, taps, is_large(sums.len()), |start, result| {
            let sums = &sums[start / taps * self.row..][..self.row];
            for tap in 0..window {
                let first = tap / across * self.line + tap % across * channels;
                let sums = &sums[first..first + channels];
                for (window, &sum) in result.chunks_exact_mut(window).zip(sums) {
                    window[tap] = sum;
                }
            }
        });
    }
}
