//! Samples on a device, without their order being changed.

use anyhow::Result;
use burn::tensor::Device;
use deq_datasets::multimodal::MultimodalData;
use deq_fusion::Batch;

/// All samples in batches of this size, the last maybe smaller; in one without a size.
pub(super) fn batches(
    data: &MultimodalData,
    size: Option<usize>,
    device: &Device,
) -> Result<Vec<Batch>> {
    let count = data.samples();
    let size = size.unwrap_or(count).max(1);
    let batch = |first: usize| {
        let indices: Vec<usize> = (first..count.min(first + size)).collect();
        Ok(Batch::new(data.batch(&indices)?, device)?)
    };
    (0..count).step_by(size).map(batch).collect()
}

/// All samples in one batch.
pub(crate) fn whole(data: &MultimodalData, device: &Device) -> Result<Batch> {
    let indices: Vec<usize> = (0..data.samples()).collect();
    Ok(Batch::new(data.batch(&indices)?, device)?)
}

/// At most so many samples, from all over the data, which may be in the order of their classes.
pub(super) fn some(data: &MultimodalData, most: usize, device: &Device) -> Result<Batch> {
    let count = data.samples().min(most);
    let indices: Vec<usize> = (0..count).map(|i| i * data.samples() / count).collect();
    Ok(Batch::new(data.batch(&indices)?, device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq_datasets::multimodal::GeneratedViews;

    #[test]
    fn batches_hold_every_sample_once() {
        let views = GeneratedViews {
            test: 7,
            ..GeneratedViews::default()
        };
        let data = views.generate(0).expect("built-in data").test;
        for device in deq::devices::all() {
            let sizes = |size| -> Vec<usize> {
                let batches = batches(&data, size, &device).expect("batches");
                batches.iter().map(Batch::samples).collect()
            };
            assert_eq!(sizes(Some(3)), [3, 3, 1]);
            assert_eq!(sizes(None), [7]);
            assert_eq!(whole(&data, &device).expect("a batch").samples(), 7);
            for (most, count) in [(4, 4), (9, 7)] {
                let batch = some(&data, most, &device).expect("a batch");
                assert_eq!(batch.samples(), count);
            }
        }
    }
}
