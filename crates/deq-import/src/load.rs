use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::StateDict;
use crate::names::Path;

/// Why a state dict does not fit a module. Nothing was loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the weights do not fit the model:{}{}{}",
    list(" missing", missing),
    list(" left over", left_over),
    list(" of another shape", wrong_shape)
)]
pub struct ImportError {
    /// Parameters of the module without a tensor.
    pub missing: Vec<String>,
    /// Tensors that no parameter takes.
    pub left_over: Vec<String>,
    /// Tensors of another shape than their parameter's, with both shapes.
    pub wrong_shape: Vec<String>,
}

fn list(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("{title}: {};", names.join(", "))
}

/// PyTorch's batch norm counts its batches, and never uses the count with a constant momentum.
const BATCH_COUNT: &str = ".num_batches_tracked";

/// Loads every parameter of `module` from `dict`.
///
/// Running statistics (`RunningState`) are loaded like parameters.
///
/// # Errors
/// [`ImportError`] lists what is missing, what is left over and what has another shape.
pub fn load<M: Module>(module: M, dict: &StateDict) -> Result<M, ImportError> {
    let mut loader = Loader {
        dict,
        path: Path::default(),
        used: BTreeSet::new(),
        missing: Vec::new(),
        wrong_shape: Vec::new(),
    };
    let module = module.map(&mut loader);
    let left_over: Vec<String> = dict
        .names()
        .filter(|name| !loader.used.contains(*name) && !name.ends_with(BATCH_COUNT))
        .map(str::to_owned)
        .collect();
    if loader.missing.is_empty() && left_over.is_empty() && loader.wrong_shape.is_empty() {
        return Ok(module);
    }
    Err(ImportError {
        missing: loader.missing,
        left_over,
        wrong_shape: loader.wrong_shape,
    })
}

struct Loader<'a> {
    dict: &'a StateDict,
    path: Path,
    used: BTreeSet<String>,
    missing: Vec<String>,
    wrong_shape: Vec<String>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let candidates = self.path.candidates();
        let found = candidates
            .iter()
            .find_map(|name| Some((name, self.dict.get(name)?)));
        let Some((name, data)) = found else {
            self.missing.extend(candidates.into_iter().next());
            return param;
        };
        self.used.insert(name.clone());

        let transposed = self.path.is_linear_weight();
        let expected = param.lazy_shape();
        let mut stored = expected.as_slice().to_vec();
        if transposed {
            stored.swap(0, 1);
        }
        if without_ones(&stored) != without_ones(data.shape().as_slice()) {
            self.wrong_shape.push(format!(
                "{name} (model {stored:?}, file {:?})",
                data.shape().as_slice()
            ));
            return param;
        }
        let device = param.lazy_device();
        let (bytes, _, dtype) = data.clone().into_parts();
        let mut data = TensorData::from_bytes(bytes, stored, dtype);
        if transposed {
            data = transpose(&data, expected.as_slice());
        }
        let trained = param.is_require_grad();
        // In the module's number type, whatever the file's.
        param.map(|old| {
            let new = Tensor::<D>::from_data(data, (&device, old.dtype()));
            new.set_require_grad(trained)
        })
    }
}

/// A shape up to axes of length 1: gains are `[out]` here and `[out, 1, …]` in PyTorch.
fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape
        .iter()
        .copied()
        .filter(|&length| length != 1)
        .collect()
}

/// A matrix's transpose, of this shape: computed on the host, so that the parameter is contiguous
/// on the device.
fn transpose(matrix: &TensorData, shape: &[usize]) -> TensorData {
    let (rows, columns) = (shape[0], shape[1]);
    let values: Vec<f64> = matrix.iter::<f64>().collect();
    let transposed: Vec<f64> = (0..rows * columns)
        .map(|i| values[(i % columns) * rows + i / columns])
        .collect();
    TensorData::new(transposed, [rows, columns]).convert_dtype(matrix.dtype())
}
