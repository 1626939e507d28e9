//! What the papers' pictures show, as plain arrays; drawing happens elsewhere.

use burn::tensor::Tensor;
use serde::Serialize;

use crate::error::{check_labels, fits, require};
use crate::etf::require_classes;
use crate::matrix::{dot, norm};
use crate::symmetric::eigen;
use crate::{Center, ClassStatistics, CollapseError, Matrix};

/// Some features of every class, in the order in which they came: at most so many a class, so that
/// memory does not grow with the data.
#[derive(Clone, Debug)]
pub struct FeatureSample {
    per_class: usize,
    features: usize,
    of_class: Vec<Vec<Vec<f64>>>,
}

/// Features as points of a plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanePicture {
    /// The points, `[samples, 2]`, sorted by class.
    pub points: Matrix,
    /// Each point's class.
    pub labels: Vec<usize>,
    /// The class means in the same plane, `[classes, 2]`.
    pub means: Matrix,
    /// The fraction of $\mathrm{tr}\, \Sigma_B$ that the plane shows.
    pub explained: f64,
}

/// A Gram matrix of features sorted by class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GramPicture {
    /// Cosines between features from which the global mean was taken, `[samples, samples]`.
    pub cosines: Matrix,
    /// The class of each row and column.
    pub labels: Vec<usize>,
}

impl FeatureSample {
    /// Keeps at most `per_class` features of each class.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for fewer than two classes, no feature, or `per_class` 0.
    pub fn new(classes: usize, features: usize, per_class: usize) -> Result<Self, CollapseError> {
        require_classes(classes)?;
        require(features >= 1, "features", features, "at least 1")?;
        require(per_class >= 1, "per_class", per_class, "at least 1")?;
        Ok(Self {
            per_class,
            features,
            of_class: vec![Vec::new(); classes],
        })
    }

    /// Keeps what is still wanted of a batch, features `[samples, features]`.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for other numbers of features or labels, and
    /// [`CollapseError::Label`].
    pub fn add_batch(
        &mut self,
        features: Tensor<2>,
        labels: &[usize],
    ) -> Result<(), CollapseError> {
        let [samples, width] = features.dims();
        fits("features a sample", self.features, width)?;
        fits("labels for the samples", samples, labels.len())?;
        check_labels(labels, self.of_class.len())?;
        let values: Vec<f64> = features.into_data().iter::<f64>().collect();
        for (row, &label) in values.chunks(width).zip(labels) {
            if self.of_class[label].len() < self.per_class {
                self.of_class[label].push(row.to_vec());
            }
        }
        Ok(())
    }

    /// The class of each feature kept, sorted.
    pub fn labels(&self) -> Vec<usize> {
        let classes = self.of_class.iter().enumerate();
        classes
            .flat_map(|(class, rows)| std::iter::repeat_n(class, rows.len()))
            .collect()
    }

    /// The features kept, `[samples, features]`, sorted by class.
    pub fn features(&self) -> Matrix {
        let rows: Vec<&[f64]> = self.rows().collect();
        Matrix::from_fn(rows.len(), self.features, |i, j| rows[i][j])
    }

    /// The Gram matrix $H H^\top$ of the features kept, from each of which the global mean was
    /// taken and which were scaled to length 1 (arXiv 2410.23391, Figure 2): blocks of 1 on the
    /// diagonal and $-1/(K-1)$ elsewhere where they have collapsed.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] when the statistics have other classes or features.
    pub fn gram(
        &self,
        statistics: &ClassStatistics,
        center: Center,
    ) -> Result<GramPicture, CollapseError> {
        let rows = self.centred(statistics, center)?;
        let lengths: Vec<f64> = rows.iter().map(|row| norm(row)).collect();
        Ok(GramPicture {
            cosines: Matrix::from_fn(rows.len(), rows.len(), |i, j| {
                dot(&rows[i], &rows[j]) / (lengths[i] * lengths[j])
            }),
            labels: self.labels(),
        })
    }

    /// The features kept, in the plane of the two leading directions of $\Sigma_B$. For three
    /// classes it holds all class means.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] when the statistics have other classes or features.
    pub fn plane(
        &self,
        statistics: &ClassStatistics,
        center: Center,
    ) -> Result<PlanePicture, CollapseError> {
        let rows = self.centred(statistics, center)?;
        let centred = statistics.centred(center);
        let found = eigen(&centred.matmul_transposed(&centred));
        // The directions of Σ_B are combinations of the centred means; one that has vanished shows
        // nothing.
        let axes = [0, 1].map(|index| {
            let weights = Matrix::from_fn(1, centred.rows(), |_, j| found.vectors[(index, j)]);
            let axis = weights.matmul(&centred);
            let least = f64::EPSILON * centred.rows() as f64 * found.values[0];
            let vanished = !(found.values[index] > least);
            let scale = if vanished { 0.0 } else { 1.0 / axis.norm() };
            axis.scaled(scale).into_values()
        });
        let total: f64 = found.values.iter().sum();
        Ok(PlanePicture {
            points: Matrix::from_fn(rows.len(), 2, |i, j| dot(&rows[i], &axes[j])),
            labels: self.labels(),
            means: Matrix::from_fn(centred.rows(), 2, |i, j| dot(centred.row(i), &axes[j])),
            explained: (found.values[0] + found.values[1]) / total,
        })
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.of_class.iter().flatten().map(Vec::as_slice)
    }

    /// The features kept, without the global mean.
    fn centred(
        &self,
        statistics: &ClassStatistics,
        center: Center,
    ) -> Result<Vec<Vec<f64>>, CollapseError> {
        let means = statistics.means();
        fits(
            "classes of the statistics",
            self.of_class.len(),
            means.rows(),
        )?;
        fits("features of the statistics", self.features, means.columns())?;
        let mean = statistics.center(center);
        let without_mean =
            |row: &[f64]| -> Vec<f64> { row.iter().zip(&mean).map(|(h, m)| h - m).collect() };
        Ok(self.rows().map(without_mean).collect())
    }
}
