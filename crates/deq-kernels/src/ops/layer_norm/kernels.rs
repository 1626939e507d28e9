//! Layer norm on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{LayerNormBackend, composed_backward};
use crate::flex::{Element, contiguous, tensor, update};
use crate::host;

impl LayerNormBackend for Flex {
    fn normalise_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => forward::<f32>(input, None, gamma, beta, epsilon),
            DType::F64 => forward::<f64>(input, None, gamma, beta, epsilon),
            _ => <Self as ModuleOps<Self>>::layer_norm(input, gamma, Some(beta), epsilon),
        }
    }

    fn add_normalise_rows(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => forward::<f32>(input, Some(residual), gamma, beta, epsilon),
            DType::F64 => forward::<f64>(input, Some(residual), gamma, beta, epsilon),
            _ => {
                let sum = Self::float_add(input, residual);
                <Self as ModuleOps<Self>>::layer_norm(sum, gamma, Some(beta), epsilon)
            }
        }
    }

    fn normalise_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match input.dtype() {
            DType::F32 => backward::<f32>(input, None, gamma, gradient, epsilon),
            DType::F64 => backward::<f64>(input, None, gamma, gradient, epsilon),
            _ => composed_backward::<Self>(input, gamma, gradient, epsilon),
        }
    }

    fn add_normalise_rows_backward(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match input.dtype() {
            DType::F32 => backward::<f32>(input, Some(residual), gamma, gradient, epsilon),
            DType::F64 => backward::<f64>(input, Some(residual), gamma, gradient, epsilon),
            _ => {
                let sum = Self::float_add(input, residual);
                composed_backward::<Self>(sum, gamma, gradient, epsilon)
            }
        }
    }
}

fn forward<T: Element>(
    input: FlexTensor,
    residual: Option<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
) -> FlexTensor {
    let (gamma, beta) = (contiguous(gamma), contiguous(beta));
    let residual = residual.map(contiguous);
    let norm = host::LayerNorm {
        gamma: T::values(&gamma),
        beta: T::values(&beta),
        epsilon,
    };
    update::<T>(contiguous(input), |input, output| {
        norm.forward(input, residual.as_ref().map(T::values), output);
    })
}

fn backward<T: Element>(
    input: FlexTensor,
    residual: Option<FlexTensor>,
    gamma: FlexTensor,
    gradient: FlexTensor,
    epsilon: f64,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = input.layout().shape().clone();
    let vector = gamma.layout().shape().clone();
    let (input, gamma) = (contiguous(input), contiguous(gamma));
    let residual = residual.map(contiguous);
    let gradient = contiguous(gradient);
    let gamma = T::values(&gamma);
    let norm = host::LayerNorm {
        gamma,
        // The gradients do not depend on it.
        beta: gamma,
        epsilon,
    };
    let gradients = norm.backward(
        T::values(&input),
        residual.as_ref().map(T::values),
        T::values(&gradient),
    );
    (
        tensor(gradients.input, shape),
        tensor(gradients.gamma, vector.clone()),
        tensor(gradients.beta, vector),
    )
}
