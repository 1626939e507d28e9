use super::MultimodalData;
use super::data::request;
use crate::DataError;

/// Features to [0, 1], each by its smallest and largest value in the data it was fitted to:
/// $x' = (x - \min) / (\max - \min + 10^{-10})$, as MOGONET and DEQFusion do. Other data may leave
/// the range. Missing views are neither counted nor changed.
///
/// A constant feature becomes 0 where it was fitted. Elsewhere the reference divides its
/// difference by $10^{-10}$; here it becomes 0 as well.
#[derive(Clone, Debug, PartialEq)]
pub struct MinMax {
    /// For each modality the smallest and the largest value of each feature.
    ranges: Vec<Vec<(f32, f32)>>,
}

impl MinMax {
    /// The ranges of these data's features: take the training part.
    pub fn fit(data: &MultimodalData) -> Self {
        let modalities = data.modalities();
        let ranges = modalities.iter().enumerate().map(|(index, modality)| {
            let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); modality.width];
            let views = data.values(index).chunks(modality.length * modality.width);
            for (sample, view) in views.enumerate() {
                let present = data.present();
                if present.is_some_and(|there| !there[sample * modalities.len() + index]) {
                    continue;
                }
                for (place, &value) in view.iter().enumerate() {
                    let (low, high) = &mut ranges[place % modality.width];
                    *low = low.min(value);
                    *high = high.max(value);
                }
            }
            ranges
        });
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The data with their features scaled.
    ///
    /// # Errors
    /// [`DataError::Request`] for other modalities than those it was fitted to.
    pub fn apply(&self, mut data: MultimodalData) -> Result<MultimodalData, DataError> {
        let widths = data.modalities().iter().map(|modality| modality.width);
        if !widths.eq(self.ranges.iter().map(Vec::len)) {
            return Err(request(
                "the features to scale are not those the scale was fitted to",
            ));
        }
        data.map_features(|modality, feature, value| {
            let (low, high) = self.ranges[modality][feature];
            let range = f64::from(high) - f64::from(low);
            if range > 0.0 {
                ((f64::from(value) - f64::from(low)) / (range + 1e-10)) as f32
            } else {
                0.0
            }
        });
        Ok(data)
    }
}
