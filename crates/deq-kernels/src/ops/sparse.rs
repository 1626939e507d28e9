//! Sparse matrices times dense ones.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Dispatch, backend_extension};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::linear::{LinearBackend, PackedLinear};
use super::packed::Packed;
use super::sum_activation::add_activation;
use crate::host::{Activation, Entry, SparseRows};

/// The most rows that burn's operations gather or add up in one call: with burn 0.22.1 on wgpu
/// (software Vulkan) `select` and `select_assign` of more than 65,536 rows left the rest out.
const ROWS: usize = 1 << 15;

/// A constant sparse matrix: a graph's adjacency, say. Clones share it.
#[derive(Clone, Debug)]
pub struct SparseMatrix(Arc<Both>);

/// The matrix and its transpose, which the gradient is multiplied with.
#[derive(Debug)]
struct Both {
    rows: SparseRows,
    #[cfg_attr(
        not(feature = "flex"),
        allow(dead_code, reason = "only flex multiplies with it")
    )]
    transposed: SparseRows,
}

impl SparseMatrix {
    /// A matrix `[rows, columns]` with entries (row, column, weight) in any order; entries of one
    /// place add up.
    ///
    /// # Panics
    /// When an entry lies outside.
    pub fn new(shape: [usize; 2], entries: &[Entry]) -> Self {
        let rows = SparseRows::new(shape, entries);
        let transposed = rows.transposed();
        Self(Arc::new(Both { rows, transposed }))
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.0.rows.shape()
    }

    /// This matrix times `[columns, features]`. Where there is no kernel, rows are gathered and
    /// added up along the entries with burn's operations, whose indices travel to the device at
    /// every call: see [`SparseMatrix::multiply_or`].
    ///
    /// # Panics
    /// When the dense matrix has another number of rows than this one has columns.
    pub fn multiply(&self, dense: Tensor<2>) -> Tensor<2> {
        self.multiply_or(dense, |dense| self.by_entries(dense))
    }

    /// [`SparseMatrix::multiply`] where there is a kernel for it, and `otherwise` elsewhere: for
    /// whoever holds the indices on the device.
    ///
    /// # Panics
    /// As [`SparseMatrix::multiply`].
    pub fn multiply_or(
        &self,
        dense: Tensor<2>,
        otherwise: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        if let Some(empty) = self.empty_product(&dense) {
            return empty;
        }
        let input = dense.clone().into_dispatch();
        match <Dispatch as SparseBackend>::propagate(input, self.clone(), false) {
            Some(output) => Tensor::from_dispatch(output),
            None => otherwise(dense),
        }
    }

    /// `activation` of this matrix times `dense` plus `addend`, in one pass where there is a
    /// kernel; `otherwise` computes the product elsewhere.
    ///
    /// # Panics
    /// As [`SparseMatrix::multiply`], and when the addend has another shape or number type than
    /// the product.
    pub fn multiply_add_or(
        &self,
        dense: Tensor<2>,
        addend: Tensor<2>,
        activation: Option<Activation>,
        otherwise: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        assert_eq!(
            addend.dims(),
            [self.shape()[0], dense.dims()[1]],
            "the addend must have the product's shape"
        );
        assert_eq!(
            addend.dtype(),
            dense.dtype(),
            "the addend must have the dense matrix's number type"
        );
        let product = match self.empty_product(&dense) {
            Some(empty) => empty,
            None => {
                let found = <Dispatch as SparseBackend>::propagate_added(
                    dense.clone().into_dispatch(),
                    addend.clone().into_dispatch(),
                    self.clone(),
                    activation,
                );
                if let Some(output) = found {
                    return Tensor::from_dispatch(output);
                }
                otherwise(dense)
            }
        };
        match activation {
            Some(activation) => add_activation(product, addend, activation),
            None => product + addend,
        }
    }

