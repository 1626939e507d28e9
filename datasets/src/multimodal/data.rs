use crate::DataError;

/// What one modality is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modality {
    /// Its name: `1`, `text`.
    pub name: String,
    /// Positions of a sample: 1 for a vector of features, more for a sequence.
    pub length: usize,
    /// Features at a position.
    pub width: usize,
    /// The features' names, `width` of them, or none.
    pub features: Vec<String>,
}

/// What is known about samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class each.
    Classes {
        /// How many classes there are.
        classes: usize,
        /// Each sample's class, smaller than `classes`.
        of_sample: Vec<u32>,
    },
    /// Several labels each, on or off.
    Labels {
        /// How many labels there are.
        labels: usize,
        /// `[samples, labels]`, row-major.
        of_sample: Vec<bool>,
    },
    /// A number each.
    Values(Vec<f32>),
}

/// Samples in several modalities.
///
/// A view is one sample in one modality. A missing view has zeros for features and is marked.
#[derive(Clone, Debug, PartialEq)]
pub struct MultimodalData {
    modalities: Vec<Modality>,
    /// For each modality `[samples, length, width]`, row-major.
    values: Vec<Vec<f32>>,
    /// `[samples, modalities]`, row-major; `None` if no view is missing.
    present: Option<Vec<bool>>,
    /// How many positions of each sample are filled; `None` if all are.
    lengths: Option<Vec<usize>>,
    targets: Targets,
}

/// Some of the samples as numbers, ready for a device.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewBatch {
    /// For each modality its features in the order of `shapes`.
    pub views: Vec<Vec<f32>>,
    /// For each modality samples, positions, features.
    pub shapes: Vec<[usize; 3]>,
    /// Which views are there, `[samples, modalities]`; `None` if all are.
    pub present: Option<Vec<bool>>,
    /// How many positions of each sample are filled; `None` if all are.
    pub lengths: Option<Vec<usize>>,
    /// What is known about the samples.
    pub targets: Targets,
}

impl Targets {
    /// How many samples they are of.
    pub fn samples(&self) -> usize {
        match self {
            Self::Classes { of_sample, .. } => of_sample.len(),
            Self::Labels { labels, of_sample } => of_sample.len() / (*labels).max(1),
            Self::Values(values) => values.len(),
        }
    }

    fn select(&self, indices: &[usize]) -> Self {
        match self {
            Self::Classes { classes, of_sample } => Self::Classes {
                classes: *classes,
                of_sample: indices.iter().map(|&index| of_sample[index]).collect(),
            },
            Self::Labels { labels, of_sample } => Self::Labels {
                labels: *labels,
                of_sample: rows(of_sample, *labels, indices),
            },
            Self::Values(values) => {
                Self::Values(indices.iter().map(|&index| values[index]).collect())
            }
        }
    }

    fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Classes { classes, of_sample } => {
                match of_sample
                    .iter()
                    .position(|&class| class as usize >= *classes)
                {
                    Some(index) => Err(request(format!(
                        "sample {index} has class {}, but there are {classes} classes",
                        of_sample[index]
                    ))),
                    None => Ok(()),
                }
            }
            Self::Labels { labels, of_sample } => {
                if *labels == 0 || !of_sample.len().is_multiple_of(*labels) {
                    return Err(request(format!(
                        "{} labels are no whole number of samples of {labels} labels each",
                        of_sample.len()
                    )));
                }
                Ok(())
            }
            Self::Values(values) => match values.iter().position(|value| !value.is_finite()) {
                Some(index) => Err(request(format!(
                    "the target of sample {index} is not finite"
                ))),
                None => Ok(()),
            },
        }
    }
}

