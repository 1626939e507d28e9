//! One safetensors file of features: for data sets whose own formats need a network to read
//! (pictures through VGG, text through BERT), made once by whoever has them.
//!
//! For each `PART` of `train`, `validation` (may be missing) and `test`:
//!
//! | tensor | type | shape | content |
//! |---|---|---|---|
//! | `PART.x0`, `PART.x1`, … | `F32` or `F64` | `[samples, features]` or `[samples, positions, features]` | the modalities |
//! | `PART.y` | `I64` or `I32` | `[samples]` | classes from 0 |
//! | | `U8` or `BOOL` | `[samples, labels]` | labels, 0 or 1 |
//! | | `F32` or `F64` | `[samples]` | numbers |
//! | `PART.present` | `U8` or `BOOL` | `[samples, modalities]` | 0 where a view is missing; may be left out |
//! | `PART.lengths` | `I64` or `I32` | `[samples]` | filled positions; may be left out |
//!
//! The metadata may name the modalities, `modalities` = `text,image`. The number of classes is that
//! of the training part. MM-IMDB has features of 300 and 4096 and 23 labels; CMU-MOSI has BERT's
//! 768 and COVAREP's 5 at 50 positions and numbers.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Modality, MultimodalData, MultimodalSplit, Targets};
use crate::DataError;

const KIND: &str = "feature";

/// Reads a file.
///
/// # Errors
/// [`DataError::Io`] for a file that cannot be read, and [`DataError::Format`] for one that is no
/// safetensors file, lacks a tensor or has one too many, or whose tensors have another type, shape
/// or range than the layout says.
pub fn open(path: &Path) -> Result<MultimodalSplit, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let broken = |error: safetensors::SafeTensorError| DataError::format(path, KIND, error);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let named = header.metadata().as_ref();
    let named = named.and_then(|metadata| metadata.get("modalities"));
    let mut file = File {
        path,
        tensors: tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), view))
            .collect(),
        names: named.map(|names| {
            names
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect()
        }),
    };
    let train = file.part("train", None)?;
    let classes = match train.targets() {
        Targets::Classes { classes, .. } => Some(*classes),
        Targets::Labels { .. } | Targets::Values(_) => None,
    };
    let has_validation = file
        .tensors
        .keys()
        .any(|name| name.starts_with("validation."));
    let validation = has_validation
        .then(|| file.part("validation", classes))
        .transpose()?;
    let test = file.part("test", classes)?;
    if let Some(name) = file.tensors.keys().min() {
        return Err(file.broken(format!("tensor `{name}` is not part of the layout")));
    }
    for part in validation.iter().chain([&test]) {
        file.require_alike(&train, part)?;
    }
    Ok(MultimodalSplit {
        train,
        validation,
        test,
    })
}

/// Writes data in this layout.
///
/// # Errors
/// [`DataError::Io`], and [`DataError::Format`] when the tensors cannot be written.
pub fn save(path: &Path, data: &MultimodalSplit) -> Result<(), DataError> {
    let mut stored: Vec<Stored> = Vec::new();
    let parts = [
        ("train", Some(&data.train)),
        ("validation", data.validation.as_ref()),
        ("test", Some(&data.test)),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            store(name, part, &mut stored);
        }
    }
    let broken = |error: safetensors::SafeTensorError| DataError::format(path, KIND, error);
    let mut views = Vec::with_capacity(stored.len());
    for (name, dtype, shape, bytes) in &stored {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(broken)?;
        views.push((name.as_str(), view));
    }
    let names = data.train.modalities().iter();
    let names: Vec<&str> = names.map(|modality| modality.name.as_str()).collect();
    let metadata = HashMap::from([("modalities".to_owned(), names.join(","))]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    std::fs::write(path, file).map_err(|reason| DataError::Io {
        action: "write",
        path: path.to_owned(),
        reason,
    })
}

