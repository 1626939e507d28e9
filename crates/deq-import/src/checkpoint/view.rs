use burn::tensor::{BoolStore, DType, TensorData};

use super::CheckpointCause;

/// A storage as the pickle names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// PyTorch's class, which tells the type of the numbers.
    pub(super) class: String,
    /// Its bytes are the archive's entry `data/<key>`.
    pub(super) key: String,
    /// How many numbers it has.
    pub(super) count: usize,
}

/// A tensor: numbers of a storage, from `offset` on, `strides` apart along each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    /// The tensor, from the bytes of its storage. `room` is how many bytes all further tensors may
    /// have.
    pub(super) fn decode(
        &self,
        storage: &[u8],
        is_big_endian: bool,
        room: &mut usize,
    ) -> Result<TensorData, CheckpointCause> {
        let dtype = dtype(&self.storage.class).ok_or_else(|| {
            CheckpointCause::Unsupported(format!(
                "its numbers are of PyTorch's type {}, which is not supported; convert it with \
                 `.float()`",
                self.storage.class
            ))
        })?;
        let size = dtype.size();
        let damaged = CheckpointCause::Damaged;
        let Storage { count, .. } = self.storage;
        if count.checked_mul(size) != Some(storage.len()) {
            return Err(damaged(format!(
                "its storage has {} bytes, not {count} numbers of {size} bytes",
                storage.len()
            )));
        }
        if self.shape.len() != self.strides.len() {
            return Err(damaged(format!(
                "it has {} axes and {} strides",
                self.shape.len(),
                self.strides.len()
            )));
        }
        let elements = self.elements();
        let is_inside = elements == Some(0) || self.last().is_some_and(|last| last < count);
        let length = elements
            .filter(|_| is_inside)
            .and_then(|elements| elements.checked_mul(size))
            .ok_or_else(|| {
                damaged(format!(
                    "shape {:?} with strides {:?} from number {} on reaches beyond its storage of \
                     {count} numbers",
                    self.shape, self.strides, self.offset
                ))
            })?;
        *room = room.checked_sub(length).ok_or_else(|| {
            damaged("its tensors together are far larger than the file".to_owned())
        })?;

        let values = if length == 0 {
            Vec::new()
        } else if self.is_contiguous() {
            storage[self.offset * size..][..length].to_vec()
        } else {
            self.gather(storage, size, length)
        };
        let values = native(values, dtype, is_big_endian);
        TensorData::try_from_bytes_vec(values, self.shape.clone(), dtype)
            .map_err(|error| damaged(error.to_string()))
    }

    fn elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |count, &length| count.checked_mul(length))
    }

    /// The position of the last number in the storage; no axis has length 0.
    fn last(&self) -> Option<usize> {
        self.shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |at, (&length, &stride)| {
                at.checked_add(stride.checked_mul(length.checked_sub(1)?)?)
            })
    }

    /// Whether its numbers lie one behind the other.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(&self.strides)
            .rev()
            .filter(|&(&length, _)| length > 1)
            .all(|(&length, &stride)| {
                let fits = stride == expected;
                expected *= length;
                fits
            })
    }

    fn gather(&self, storage: &[u8], size: usize, length: usize) -> Vec<u8> {
        let mut values = Vec::with_capacity(length);
        let mut index = vec![0usize; self.shape.len()];
        while values.len() < length {
            let steps = index.iter().zip(&self.strides);
            let at = self.offset + steps.map(|(i, stride)| i * stride).sum::<usize>();
            values.extend_from_slice(&storage[at * size..][..size]);
            for (i, &length) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < length {
                    break;
                }
                *i = 0;
            }
        }
        values
    }
}

fn dtype(storage_class: &str) -> Option<DType> {
    let (_, class) = storage_class.rsplit_once('.')?;
    Some(match class {
        "DoubleStorage" => DType::F64,
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

/// Bytes of a file in this machine's byte order. Truth values become 0 or 1: others are invalid in
/// memory.
pub(super) fn native(mut values: Vec<u8>, dtype: DType, is_big_endian: bool) -> Vec<u8> {
    if is_big_endian != cfg!(target_endian = "big") {
        for value in values.chunks_exact_mut(dtype.size()) {
            value.reverse();
        }
    }
    if dtype == DType::Bool(BoolStore::Native) {
        for value in &mut values {
            *value = u8::from(*value != 0);
        }
    }
    values
}
