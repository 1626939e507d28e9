use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{CheckpointCause, Flaw};

/// The zip archive that `torch.save` writes: a pickle, `data.pkl`, and the tensors' storages,
/// `data/<key>`, in a folder of any name.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The folder, with its slash.
    root: String,
    /// The file's, in bytes.
    length: u64,
}

impl Archive {
    pub(super) fn open(mut file: File) -> Result<Self, Flaw> {
        let length = file.metadata()?.len();
        check_directory(&mut file, length)?;
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| CheckpointCause::Damaged(error.to_string()))?;
        let root = zip
            .file_names()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|root| root.is_empty() || root.ends_with('/'))
            .min_by_key(|root| root.len())
            .map(str::to_owned);
        let archive = Self {
            zip,
            root: root.ok_or(CheckpointCause::Unknown)?,
            length,
        };
        if archive.has("constants.pkl") {
            return Err(CheckpointCause::TorchScript.into());
        }
        Ok(archive)
    }

    /// The file's length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let name = self.entry(name);
        self.zip.file_names().any(|found| found == name)
    }

    /// The full name of an entry.
    pub(super) fn entry(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// The bytes of an entry, whose checksum was right.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>, Flaw> {
        let entry = self.entry(name);
        let damaged = |reason: String| Flaw::at(&*entry, CheckpointCause::Damaged(reason));
        // Not `by_name`, which panics when the entry claims a cipher without being encrypted.
        let mut file = match self.zip.by_name_decrypt(&entry, b"") {
            Ok(Ok(file)) => file,
            Ok(Err(_)) => return Err(damaged("the entry is encrypted".to_owned())),
            Err(ZipError::FileNotFound) => {
                return Err(damaged("the entry is missing".to_owned()));
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        // A stored entry cannot be longer than the file.
        if file.compression() != CompressionMethod::Stored {
            let reason = "the entry is compressed, as torch.save never does; open the file with \
                          PyTorch and save it again";
            return Err(Flaw::at(
                &*entry,
                CheckpointCause::Unsupported(reason.to_owned()),
            ));
        }
        let mut bytes = Vec::new();
        match file.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(damaged(error.to_string())),
        }
    }
}

/// Refuses a zip64 directory that the file cannot hold: the zip reader makes room for as many
/// entries as are claimed, and looks through the whole file for a directory that is not in its
/// place. PyTorch writes the zip64 records always, and no comment behind them.
fn check_directory(file: &mut File, length: u64) -> Result<(), Flaw> {
    const END: u64 = 22;
    const LOCATOR: u64 = 20;
    const SHORTEST_ENTRY: u64 = 46;
    let Some(locator_at) = length.checked_sub(END + LOCATOR) else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(locator_at))?;
    let mut locator = [0; LOCATOR as usize];
    file.read_exact(&mut locator)?;
    if locator.starts_with(b"PK\x06\x07") {
        let damaged = || CheckpointCause::Damaged("the zip directory is not in its place".into());
        let record_at = number(&locator[8..16]);
        if record_at > locator_at {
            return Err(damaged().into());
        }
        file.seek(SeekFrom::Start(record_at))?;
        let mut record = [0; 40];
        file.read_exact(&mut record)?;
        let entries = number(&record[32..40]);
        if !record.starts_with(b"PK\x06\x06") || entries > length / SHORTEST_ENTRY {
            return Err(damaged().into());
        }
    }
    file.rewind()?;
    Ok(())
}

fn number(little_endian: &[u8]) -> u64 {
    let byte = |number: u64, &byte: &u8| (number << 8) | u64::from(byte);
    little_endian.iter().rev().fold(0, byte)
}
