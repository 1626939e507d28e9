//! Attention on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

use super::{AttentionBackend, composed_backward, weights};
use crate::flex::{Element, contiguous, forward_strides, stack, tensor};
use crate::host::{Attention, ScoreBias};

impl AttentionBackend for Flex {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        match query.dtype() {
            DType::F32 => forward::<f32>([query, key, value, bias], scale),
            DType::F64 => forward::<f64>([query, key, value, bias], scale),
            _ => Self::float_matmul(weights::<Self>(query, key, bias, scale), value),
        }
    }

    fn attend_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f64,
        with_scores: bool,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        let inputs = [query, key, value, bias];
        match gradient.dtype() {
            DType::F32 => backward::<f32>(inputs, gradient, scale, with_scores),
            DType::F64 => backward::<f64>(inputs, gradient, scale, with_scores),
            _ => composed_backward::<Self>(inputs, gradient, scale),
        }
    }
}

/// The tensors as the kernel takes them.
fn prepared([query, key, value, bias]: [FlexTensor; 4]) -> [FlexTensor; 4] {
    let [query, key, value] = [query, key, value].map(forward_strides);
    [query, key, value, contiguous(bias)]
}

fn described<T: Element>(
    [query, key, value, bias]: &[FlexTensor; 4],
    scale: f64,
) -> Attention<'_, T> {
    let [samples, heads, rows, columns] = bias.layout().shape().dims();
    let step = |length: usize, stride: usize| if length == 1 { 0 } else { stride };
    Attention {
        query: stack::<T>(query),
        key: stack::<T>(key),
        value: stack::<T>(value),
        bias: ScoreBias {
            values: T::values(bias),
            strides: [
                step(samples, heads * rows * columns),
                step(heads, rows * columns),
                step(rows, columns),
                step(columns, 1),
            ],
        },
        scale,
    }
}

fn forward<T: Element>(inputs: [FlexTensor; 4], scale: f64) -> FlexTensor {
    let inputs = prepared(inputs);
    let attention = described::<T>(&inputs, scale);
    let [samples, heads, queries, _] = attention.query.shape();
    let [_, _, _, width] = attention.value.shape();
    let shape = [samples, heads, queries, width];
    let mut output = vec![T::ZERO; shape.iter().product()];
    attention.forward(&mut output);
    tensor(output, Shape::from(shape))
}

fn backward<T: Element>(
    inputs: [FlexTensor; 4],
    gradient: FlexTensor,
    scale: f64,
    with_scores: bool,
) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
    let (inputs, gradient) = (prepared(inputs), contiguous(gradient));
    let attention = described::<T>(&inputs, scale);
    let gradients = attention.backward(T::values(&gradient), with_scores);
    let [samples, heads, queries, _] = attention.query.shape();
    let [_, _, keys, _] = attention.value.shape();
    let scores = match with_scores {
        true => Shape::from([samples, heads, queries, keys]),
        false => Shape::from([0]),
    };
    (
        tensor(gradients.query, Shape::from(attention.query.shape())),
        tensor(gradients.key, Shape::from(attention.key.shape())),
        tensor(gradients.value, Shape::from(attention.value.shape())),
        tensor(gradients.scores, scores),
    )
}
