//! burn's layers by the kernels against burn's own evaluation of them.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNormConfig, InstanceNormConfig, Linear, PaddingConfig2d as Padding};
use burn::tensor::{DType, Device, Tensor, activation::relu};
use deq_kernels::{Activation, PackedConv2d, PackedLinear, Sliding, layers};

use crate::common::{assert_close, gradients, noise};

const TOLERANCE: f64 = 2e-5;
const RELU: Option<Activation> = Some(Activation::Relu);

fn numbers<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    noise(shape, seed, 1.0, (device, DType::F32))
}

/// A layer from two to three channels.
fn conv(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    bias: bool,
    device: &Device,
) -> Conv2d {
    let [height, width] = kernel;
    Conv2d {
        weight: Param::from_tensor(numbers([3, 2, height, width], 1, device)),
        bias: bias.then(|| Param::from_tensor(numbers([3], 2, device))),
        stride,
        kernel_size: kernel,
        dilation: [1, 1],
        groups: 1,
        padding,
    }
}

#[test]
fn convolutions_are_burns() {
    for device in deq_devices::all() {
        let x = numbers([2, 2, 6, 5], 3, &device);
        for (kernel, stride, padding) in [
            ([3, 3], [1, 1], Padding::Same),
            ([1, 5], [1, 1], Padding::Same),
            ([3, 2], [1, 2], Padding::Valid),
            ([3, 3], [2, 2], Padding::Explicit(1, 1, 1, 1)),
            ([1, 3], [1, 1], Padding::Explicit(0, 1, 0, 1)),
        ] {
            for bias in [false, true] {
                let what = format!("{kernel:?} {stride:?} {padding:?} {bias} on {device:?}");
                let layer = conv(kernel, stride, padding.clone(), bias, &device);
                let expected = layer.forward(x.clone());
                let found = layers::conv2d(&layer, x.clone(), None);
                assert_close(found, expected.clone(), TOLERANCE, &what);
                let found = layers::conv2d(&layer, x.clone(), RELU);
                assert_close(found, relu(expected.clone()), TOLERANCE, &what);
                let found = PackedConv2d::of(&layer).forward(x.clone(), None);
                assert_close(found, expected, TOLERANCE, &what);
            }
        }
    }
}

#[test]
#[should_panic(expected = "there are no kernels for groups or dilation")]
fn a_convolution_with_groups_is_refused() {
    let device = &deq_devices::all()[0];
    let layer = conv([3, 3], [1, 1], Padding::Valid, false, device);
    Sliding::of(&Conv2d { groups: 2, ..layer });
}

#[test]
#[should_panic(expected = "opposite sides must have the same padding")]
fn more_padding_on_one_side_is_refused() {
    let device = &deq_devices::all()[0];
    let padding = Padding::Explicit(0, 1, 1, 1);
    Sliding::of(&conv([3, 3], [1, 1], padding, false, device));
}

#[test]
#[should_panic(expected = "`Same` needs odd kernels and strides of 1")]
fn padding_that_depends_on_the_size_is_refused() {
    let device = &deq_devices::all()[0];
    Sliding::of(&conv([3, 3], [2, 2], Padding::Same, false, device));
}

#[test]
fn linear_layers_are_burns() {
    for device in deq_devices::all() {
        let x = numbers([2, 4, 5], 4, &device);
        for bias in [false, true] {
            let layer = Linear {
                weight: Param::from_tensor(numbers([5, 3], 5, &device)),
                bias: bias.then(|| Param::from_tensor(numbers([3], 6, &device))),
            };
            let what = format!("bias {bias} on {device:?}");
            let expected = layer.forward(x.clone());
            let found = layers::linear(&layer, x.clone(), None);
            assert_close(found, expected.clone(), TOLERANCE, &what);
            let found = layers::linear(&layer, x.clone(), RELU);
            assert_close(found, relu(expected.clone()), TOLERANCE, &what);
            let found = PackedLinear::of(&layer).forward(x.clone(), None);
            assert_close(found, expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn norms_are_burns() {
    for device in deq_devices::all() {
        let x = numbers([2, 6, 3, 4], 7, &device);
        let residual = numbers([2, 6, 3, 4], 8, &device);
        for affine in [false, true] {
            let what = format!("affine {affine} on {device:?}");
            let vector =
                |seed| affine.then(|| Param::from_tensor(numbers::<1>([6], seed, &device)));
            let (gamma, beta) = (vector(9), vector(10));

            let mut group = GroupNormConfig::new(3, 6).with_affine(affine).init(&device);
            (group.gamma, group.beta) = (gamma.clone(), beta.clone());
            let expected = group.forward(x.clone());
            let found = layers::group_norm(&group, x.clone());
            assert_close(found, expected.clone(), TOLERANCE, &what);
            let found = layers::group_norm_relu(&group, x.clone());
            assert_close(found, relu(expected.clone()), TOLERANCE, &what);
            let found = layers::group_norm_add_relu(&group, x.clone(), residual.clone());
            assert_close(found, relu(expected + residual.clone()), TOLERANCE, &what);

            let mut instance = InstanceNormConfig::new(6).with_affine(affine).init(&device);
            (instance.gamma, instance.beta) = (gamma, beta);
            let expected = instance.forward(x.clone());
            let found = layers::instance_norm(&instance, x.clone());
            assert_close(found, expected.clone(), TOLERANCE, &what);
            let found = layers::instance_norm_relu(&instance, x.clone());
            assert_close(found, relu(expected), TOLERANCE, &what);
        }
    }
}

#[test]
fn gradients_are_burns() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let x = numbers([2, 2, 4, 5], 11, &device);
        let conv = conv([3, 3], [1, 1], Padding::Same, true, &device);
        let linear = Linear {
            weight: Param::from_tensor(numbers([5, 3], 12, &device)),
            bias: None,
        };
        let gradient = |by_kernels: bool| {
            let output = if by_kernels {
                layers::linear(&linear, layers::conv2d(&conv, x.clone(), RELU), None)
            } else {
                linear.forward(relu(conv.forward(x.clone())))
            };
            let found = gradients(output);
            conv.weight.val().grad(&found).expect("a gradient")
        };
        let what = format!("gradient on {device:?}");
        assert_close(gradient(true), gradient(false), TOLERANCE, &what);
    }
}