    /// `activation` of this matrix times `dense` times a layer's weight, $(A X) W$, plus the
    /// layer's bias and `addend`: in one pass where there is a kernel, without memory for $A X$;
    /// `otherwise` computes $A X$ elsewhere. $A (X W)$ is the cheaper order where $W$ has fewer
    /// columns than rows.
    ///
    /// # Panics
    /// As [`SparseMatrix::multiply`] and [`PackedLinear::forward_add`].
    pub fn multiply_linear_or(
        &self,
        dense: Tensor<2>,
        layer: &PackedLinear,
        addend: Tensor<2>,
        activation: Option<Activation>,
        otherwise: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let (weight, bias, packed) = layer.parts();
        let ([height, _], [inputs, outputs]) = (self.shape(), weight.dims());
        assert_eq!(
            inputs,
            dense.dims()[1],
            "the weight must have a row for each column of the dense matrix"
        );
        assert_eq!(
            addend.dims(),
            [height, outputs],
            "the addend must have the product's shape"
        );
        assert!(
            addend.dtype() == dense.dtype() && weight.dtype() == dense.dtype(),
            "weight and addend must have the dense matrix's number type"
        );
        if let Some(empty) = self.empty_product(&dense) {
            return layer.forward_add(empty, addend, activation);
        }
        if outputs == 0 {
            return addend;
        }
        let sum = match bias {
            Some(bias) => addend.clone() + bias.clone().unsqueeze::<2>(),
            None => addend.clone(),
        };
        let found = <Dispatch as SparseBackend>::propagate_linear(
            dense.clone().into_dispatch(),
            weight.clone().into_dispatch(),
            sum.into_dispatch(),
            self.clone(),
            packed.clone(),
            activation,
        );
        match found {
            Some(output) => Tensor::from_dispatch(output),
            None => layer.forward_add(otherwise(dense), addend, activation),
        }
    }

    /// The product where nothing is added up.
    fn empty_product(&self, dense: &Tensor<2>) -> Option<Tensor<2>> {
        let ([height, width], [found, features]) = (self.shape(), dense.dims());
        assert_eq!(
            found, width,
            "the dense matrix must have a row for each column of the sparse one"
        );
        let is_empty = height * width * features == 0 || self.0.rows.entries() == 0;
        let options = (&dense.device(), dense.dtype());
        is_empty.then(|| Tensor::zeros([height, features], options))
    }

    /// The product from burn's operations.
    fn by_entries(&self, dense: Tensor<2>) -> Tensor<2> {
        let device = dense.device();
        let plain = device.clone().inner();
        let [height, _] = self.shape();
        let [_, features] = dense.dims();
        let entries: Vec<Entry> = self.0.rows.iter().collect();
        let mut sums = Tensor::<2>::zeros([height, features], (&device, dense.dtype()));
        for part in entries.chunks(ROWS) {
            let indices = |values: Vec<i64>| {
                Tensor::<1, Int>::from_data(TensorData::new(values, [part.len()]), &plain)
            };
            let rows = part.iter().map(|&(row, _, _)| i64::from(row)).collect();
            let columns = part
                .iter()
                .map(|&(_, column, _)| i64::from(column))
                .collect();
            let weights: Vec<f64> = part.iter().map(|&(_, _, weight)| weight).collect();
            let weights = TensorData::new(weights, [part.len(), 1]);
            let weights = Tensor::<2>::from_data(weights, (&device, dense.dtype()));
            let terms = dense.clone().select(0, indices(columns)) * weights;
            sums = sums.select_assign(0, indices(rows), terms, IndexingUpdateOp::Add);
        }
        sums
    }

    /// The matrix or its transpose.
    #[cfg(feature = "flex")]
    fn rows(&self, is_transposed: bool) -> &SparseRows {
        if is_transposed {
            &self.0.transposed
        } else {
            &self.0.rows
        }
    }
}

/// Nothing is empty.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait SparseBackend: LinearBackend {
    /// The matrix or its transpose times a dense one; `None` where there is no kernel.
    fn propagate(
        _dense: FloatTensor<Self>,
        _matrix: SparseMatrix,
        _is_transposed: bool,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The activation of the matrix times a dense one plus another.
    fn propagate_added(
        dense: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        matrix: SparseMatrix,
        activation: Option<Activation>,
    ) -> Option<FloatTensor<Self>> {
        let sums = Self::propagate(dense, matrix, false)?;
        Some(Self::activate_sum(sums, addend, activation))
    }

    /// The activation of the matrix times a dense one times a weight, plus another matrix.
    fn propagate_linear(
        dense: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        matrix: SparseMatrix,
        packed: Packed,
        activation: Option<Activation>,
    ) -> Option<FloatTensor<Self>> {
        let sums = Self::propagate(dense, matrix, false)?;
        Some(Self::linear_added(sums, weight, addend, packed, activation))
    }
}

#[cfg(feature = "ndarray")]
impl SparseBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl SparseBackend for burn::backend::Cube {}

