//! Linear layers on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

use super::{LinearBackend, Packed, biased};
use crate::flex::{contiguous, forward_strides, matrix, tensor};
use crate::host::{self, Activation, Addend, Finish, Output, Panels};
use crate::ops::bias_activation::BiasBackend;
use crate::ops::elementwise::ElementwiseBackend;
use crate::ops::packed::Packable;
use crate::ops::product::ProductBackend;
use crate::ops::sum_activation::SumBackend;

impl LinearBackend for Flex {
    fn pack_right(weight: FloatTensor<Self>) -> Packed {
        match weight.dtype() {
            DType::F32 => pack::<f32>(weight),
            DType::F64 => pack::<f64>(weight),
            _ => Packed::None,
        }
    }

    fn linear_plain(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let end = End::Plain;
        match (input.dtype(), activation) {
            (DType::F32, _) => linear::<f32>(input, weight, end, &packed, activation),
            (DType::F64, _) => linear::<f64>(input, weight, end, &packed, activation),
            (_, None) => Self::multiply(input, weight),
            (_, Some(activation)) => Self::activate(Self::multiply(input, weight), activation),
        }
    }

    fn linear_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        match (input.dtype(), activation) {
            (DType::F32, _) => linear::<f32>(input, weight, End::Bias(bias), &packed, activation),
            (DType::F64, _) => linear::<f64>(input, weight, End::Bias(bias), &packed, activation),
            (_, None) => biased::<Self>(Self::multiply(input, weight), bias, 1),
            (_, Some(activation)) => {
                Self::activate_biased(Self::multiply(input, weight), bias, 1, activation)
            }
        }
    }

    fn linear_added(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => linear::<f32>(input, weight, End::Sum(addend), &packed, activation),
            DType::F64 => linear::<f64>(input, weight, End::Sum(addend), &packed, activation),
            _ => Self::activate_sum(Self::multiply(input, weight), addend, activation),
        }
    }
}

fn pack<T: Packable>(weight: FlexTensor) -> Packed {
    let weight = forward_strides(weight);
    T::packed(Panels::right(matrix::<T>(&weight)))
}

/// What follows the product.
enum End {
    Plain,
    Bias(FlexTensor),
    Sum(FlexTensor),
}

fn linear<T: Packable>(
    input: FlexTensor,
    weight: FlexTensor,
    end: End,
    packed: &Packed,
    activation: Option<Activation>,
) -> FlexTensor {
    let input = forward_strides(input);
    let [rows, _] = input.layout().shape().dims();
    let [_, outputs] = weight.layout().shape().dims();
    let end = match end {
        End::Plain => End::Plain,
        End::Bias(bias) => End::Bias(contiguous(bias)),
        End::Sum(addend) => End::Sum(contiguous(addend)),
    };
    let addend = match &end {
        End::Plain => Addend::None,
        End::Bias(bias) => Addend::Columns(T::values(bias)),
        End::Sum(addend) => Addend::Matrix(T::values(addend)),
    };
    let finish = Finish { addend, activation };
    let mut values = Vec::new();
    let output = Output::New(&mut values, rows * outputs);
    match T::panels(packed) {
        Some(panels) => host::multiply(matrix::<T>(&input), panels, finish, output),
        None => {
            let weight = forward_strides(weight);
            let (input, weight) = (matrix::<T>(&input), matrix::<T>(&weight));
            host::multiply_once(input, weight, finish, output);
        }
    }
    tensor(values, Shape::from([rows, outputs]))
}
