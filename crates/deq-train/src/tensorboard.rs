//! Scalars as TensorBoard event files.
//!
//! Written here because the crates that do it are not kept up or bring a protobuf runtime, image
//! codecs and dozens of others, and panic on a full disk, for what takes a hundred lines: a
//! record is a length, the length's checksum, an `Event` message and its checksum.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::TrainError;
use crate::error::At;

/// An open event file. Each start of a run has its own; its second event tells TensorBoard to drop
/// what earlier ones hold of steps that will be done again.
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// For a run that goes on after `step`.
    pub(crate) fn create(folder: &Path, step: u64, time: f64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).at("make the folder", folder)?;
        // TensorBoard reads files in the order of their names.
        let process = std::process::id();
        let name = format!("events.out.tfevents.{time:020.6}.{process}.deq-train");
        let path = folder.join(name);
        let file = File::create_new(&path).at("write", &path)?;
        let mut events = Self { path, file };
        events.write(&Event::version(time))?;
        events.write(&Event::start(step + 1, time))?;
        Ok(events)
    }

    /// Adds scalars of one step.
    pub(crate) fn scalars(
        &mut self,
        step: u64,
        time: f64,
        values: impl Iterator<Item = (String, f64)>,
    ) -> Result<(), TrainError> {
        self.write(&Event::scalars(step, time, values))
    }

    fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let record = record(&event.0);
        self.file.write_all(&record).at("write", &self.path)
    }
}

/// A message `Event` of TensorFlow's `event.proto`. Fields: 1 `wall_time`, 2 `step`,
/// 3 `file_version`, 5 `summary` (1 `value`: 1 `tag`, 2 `simple_value`), 7 `session_log`
/// (1 `status`, whose 1 is `START`).
struct Event(Vec<u8>);

impl Event {
    fn new(step: u64, time: f64) -> Self {
        let mut bytes = vec![key(1, Wire::Fixed64)];
        bytes.extend(time.to_le_bytes());
        bytes.push(key(2, Wire::Varint));
        varint(&mut bytes, step);
        Self(bytes)
    }

    fn version(time: f64) -> Self {
        let mut event = Self::new(0, time);
        nested(&mut event.0, 3, b"brain.Event:2");
        event
    }

    fn start(step: u64, time: f64) -> Self {
        let mut event = Self::new(step, time);
        nested(&mut event.0, 7, &[key(1, Wire::Varint), 1]);
        event
    }

    fn scalars(step: u64, time: f64, values: impl Iterator<Item = (String, f64)>) -> Self {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut message = Vec::new();
            nested(&mut message, 1, tag.as_bytes());
            message.push(key(2, Wire::Fixed32));
            message.extend((value as f32).to_le_bytes());
            nested(&mut summary, 1, &message);
        }
        let mut event = Self::new(step, time);
        nested(&mut event.0, 5, &summary);
        event
    }
}

/// Protobuf's wire types.
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

fn key(field: u8, wire: Wire) -> u8 {
    (field << 3) | wire as u8
}

fn nested(bytes: &mut Vec<u8>, field: u8, content: &[u8]) {
    bytes.push(key(field, Wire::Length));
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(content);
    bytes.extend(masked_crc(content).to_le_bytes());
    bytes
}

/// TFRecord's checksum: CRC-32C, rotated and shifted so that a checksum of data that hold
/// checksums is none of theirs.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), a bit at a time: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_standard_test_words() {
        // RFC 3720, appendix B.4, and the catalogue of CRC algorithms ("123456789").
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }
}
