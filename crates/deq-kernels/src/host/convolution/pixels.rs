use super::super::Real;
use super::Geometry;

/// Channels that are gone through at a time.
const CHANNELS: usize = 8;

/// Copies of some lines of a picture with the channels of a pixel beside each other, and with the
/// zeros of the padding: what one row of a kernel sees, in all channels, is contiguous.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels<'g> {
    geometry: &'g Geometry,
    /// Pixels in a line.
    columns: usize,
}

impl<'g> Pixels<'g> {
    /// For a geometry with places in its output.
    pub(super) fn new(geometry: &'g Geometry) -> Self {
        let [_, width] = geometry.output();
        let columns = (width - 1) * geometry.stride[1] + geometry.kernel[1];
        Self { geometry, columns }
    }

    /// Numbers in a line.
    pub(super) fn line(&self) -> usize {
        self.columns * self.geometry.channels
    }

    /// The numbers that so many lines of the output read.
    pub(super) fn length(&self, lines: usize) -> usize {
        self.rows(lines) * self.line()
    }

    fn rows(&self, lines: usize) -> usize {
        (lines - 1) * self.geometry.stride[0] + self.geometry.kernel[0]
    }

    /// Where the kernel's first tap reads for a place of the output's lines.
    pub(super) fn place(&self, line: usize, place: usize) -> usize {
        let [down, across] = self.geometry.stride;
        line * down * self.line() + place * across * self.geometry.channels
    }

    /// Copies what some lines of the output read of one input.
    pub(super) fn fill<T: Real>(&self, input: &[T], first: usize, lines: usize, target: &mut [T]) {
        let rows = target.chunks_exact_mut(self.line()).take(self.rows(lines));
        for (row, target) in rows.enumerate() {
            match self.geometry.source_line(first, row) {
                Some(line) => self.fill_line(input, line, target),
                None => target.fill(T::ZERO),
            }
        }
    }

    fn fill_line<T: Real>(&self, input: &[T], line: usize, target: &mut [T]) {
        let ([_, width], channels) = (self.geometry.size, self.geometry.channels);
        let left = self.geometry.padding[1].min(self.columns);
        let count = width.min(self.columns - left);
        let (before, target) = target.split_at_mut(left * channels);
        let (target, after) = target.split_at_mut(count * channels);
        before.fill(T::ZERO);
        after.fill(T::ZERO);
        if count == 0 {
            return;
        }
        let plane = self.geometry.plane();
        let source = |channel: usize| &input[channel * plane + line * width..][..count];
        let whole = channels / CHANNELS * CHANNELS;
        for first in (0..whole).step_by(CHANNELS) {
            let sources: [&[T]; CHANNELS] = std::array::from_fn(|index| source(first + index));
            transpose(sources, &mut target[first..], channels);
        }
        for channel in whole..channels {
            let places = target[channel..].iter_mut().step_by(channels);
            for (place, &value) in places.zip(source(channel)) {
                *place = value;
            }
        }
    }
}

/// Writes neighbouring channels of pixels that are `pixel` numbers apart.
fn transpose<T: Real>(sources: [&[T]; CHANNELS], target: &mut [T], pixel: usize) {
    let blocks = sources.map(|source| source.as_chunks::<CHANNELS>());
    let count = sources[0].len();
    let whole = count / CHANNELS;
    for block in 0..whole {
        let values = blocks.map(|(chunks, _)| chunks[block]);
        for column in 0..CHANNELS {
            let start = (block * CHANNELS + column) * pixel;
            let place = &mut target[start..start + CHANNELS];
            place.copy_from_slice(&values.map(|values| values[column]));
        }
    }
    for column in whole * CHANNELS..count {
        let place = &mut target[column * pixel..][..CHANNELS];
        place.copy_from_slice(&sources.map(|source| source[column]));
    }
}
