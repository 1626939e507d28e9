//! Residuals of a fixed-point iteration, with their norms.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::host::RowNorm;

/// What [`residual_norms`] returns.
#[derive(Clone, Debug)]
pub struct Measured {
    /// $f(z) - z$, `[samples, features]`.
    pub residual: Tensor<2>,
    /// $\lVert f(z) - z \rVert$ and $\lVert f(z) \rVert$ of each sample, `[samples, 2]`: one
    /// transfer to the host.
    pub norms: Tensor<2>,
}

/// The residual of each sample with its norm and that of the image, in one pass over memory.
///
/// # Panics
/// When the tensors differ in shape or number type.
pub fn residual_norms(image: Tensor<2>, point: Tensor<2>, norm: RowNorm) -> Measured {
    assert_eq!(
        image.dims(),
        point.dims(),
        "image and point must have one shape"
    );
    assert_eq!(
        image.dtype(),
        point.dtype(),
        "image and point must have one number type"
    );
    let [samples, _] = image.dims();
    if image.shape().num_elements() == 0 {
        let norms = Tensor::zeros([samples, 2], (&image.device(), image.dtype()));
        return Measured {
            residual: image,
            norms,
        };
    }
    let (image, point) = (image.into_dispatch(), point.into_dispatch());
    let (residual, norms) = <Dispatch as ResidualBackend>::measure(image, point, norm);
    Measured {
        residual: Tensor::from_dispatch(residual),
        norms: Tensor::from_dispatch(norms),
    }
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait ResidualBackend: Backend {
    /// The difference of two matrices, and the norms of its rows beside those of the first one's.
    fn measure(
        image: FloatTensor<Self>,
        point: FloatTensor<Self>,
        norm: RowNorm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::<Self>(image, point, norm)
    }
}

fn composed<B: Backend>(
    image: FloatTensor<B>,
    point: FloatTensor<B>,
    norm: RowNorm,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let residual = B::float_sub(image.clone(), point);
    let norms = [residual.clone(), image].map(|rows| match norm {
        RowNorm::L2 => B::float_sqrt(B::float_sum_dim(B::float_mul(rows.clone(), rows), 1)),
        RowNorm::Rms => B::float_sqrt(B::float_mean_dim(B::float_mul(rows.clone(), rows), 1)),
        RowNorm::Max => B::float_max_dim(B::float_abs(rows), 1),
    });
    (residual, B::float_cat(norms.into(), 1))
}

#[cfg(feature = "ndarray")]
impl ResidualBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl ResidualBackend for burn::backend::Cube {}

impl<B, C> ResidualBackend for Autodiff<B, C>
where
    B: ResidualBackend,
    C: CheckpointStrategy,
{
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{DType, Shape};

    use super::{ResidualBackend, composed};
    use crate::flex::{Element, contiguous, tensor};
    use crate::host::{self, RowNorm};

    impl ResidualBackend for Flex {
        fn measure(
            image: FloatTensor<Self>,
            point: FloatTensor<Self>,
            norm: RowNorm,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            match image.dtype() {
                DType::F32 => measure::<f32>(image, point, norm),
                DType::F64 => measure::<f64>(image, point, norm),
                _ => composed::<Self>(image, point, norm),
            }
        }
    }

    fn measure<T: Element>(
        image: FlexTensor,
        point: FlexTensor,
        norm: RowNorm,
    ) -> (FlexTensor, FlexTensor) {
        let [samples, features] = image.layout().shape().dims();
        let (image, point) = (contiguous(image), contiguous(point));
        let mut residual = vec![T::ZERO; samples * features];
        let mut norms = vec![T::ZERO; samples * 2];
        host::residual_norms(
            T::values(&image),
            T::values(&point),
            features,
            norm,
            &mut residual,
            &mut norms,
        );
        (
            tensor(residual, Shape::from([samples, features])),
            tensor(norms, Shape::from([samples, 2])),
        )
    }
}
