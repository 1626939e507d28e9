//! Arrays in safetensors files: what both sides read, and what the other side found.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The key of the settings in a file's metadata.
const SETTINGS: &str = "settings";

/// Named arrays, row-major, and the settings of the workload that they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Arrays {
    settings: Value,
    arrays: BTreeMap<String, Array>,
}

#[derive(Clone, Debug, PartialEq)]
struct Array {
    shape: Vec<usize>,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

impl Arrays {
    /// None yet. `settings` is a JSON object, or null.
    pub(super) fn new(settings: Value) -> Self {
        Self {
            settings,
            arrays: BTreeMap::new(),
        }
    }

    /// Adds an array of floats.
    pub(super) fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.add(name, shape, Values::Floats(values));
    }

    /// Adds a list of integers.
    pub(super) fn insert_integers(&mut self, name: &str, values: Vec<i32>) {
        self.add(name, &[values.len()], Values::Integers(values));
    }

    fn add(&mut self, name: &str, shape: &[usize], values: Values) {
        let shape = shape.to_vec();
        self.arrays.insert(name.to_owned(), Array { shape, values });
    }

    fn get(&self, name: &str) -> Result<&Array> {
        let array = self.arrays.get(name);
        array.ok_or_else(|| anyhow!("there is no array `{name}`"))
    }

    /// An array of floats with its shape.
    pub(super) fn floats(&self, name: &str) -> Result<(&[usize], &[f32])> {
        let array = self.get(name)?;
        match &array.values {
            Values::Floats(values) => Ok((&array.shape, values)),
            Values::Integers(_) => bail!("the array `{name}` holds integers, not floats"),
        }
    }

    /// A list of integers.
    pub(super) fn integers(&self, name: &str) -> Result<&[i32]> {
        match &self.get(name)?.values {
            Values::Integers(values) => Ok(values),
            Values::Floats(_) => bail!("the array `{name}` holds floats, not integers"),
        }
    }

    /// An array of floats on a device.
    pub(super) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>> {
        Ok(Tensor::from_data(self.data::<D>(name)?, device))
    }

    /// The same as a parameter, which carries a gradient on an autodiff device.
    pub(super) fn param<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Param<Tensor<D>>> {
        Ok(Param::from_data(self.data::<D>(name)?, device))
    }

    fn data<const D: usize>(&self, name: &str) -> Result<TensorData> {
        let (shape, values) = self.floats(name)?;
        let shape: [usize; D] = shape
            .try_into()
            .with_context(|| format!("the array `{name}` has shape {shape:?}, not rank {D}"))?;
        Ok(TensorData::new(values.to_vec(), shape))
    }
}

impl Array {
    fn bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::Floats(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::Integers(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn dtype(&self) -> Dtype {
        match self.values {
            Values::Floats(_) => Dtype::F32,
            Values::Integers(_) => Dtype::I32,
        }
    }
}

/// Writes a file.
pub(super) fn write(path: &Path, arrays: &Arrays) -> Result<()> {
    let named = || format!("cannot write {}", path.display());
    let bytes: Vec<Vec<u8>> = arrays.arrays.values().map(Array::bytes).collect();
    let mut views = Vec::with_capacity(bytes.len());
    for ((name, array), bytes) in arrays.arrays.iter().zip(&bytes) {
        let view = TensorView::new(array.dtype(), array.shape.clone(), bytes);
        views.push((name.as_str(), view.with_context(named)?));
    }
    let settings = HashMap::from([(SETTINGS.to_owned(), arrays.settings.to_string())]);
    let file = safetensors::serialize(views, Some(settings)).with_context(named)?;
    std::fs::write(path, file).with_context(named)
}

/// Reads a file of `f32` and `i32` arrays.
pub(super) fn read(path: &Path) -> Result<Arrays> {
    let named = || format!("cannot read {}", path.display());
    let bytes = std::fs::read(path).with_context(named)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).with_context(named)?;
    let file = SafeTensors::deserialize(&bytes).with_context(named)?;
    let settings = header.metadata().as_ref().and_then(|all| all.get(SETTINGS));
    let mut arrays = Arrays::new(match settings {
        Some(text) => serde_json::from_str(text).with_context(named)?,
        None => Value::Null,
    });
    for (name, view) in file.iter() {
        let words = view.data().chunks_exact(4);
        let words = words.map(|word| [word[0], word[1], word[2], word[3]]);
        let values = match view.dtype() {
            Dtype::F32 => Values::Floats(words.map(f32::from_le_bytes).collect()),
            Dtype::I32 => Values::Integers(words.map(i32::from_le_bytes).collect()),
            other => bail!("{}: the array `{name}` is of type {other:?}", named()),
        };
        arrays.add(name, view.shape(), values);
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arrays() -> Arrays {
        let mut arrays = Arrays::new(json!({"max_iter": 3, "tolerance": 1e-4}));
        arrays.insert(
            "w",
            &[2, 3],
            vec![0.0, -1.5, 2.0, f32::MIN_POSITIVE, 1e30, 0.1],
        );
        arrays.insert_integers("indices", vec![-1, 0, 7]);
        arrays
    }

    #[test]
    fn files_round_trip() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("arrays.safetensors");
        write(&path, &arrays()).expect("written");
        assert_eq!(read(&path).expect("read"), arrays());
        let first = std::fs::read(&path).expect("bytes");
        write(&path, &arrays()).expect("written");
        assert_eq!(
            std::fs::read(&path).expect("bytes"),
            first,
            "the same bytes"
        );
    }

    #[test]
    fn errors_name_file_and_array() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("arrays.safetensors");
        let error = |result: Result<Arrays>| format!("{:#}", result.expect_err("must fail"));
        assert!(error(read(&path)).contains("cannot read"));
        write(&path, &arrays()).expect("written");
        let whole = std::fs::read(&path).expect("bytes");
        for length in [0, 7, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("written");
            assert!(error(read(&path)).contains("arrays.safetensors"));
        }
        let arrays = arrays();
        assert!(
            arrays
                .floats("u")
                .expect_err("none")
                .to_string()
                .contains("`u`")
        );
        assert!(arrays.floats("indices").is_err());
        assert!(arrays.integers("w").is_err());
        for device in deq::devices::all() {
            assert!(arrays.tensor::<3>("w", &device).is_err());
            let w = arrays.tensor::<2>("w", &device).expect("rank 2");
            assert_eq!(w.dims(), [2, 3]);
        }
    }
}
