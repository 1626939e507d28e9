//! The number of parameters, without a network.

use crate::{DdimError, UNetConfig};

impl UNetConfig {
    /// The number of the network's parameters, without building it.
    ///
    /// # Errors
    /// [`DdimError::InvalidConfig`] when an option is out of range.
    pub fn num_params(&self) -> Result<usize, DdimError> {
        self.validate()?;
        let (widths, sizes) = (self.widths(), self.resolutions());
        let last = widths.len() - 1;
        let time = 4 * self.width;
        let block = |inputs: usize, outputs: usize| {
            let shortcut = match inputs == outputs {
                true => 0,
                false => conv(inputs, outputs, 1),
            };
            let convs = conv(inputs, outputs, 3) + conv(outputs, outputs, 3) + shortcut;
            norm(inputs) + norm(outputs) + linear(time, outputs) + convs
        };
        let attention_at = |level: usize| match self.attention_resolutions.contains(&sizes[level]) {
            true => attention(widths[level]),
            false => 0,
        };

        let mut count = linear(self.width, time) + linear(time, time);
        count += conv(self.channels, self.width, 3);
        // The channels of what each block and halving leaves for the way up.
        let mut kept = vec![self.width];
        let mut channels = self.width;
        for (level, &width) in widths.iter().enumerate() {
            for _ in 0..self.res_blocks {
                count += block(channels, width) + attention_at(level);
                channels = width;
                kept.push(channels);
            }
            if level < last {
                count += conv(channels, channels, 3);
                kept.push(channels);
            }
        }
        count += 2 * block(channels, channels) + attention(channels);
        for (level, &width) in widths.iter().enumerate().rev() {
            for _ in 0..=self.res_blocks {
                let skip = kept.pop().expect("one is kept for each block");
                count += block(channels + skip, width) + attention_at(level);
                channels = width;
            }
            if level > 0 {
                count += conv(channels, channels, 3);
            }
        }
        Ok(count + norm(channels) + conv(channels, self.channels, 3))
    }
}

/// A convolution with a square kernel.
fn conv(inputs: usize, outputs: usize, kernel: usize) -> usize {
    (inputs * kernel * kernel + 1) * outputs
}

fn linear(inputs: usize, outputs: usize) -> usize {
    (inputs + 1) * outputs
}

fn norm(channels: usize) -> usize {
    2 * channels
}

/// A norm and four 1×1 convolutions.
fn attention(channels: usize) -> usize {
    norm(channels) + 4 * conv(channels, channels, 1)
}
