//! Bilinear values in windows around moving centres.

mod backward;
mod composed;
#[cfg(feature = "flex")]
mod kernels;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// The bilinear values of planes `[samples, positions, rows, columns]` around centres `[samples, 2,
/// positions]`, x first, in pixels of the planes: each position reads its own plane at the offsets
/// $-r, \dots, r$ from its centre along x and y, 0 outside. The result is `[samples, (2r + 1)²,
/// positions]`, in the order of the offsets along x and then along y. This is the look-up of RAFT
/// (Teed and Deng, ECCV 2020, section 3.2), without the normalised places that `grid_sample_2d`
/// takes.
///
/// All points of a window lie equally far beyond whole pixels: on flex each of the $(2r + 2)^2$
/// pixels is read once. Elsewhere they are gathered.
///
/// Both have gradients; at whole pixels that in the centre is the one to the right and below. A
/// centre that is NaN gives NaN (on GPUs, what their `clamp` makes of it), an infinite one is
/// outside.
///
/// # Panics
/// When shapes or number types do not fit.
pub fn sample_windows(planes: Tensor<4>, centres: Tensor<3>, radius: usize) -> Tensor<3> {
    let [samples, positions, _, _] = planes.dims();
    check_centres(&centres, [samples, positions]);
    assert_eq!(
        planes.dtype(),
        centres.dtype(),
        "centres must have the planes' number type"
    );
    if planes.shape().num_elements() == 0 {
        return nothing(&centres, radius);
    }
    let found = <Dispatch as WindowsBackend>::sample(
        planes.clone().into_dispatch(),
        centres.clone().into_dispatch(),
        radius,
    );
    match found {
        Some(output) => Tensor::from_dispatch(output),
        None => composed::sample(planes, centres, radius),
    }
}

/// [`sample_windows`] of planes that are never made: the value of a pixel is the product
/// $g_1^\top g_2$ of the position's features in `first`, `[samples, positions, channels]`, and the
/// pixel's in `second`, `[samples, rows, columns, channels]`. Memory grows with the number of
/// pixels, and not with its square; each value costs a product of features.
///
/// # Panics
/// When shapes or number types do not fit.
pub fn correlate_windows(
    first: Tensor<3>,
    second: Tensor<4>,
    centres: Tensor<3>,
    radius: usize,
) -> Tensor<3> {
    let [samples, positions, channels] = first.dims();
    let [found, _, _, depth] = second.dims();
    assert_eq!(
        [found, depth],
        [samples, channels],
        "both features must have the same samples and channels"
    );
    check_centres(&centres, [samples, positions]);
    assert!(
        first.dtype() == second.dtype() && first.dtype() == centres.dtype(),
        "features and centres must have one number type"
    );
    if first.shape().num_elements() * second.shape().num_elements() == 0 {
        return nothing(&centres, radius);
    }
    let output = <Dispatch as WindowsBackend>::correlate(
        first.clone().into_dispatch(),
        second.clone().into_dispatch(),
        centres.clone().into_dispatch(),
        radius,
    );
    match output {
        Some(output) => Tensor::from_dispatch(output),
        None => composed::correlate(first, second, centres, radius),
    }
}

fn check_centres(centres: &Tensor<3>, [samples, positions]: [usize; 2]) {
    assert_eq!(
        centres.dims(),
        [samples, 2, positions],
        "there must be two coordinates, x and y, for each position of each sample"
    );
}

/// What windows of nothing show.
fn nothing(centres: &Tensor<3>, radius: usize) -> Tensor<3> {
    let [samples, _, positions] = centres.dims();
    let points = (2 * radius + 1) * (2 * radius + 1);
    let options = (&centres.device(), centres.dtype());
    Tensor::zeros([samples, points, positions], options)
}

/// Nothing is empty. `None` where there is no kernel.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait WindowsBackend: Backend {
    /// See [`sample_windows`].
    fn sample(
        _planes: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The gradient of [`WindowsBackend::sample`] in planes of these rows and columns.
    fn sample_planes_gradient(
        _centres: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _size: [usize; 2],
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The gradient of [`WindowsBackend::sample`] in the centres.
    fn sample_centres_gradient(
        _planes: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// See [`correlate_windows`].
    fn correlate(
        _first: FloatTensor<Self>,
        _second: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The gradient of [`WindowsBackend::correlate`] in the features of the positions.
    fn correlate_first_gradient(
        _second: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The gradient of [`WindowsBackend::correlate`] in the features of this many rows and columns
    /// of pixels.
    fn correlate_second_gradient(
        _first: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _size: [usize; 2],
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }

    /// The gradient of [`WindowsBackend::correlate`] in the centres.
    fn correlate_centres_gradient(
        _first: FloatTensor<Self>,
        _second: FloatTensor<Self>,
        _centres: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _radius: usize,
    ) -> Option<FloatTensor<Self>> {
        None
    }
}

#[cfg(feature = "ndarray")]
impl WindowsBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl WindowsBackend for burn::backend::Cube {}
