use burn::tensor::Tensor;

use crate::error::{check_labels, fits, require};
use crate::etf::require_classes;
use crate::{ClassStatistics, CollapseError, Matrix};

/// Class means and the scatter around them, accumulated in one pass over the features.
///
/// Each sample $h$ of class $k$ moves (Welford, Technometrics 4, 1962; the pooled scatter of
/// several classes is the sum of theirs)
///
/// $$\delta = h - \mu_k, \qquad \mu_k \leftarrow \mu_k + \tfrac{\delta}{n_k}, \qquad
///   S \leftarrow S + \tfrac{n_k - 1}{n_k} \delta \delta^\top,$$
///
/// in `f64`, without the cancellation that sums of squares suffer where features have collapsed.
/// Memory: $K d + d^2$ numbers, whatever the number of samples. Cost: $d^2$ a sample.
#[derive(Clone, Debug)]
pub struct Moments {
    counts: Vec<usize>,
    means: Matrix,
    /// $S$, its upper triangle.
    scatter: Matrix,
}

impl Moments {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for fewer than two classes, or no feature.
    pub fn new(classes: usize, features: usize) -> Result<Self, CollapseError> {
        require_classes(classes)?;
        require(features >= 1, "features", features, "at least 1")?;
        Ok(Self {
            counts: vec![0; classes],
            means: Matrix::zeros(classes, features),
            scatter: Matrix::zeros(features, features),
        })
    }

    /// Adds one sample.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for another number of features, [`CollapseError::Label`].
    pub fn add(&mut self, features: &[f64], label: usize) -> Result<(), CollapseError> {
        fits("features a sample", self.means.columns(), features.len())?;
        check_labels(&[label], self.counts.len())?;
        self.absorb(features, label);
        Ok(())
    }

    /// Adds a batch, features `[samples, features]` on any device. Nothing is added if it does not
    /// fit.
    ///
    /// # Errors
    /// As [`Moments::add`], and [`CollapseError::Mismatch`] for another number of labels.
    pub fn add_batch(
        &mut self,
        features: Tensor<2>,
        labels: &[usize],
    ) -> Result<(), CollapseError> {
        let [samples, width] = features.dims();
        fits("features a sample", self.means.columns(), width)?;
        fits("labels for the samples", samples, labels.len())?;
        check_labels(labels, self.counts.len())?;
        let values: Vec<f64> = features.into_data().iter::<f64>().collect();
        for (row, &label) in values.chunks(width).zip(labels) {
            self.absorb(row, label);
        }
        Ok(())
    }

    fn absorb(&mut self, features: &[f64], label: usize) {
        self.counts[label] += 1;
        let count = self.counts[label] as f64;
        let mean = self.means.row_mut(label);
        let delta: Vec<f64> = features.iter().zip(&*mean).map(|(h, m)| h - m).collect();
        for (mean, delta) in mean.iter_mut().zip(&delta) {
            *mean += delta / count;
        }
        let weight = (count - 1.0) / count;
        for (i, &left) in delta.iter().enumerate() {
            let row = &mut self.scatter.row_mut(i)[i..];
            for (value, right) in row.iter_mut().zip(&delta[i..]) {
                *value += weight * left * right;
            }
        }
    }

    /// The statistics of what was seen so far.
    ///
    /// # Errors
    /// [`CollapseError::EmptyClass`] while a class has no sample.
    pub fn statistics(&self) -> Result<ClassStatistics, CollapseError> {
        let samples: usize = self.counts.iter().sum();
        if let Some(class) = self.counts.iter().position(|&count| count == 0) {
            return Err(CollapseError::EmptyClass { class, samples });
        }
        let width = self.means.columns();
        let within = Matrix::from_fn(width, width, |i, j| {
            self.scatter[(i.min(j), i.max(j))] / samples as f64
        });
        Ok(ClassStatistics::new(
            self.counts.clone(),
            self.means.clone(),
            within,
        ))
    }
}
