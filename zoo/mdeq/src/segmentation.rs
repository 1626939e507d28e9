use burn::module::Module;
use burn::nn::Relu;
use burn::tensor::{Device, Tensor, TensorData};
use deq_nn::{BatchNormConfig, Init};

use crate::error::fits;
use crate::layers::{Layer, NARROW, sequence};
use crate::{MdeqConfig, MdeqError};

/// The segmentation head of the original MDEQ (locuslab/mdeq, `MDEQSegNet`): all resolutions are
/// brought to the highest by bilinear interpolation and joined; a 1×1 convolution with batch norm
/// and rectifier and a second 1×1 convolution give each pixel's classes.
///
/// It takes the states of [`Mdeq::solve`](crate::Mdeq::solve) in place of the classification head.
/// The pixels are those of branch 0.
#[derive(Module, Debug)]
pub struct SegmentationHead {
    /// The layers, numbered as in the original.
    pub last_layer: Vec<Layer>,
}

impl SegmentationHead {
    /// A head for the states of a model of this configuration, with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`MdeqError::InvalidConfig`] without a class.
    pub fn new(
        config: &MdeqConfig,
        classes: usize,
        device: &Device,
        seed: u64,
    ) -> Result<Self, MdeqError> {
        crate::error::require(classes >= 1, "classes", classes, "at least 1")?;
        let mut init = Init::new(device, seed);
        let channels: usize = config.channels.iter().sum();
        let first = init.conv_from([channels; 2], [1; 2], 1, NARROW, Some(NARROW));
        let second = init.conv_from([channels, classes], [1; 2], 1, NARROW, Some(NARROW));
        // The original's momentum is a tenth of the classification head's.
        let norm = BatchNormConfig {
            momentum: 0.01,
            ..BatchNormConfig::default()
        };
        Ok(Self {
            last_layer: vec![
                Layer::Conv(first),
                Layer::Norm(norm.init(channels, device)),
                Layer::Relu(Relu::new()),
                Layer::Conv(second),
            ],
        })
    }

    /// Logits `[samples, classes, height, width]` at the resolution of branch 0.
    ///
    /// # Errors
    /// [`MdeqError::Mismatch`] for a state of other channels than the head's.
    pub fn forward(&self, state: &[Tensor<4>]) -> Result<Tensor<4>, MdeqError> {
        let found: usize = state.iter().map(|part| part.dims()[1]).sum();
        let expected = match self.last_layer.first() {
            Some(Layer::Conv(conv)) => conv.weight.dims()[1],
            _ => 0,
        };
        fits("channels in all branches", expected, found)?;
        let [_, _, height, width] = state[0].dims();
        let parts = state.iter().map(|part| resize(part.clone(), height, width));
        Ok(sequence(&self.last_layer, Tensor::cat(parts.collect(), 1)))
    }
}

/// Bilinear interpolation whose corner pixels stay (PyTorch's `align_corners = true`), as two
/// matrix products, which every backend can differentiate.
fn resize(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, _, rows, columns] = x.dims();
    if (rows, columns) == (height, width) {
        return x;
    }
    let options = (&x.device(), x.dtype());
    let matrix = |from: usize, to: usize| {
        let weights = TensorData::new(hat_weights(from, to), [1, 1, to, from]);
        Tensor::<4>::from_data(weights, options)
    };
    let vertical = matrix(rows, height).matmul(x);
    vertical.matmul(matrix(columns, width).swap_dims(2, 3))
}

/// The matrix, row-major, that interpolates `from` values at `to` points, both ends included.
fn hat_weights(from: usize, to: usize) -> Vec<f32> {
    let step = if to > 1 {
        (from - 1) as f64 / (to - 1) as f64
    } else {
        0.0
    };
    let rows = (0..to).map(|row| row as f64 * step);
    rows.flat_map(|at| {
        (0..from).map(move |column| (1.0 - (at - column as f64).abs()).max(0.0) as f32)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_keeps_the_corners_and_halves_the_gaps() {
        let half = hat_weights(2, 3);
        assert_eq!(half, [1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
        assert_eq!(hat_weights(1, 2), [1.0, 1.0]);
        for row in hat_weights(4, 7).chunks(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
