//! The images, and batches of them on a device.

use std::path::Path;

use anyhow::Result;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq_datasets::{Augment, LabelledImages};

use super::scale::Setup;

/// Training and test images, normalised alike.
pub(super) struct Data {
    train: LabelledImages,
    test: LabelledImages,
    normalize: Augment,
}

/// Images on a device, with their classes.
pub(super) struct Batch {
    /// `[images, channels, height, width]`.
    pub(super) images: Tensor<4>,
    targets: Tensor<1, Int>,
    labels: Vec<usize>,
}

impl Data {
    /// Reads or makes what the setup asks for; `folder` holds the data sets.
    pub(super) fn load(setup: &Setup, folder: Option<&Path>) -> Result<Self> {
        let counts = [setup.train_images, setup.test_images];
        let [train, test] = setup.source.load(counts, folder)?;
        Ok(Self {
            normalize: Augment::normalize(&train),
            train,
            test,
        })
    }

    /// Channels, height and width of an image.
    pub(super) fn size(&self) -> [usize; 3] {
        self.train.size()
    }

    /// The number of classes.
    pub(super) fn classes(&self) -> usize {
        self.train.classes().len()
    }

    /// The order of an epoch, the same for the same seed and epoch.
    pub(super) fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        self.train.order(seed, epoch)
    }

    /// These training images.
    pub(super) fn train_batch(&self, indices: &[usize], device: &Device) -> Result<Batch> {
        self.batch(&self.train, indices, device)
    }

    /// All test images, in batches of this size.
    pub(super) fn test_batches(
        &self,
        size: usize,
        device: &Device,
    ) -> impl Iterator<Item = Result<Batch>> {
        let count = self.test.count();
        (0..count).step_by(size).map(move |first| {
            let indices: Vec<usize> = (first..count.min(first + size)).collect();
            self.batch(&self.test, &indices, device)
        })
    }

    fn batch(&self, from: &LabelledImages, indices: &[usize], device: &Device) -> Result<Batch> {
        let batch = from.batch(indices, &self.normalize, 0)?;
        let labels: Vec<i64> = batch.labels.iter().map(|&label| label as i64).collect();
        let targets = TensorData::new(labels, [batch.labels.len()]);
        let images = TensorData::new(batch.pixels, batch.shape);
        Ok(Batch {
            images: Tensor::from_data(images, device),
            targets: Tensor::from_data(targets, device),
            labels: batch.labels,
        })
    }
}

impl Batch {
    /// The mean cross-entropy of logits `[images, classes]`.
    pub(super) fn loss(&self, logits: Tensor<2>) -> Tensor<1> {
        let loss = CrossEntropyLossConfig::new().init(&logits.device());
        loss.forward(logits, self.targets.clone())
    }

    /// How many images have their largest logit at their class, and how many images there are. A
    /// row with NaN has none.
    pub(super) fn correct(&self, logits: Tensor<2>) -> (usize, usize) {
        let [_, classes] = logits.dims();
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let rows = values.chunks(classes.max(1)).zip(&self.labels);
        let correct = rows.filter(|(row, label)| {
            let own = row[**label];
            let mut others = row.iter().enumerate().filter(|(class, _)| class != *label);
            own.is_finite() && others.all(|(_, &other)| other < own)
        });
        (correct.count(), self.labels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::scale::{Model, Scale};

    #[test]
    fn built_in_data_come_in_whole_batches_of_their_order() {
        let setup = Scale::Smoke.setup(Model::FullyConnected);
        let data = Data::load(&setup, None).expect("built-in shapes");
        let order = data.order(3, 0);
        assert_eq!(order, data.order(3, 0));
        assert_ne!(order, data.order(4, 0));
        for device in deq::devices::all() {
            let batch = data.train_batch(&order[..5], &device).expect("a batch");
            assert_eq!(batch.images.dims(), [5, 1, 12, 12]);
            let test = data.test_batches(20, &device);
            let sizes: Vec<usize> = test
                .map(|batch| batch.expect("a batch").labels.len())
                .collect();
            assert_eq!(sizes, [20, 20, 10]);
        }
    }

    #[test]
    fn only_the_strictly_largest_logit_counts() {
        for device in deq::devices::all() {
            let batch = Batch {
                images: Tensor::zeros([4, 1, 1, 1], &device),
                targets: Tensor::zeros([4], &device),
                labels: vec![0, 1, 1, 0],
            };
            let logits = [[2.0, 1.0], [2.0, 1.0], [1.0, 1.0], [f32::NAN, 0.0]];
            let logits = Tensor::from_data(logits, &device);
            assert_eq!(batch.correct(logits), (1, 4));
        }
    }
}
