//! Slices of flex tensors.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};

use crate::host::{Matrix, Output, Real, Stack};

/// The number types whose tensors the kernels take.
pub(crate) trait Element: Real {
    /// burn's name of the type.
    const DTYPE: DType;

    /// All numbers in the tensor's memory, in the order of memory.
    fn values(tensor: &FlexTensor) -> &[Self];

    /// The same, to be overwritten; `None` where other tensors share the memory.
    fn values_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]>;

    /// Numbers as memory of a tensor, without a copy.
    fn bytes(values: Vec<Self>) -> Bytes;
}

macro_rules! element {
    ($type:ty, $dtype:ident) => {
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;

            fn values(tensor: &FlexTensor) -> &[Self] {
                tensor.storage()
            }

            fn values_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]> {
                tensor.try_storage_mut()
            }

            fn bytes(values: Vec<Self>) -> Bytes {
                Bytes::from_elems(values)
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);

/// The tensor with its memory as its elements one after the other in row-major order, and nothing
/// else in it. By value, so that a copy has no other owner.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// The tensor with every number of its memory one of its elements, in whatever order: enough where
/// each number is taken alone, and a transposed tensor need not be copied.
pub(crate) fn dense<T: Element>(tensor: FlexTensor) -> FlexTensor {
    if T::values(&tensor).len() == tensor.layout().num_elements() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The tensor with steps forward along every axis: a reversed or repeated one is copied. Enough
/// for what is packed before it is used.
pub(crate) fn forward_strides(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let mut axes = layout.shape().iter().zip(layout.strides());
    if axes.any(|(&length, &stride)| length > 1 && stride <= 0) {
        contiguous(tensor)
    } else {
        tensor
    }
}

/// The matrix in a tensor of rank 2 with [`forward_strides`].
pub(crate) fn matrix<T: Element>(tensor: &FlexTensor) -> Matrix<'_, T> {
    let [rows, columns] = tensor.layout().shape().dims();
    Matrix::strided(
        visible::<T>(tensor),
        [rows, columns],
        [stride(tensor, 0), stride(tensor, 1)],
    )
}

/// The matrices in a tensor of rank 3 or 4 with [`forward_strides`].
pub(crate) fn stack<T: Element>(tensor: &FlexTensor) -> Stack<'_, T> {
    let layout = tensor.layout();
    let (shape, strides) = if layout.num_dims() == 3 {
        let [count, rows, columns] = layout.shape().dims();
        let [by_count, down, across] = [0, 1, 2].map(|axis| stride(tensor, axis));
        let by_sample = by_count * count;
        (
            [1, count, rows, columns],
            [by_sample, by_count, down, across],
        )
    } else {
        (
            layout.shape().dims(),
            [0, 1, 2, 3].map(|axis| stride(tensor, axis)),
        )
    };
    Stack::strided(visible::<T>(tensor), shape, strides)
}

/// The tensor's memory from its first element on.
fn visible<T: Element>(tensor: &FlexTensor) -> &[T] {
    let values = T::values(tensor);
    values
        .get(tensor.layout().start_offset()..)
        .unwrap_or_default()
}

/// The stride of an axis; where it is never taken, any that is above 0.
fn stride(tensor: &FlexTensor, axis: usize) -> usize {
    tensor.layout().strides()[axis].max(1).unsigned_abs()
}

/// A tensor of this shape.
pub(crate) fn tensor<T: Element>(values: Vec<T>, shape: Shape) -> FlexTensor {
    FlexTensor::new(T::bytes(values), Layout::contiguous(shape), T::DTYPE)
}

/// Runs `work(input, output)` over the whole memory of a [`dense`] tensor: with no input, in place,
/// where the memory has no other owner, and into new memory elsewhere.
pub(crate) fn update<T: Element>(
    mut tensor: FlexTensor,
    work: impl FnOnce(Option<&[T]>, Output<'_, T>),
) -> FlexTensor {
    if let Some(values) = T::values_mut(&mut tensor) {
        work(None, Output::Over(values));
        return tensor;
    }
    let input = T::values(&tensor);
    let mut output = Vec::new();
    work(Some(input), Output::New(&mut output, input.len()));
    FlexTensor::new(T::bytes(output), tensor.layout().clone(), T::DTYPE)
}