/// Name, type, shape and content of a tensor.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn store(part: &str, data: &MultimodalData, stored: &mut Vec<Stored>) {
    let samples = data.samples();
    let of_floats =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let of_flags =
        |flags: &[bool]| -> Vec<u8> { flags.iter().map(|&flag| u8::from(flag)).collect() };
    for (index, modality) in data.modalities().iter().enumerate() {
        let shape = match modality.length {
            1 => vec![samples, modality.width],
            length => vec![samples, length, modality.width],
        };
        let bytes = of_floats(data.values(index));
        stored.push((format!("{part}.x{index}"), Dtype::F32, shape, bytes));
    }
    let name = format!("{part}.y");
    stored.push(match data.targets() {
        Targets::Classes { of_sample, .. } => {
            let classes = of_sample.iter().map(|&class| i64::from(class));
            let bytes = classes.flat_map(i64::to_le_bytes).collect();
            (name, Dtype::I64, vec![samples], bytes)
        }
        Targets::Labels { labels, of_sample } => {
            let shape = vec![samples, *labels];
            (name, Dtype::U8, shape, of_flags(of_sample))
        }
        Targets::Values(values) => (name, Dtype::F32, vec![samples], of_floats(values)),
    });
    if let Some(present) = data.present() {
        let shape = vec![samples, data.modalities().len()];
        stored.push((
            format!("{part}.present"),
            Dtype::U8,
            shape,
            of_flags(present),
        ));
    }
    if let Some(lengths) = data.lengths() {
        let lengths = lengths.iter().map(|&length| length as i64);
        let bytes = lengths.flat_map(i64::to_le_bytes).collect();
        stored.push((format!("{part}.lengths"), Dtype::I64, vec![samples], bytes));
    }
}

/// A file being read; tensors are taken out of it.
struct File<'a> {
    path: &'a Path,
    tensors: HashMap<String, TensorView<'a>>,
    names: Option<Vec<String>>,
}

