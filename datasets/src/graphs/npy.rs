//! NumPy's `npy` files and `npz` archives of them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::DataError;

/// An array of numbers or truth values, in C order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Array {
    /// Reads an `npy` file.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
        Self::parse(&bytes).map_err(|reason| DataError::format(path, "npy", reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "it ends within its header".to_owned();
        if bytes.get(..6) != Some(b"\x93NUMPY") {
            return Err("it does not start with NumPy's magic bytes".to_owned());
        }
        let (length, start) = match bytes.get(6).ok_or_else(cut)? {
            1 => {
                let length = bytes.get(8..10).ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes([length[0], length[1]])), 10)
            }
            2 | 3 => {
                let length = bytes.get(8..12).ok_or_else(cut)?;
                let length = [length[0], length[1], length[2], length[3]];
                (u32::from_le_bytes(length) as usize, 12)
            }
            version => return Err(format!("format version {version} is not known")),
        };
        let header = bytes.get(start..start + length).ok_or_else(cut)?;
        let header = String::from_utf8_lossy(header);
        let descr = between(&header, "'descr':", ',')?;
        let descr = descr.trim().trim_matches('\'');
        let fortran = match between(&header, "'fortran_order':", ',')?.trim() {
            "True" => true,
            "False" => false,
            other => return Err(format!("`fortran_order` is `{other}`")),
        };
        let inner = between(&header, "'shape':", ')')?;
        let shape = inner
            .trim()
            .trim_start_matches('(')
            .split(',')
            .map(str::trim)
            .filter(|length| !length.is_empty())
            .map(|length| {
                length
                    .parse()
                    .map_err(|_| format!("`{length}` is not a length"))
            })
            .collect::<Result<Vec<usize>, String>>()?;
        let data = &bytes[start + length..];
        Self::from_raw(descr, shape, fortran, data)
    }

    /// An array from NumPy's name of its type, such as `<f4`, and its bytes.
    pub(super) fn from_raw(
        descr: &str,
        shape: Vec<usize>,
        fortran: bool,
        data: &[u8],
    ) -> Result<Self, String> {
        let unknown = || format!("numbers of type `{descr}` are not supported");
        if descr.starts_with('>') {
            return Err(unknown());
        }
        let decode: fn(&[u8]) -> f64 = match descr.trim_start_matches(['<', '|', '=']) {
            "b1" | "u1" => |b: &[u8]| f64::from(b[0]),
            "i1" => |b: &[u8]| f64::from(b[0] as i8),
            "i2" => |b: &[u8]| f64::from(i16::from_le_bytes(word(b))),
            "u2" => |b: &[u8]| f64::from(u16::from_le_bytes(word(b))),
            "i4" => |b: &[u8]| f64::from(i32::from_le_bytes(word(b))),
            "u4" => |b: &[u8]| f64::from(u32::from_le_bytes(word(b))),
            "i8" => |b: &[u8]| i64::from_le_bytes(word(b)) as f64,
            "u8" => |b: &[u8]| u64::from_le_bytes(word(b)) as f64,
            "f4" => |b: &[u8]| f64::from(f32::from_le_bytes(word(b))),
            "f8" => |b: &[u8]| f64::from_le_bytes(word(b)),
            _ => return Err(unknown()),
        };
        let size: usize = descr
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .map_err(|_| unknown())?;
        let count = shape
            .iter()
            .try_fold(size, |product: usize, &length| product.checked_mul(length));
        if count != Some(data.len()) {
            return Err(format!(
                "an array of shape {shape:?} and type `{descr}` does not have {} bytes: the file is cut short or damaged",
                data.len()
            ));
        }
        let values: Vec<f64> = data.chunks_exact(size).map(decode).collect();
        let values = match (fortran, shape.as_slice()) {
            (false, _) | (true, [] | [_]) => values,
            (true, &[rows, columns]) => (0..rows * columns)
                .map(|i| values[(i % columns) * rows + i / columns])
                .collect(),
            (true, _) => {
                return Err("Fortran order with more than two axes is not supported".to_owned());
            }
        };
        Ok(Self { shape, values })
    }

    /// The values as whole numbers from 0.
    pub(super) fn indices(&self) -> Result<Vec<u32>, String> {
        let index = |&value: &f64| {
            if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
                return Ok(value as u32);
            }
            Err(format!("{value} is not a whole number from 0"))
        };
        self.values.iter().map(index).collect()
    }
}

/// The first `N` bytes; the caller has cut them to that length.
fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| bytes[i])
}

/// What stands between a key and the next `end`.
fn between<'a>(header: &'a str, key: &str, end: char) -> Result<&'a str, String> {
    header
        .split_once(key)
        .and_then(|(_, rest)| rest.split_once(end))
        .map(|(inner, _)| inner)
        .ok_or_else(|| format!("its header has no {key} entry"))
}

/// An archive of arrays.
pub(super) struct Npz {
    path: PathBuf,
    archive: ZipArchive<File>,
}

impl Npz {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::read(path, source))?;
        let archive =
            ZipArchive::new(file).map_err(|error| DataError::format(path, "npz", error))?;
        Ok(Self {
            path: path.to_owned(),
            archive,
        })
    }

    /// The array of that name.
    pub(super) fn array(&mut self, name: &str) -> Result<Array, DataError> {
        let broken = |reason: String| {
            DataError::format(&self.path, "npz", format!("array `{name}`: {reason}"))
        };
        let mut bytes = Vec::new();
        match self.archive.by_name(&format!("{name}.npy")) {
            Ok(mut entry) => {
                entry
                    .read_to_end(&mut bytes)
                    .map_err(|error| broken(error.to_string()))?;
            }
            Err(ZipError::FileNotFound) => return Err(broken("it is missing".to_owned())),
            Err(error) => return Err(broken(error.to_string())),
        }
        Array::parse(&bytes).map_err(broken)
    }

    /// The whole numbers of an array.
    pub(super) fn indices(&mut self, name: &str) -> Result<Vec<u32>, DataError> {
        let array = self.array(name)?;
        array.indices().map_err(|reason| {
            DataError::format(&self.path, "npz", format!("array `{name}`: {reason}"))
        })
    }
}
