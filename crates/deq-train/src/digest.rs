use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::error::At;

/// The SHA-256 of some bytes, in lower-case hexadecimal as `sha256sum` prints it.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a file and its length, read in pieces.
pub(crate) fn of_file(path: &Path) -> Result<(String, u64), TrainError> {
    let mut file = File::open(path).at("read", path)?;
    let mut hasher = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).at("read", path)?;
        if read == 0 {
            return Ok((hexadecimal(&hasher.finalize()), length));
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
