//! Convolutions on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

use super::{ConvolutionBackend, Packed, Sliding, biased};
use crate::flex::{Element, contiguous, tensor};
use crate::host::{self, Activation, Addend, Finish, Geometry, Matrix, Panels};
use crate::ops::bias_activation::BiasBackend;
use crate::ops::elementwise::ElementwiseBackend;
use crate::ops::packed::Packable;
use crate::ops::sum_activation::SumBackend;

impl ConvolutionBackend for Flex {
    fn pack_kernel(kernel: FloatTensor<Self>) -> Packed {
        match kernel.dtype() {
            DType::F32 => f32::packed(panels(kernel)),
            DType::F64 => f64::packed(panels(kernel)),
            _ => Packed::None,
        }
    }

    fn convolve(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        Self::convolve_plain(input, kernel, Packed::None, sliding, None)
    }

    fn convolve_input_backward(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => input_backward::<f32>(&input, kernel, gradient, sliding),
            DType::F64 => input_backward::<f64>(&input, kernel, gradient, sliding),
            _ => <Self as ModuleOps<Self>>::conv2d_x_backward(
                input,
                kernel,
                gradient,
                sliding.options(),
            ),
        }
    }

    fn convolve_kernel_backward(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => kernel_backward::<f32>(input, &kernel, gradient, sliding),
            DType::F64 => kernel_backward::<f64>(input, &kernel, gradient, sliding),
            _ => <Self as ModuleOps<Self>>::conv2d_weight_backward(
                input,
                kernel,
                gradient,
                sliding.options(),
            ),
        }
    }

    fn convolve_plain(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let end = End::Plain;
        match (input.dtype(), activation) {
            (DType::F32, _) => forward::<f32>(input, kernel, end, &packed, sliding, activation),
            (DType::F64, _) => forward::<f64>(input, kernel, end, &packed, sliding, activation),
            (_, None) => burns(input, kernel, sliding),
            (_, Some(activation)) => Self::activate(burns(input, kernel, sliding), activation),
        }
    }

    fn convolve_biased(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        match (input.dtype(), activation) {
            (DType::F32, _) => {
                let end = End::Bias(bias);
                forward::<f32>(input, kernel, end, &packed, sliding, activation)
            }
            (DType::F64, _) => {
                let end = End::Bias(bias);
                forward::<f64>(input, kernel, end, &packed, sliding, activation)
            }
            (_, None) => biased::<Self>(burns(input, kernel, sliding), bias, 1),
            (_, Some(activation)) => {
                Self::activate_biased(burns(input, kernel, sliding), bias, 1, activation)
            }
        }
    }

    fn convolve_added(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => {
                let end = End::Sum(addend);
                forward::<f32>(input, kernel, end, &packed, sliding, activation)
            }
            DType::F64 => {
                let end = End::Sum(addend);
                forward::<f64>(input, kernel, end, &packed, sliding, activation)
            }
            _ => Self::activate_sum(burns(input, kernel, sliding), addend, activation),
        }
    }
}

/// burn's own convolution, for number types without kernels.
fn burns(input: FlexTensor, kernel: FlexTensor, sliding: Sliding) -> FlexTensor {
    <Flex as ModuleOps<Flex>>::conv2d(input, kernel, None, sliding.options())
}

/// What follows the convolution.
enum End {
    Plain,
    Bias(FlexTensor),
    Sum(FlexTensor),
}

/// Samples, output channels and the geometry.
fn geometry(input: &FlexTensor, kernel: &FlexTensor, sliding: Sliding) -> (usize, usize, Geometry) {
    let [samples, channels, height, width] = input.layout().shape().dims();
    let [outputs, _, down, across] = kernel.layout().shape().dims();
    let geometry = Geometry {
        channels,
        size: [height, width],
        kernel: [down, across],
        stride: sliding.stride,
        padding: sliding.padding,
    };
    (samples, outputs, geometry)
}

fn panels<T: Element>(kernel: FlexTensor) -> Panels<T> {
    let kernel = contiguous(kernel);
    let outputs = kernel.layout().shape()[0];
    let values = T::values(&kernel);
    Panels::left(Matrix::new(values, [outputs, values.len() / outputs]))
}

fn forward<T: Packable>(
    input: FlexTensor,
    kernel: FlexTensor,
    end: End,
    packed: &Packed,
    sliding: Sliding,
    activation: Option<Activation>,
) -> FlexTensor {
    let (samples, outputs, geometry) = geometry(&input, &kernel, sliding);
    let [height, width] = geometry.output();
    let input = contiguous(input);
    let end = match end {
        End::Plain => End::Plain,
        End::Bias(bias) => End::Bias(contiguous(bias)),
        End::Sum(addend) => End::Sum(contiguous(addend)),
    };
    let addend = match &end {
        End::Plain => Addend::None,
        End::Bias(bias) => Addend::Rows(T::values(bias)),
        End::Sum(addend) => Addend::Matrix(T::values(addend)),
    };
    let finish = Finish { addend, activation };
    let mut output = vec![T::ZERO; samples * outputs * height * width];
    let values = T::values(&input);
    match T::panels(packed) {
        Some(panels) => host::convolve(&geometry, values, panels, finish, &mut output),
        None => {
            let panels = panels::<T>(kernel);
            host::convolve(&geometry, values, &panels, finish, &mut output);
        }
    }
    tensor(output, Shape::from([samples, outputs, height, width]))
}

fn input_backward<T: Element>(
    input: &FlexTensor,
    kernel: FlexTensor,
    gradient: FlexTensor,
    sliding: Sliding,
) -> FlexTensor {
    let (samples, _, geometry) = geometry(input, &kernel, sliding);
    let (kernel, gradient) = (contiguous(kernel), contiguous(gradient));
    let (kernel, gradient) = (T::values(&kernel), T::values(&gradient));
    let found = host::convolve_input_gradient(&geometry, kernel, gradient, samples);
    tensor(found, input.layout().shape().clone())
}

fn kernel_backward<T: Element>(
    input: FlexTensor,
    kernel: &FlexTensor,
    gradient: FlexTensor,
    sliding: Sliding,
) -> FlexTensor {
    let (_, outputs, geometry) = geometry(&input, kernel, sliding);
    let (input, gradient) = (contiguous(input), contiguous(gradient));
    let (input, gradient) = (T::values(&input), T::values(&gradient));
    let found = host::convolve_kernel_gradient(&geometry, input, gradient, outputs);
    tensor(found, kernel.layout().shape().clone())
}
