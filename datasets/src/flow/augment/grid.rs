use crate::flow::sample::bilinear;

/// Values on a grid of pixels: a frame, flow, or a mask.
pub(super) struct Grid {
    /// Height, width, channels.
    pub(super) shape: [usize; 3],
    /// In the order of `shape`, row-major.
    pub(super) values: Vec<f32>,
}

impl Grid {
    /// Enlarges by `scale` (x, y), bilinear: the new pixel at x shows the old grid at
    /// (x + 1/2) / scale − 1/2.
    #[must_use]
    pub(super) fn resize(&self, scale: [f64; 2]) -> Self {
        let [height, width, channels] = self.shape;
        let scaled = |side: usize, scale: f64| ((side as f64 * scale).round() as usize).max(1);
        let (new_height, new_width) = (scaled(height, scale[1]), scaled(width, scale[0]));
        let source = |position: usize, scale: f64| (position as f64 + 0.5) / scale - 0.5;
        let mut values = Vec::with_capacity(new_height * new_width * channels);
        for row in 0..new_height {
            for column in 0..new_width {
                let point = [source(column, scale[0]), source(row, scale[1])];
                for channel in 0..channels {
                    values.push(bilinear(&self.values, self.shape, point, channel));
                }
            }
        }
        Self {
            shape: [new_height, new_width, channels],
            values,
        }
    }

    /// The grid with another pixel in the place of each.
    #[must_use]
    pub(super) fn gather(
        &self,
        [height, width]: [usize; 2],
        source: impl Fn(usize, usize) -> (usize, usize),
    ) -> Self {
        let channels = self.shape[2];
        let mut values = Vec::with_capacity(height * width * channels);
        for row in 0..height {
            for column in 0..width {
                let (row, column) = source(row, column);
                let start = (row * self.shape[1] + column) * channels;
                values.extend_from_slice(&self.values[start..start + channels]);
            }
        }
        Self {
            shape: [height, width, channels],
            values,
        }
    }

    /// Multiplies every channel by a factor of its own.
    pub(super) fn scale_channels(&mut self, factors: &[f32]) {
        for pixel in self.values.chunks_exact_mut(factors.len()) {
            for (value, factor) in pixel.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}
