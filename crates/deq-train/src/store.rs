//! Tensors and modules as safetensors files, bit for bit.
//!
//! burn's own records would do for modules. They panic on a file whose tensors have another type
//! than the module's, and its optimiser records come back on the default device in its default
//! type, which loses bits of `f64`. Everything in a checkpoint is therefore written here, in a
//! format that other programs read too.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, BoolStore, DType, Int, Shape, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::TrainError;
use crate::error::{At, damaged};
use crate::path::{ModulePath, follow_path};

/// Tensors by name, on the host.
pub type Tensors = BTreeMap<String, TensorData>;

const BOOL: DType = DType::Bool(BoolStore::Native);

/// burn's types and those of the file.
static TYPES: [(DType, Dtype); 13] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U64, Dtype::U64),
    (DType::U32, Dtype::U32),
    (DType::U16, Dtype::U16),
    (DType::U8, Dtype::U8),
    (BOOL, Dtype::BOOL),
];

/// Writes tensors to a safetensors file: what a learner carries from step to step beside its
/// modules, such as a sequence model's memory (`tensor.to_data()`).
///
/// # Errors
/// [`TrainError::UnsupportedType`] for quantised tensors, and [`TrainError::Io`].
pub fn write_tensors(path: &Path, tensors: &Tensors) -> Result<(), TrainError> {
    let mut copies = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let (dtype, bytes) = encode(name, data)?;
        copies.push((name, dtype, data.shape().as_slice().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(copies.len());
    for (name, dtype, shape, bytes) in &copies {
        let view = TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|error| damaged(path, format!("tensor `{name}`: {error}")))?;
        views.push((name.as_str(), view));
    }
    let file =
        safetensors::serialize(views, None).map_err(|error| damaged(path, error.to_string()))?;
    std::fs::write(path, file).at("write", path)
}

fn encode(name: &str, data: &TensorData) -> Result<(Dtype, Vec<u8>), TrainError> {
    let dtype = data.dtype();
    if let DType::Bool(_) = dtype {
        let bytes = data.iter::<bool>().map(u8::from).collect();
        return Ok((Dtype::BOOL, bytes));
    }
    match TYPES.iter().find(|(ours, _)| *ours == dtype) {
        Some((_, stored)) => Ok((*stored, data.as_bytes().to_vec())),
        None => Err(TrainError::UnsupportedType {
            name: name.to_owned(),
            dtype: format!("{dtype:?}"),
        }),
    }
}

/// Reads every tensor of a safetensors file.
///
/// # Errors
/// [`TrainError::Io`], and [`TrainError::Damaged`] for anything that is not a whole, valid file.
pub fn read_tensors(path: &Path) -> Result<Tensors, TrainError> {
    let bytes = std::fs::read(path).at("read", path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(path, e.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let broken = |reason: String| damaged(path, format!("tensor `{name}` {reason}"));
        let stored = view.dtype();
        let known = TYPES.iter().find(|(_, other)| *other == stored);
        let Some((dtype, _)) = known else {
            return Err(broken(format!("has type {stored:?}")));
        };
        if *dtype == BOOL && view.data().iter().any(|&byte| byte > 1) {
            return Err(broken("has truth values other than 0 and 1".to_owned()));
        }
        let data = TensorData::try_from_bytes_vec(view.data().to_vec(), view.shape(), *dtype)
            .map_err(|error| broken(error.to_string()))?;
        tensors.insert(name.to_owned(), data);
    }
    Ok(tensors)
}

/// Writes every parameter and buffer of a module to a safetensors file, named by its path in the
/// module (`layers.0.weight`).
///
/// # Errors
/// As [`write_tensors`], and [`TrainError::NonFiniteWeights`]: a checkpoint of these would take the
/// place of one to go on from.
pub fn save_module<M: Module>(path: &Path, module: &M) -> Result<(), TrainError> {
    let tensors = module_tensors(module);
    let mut broken = tensors.iter().filter(|(_, data)| !is_finite(data));
    if let Some((name, _)) = broken.next() {
        let name = name.clone();
        return Err(TrainError::NonFiniteWeights { name });
    }
    write_tensors(path, &tensors)
}

fn is_finite(data: &TensorData) -> bool {
    !data.dtype().is_float() || data.iter::<f64>().all(f64::is_finite)
}

/// Replaces every parameter and buffer of `module` by those of a file that [`save_module`] wrote.
/// Parameters keep their device, and whether they are trained.
///
/// # Errors
/// As [`read_tensors`], and [`TrainError::Misfit`] lists every tensor that is missing, left over
/// or of another shape or type.
pub fn load_module<M: Module>(path: &Path, module: M) -> Result<M, TrainError> {
    let tensors = read_tensors(path)?;
    settle(&module);
    let mut restore = Restore {
        tensors,
        path: ModulePath::default(),
        problems: Vec::new(),
    };
    let module = module.map(&mut restore);
    fits(path, restore.problems, &restore.tensors)?;
    Ok(module)
}

/// Errs when there are problems, or tensors that nothing took.
pub(crate) fn fits(
    path: &Path,
    mut problems: Vec<String>,
    left_over: &Tensors,
) -> Result<(), TrainError> {
    problems.extend(
        left_over
            .keys()
            .map(|name| format!("`{name}` is left over")),
    );
    if problems.is_empty() {
        return Ok(());
    }
    Err(TrainError::Misfit {
        path: path.to_owned(),
        problems,
    })
}

/// burn holds the latest update of running statistics back until the next one; `valid` brings it
/// in, for every copy that shares them.
pub(crate) fn settle<M: Module>(module: &M) {
    drop(module.valid());
}

pub(crate) fn module_tensors<M: Module>(module: &M) -> Tensors {
    settle(module);
    let mut collect = Collect {
        tensors: Tensors::new(),
        path: ModulePath::default(),
    };
    module.visit(&mut collect);
    collect.tensors
}

/// A copy in host memory. A device may hand out data that it reads only when asked.
pub(crate) fn owned(data: &TensorData) -> TensorData {
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype())
}

/// Takes the tensor `name` if it has this shape and type, and notes what is wrong otherwise.
pub(crate) fn take(
    tensors: &mut Tensors,
    name: &str,
    shape: &Shape,
    dtype: DType,
    problems: &mut Vec<String>,
) -> Option<TensorData> {
    let Some(data) = tensors.remove(name) else {
        problems.push(format!("`{name}` is missing"));
        return None;
    };
    let same_type = match (data.dtype(), dtype) {
        (DType::Bool(_), DType::Bool(_)) => true,
        (found, expected) => found == expected,
    };
    if data.shape() == shape && same_type {
        return Some(data);
    }
    problems.push(format!(
        "`{name}` is {:?} {:?} and should be {dtype:?} {:?}",
        data.dtype(),
        data.shape().as_slice(),
        shape.as_slice()
    ));
    None
}

struct Collect {
    tensors: Tensors,
    path: ModulePath,
}

impl Collect {
    fn insert(&mut self, data: &TensorData) {
        self.tensors.insert(self.path.name(), owned(data));
    }
}

impl ModuleVisitor for Collect {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.insert(&param.transform_for_save().val().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.insert(&param.transform_for_save().val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.insert(&param.transform_for_save().val().into_data());
    }
}

struct Restore {
    tensors: Tensors,
    path: ModulePath,
    problems: Vec<String>,
}

impl Restore {
    fn take(&mut self, shape: &Shape, dtype: DType) -> Option<TensorData> {
        let name = self.path.name();
        take(&mut self.tensors, &name, shape, dtype, &mut self.problems)
    }
}

/// One method for each kind of tensor.
macro_rules! restore {
    ($method:ident, $kind:ty) => {
        fn $method<const D: usize>(
            &mut self,
            param: Param<Tensor<D, $kind>>,
        ) -> Param<Tensor<D, $kind>> {
            // The stored form may differ from the one in use: a linear layer may hold its weight
            // transposed.
            let stored = param.transform_for_save().val();
            let (shape, dtype) = (stored.shape(), stored.dtype());
            let device = param.lazy_device();
            match self.take(&shape, dtype) {
                Some(data) => {
                    let tensor = Tensor::<D, $kind>::from_data(data, (&device, dtype));
                    let id = param.id;
                    param.transform_for_load(tensor, id)
                }
                None => param,
            }
        }
    };
}

impl ModuleMapper for Restore {
    follow_path!();

    restore!(map_float, burn::tensor::Float);
    restore!(map_int, Int);
    restore!(map_bool, Bool);
}
