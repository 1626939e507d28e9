use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::DataError;

/// A mono recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples per second.
    pub rate: u32,
    /// Usually in [-1, 1].
    pub samples: Vec<f32>,
}

impl Audio {
    /// Reads a WAV file of 8- to 32-bit integers (scaled to [-1, 1]) or 32-bit floats (as they
    /// are). Several channels are averaged.
    ///
    /// # Errors
    /// [`DataError::Io`] and [`DataError::Format`], also for a file without samples.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let broken = |error: hound::Error| match error {
            hound::Error::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                DataError::read(path, error)
            }
            error => DataError::format(path, "WAV", error),
        };
        let mut reader = WavReader::open(path).map_err(broken)?;
        let spec = reader.spec();
        let interleaved: Result<Vec<f32>, hound::Error> = match spec.sample_format {
            SampleFormat::Float => reader.samples::<f32>().collect(),
            SampleFormat::Int => {
                let full_scale = (1u64 << (spec.bits_per_sample - 1)) as f32;
                reader
                    .samples::<i32>()
                    .map(|sample| Ok(sample? as f32 / full_scale))
                    .collect()
            }
        };
        let interleaved = interleaved.map_err(broken)?;
        let channels = usize::from(spec.channels).max(1);
        let samples: Vec<f32> = interleaved
            .chunks(channels)
            .map(|frame| frame.iter().sum::<f32>() / channels as f32)
            .collect();
        if samples.is_empty() {
            return Err(DataError::format(path, "WAV", "it has no samples"));
        }
        Ok(Self {
            rate: spec.sample_rate,
            samples,
        })
    }

    /// A test sound by formula: four plucked notes of a chord, each with two overtones.
    ///
    /// # Errors
    /// [`DataError::Request`] when the rate or the length gives fewer than 2 samples.
    pub fn built_in(rate: u32, seconds: f64) -> Result<Self, DataError> {
        let count = (f64::from(rate) * seconds) as usize;
        if count < 2 {
            return Err(DataError::Request(format!(
                "a built-in sound needs at least 2 samples, not {seconds} seconds at {rate} a second"
            )));
        }
        let sample = |index: usize| {
            let progress = index as f64 / count as f64;
            let notes = [220.0, 277.18, 329.63, 440.0].into_iter().enumerate();
            let sound: f64 = notes
                .map(|(number, frequency)| {
                    let age = progress - number as f64 / 4.0;
                    if age < 0.0 {
                        return 0.0;
                    }
                    let phase = 2.0 * std::f64::consts::PI * frequency * age * seconds;
                    let tone = phase.sin() + 0.4 * (2.0 * phase).sin() + 0.2 * (3.0 * phase).sin();
                    tone * (1.0 - (-400.0 * age).exp()) * (-6.0 * age).exp()
                })
                .sum();
            (0.4 * sound) as f32
        };
        Ok(Self {
            rate,
            samples: (0..count).map(sample).collect(),
        })
    }

    /// Writes a mono WAV file of 32-bit floats.
    ///
    /// # Errors
    /// [`DataError::Io`] when the file cannot be written.
    pub fn save_wav(&self, path: &Path) -> Result<(), DataError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: self.rate,
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
        };
        let write = || {
            let mut writer = WavWriter::create(path, spec)?;
            for &sample in &self.samples {
                writer.write_sample(sample)?;
            }
            writer.finalize()
        };
        write().map_err(|error| DataError::Io {
            action: "write",
            path: path.to_owned(),
            reason: match error {
                hound::Error::IoError(error) => error,
                error => std::io::Error::other(error),
            },
        })
    }

    /// The first `count` samples; all of them if there are fewer.
    #[must_use]
    pub fn truncate(mut self, count: usize) -> Self {
        self.samples.truncate(count);
        self
    }
}