impl MultimodalData {
    /// Samples from their features, for each modality `[samples, length, width]`, and targets.
    ///
    /// # Errors
    /// [`DataError::Request`] without a modality or a sample, when counts do not fit each other,
    /// and for features or targets that are not finite or out of range.
    pub fn new(
        modalities: Vec<Modality>,
        values: Vec<Vec<f32>>,
        targets: Targets,
    ) -> Result<Self, DataError> {
        targets.check()?;
        let samples = targets.samples();
        if modalities.is_empty() || samples == 0 {
            return Err(request("at least one modality and one sample are needed"));
        }
        if modalities.len() != values.len() {
            return Err(request(format!(
                "there are {} modalities, but features of {}",
                modalities.len(),
                values.len()
            )));
        }
        for (modality, values) in modalities.iter().zip(&values) {
            let Modality {
                name,
                length,
                width,
                features,
            } = modality;
            if *length == 0 || *width == 0 || values.len() != samples * length * width {
                return Err(request(format!(
                    "modality `{name}` has {} numbers, but {samples} samples of {length} positions with {width} features need {}",
                    values.len(),
                    samples * length * width
                )));
            }
            if !features.is_empty() && features.len() != *width {
                return Err(request(format!(
                    "modality `{name}` has {width} features, but {} names of them",
                    features.len()
                )));
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(request(format!(
                    "modality `{name}` of sample {} has a feature that is not finite",
                    index / (length * width)
                )));
            }
        }
        Ok(Self {
            modalities,
            values,
            present: None,
            lengths: None,
            targets,
        })
    }

    /// The same samples with some views missing: `present` is `[samples, modalities]`, row-major.
    /// The features of missing views become zero.
    ///
    /// # Errors
    /// [`DataError::Request`] when the counts differ, or a sample has no view at all.
    pub fn with_present(mut self, present: Vec<bool>) -> Result<Self, DataError> {
        let (samples, modalities) = (self.samples(), self.modalities.len());
        if present.len() != samples * modalities {
            return Err(request(format!(
                "{samples} samples in {modalities} modalities have {} views, but {} are marked",
                samples * modalities,
                present.len()
            )));
        }
        for (sample, views) in present.chunks(modalities).enumerate() {
            if !views.contains(&true) {
                return Err(request(format!("sample {sample} has no view at all")));
            }
            for (modality, _) in views.iter().enumerate().filter(|(_, there)| !**there) {
                let size = self.modalities[modality].size();
                self.values[modality][sample * size..(sample + 1) * size].fill(0.0);
            }
        }
        self.present = present.contains(&false).then_some(present);
        Ok(self)
    }

    /// The same samples with so many filled positions each; the others are padding.
    ///
    /// # Errors
    /// [`DataError::Request`] unless there is one length a sample, from 1 to that of the longest
    /// modality.
    pub fn with_lengths(mut self, lengths: Vec<usize>) -> Result<Self, DataError> {
        let longest = self.longest();
        if lengths.len() != self.samples() {
            return Err(request(format!(
                "there are {} samples, but {} lengths",
                self.samples(),
                lengths.len()
            )));
        }
        if let Some(index) = lengths.iter().position(|l| !(1..=longest).contains(l)) {
            return Err(request(format!(
                "sample {index} has length {}, but must have 1 to {longest}",
                lengths[index]
            )));
        }
        self.lengths = lengths
            .iter()
            .any(|&length| length < longest)
            .then_some(lengths);
        Ok(self)
    }

    /// Positions of the longest modality.
    fn longest(&self) -> usize {
        let lengths = self.modalities.iter().map(|modality| modality.length);
        lengths.max().unwrap_or(0)
    }

