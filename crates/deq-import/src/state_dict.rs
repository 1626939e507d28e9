use std::collections::BTreeMap;

use burn::tensor::TensorData;

/// Tensors by name, in PyTorch's names and layouts.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    tensors: BTreeMap<String, TensorData>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: TensorData) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.tensors.get(name)
    }

    /// The same tensors with `prefix` taken off their names; unchanged unless all names have it.
    ///
    /// A model that was part of another when it was saved has its names behind the name of that
    /// part, with a dot: `model.` in files of PyTorch Lightning.
    #[must_use]
    pub fn without_prefix(self, prefix: &str) -> Self {
        if !self.names().all(|name| name.starts_with(prefix)) {
            return self;
        }
        self.tensors
            .into_iter()
            .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
            .collect()
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All names and tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorData)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// A copy of read-back data in memory of its own.
///
/// With burn 0.22.1 on wgpu (software Vulkan), data that `into_data` returned on an autodiff device
/// changed when later transfers ran. Data that is read at once is right; data that is kept must be
/// copied first.
pub fn owned(data: &TensorData) -> TensorData {
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype())
}

impl FromIterator<(String, TensorData)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, TensorData)>>(tensors: I) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
        }
    }
}
