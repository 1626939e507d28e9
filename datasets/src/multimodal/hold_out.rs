use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::data::request;
use super::{MultimodalData, Targets};
use crate::DataError;

impl MultimodalData {
    /// Cuts the samples in two: those to fit, and a share of about `fraction` to select models by.
    ///
    /// With classes the cut is stratified: of each class, this fraction of its samples, rounded to
    /// the nearest number and at least 1. Otherwise it is drawn from all samples. Both parts keep
    /// the order of the samples. The draw depends on `seed` alone.
    ///
    /// # Errors
    /// [`DataError::Request`] for a fraction outside (0, 1), and when a class (or the whole) is
    /// too small to be in both parts.
    pub fn hold_out(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(request(format!(
                "the fraction to hold out is {fraction}, but must be above 0 and below 1"
            )));
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let mut held = vec![false; self.samples()];
        for (name, mut members) in self.groups() {
            if members.is_empty() {
                continue;
            }
            let count = ((members.len() as f64 * fraction).round() as usize).max(1);
            if count >= members.len() {
                return Err(request(format!(
                    "{name} has {} sample(s), too few to hold out {fraction} of them",
                    members.len()
                )));
            }
            members.shuffle(&mut rng);
            for index in members.into_iter().take(count) {
                held[index] = true;
            }
        }
        let part = |wanted: bool| -> Vec<usize> {
            let all = held.iter().enumerate();
            all.filter(|(_, held)| **held == wanted)
                .map(|(index, _)| index)
                .collect()
        };
        Ok((self.subset(&part(false))?, self.subset(&part(true))?))
    }

    /// The samples that are cut alike.
    fn groups(&self) -> Vec<(String, Vec<usize>)> {
        let Targets::Classes { classes, of_sample } = self.targets() else {
            return vec![("the data".to_owned(), (0..self.samples()).collect())];
        };
        let members = |class: usize| {
            let all = of_sample.iter().enumerate();
            all.filter(|(_, of)| **of as usize == class)
                .map(|(index, _)| index)
                .collect()
        };
        (0..*classes)
            .map(|class| (format!("class {class}"), members(class)))
            .collect()
    }
}
