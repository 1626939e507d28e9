//! Windows on flex.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

use super::WindowsBackend;
use crate::flex::{Element, contiguous, tensor};
use crate::host::{Features, Windows};

/// A kernel for the number type of a tensor, if there is one.
macro_rules! with_kernel {
    ($tensor:expr, $function:ident ( $($argument:expr),* $(,)? )) => {
        match $tensor.dtype() {
            DType::F32 => Some($function::<f32>($($argument),*)),
            DType::F64 => Some($function::<f64>($($argument),*)),
            _ => None,
        }
    };
}

impl WindowsBackend for Flex {
    fn sample(
        planes: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(planes, sample(planes, centres, radius))
    }

    fn sample_planes_gradient(
        centres: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        size: [usize; 2],
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(centres, planes_gradient(centres, gradient, size, radius))
    }

    fn sample_centres_gradient(
        planes: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(
            planes,
            sample_centres_gradient(planes, centres, gradient, radius)
        )
    }

    fn correlate(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(first, correlate(first, second, centres, radius))
    }

    fn correlate_first_gradient(
        second: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(second, first_gradient(second, centres, gradient, radius))
    }

    fn correlate_second_gradient(
        first: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        size: [usize; 2],
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(
            first,
            second_gradient(first, centres, gradient, size, radius)
        )
    }

    fn correlate_centres_gradient(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        radius: usize,
    ) -> Option<FloatTensor<Self>> {
        with_kernel!(
            first,
            correlate_centres_gradient([first, second], centres, gradient, radius)
        )
    }
}

fn windows<T: Element>(centres: &FlexTensor, size: [usize; 2], radius: usize) -> Windows<'_, T> {
    let [samples, _, positions] = centres.layout().shape().dims();
    Windows {
        centres: T::values(centres),
        samples,
        positions,
        size,
        radius,
    }
}

/// The shape of the values in windows.
fn values_shape(centres: &FlexTensor, radius: usize) -> [usize; 3] {
    let [samples, _, positions] = centres.layout().shape().dims();
    let points = (2 * radius + 1) * (2 * radius + 1);
    [samples, points, positions]
}

fn sample<T: Element>(planes: FlexTensor, centres: FlexTensor, radius: usize) -> FlexTensor {
    let [_, _, rows, columns] = planes.layout().shape().dims();
    let (planes, centres) = (contiguous(planes), contiguous(centres));
    let shape = values_shape(&centres, radius);
    let mut output = vec![T::ZERO; shape.iter().product()];
    windows::<T>(&centres, [rows, columns], radius).sample(T::values(&planes), &mut output);
    tensor(output, Shape::from(shape))
}

fn planes_gradient<T: Element>(
    centres: FlexTensor,
    gradient: FlexTensor,
    size: [usize; 2],
    radius: usize,
) -> FlexTensor {
    let (centres, gradient) = (contiguous(centres), contiguous(gradient));
    let [samples, _, positions] = centres.layout().shape().dims();
    let windows = windows::<T>(&centres, size, radius);
    let output = windows.sample_planes_gradient(T::values(&gradient));
    let [rows, columns] = size;
    tensor(output, Shape::from([samples, positions, rows, columns]))
}

fn sample_centres_gradient<T: Element>(
    planes: FlexTensor,
    centres: FlexTensor,
    gradient: FlexTensor,
    radius: usize,
) -> FlexTensor {
    let [_, _, rows, columns] = planes.layout().shape().dims();
    let (planes, centres) = (contiguous(planes), contiguous(centres));
    let gradient = contiguous(gradient);
    let windows = windows::<T>(&centres, [rows, columns], radius);
    let output = windows.sample_centres_gradient(T::values(&planes), T::values(&gradient));
    tensor(output, centres.layout().shape().clone())
}

fn correlate<T: Element>(
    first: FlexTensor,
    second: FlexTensor,
    centres: FlexTensor,
    radius: usize,
) -> FlexTensor {
    let [_, rows, columns, _] = second.layout().shape().dims();
    let (first, second, centres) = (contiguous(first), contiguous(second), contiguous(centres));
    let shape = values_shape(&centres, radius);
    let mut output = vec![T::ZERO; shape.iter().product()];
    let windows = windows::<T>(&centres, [rows, columns], radius);
    windows.correlate(features(&first, &second), &mut output);
    tensor(output, Shape::from(shape))
}

/// The features in contiguous tensors.
fn features<'a, T: Element>(first: &'a FlexTensor, second: &'a FlexTensor) -> Features<'a, T> {
    let [_, _, channels] = first.layout().shape().dims();
    Features {
        first: T::values(first),
        second: T::values(second),
        channels,
    }
}

fn first_gradient<T: Element>(
    second: FlexTensor,
    centres: FlexTensor,
    gradient: FlexTensor,
    radius: usize,
) -> FlexTensor {
    let [_, rows, columns, channels] = second.layout().shape().dims();
    let (second, centres) = (contiguous(second), contiguous(centres));
    let gradient = contiguous(gradient);
    let [samples, _, positions] = centres.layout().shape().dims();
    let windows = windows::<T>(&centres, [rows, columns], radius);
    let output =
        windows.correlate_first_gradient(T::values(&second), channels, T::values(&gradient));
    tensor(output, Shape::from([samples, positions, channels]))
}

fn second_gradient<T: Element>(
    first: FlexTensor,
    centres: FlexTensor,
    gradient: FlexTensor,
    size: [usize; 2],
    radius: usize,
) -> FlexTensor {
    let [samples, _, channels] = first.layout().shape().dims();
    let (first, centres) = (contiguous(first), contiguous(centres));
    let gradient = contiguous(gradient);
    let windows = windows::<T>(&centres, size, radius);
    let output =
        windows.correlate_second_gradient(T::values(&first), channels, T::values(&gradient));
    let [rows, columns] = size;
    tensor(output, Shape::from([samples, rows, columns, channels]))
}

fn correlate_centres_gradient<T: Element>(
    [first, second]: [FlexTensor; 2],
    centres: FlexTensor,
    gradient: FlexTensor,
    radius: usize,
) -> FlexTensor {
    let [_, rows, columns, _] = second.layout().shape().dims();
    let (first, second, centres) = (contiguous(first), contiguous(second), contiguous(centres));
    let gradient = contiguous(gradient);
    let windows = windows::<T>(&centres, [rows, columns], radius);
    let features = features(&first, &second);
    let output = windows.correlate_centres_gradient(features, T::values(&gradient));
    tensor(output, centres.layout().shape().clone())
}
