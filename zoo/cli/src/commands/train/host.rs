use burn::tensor::{Tensor, TensorData};

/// A copy in host memory. A device may hand out data that it reads only when asked.
pub(crate) fn on_host<const D: usize>(tensor: &Tensor<D>) -> TensorData {
    let data = tensor.to_data();
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype())
}