impl<B, C> SparseBackend for Autodiff<B, C>
where
    B: SparseBackend,
    C: CheckpointStrategy,
{
    fn propagate(
        dense: FloatTensor<Self>,
        matrix: SparseMatrix,
        is_transposed: bool,
    ) -> Option<FloatTensor<Self>> {
        let (dense, node) = dense.into_parts();
        let output = B::propagate(dense, matrix.clone(), is_transposed)?;
        let step = <PropagateStep as Backward<B, 1>>::prepare::<C>(PropagateStep, [node]);
        Some(match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((matrix, is_transposed), output),
            OpsKind::UnTracked(step) => step.finish(output),
        })
    }
}

#[derive(Debug)]
struct PropagateStep;

impl<B: SparseBackend> Backward<B, 1> for PropagateStep {
    type State = (SparseMatrix, bool);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (matrix, is_transposed) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::propagate(gradient, matrix, !is_transposed)
                .expect("there is a kernel for what came from one")
        });
    }
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{DType, Shape};

    use super::{Packed, SparseBackend, SparseMatrix};
    use crate::flex::{Element, contiguous, forward_strides, matrix, tensor};
    use crate::host::{Activation, Addend, Finish, Panels, SparseRows};
    use crate::ops::packed::Packable;

    impl SparseBackend for Flex {
        fn propagate(
            dense: FloatTensor<Self>,
            matrix: SparseMatrix,
            is_transposed: bool,
        ) -> Option<FloatTensor<Self>> {
            let rows = matrix.rows(is_transposed);
            match dense.dtype() {
                DType::F32 => Some(multiply::<f32>(dense, rows, None, None)),
                DType::F64 => Some(multiply::<f64>(dense, rows, None, None)),
                _ => None,
            }
        }

        fn propagate_added(
            dense: FloatTensor<Self>,
            addend: FloatTensor<Self>,
            matrix: SparseMatrix,
            activation: Option<Activation>,
        ) -> Option<FloatTensor<Self>> {
            let rows = matrix.rows(false);
            match dense.dtype() {
                DType::F32 => Some(multiply::<f32>(dense, rows, Some(addend), activation)),
                DType::F64 => Some(multiply::<f64>(dense, rows, Some(addend), activation)),
                _ => None,
            }
        }

        fn propagate_linear(
            dense: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            addend: FloatTensor<Self>,
            matrix: SparseMatrix,
            packed: Packed,
            activation: Option<Activation>,
        ) -> Option<FloatTensor<Self>> {
            let rows = matrix.rows(false);
            let layer = (weight, &packed);
            match dense.dtype() {
                DType::F32 => Some(linear::<f32>(dense, layer, addend, rows, activation)),
                DType::F64 => Some(linear::<f64>(dense, layer, addend, rows, activation)),
                _ => None,
            }
        }
    }

    fn linear<T: Packable>(
        dense: FlexTensor,
        (weight, packed): (FlexTensor, &Packed),
        addend: FlexTensor,
        rows: &SparseRows,
        activation: Option<Activation>,
    ) -> FlexTensor {
        let [_, columns] = weight.layout().shape().dims();
        let [height, _] = rows.shape();
        let (dense, addend) = (contiguous(dense), contiguous(addend));
        let finish = Finish {
            addend: Addend::Matrix(T::values(&addend)),
            activation,
        };
        let mut output = vec![T::ZERO; height * columns];
        match T::panels(packed) {
            Some(panels) => rows.multiply_twice(T::values(&dense), panels, finish, &mut output),
            None => {
                let weight = forward_strides(weight);
                let panels = Panels::right(matrix::<T>(&weight));
                rows.multiply_twice(T::values(&dense), &panels, finish, &mut output);
            }
        }
        tensor(output, Shape::from([height, columns]))
    }

    fn multiply<T: Element>(
        dense: FlexTensor,
        matrix: &SparseRows,
        addend: Option<FlexTensor>,
        activation: Option<Activation>,
    ) -> FlexTensor {
        let [_, features] = dense.layout().shape().dims();
        let [height, _] = matrix.shape();
        let (dense, addend) = (contiguous(dense), addend.map(contiguous));
        let addend = match &addend {
            Some(addend) => Addend::Matrix(T::values(addend)),
            None => Addend::None,
        };
        let finish = Finish { addend, activation };
        let mut output = vec![T::ZERO; height * features];
        matrix.multiply(T::values(&dense), features, finish, &mut output);
        tensor(output, Shape::from([height, features]))
    }
}
