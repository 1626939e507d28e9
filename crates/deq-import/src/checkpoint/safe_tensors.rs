use std::fs::File;
use std::io::Read;

use burn::tensor::{BoolStore, DType, TensorData};
use safetensors::{Dtype, SafeTensors};

use super::view::native;
use super::{CheckpointCause, Flaw};
use crate::StateDict;

/// Every tensor of a safetensors file.
pub(super) fn read(mut file: File) -> Result<StateDict, Flaw> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| CheckpointCause::Damaged(error.to_string()))?;
    let mut dict = StateDict::new();
    for (name, tensor) in tensors.iter() {
        let flaw = |cause| Flaw::at(format!("tensor `{name}`"), cause);
        let dtype = dtype(tensor.dtype()).ok_or_else(|| {
            let reason = format!("its numbers are of type {:?}", tensor.dtype());
            flaw(CheckpointCause::Unsupported(format!(
                "{reason}, which is not supported; convert it with `.float()`"
            )))
        })?;
        let values = native(tensor.data().to_vec(), dtype, false);
        let data = TensorData::try_from_bytes_vec(values, tensor.shape().to_vec(), dtype)
            .map_err(|error| flaw(CheckpointCause::Damaged(error.to_string())))?;
        dict.insert(name, data);
    }
    Ok(dict)
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}
