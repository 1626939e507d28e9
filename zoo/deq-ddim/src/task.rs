//! From a batch of images to its loss.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq_datasets::ImageBatch;
use deq_nn::gaussian;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::error::shaped;
use crate::loss::noise_loss;
use crate::{Ddim, DdimError};

/// Images on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[images, channels, size, size]` in [-1, 1].
    pub images: Tensor<4>,
}

/// The loss over a set of batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The images seen.
    pub images: usize,
    /// The mean loss, summed over an image's pixels.
    pub loss: f64,
    /// The same for each pixel: 1 is what an estimate of 0 scores.
    pub per_pixel: f64,
}

impl Batch {
    /// Moves a batch to a device: the model's, with or without autodiff. The classes are not used.
    /// Normalise the images with mean 0.5 and deviation 0.5: black is -1, white is 1.
    ///
    /// # Errors
    /// [`DdimError`] for an empty batch, and a shape that does not hold the pixels.
    pub fn new(batch: ImageBatch, device: &Device) -> Result<Self, DdimError> {
        let numbers: usize = batch.shape.iter().product();
        shaped("pixels", [numbers], [batch.pixels.len()])?;
        let images = TensorData::new(batch.pixels, batch.shape);
        Ok(Self {
            images: Tensor::from_data(images, device),
        })
    }
}

/// The loss of a training batch, `[1]`: see [`noise_loss`]. Steps, noise and dropout are drawn from
/// `seed` on the host, so give each training step its own.
///
/// Steps come in pairs $t$, $N - 1 - t$, as in the reference: a batch then sees early and late steps
/// alike.
///
/// # Errors
/// As [`noise_loss`].
pub fn train_loss(model: &Ddim, batch: &Batch, seed: u64) -> Result<Tensor<1>, DdimError> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (steps, noise) = draw(model, batch, &mut rng)?;
    let dropout = (model.config().network.dropout > 0.0).then_some(&mut rng);
    let images = batch.images.clone();
    noise_loss(
        &model.network,
        model.diffusion(),
        images,
        noise,
        &steps,
        dropout,
    )
}

/// The loss in inference, without dropout. The same seed draws the same steps and noise, so that
/// evaluations can be compared.
///
/// # Errors
/// As [`noise_loss`], and [`DdimError::Empty`] without a batch.
pub fn evaluate(
    model: &Ddim,
    batches: impl IntoIterator<Item = Batch>,
    seed: u64,
) -> Result<Evaluation, DdimError> {
    let model = model.valid();
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut images, mut loss) = (0, 0.0);
    for batch in batches {
        let batch = Batch {
            images: batch.images.inner(),
        };
        let (steps, noise) = draw(&model, &batch, &mut rng)?;
        let (network, diffusion) = (&model.network, model.diffusion());
        let count = steps.len();
        let found = noise_loss(network, diffusion, batch.images, noise, &steps, None)?;
        loss += found.into_scalar::<f64>() * count as f64;
        images += count;
    }
    if images == 0 {
        return Err(DdimError::Empty("batches"));
    }
    let loss = loss / images as f64;
    let config = &model.config().network;
    let pixels = config.channels * config.image_size * config.image_size;
    Ok(Evaluation {
        images,
        loss,
        per_pixel: loss / pixels as f64,
    })
}

/// A step for each image, and noise of their shape.
fn draw(
    model: &Ddim,
    batch: &Batch,
    rng: &mut StdRng,
) -> Result<(Vec<usize>, Tensor<4>), DdimError> {
    model.network.check_images("images", &batch.images)?;
    let shape = batch.images.dims();
    let total = model.diffusion().steps();
    let half = shape[0] / 2 + 1;
    let early: Vec<usize> = (0..half).map(|_| rng.random_range(0..total)).collect();
    let late = early.iter().map(|step| total - 1 - step);
    let steps = early.iter().copied().chain(late).take(shape[0]).collect();
    let noise = gaussian(shape, rng, &batch.images.device());
    Ok((steps, noise))
}
