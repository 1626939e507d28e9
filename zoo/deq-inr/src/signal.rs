use deq_datasets::{Audio, DataError, Frames, Image};

/// A signal as a table of points: coordinates in [-1, 1] and, at each, the values to learn.
///
/// Pictures and videos have their values in [-1, 1], sounds are scaled to a peak of 1. The PSNR is
/// that of the signal in its own scale: [0, 1] for pictures.
#[derive(Clone, Debug)]
pub struct Signal {
    kind: SignalKind,
    /// `[points, in_channels]`, row-major.
    coords: Vec<f32>,
    /// `[points, out_channels]`, row-major.
    targets: Vec<f32>,
}

/// What a signal is a signal of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignalKind {
    /// A picture; coordinates are (x, y).
    Image {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// 1 or 3.
        channels: usize,
    },
    /// A sound; the coordinate is time.
    Audio {
        /// Samples per second.
        rate: u32,
        /// The number of samples.
        samples: usize,
        /// The largest absolute sample.
        peak: f32,
    },
    /// A video; coordinates are (time, y, x), as in the reference implementation.
    Video {
        /// The number of frames.
        frames: usize,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// 1 or 3.
        channels: usize,
    },
}

impl Signal {
    /// A picture's pixels.
    pub fn image(image: &Image) -> Self {
        let kind = SignalKind::Image {
            width: image.width(),
            height: image.height(),
            channels: image.channels(),
        };
        Self {
            coords: kind.grid(1),
            targets: image
                .pixels()
                .iter()
                .map(|value| value * 2.0 - 1.0)
                .collect(),
            kind,
        }
    }

    /// A sound's samples, divided by their peak.
    pub fn audio(audio: &Audio) -> Self {
        let peak = audio.samples.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        // Silence has no peak to divide by.
        let peak = if peak > 0.0 { peak } else { 1.0 };
        let kind = SignalKind::Audio {
            rate: audio.rate,
            samples: audio.samples.len(),
            peak,
        };
        Self {
            coords: kind.grid(1),
            targets: audio.samples.iter().map(|sample| sample / peak).collect(),
            kind,
        }
    }

    /// A video's pixels.
    pub fn video(video: &Frames) -> Self {
        let first = &video.frames()[0];
        let kind = SignalKind::Video {
            frames: video.frames().len(),
            width: first.width(),
            height: first.height(),
            channels: first.channels(),
        };
        let pixels = video.frames().iter().flat_map(Image::pixels);
        Self {
            coords: kind.grid(1),
            targets: pixels.map(|value| value * 2.0 - 1.0).collect(),
            kind,
        }
    }

    /// What it is a signal of.
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    /// The number of points.
    pub fn points(&self) -> usize {
        self.coords.len() / self.in_channels()
    }

    /// Coordinates of a point.
    pub fn in_channels(&self) -> usize {
        self.kind.in_channels()
    }

    /// Values at a point.
    pub fn out_channels(&self) -> usize {
        self.kind.out_channels()
    }

    /// The coordinates, `[points, in_channels]`, row-major.
    pub fn coords(&self) -> &[f32] {
        &self.coords
    }

    /// The values, `[points, out_channels]`, row-major.
    pub fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// The PSNR of a reconstruction, in dB. Pictures are clamped to [0, 1] first, as they are when
    /// written. Infinite for a perfect one.
    pub fn psnr(&self, values: &[f32]) -> f64 {
        let errors = values.iter().zip(&self.targets).map(|(found, expected)| {
            let difference = match self.kind {
                SignalKind::Image { .. } | SignalKind::Video { .. } => {
                    (found.clamp(-1.0, 1.0) - expected) / 2.0
                }
                SignalKind::Audio { peak, .. } => (found - expected) * peak,
            };
            f64::from(difference).powi(2)
        });
        psnr(errors.sum::<f64>() / self.targets.len() as f64)
    }

    /// The PSNR that belongs to a mean squared error of the model's own output.
    pub fn psnr_of_loss(&self, mse: f64) -> f64 {
        match self.kind {
            SignalKind::Image { .. } | SignalKind::Video { .. } => psnr(mse / 4.0),
            SignalKind::Audio { peak, .. } => psnr(mse * f64::from(peak).powi(2)),
        }
    }
}

