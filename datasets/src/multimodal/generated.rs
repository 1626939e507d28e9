use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::data::request;
use super::{Modality, MultimodalData, MultimodalSplit, Targets};
use crate::DataError;

/// How correlated modalities are made.
///
/// A sample of class $k$ has the hidden vector $s = a\, e_k + b\, \xi$ with the unit vector $e_k$
/// and standard normal $\xi$ of `latent` numbers. Modality $i$ sees it through a fixed random matrix,
/// $x_i = A_i s + \sigma_i \varepsilon$, where the entries of $A_i$ are normal with variance
/// 1 / `latent` and $\varepsilon$ is standard normal. So modalities are correlated within a class,
/// through $\xi$. A view may be corrupted (noise of the features' own size and no $A_i s$) or
/// missing.
///
/// Classes are balanced exactly: sample $j$ of a part, before shuffling, has class $j$ modulo
/// `classes`. Training and test part share the matrices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratedViews {
    /// Samples of the training part, at least 1.
    pub train: usize,
    /// Samples of the test part, at least 1.
    pub test: usize,
    /// Classes, at least 2.
    pub classes: usize,
    /// Numbers in the hidden vector, at least as many as classes.
    pub latent: usize,
    /// Features of each modality; as many modalities as numbers.
    pub widths: Vec<usize>,
    /// $a$: the distance of a class from the origin.
    pub signal: f64,
    /// $b$: the spread within a class, at least 0.
    pub spread: f64,
    /// $\sigma_i$: the noise of each modality, at least 0; one number for all, or one each.
    pub noise: Vec<f64>,
    /// The probability that a view is corrupted, in [0, 1].
    pub corrupted: f64,
    /// The probability that a view is missing, in [0, 1). A sample keeps one view at least.
    pub missing: f64,
}

impl Default for GeneratedViews {
    fn default() -> Self {
        Self {
            train: 120,
            test: 60,
            classes: 3,
            latent: 6,
            widths: vec![12, 10, 8],
            signal: 3.0,
            spread: 1.0,
            noise: vec![0.5],
            corrupted: 0.1,
            missing: 0.0,
        }
    }
}

impl GeneratedViews {
    /// The data, which depend on the options and `seed` alone.
    ///
    /// # Errors
    /// [`DataError::Request`] when an option is out of its range.
    pub fn generate(&self, seed: u64) -> Result<MultimodalSplit, DataError> {
        self.validate()?;
        let mut rng = StdRng::seed_from_u64(seed);
        let scale = (1.0 / self.latent as f64).sqrt();
        let matrices: Vec<Vec<f64>> = self
            .widths
            .iter()
            .map(|width| {
                let entries = 0..width * self.latent;
                entries.map(|_| scale * normal(&mut rng)).collect()
            })
            .collect();
        Ok(MultimodalSplit {
            train: self.part(self.train, &matrices, &mut rng)?,
            validation: None,
            test: self.part(self.test, &matrices, &mut rng)?,
        })
    }

    fn part(
        &self,
        samples: usize,
        matrices: &[Vec<f64>],
        rng: &mut StdRng,
    ) -> Result<MultimodalData, DataError> {
        let mut classes: Vec<u32> = (0..samples).map(|j| (j % self.classes) as u32).collect();
        classes.shuffle(rng);
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); self.widths.len()];
        let mut present = Vec::with_capacity(samples * self.widths.len());
        for &class in &classes {
            let hidden: Vec<f64> = (0..self.latent)
                .map(|place| {
                    let centre = if place == class as usize {
                        self.signal
                    } else {
                        0.0
                    };
                    centre + self.spread * normal(rng)
                })
                .collect();
            for (modality, matrix) in matrices.iter().enumerate() {
                let view = self.view(modality, matrix, &hidden, rng);
                values[modality].extend(view);
            }
            present.extend(self.presence(rng));
        }
        let names = self.widths.iter().enumerate();
        let modalities = names.map(|(index, &width)| Modality::vector(format!("{index}"), width));
        let targets = Targets::Classes {
            classes: self.classes,
            of_sample: classes,
        };
        MultimodalData::new(modalities.collect(), values, targets)?.with_present(present)
    }

    fn view(&self, modality: usize, matrix: &[f64], hidden: &[f64], rng: &mut StdRng) -> Vec<f32> {
        let noise = self.noise[modality % self.noise.len()];
        let corrupted = rng.random_bool(self.corrupted);
        // The variance of a clean feature, over samples and matrices.
        let own = self.signal.powi(2) / self.latent as f64 + self.spread.powi(2) + noise.powi(2);
        let rows = matrix.chunks(self.latent);
        let value = |row: &[f64]| {
            let clean: f64 = row.iter().zip(hidden).map(|(a, s)| a * s).sum();
            let draw = normal(rng);
            let value = if corrupted {
                own.sqrt() * draw
            } else {
                clean + noise * draw
            };
            value as f32
        };
        rows.map(value).collect()
    }

    /// Which views of a sample are there.
    fn presence(&self, rng: &mut StdRng) -> Vec<bool> {
        let count = self.widths.len();
        let mut there: Vec<bool> = (0..count).map(|_| !rng.random_bool(self.missing)).collect();
        let kept = rng.random_range(0..count);
        if !there.contains(&true) {
            there[kept] = true;
        }
        there
    }

    fn validate(&self) -> Result<(), DataError> {
        let size = |value: f64| value >= 0.0 && value.is_finite();
        let valid = self.train >= 1
            && self.test >= 1
            && self.classes >= 2
            && self.latent >= self.classes
            && !self.widths.is_empty()
            && self.widths.iter().all(|&width| width >= 1)
            && self.signal.is_finite()
            && size(self.spread)
            && (self.noise.len() == 1 || self.noise.len() == self.widths.len())
            && self.noise.iter().all(|&noise| size(noise))
            && (0.0..=1.0).contains(&self.corrupted)
            && (0.0..1.0).contains(&self.missing);
        if valid {
            return Ok(());
        }
        Err(request(format!(
            "these modalities cannot be made: at least 1 sample a part, 2 classes, as many hidden numbers as classes, 1 modality with 1 feature, sizes of at least 0, one noise or one for each modality, and probabilities (missing: below 1) are needed, but got {self:?}"
        )))
    }
}

/// A standard normal number, by Box and Muller.
fn normal(rng: &mut StdRng) -> f64 {
    // 1 - u is above 0.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}
