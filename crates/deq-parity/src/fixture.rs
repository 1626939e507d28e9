use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_import::StateDict;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::recipe::Recipe;

/// One case of a reference implementation: how to build the model, its weights and inputs, and
/// what came out.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The model's name, as in the fixture folder: `deq_inr`.
    pub model: String,
    /// The case's name.
    pub case: String,
    /// Whether the reference ran in training or in evaluation mode.
    pub mode: Mode,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorData>,
    tolerances: BTreeMap<String, [f64; 2]>,
    inexact: BTreeSet<String>,
}

/// Whether the reference ran in training or in evaluation mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Training: several states, gradients.
    Train,
    /// Evaluation: the solve alone.
    Eval,
}

/// What is wrong with a fixture file, or with the question asked of it.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// The reason.
        reason: std::io::Error,
    },
    /// The file is not a safetensors file, or a damaged one.
    #[error("{path} is not a valid safetensors file: {reason}")]
    Format {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The metadata lack a key or hold something else than expected under it.
    #[error("the fixture's metadata key `{key}` {reason}")]
    Metadata {
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The fixture was made for another model.
    #[error("this fixture belongs to `{found}`, not to `{asked}`")]
    WrongModel {
        /// The fixture's model.
        found: String,
        /// The model asked for.
        asked: String,
    },
    /// A tensor that the model needs is not in the file.
    #[error("the fixture has no tensor `{0}`")]
    MissingTensor(String),
    /// A tensor has another rank than the model needs.
    #[error("the fixture's tensor `{name}` has shape {shape:?}, but rank {rank} is needed")]
    WrongRank {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The rank needed.
        rank: usize,
    },
    /// The fixture asks for something the model does not do, or cannot be replayed.
    #[error("cannot replay this fixture: {0}")]
    Replay(String),
}

impl FixtureError {
    /// A [`FixtureError::Replay`] from any error.
    pub fn replay(error: impl std::fmt::Display) -> Self {
        Self::Replay(error.to_string())
    }
}

impl Fixture {
    /// Reads a fixture file.
    ///
    /// # Errors
    /// [`FixtureError`] when the file cannot be read, is damaged, or lacks metadata.
    pub fn open(path: &Path) -> Result<Self, FixtureError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|reason| FixtureError::Io {
            path: name.clone(),
            reason,
        })?;
        Self::from_bytes(&bytes, &name)
    }

    /// Reads a fixture from memory; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Fixture::open`].
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, FixtureError> {
        let broken = |reason: String| FixtureError::Format {
            path: name.to_owned(),
            reason,
        };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let metadata: BTreeMap<String, String> = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();

        let mut tensors = BTreeMap::new();
        for (tensor, view) in file.iter() {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::I64 => DType::I64,
                other => return Err(broken(format!("tensor `{tensor}` has type {other:?}"))),
            };
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape(), dtype);
            tensors.insert(tensor.to_owned(), data);
        }

        let mut fixture = Self {
            model: String::new(),
            case: String::new(),
            mode: Mode::Eval,
            metadata,
            tensors,
            tolerances: BTreeMap::new(),
            inexact: BTreeSet::new(),
        };
        fixture.model = fixture.text("model")?.to_owned();
        fixture.case = fixture.text("case")?.to_owned();
        fixture.mode = serde_json::from_value(fixture.text("mode")?.into())
            .map_err(|error| fixture.bad_key("mode", error))?;
        fixture.tolerances = fixture.json("tolerances")?;
        if fixture.metadata.contains_key("inexact") {
            fixture.inexact = fixture.json("inexact")?;
        }
        if fixture.metadata.contains_key("recipe") {
            let recipes: BTreeMap<String, Recipe> = fixture.json("recipe")?;
            for (tensor, recipe) in recipes {
                fixture.tensors.insert(tensor, recipe.generate());
            }
        }
        Ok(fixture)
    }

    /// Refuses a fixture of another model. Dashes and underscores are the same here.
    ///
    /// # Errors
    /// [`FixtureError::WrongModel`].
    pub fn require_model(&self, model: &str) -> Result<(), FixtureError> {
        if self.model.replace('_', "-") == model.replace('_', "-") {
            return Ok(());
        }
        Err(FixtureError::WrongModel {
            found: self.model.replace('_', "-"),
            asked: model.to_owned(),
        })
    }

    /// The hyper-parameters of the model.
    ///
    /// # Errors
    /// [`FixtureError::Metadata`] when they are missing or do not fit `T`.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, FixtureError> {
        self.json("config")
    }

    /// The solver's settings.
    ///
    /// # Errors
    /// As [`Fixture::config`].
    pub fn solver<T: DeserializeOwned>(&self) -> Result<T, FixtureError> {
        self.json("solver")
    }

    /// A float tensor by its full name, such as `input.x`.
    ///
    /// # Errors
    /// [`FixtureError::MissingTensor`] and [`FixtureError::WrongRank`].
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D>, FixtureError> {
        let data = self
            .tensors
            .get(name)
            .ok_or_else(|| FixtureError::MissingTensor(name.to_owned()))?;
        if data.rank() != D {
            return Err(FixtureError::WrongRank {
                name: name.to_owned(),
                shape: data.shape().as_slice().to_vec(),
                rank: D,
            });
        }
        Ok(Tensor::from_data(data.clone(), device))
    }

    /// The weights: `param.*` and `buffer.*` without their prefix.
    pub fn weights(&self) -> StateDict {
        self.with_prefix("param.")
            .chain(self.with_prefix("buffer."))
            .map(|(name, data)| (name.to_owned(), data.clone()))
            .collect()
    }

    /// Tensors whose name starts with `prefix`, with the prefix removed.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &TensorData)> {
        self.tensors
            .iter()
            .filter_map(move |(name, data)| Some((name.strip_prefix(prefix)?, data)))
    }

    /// `[rtol, atol]` of a tensor.
    pub(crate) fn tolerance(&self, name: &str) -> Option<[f64; 2]> {
        self.tolerances.get(name).copied()
    }

    /// Whether an integer tensor depends on the precision and must not be compared.
    pub(crate) fn is_inexact(&self, name: &str) -> bool {
        self.inexact.contains(name)
    }

    fn text(&self, key: &str) -> Result<&str, FixtureError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| self.bad_key(key, "is missing"))
    }

    fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T, FixtureError> {
        serde_json::from_str(self.text(key)?)
            .map_err(|error| self.bad_key(key, format!("does not fit: {error}")))
    }

    fn bad_key(&self, key: &str, reason: impl std::fmt::Display) -> FixtureError {
        FixtureError::Metadata {
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }
}