/// $-10 \log_{10}(\mathrm{MSE})$: the peak signal-to-noise ratio of a signal with peak 1, in dB.
pub fn psnr(mse: f64) -> f64 {
    -10.0 * mse.log10()
}

impl SignalKind {
    /// Coordinates of a point.
    pub fn in_channels(self) -> usize {
        match self {
            Self::Image { .. } => 2,
            Self::Audio { .. } => 1,
            Self::Video { .. } => 3,
        }
    }

    /// Values at a point.
    pub fn out_channels(self) -> usize {
        match self {
            Self::Image { channels, .. } | Self::Video { channels, .. } => channels,
            Self::Audio { .. } => 1,
        }
    }

    /// The same signal sampled `factor` times as densely: `factor - 1` new points between each two
    /// neighbours, so that every `factor`-th point is an old one. A video keeps its frames.
    #[must_use]
    pub fn denser(self, factor: usize) -> Self {
        let denser = |count: usize| (count - 1) * factor + 1;
        match self {
            Self::Image {
                width,
                height,
                channels,
            } => Self::Image {
                width: denser(width),
                height: denser(height),
                channels,
            },
            Self::Audio {
                rate,
                samples,
                peak,
            } => Self::Audio {
                rate: rate * factor as u32,
                samples: denser(samples),
                peak,
            },
            Self::Video {
                frames,
                width,
                height,
                channels,
            } => Self::Video {
                frames,
                width: denser(width),
                height: denser(height),
                channels,
            },
        }
    }

    /// The coordinates of its points, `[points, in_channels]`, `factor` times as dense.
    pub fn grid(self, factor: usize) -> Vec<f32> {
        match self.denser(factor) {
            Self::Image { width, height, .. } => {
                let (xs, ys) = (axis(width), axis(height));
                let rows = ys.iter().flat_map(|&y| xs.iter().map(move |&x| [x, y]));
                rows.flatten().collect()
            }
            Self::Audio { samples, .. } => axis(samples),
            Self::Video {
                frames,
                width,
                height,
                ..
            } => {
                let (ts, ys, xs) = (axis(frames), axis(height), axis(width));
                let mut coords = Vec::with_capacity(3 * frames * width * height);
                for &t in &ts {
                    for &y in &ys {
                        coords.extend(xs.iter().flat_map(|&x| [t, y, x]));
                    }
                }
                coords
            }
        }
    }

    /// The picture that values `[points, channels]` in [-1, 1] stand for.
    ///
    /// # Errors
    /// [`DataError::Request`] when the kind or the number of values is another.
    pub fn to_image(self, values: &[f32]) -> Result<Image, DataError> {
        match self {
            Self::Image {
                width,
                height,
                channels,
            } => Image::new(width, height, channels, to_pixels(values)),
            _ => Err(not_a("picture")),
        }
    }

    /// The sound that values `[points]` stand for.
    ///
    /// # Errors
    /// [`DataError::Request`] when the signal is of another kind.
    pub fn to_audio(self, values: &[f32]) -> Result<Audio, DataError> {
        match self {
            Self::Audio { rate, peak, .. } => Ok(Audio {
                rate,
                samples: values.iter().map(|value| value * peak).collect(),
            }),
            _ => Err(not_a("sound")),
        }
    }

    /// The video that values `[points, channels]` in [-1, 1] stand for.
    ///
    /// # Errors
    /// [`DataError::Request`] when the kind or the number of values is another.
    pub fn to_video(self, values: &[f32]) -> Result<Frames, DataError> {
        match self {
            Self::Video {
                width,
                height,
                channels,
                ..
            } => {
                let frames = values
                    .chunks(width * height * channels)
                    .map(|frame| Image::new(width, height, channels, to_pixels(frame)));
                Frames::new(frames.collect::<Result<_, _>>()?)
            }
            _ => Err(not_a("video")),
        }
    }
}

fn not_a(kind: &str) -> DataError {
    DataError::Request(format!("the signal is not a {kind}"))
}

fn to_pixels(values: &[f32]) -> Vec<f32> {
    values
        .iter()
        .map(|value| ((value + 1.0) / 2.0).clamp(0.0, 1.0))
        .collect()
}

/// Evenly spaced coordinates from -1 to 1; a single one is -1, as `linspace` has it.
fn axis(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (2.0 * i as f64 / (count - 1).max(1) as f64 - 1.0) as f32)
        .collect()
}