impl File<'_> {
    fn broken(&self, reason: impl ToString) -> DataError {
        DataError::format(self.path, KIND, reason)
    }

    fn part(&mut self, part: &str, classes: Option<usize>) -> Result<MultimodalData, DataError> {
        let (mut modalities, mut values) = (Vec::new(), Vec::new());
        while let Some(view) = self
            .tensors
            .remove(&format!("{part}.x{}", modalities.len()))
        {
            let name = format!("{part}.x{}", modalities.len());
            let (length, width) = match *view.shape() {
                [_, width] => (1, width),
                [_, length, width] => (length, width),
                _ => return Err(self.shape(&name, &view, "two or three axes")),
            };
            let index = modalities.len();
            let given = self.names.as_ref().and_then(|names| names.get(index));
            modalities.push(Modality {
                name: given.cloned().unwrap_or_else(|| index.to_string()),
                length,
                width,
                features: Vec::new(),
            });
            values.push(self.floats(&name, &view)?);
        }
        if modalities.is_empty() {
            return Err(self.broken(format!("tensor `{part}.x0` is missing")));
        }
        if let Some(names) = &self.names
            && names.len() != modalities.len()
        {
            return Err(self.broken(format!(
                "the metadata name {} modalities, but `{part}` has {}",
                names.len(),
                modalities.len()
            )));
        }
        let targets = self.targets(part, classes)?;
        let of_part = |error: DataError| self.broken(format!("`{part}`: {error}"));
        let mut data = MultimodalData::new(modalities, values, targets).map_err(of_part)?;
        let name = format!("{part}.present");
        if let Some(view) = self.tensors.remove(&name) {
            let present = self.flags(&name, &view)?;
            let of_part = |error: DataError| self.broken(format!("`{name}`: {error}"));
            data = data.with_present(present).map_err(of_part)?;
        }
        let name = format!("{part}.lengths");
        if let Some(view) = self.tensors.remove(&name) {
            let lengths = self.integers(&name, &view)?;
            let lengths = lengths.into_iter().map(|l| usize::try_from(l).unwrap_or(0));
            let of_part = |error: DataError| self.broken(format!("`{name}`: {error}"));
            data = data.with_lengths(lengths.collect()).map_err(of_part)?;
        }
        Ok(data)
    }

    fn targets(&mut self, part: &str, classes: Option<usize>) -> Result<Targets, DataError> {
        let name = format!("{part}.y");
        let Some(view) = self.tensors.remove(&name) else {
            return Err(self.broken(format!("tensor `{name}` is missing")));
        };
        match (view.dtype(), view.shape()) {
            (Dtype::I64 | Dtype::I32, [_]) => {
                let labels = self.integers(&name, &view)?;
                let most = i64::from(u16::MAX);
                if let Some(label) = labels.iter().find(|label| !(0..=most).contains(*label)) {
                    return Err(self.broken(format!(
                        "`{name}`: label {label} is out of range, classes are counted from 0"
                    )));
                }
                let of_sample: Vec<u32> = labels.into_iter().map(|label| label as u32).collect();
                let own = of_sample.iter().max().map_or(0, |&last| last as usize + 1);
                Ok(Targets::Classes {
                    classes: classes.unwrap_or(own),
                    of_sample,
                })
            }
            (Dtype::U8 | Dtype::BOOL, [_, labels]) => Ok(Targets::Labels {
                labels: *labels,
                of_sample: self.flags(&name, &view)?,
            }),
            (Dtype::F32 | Dtype::F64, [_]) => Ok(Targets::Values(self.floats(&name, &view)?)),
            _ => Err(self.shape(
                &name,
                &view,
                "I64 [samples], U8 [samples, labels] or F32 [samples]",
            )),
        }
    }

    /// Refuses a part whose modalities or targets are not those of the training part.
    fn require_alike(
        &self,
        train: &MultimodalData,
        part: &MultimodalData,
    ) -> Result<(), DataError> {
        let targets = match (train.targets(), part.targets()) {
            (Targets::Labels { labels, .. }, Targets::Labels { labels: other, .. }) => {
                labels == other
            }
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        };
        if train.modalities() == part.modalities() && targets {
            return Ok(());
        }
        Err(self.broken("the parts differ in their modalities or in the kind of their targets"))
    }

    fn shape(&self, name: &str, view: &TensorView<'_>, needed: &str) -> DataError {
        self.broken(format!(
            "tensor `{name}` is {:?} {:?}, but {needed} is needed",
            view.dtype(),
            view.shape()
        ))
    }

    fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, DataError> {
        match view.dtype() {
            Dtype::F32 => Ok(numbers(view, f32::from_le_bytes)),
            Dtype::F64 => Ok(numbers(view, |bytes| f64::from_le_bytes(bytes) as f32)),
            _ => Err(self.shape(name, view, "F32 or F64")),
        }
    }

    fn integers(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<i64>, DataError> {
        match view.dtype() {
            Dtype::I64 => Ok(numbers(view, i64::from_le_bytes)),
            Dtype::I32 => Ok(numbers(view, |bytes| i64::from(i32::from_le_bytes(bytes)))),
            _ => Err(self.shape(name, view, "I64 or I32")),
        }
    }

    fn flags(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<bool>, DataError> {
        if !matches!(view.dtype(), Dtype::U8 | Dtype::BOOL) {
            return Err(self.shape(name, view, "U8 or BOOL"));
        }
        if let Some(flag) = view.data().iter().find(|&&flag| flag > 1) {
            return Err(self.broken(format!("tensor `{name}` has {flag}, but 0 or 1 is needed")));
        }
        Ok(view.data().iter().map(|&flag| flag == 1).collect())
    }
}

fn numbers<T, const N: usize>(view: &TensorView<'_>, number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = view.data().as_chunks::<N>();
    chunks.iter().map(|&bytes| number(bytes)).collect()
}