    /// The modalities.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.targets.samples()
    }

    /// What is known about the samples.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The features of one modality, `[samples, length, width]`, row-major.
    ///
    /// # Panics
    /// When there is no such modality.
    pub fn values(&self, modality: usize) -> &[f32] {
        &self.values[modality]
    }

    /// Which views are there, `[samples, modalities]`; `None` if all are.
    pub fn present(&self) -> Option<&[bool]> {
        self.present.as_deref()
    }

    /// How many positions of each sample are filled; `None` if all are.
    pub fn lengths(&self) -> Option<&[usize]> {
        self.lengths.as_deref()
    }

    /// These samples, in this order.
    ///
    /// # Errors
    /// [`DataError::Request`] without an index, or for one that is no sample.
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        let samples = self.samples();
        if indices.is_empty() {
            return Err(request("no sample was asked for"));
        }
        if let Some(index) = indices.iter().find(|&&index| index >= samples) {
            return Err(request(format!(
                "sample {index} was asked for, but there are {samples}"
            )));
        }
        let parts = self.modalities.iter().zip(&self.values);
        let values = parts.map(|(modality, values)| rows(values, modality.size(), indices));
        let present = self.present.as_ref();
        let present = present.map(|present| rows(present, self.modalities.len(), indices));
        let lengths = self.lengths.as_ref();
        let lengths = lengths.map(|lengths| rows(lengths, 1, indices));
        let longest = self.longest();
        Ok(Self {
            values: values.collect(),
            present: present.filter(|present| present.contains(&false)),
            lengths: lengths.filter(|lengths| lengths.iter().any(|&length| length < longest)),
            targets: self.targets.select(indices),
            modalities: self.modalities.clone(),
        })
    }

    /// The same samples in these modalities alone, in this order.
    ///
    /// # Errors
    /// [`DataError::Request`] without a modality, for one that does not exist or is asked for
    /// twice, and when a sample would have no view left.
    pub fn select(&self, modalities: &[usize]) -> Result<Self, DataError> {
        for (place, &index) in modalities.iter().enumerate() {
            if index >= self.modalities.len() || modalities[..place].contains(&index) {
                return Err(request(format!(
                    "modality {index} was asked for, but there are {}, each to be taken once",
                    self.modalities.len()
                )));
            }
        }
        let chosen = |index: &usize| self.modalities[*index].clone();
        let values = |index: &usize| self.values[*index].clone();
        let mut data = Self::new(
            modalities.iter().map(chosen).collect(),
            modalities.iter().map(values).collect(),
            self.targets.clone(),
        )?;
        if let Some(lengths) = &self.lengths {
            let longest = data.longest();
            let lengths = lengths.iter().map(|&length| length.min(longest));
            data = data.with_lengths(lengths.collect())?;
        }
        match &self.present {
            Some(present) => {
                let of_sample = present.chunks(self.modalities.len());
                let kept = of_sample.flat_map(|row| modalities.iter().map(|&index| row[index]));
                data.with_present(kept.collect())
            }
            None => Ok(data),
        }
    }

    /// These samples as numbers.
    ///
    /// # Errors
    /// As [`MultimodalData::subset`].
    pub fn batch(&self, indices: &[usize]) -> Result<ViewBatch, DataError> {
        let part = self.subset(indices)?;
        let shape = |modality: &Modality| [indices.len(), modality.length, modality.width];
        Ok(ViewBatch {
            shapes: part.modalities.iter().map(shape).collect(),
            views: part.values,
            present: part.present,
            lengths: part.lengths,
            targets: part.targets,
        })
    }

    /// Changes every feature of the views that are there.
    pub(super) fn map_features(&mut self, change: impl Fn(usize, usize, f32) -> f32) {
        let count = self.modalities.len();
        let parts = self.values.iter_mut().zip(&self.modalities);
        for (index, (values, modality)) in parts.enumerate() {
            for (sample, view) in values.chunks_mut(modality.size()).enumerate() {
                let present = self.present.as_ref();
                if present.is_some_and(|present| !present[sample * count + index]) {
                    continue;
                }
                for (place, value) in view.iter_mut().enumerate() {
                    *value = change(index, place % modality.width, *value);
                }
            }
        }
    }
}

impl Modality {
    /// A vector of features without names.
    pub fn vector(name: impl Into<String>, width: usize) -> Self {
        Self {
            name: name.into(),
            length: 1,
            width,
            features: Vec::new(),
        }
    }

    /// Numbers of one view.
    pub(super) fn size(&self) -> usize {
        self.length * self.width
    }
}

fn rows<T: Copy>(values: &[T], width: usize, indices: &[usize]) -> Vec<T> {
    indices
        .iter()
        .flat_map(|&index| &values[index * width..(index + 1) * width])
        .copied()
        .collect()
}

pub(super) fn request(reason: impl Into<String>) -> DataError {
    DataError::Request(reason.into())
}
