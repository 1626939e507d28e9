//! Group norm on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{GroupNormBackend, composed, composed_backward};
use crate::flex::{Element, contiguous, tensor, update};
use crate::host::{self, Activation};
use crate::ops::sum_activation::SumBackend;

impl GroupNormBackend for Flex {
    fn normalise_groups(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => forward::<f32>(input, None, gamma, beta, groups, epsilon, relu),
            DType::F64 => forward::<f64>(input, None, gamma, beta, groups, epsilon, relu),
            _ => composed::<Self>(input, gamma, beta, groups, epsilon, relu),
        }
    }

    fn add_normalised_groups(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> FloatTensor<Self> {
        let dtype = input.dtype();
        if dtype == DType::F32 {
            let residual = Some(residual);
            return forward::<f32>(input, residual, gamma, beta, groups, epsilon, relu);
        }
        if dtype == DType::F64 {
            let residual = Some(residual);
            return forward::<f64>(input, residual, gamma, beta, groups, epsilon, relu);
        }
        let normalised = composed::<Self>(input, gamma, beta, groups, epsilon, false);
        Self::activate_sum(normalised, residual, relu.then_some(Activation::Relu))
    }

    fn normalise_groups_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match input.dtype() {
            DType::F32 => backward::<f32>(input, gamma, beta, gradient, groups, epsilon, relu),
            DType::F64 => backward::<f64>(input, gamma, beta, gradient, groups, epsilon, relu),
            _ => composed_backward::<Self>(input, gamma, beta, gradient, groups, epsilon, relu),
        }
    }
}

/// The numbers of one channel of one sample.
fn positions(tensor: &FlexTensor) -> usize {
    tensor.layout().shape().iter().skip(2).product()
}

fn forward<T: Element>(
    input: FlexTensor,
    residual: Option<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> FlexTensor {
    let (gamma, beta) = (contiguous(gamma), contiguous(beta));
    let residual = residual.map(contiguous);
    let norm = host::GroupNorm {
        gamma: T::values(&gamma),
        beta: T::values(&beta),
        groups,
        positions: positions(&input),
        epsilon,
        relu,
    };
    update::<T>(contiguous(input), |input, output| match &residual {
        Some(residual) => norm.forward_add(input, T::values(residual), output),
        None => norm.forward(input, output),
    })
}

fn backward<T: Element>(
    input: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    gradient: FlexTensor,
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = input.layout().shape().clone();
    let vector = gamma.layout().shape().clone();
    let positions = positions(&input);
    let (input, gradient) = (contiguous(input), contiguous(gradient));
    let (gamma, beta) = (contiguous(gamma), contiguous(beta));
    let norm = host::GroupNorm {
        gamma: T::values(&gamma),
        beta: T::values(&beta),
        groups,
        positions,
        epsilon,
        relu,
    };
    let gradients = norm.backward(T::values(&input), T::values(&gradient));
    (
        tensor(gradients.input, shape),
        tensor(gradients.gamma, vector.clone()),
        tensor(gradients.beta, vector),
    )
}
