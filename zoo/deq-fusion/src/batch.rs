use burn::tensor::{Device, Tensor, TensorData};
use deq_datasets::multimodal::{Targets, ViewBatch};

use crate::FusionError;
use crate::error::fits;

/// Samples in several modalities on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The features of each modality, `[samples, positions, features]`.
    pub views: Vec<Tensor<3>>,
    /// Which views are there, 1 or 0, `[samples, modalities]`; `None` if all are.
    pub present: Option<Tensor<2>>,
    /// How many positions of each sample are filled; `None` if all are.
    pub lengths: Option<Vec<usize>>,
    /// What is known about the samples.
    pub targets: Targets,
}

impl Batch {
    /// Moves a batch to a device: the network's, with or without autodiff.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] when numbers, marks or targets do not fit the shapes.
    pub fn new(batch: ViewBatch, device: &Device) -> Result<Self, FusionError> {
        let samples = batch.targets.samples();
        let modalities = batch.views.len();
        fits("shapes of modalities", modalities, batch.shapes.len())?;
        let mut views = Vec::with_capacity(modalities);
        for (values, shape) in batch.views.into_iter().zip(batch.shapes) {
            fits("samples of each modality", samples, shape[0])?;
            fits(
                "numbers of a modality",
                shape.iter().product(),
                values.len(),
            )?;
            views.push(Tensor::from_data(TensorData::new(values, shape), device));
        }
        let present = match batch.present {
            Some(present) => {
                fits("marks of views", samples * modalities, present.len())?;
                let marks: Vec<f32> = present.iter().map(|&there| f32::from(there)).collect();
                let marks = TensorData::new(marks, [samples, modalities]);
                Some(Tensor::from_data(marks, device))
            }
            None => None,
        };
        Ok(Self {
            views,
            present,
            lengths: batch.lengths,
            targets: batch.targets,
        })
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.targets.samples()
    }

    /// The same batch without one modality, whose views all become missing, with zeros for
    /// features: what ablation asks for. Without such a modality nothing changes.
    #[must_use]
    pub fn without(&self, modality: usize) -> Self {
        let mut views = self.views.clone();
        let count = views.len();
        let Some(view) = views.get_mut(modality) else {
            return self.clone();
        };
        *view = view.zeros_like();
        let [samples, _, _] = view.dims();
        let (device, dtype) = (view.device(), view.dtype());
        let marks: Vec<f32> = (0..samples * count)
            .map(|place| f32::from(place % count != modality))
            .collect();
        let marks = TensorData::new(marks, [samples, count]).convert_dtype(dtype);
        let marks: Tensor<2> = Tensor::from_data(marks, (&device, dtype));
        let present = match &self.present {
            Some(present) => present.clone() * marks,
            None => marks,
        };
        Self {
            views,
            present: Some(present),
            ..self.clone()
        }
    }

    /// Everything but the targets, without autodiff.
    pub(crate) fn inner(&self) -> Self {
        let present = self.present.as_ref();
        Self {
            views: self.views.iter().map(|x| x.clone().inner()).collect(),
            present: present.map(|present| present.clone().inner()),
            ..self.clone()
        }
    }

    /// The views of a network of vectors.
    pub(crate) fn vectors(&self) -> Result<Vec<Tensor<2>>, FusionError> {
        let vector = |x: &Tensor<3>| {
            let [samples, positions, features] = x.dims();
            fits("positions of a vector", 1, positions)?;
            Ok(x.clone().reshape([samples, features]))
        };
        self.views.iter().map(vector).collect()
    }
}
