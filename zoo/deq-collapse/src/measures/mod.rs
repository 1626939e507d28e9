//! The measures of neural collapse.

mod moments;
mod statistics;

use serde::{Deserialize, Serialize};

use crate::error::{fits, require};
use crate::etf::{require_classes, target};
use crate::matrix::{dot, norm};
use crate::{CollapseError, Matrix};

pub use moments::Moments;
pub use statistics::{Center, ClassStatistics};

/// A linear classifier on the host: logits $W h + b$.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinearHead {
    weight: Matrix,
    bias: Vec<f64>,
}

/// How far features and classifier have collapsed; 0 is all of the way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Variability within classes, $\mathrm{tr}(\Sigma_W \Sigma_B^+) / K$.
    pub nc1: f64,
    /// The classifier's distance from a simplex,
    /// $\lVert W W^\top / \lVert W W^\top \rVert_F - (I - 11^\top/K)/\sqrt{K-1} \rVert_F$.
    pub nc2: f64,
    /// The distance of classifier and class means from being aligned, the same with
    /// $W M$ for $W W^\top$ and the centred class means as the columns of $M$.
    pub nc3: f64,
    /// $\lVert W \mu_G + b \rVert$: what the classifier makes of the global mean.
    pub bias: f64,
    /// The coefficient of variation of the lengths of the classifier's rows.
    pub equinorm_weight: f64,
    /// The coefficient of variation of the lengths of the centred class means.
    pub equinorm_means: f64,
}

impl LinearHead {
    /// A classifier with weight `[classes, features]` and one bias a class.
    ///
    /// # Errors
    /// [`CollapseError`] for fewer than two classes, no feature, or another number of biases.
    pub fn new(weight: Matrix, bias: Vec<f64>) -> Result<Self, CollapseError> {
        require_classes(weight.rows())?;
        let features = weight.columns();
        require(features >= 1, "features", features, "at least 1")?;
        fits("biases for the classes", weight.rows(), bias.len())?;
        Ok(Self { weight, bias })
    }

    /// A classifier whose parts are known to fit.
    pub(crate) fn from_parts(weight: Matrix, bias: Vec<f64>) -> Self {
        Self { weight, bias }
    }

    /// The weight, `[classes, features]`.
    pub fn weight(&self) -> &Matrix {
        &self.weight
    }

    /// The biases.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// The logits of a sample.
    ///
    /// # Panics
    /// With another number of features.
    pub fn logits(&self, features: &[f64]) -> Vec<f64> {
        assert_eq!(
            features.len(),
            self.weight.columns(),
            "features of a sample"
        );
        let rows = (0..self.weight.rows()).zip(&self.bias);
        rows.map(|(class, bias)| dot(self.weight.row(class), features) + bias)
            .collect()
    }

    /// The class of the largest logit; the first of equally large ones.
    ///
    /// # Panics
    /// With another number of features.
    pub fn predict(&self, features: &[f64]) -> usize {
        let logits = self.logits(features);
        let larger = |best: usize, class: usize| {
            if logits[class] > logits[best] {
                class
            } else {
                best
            }
        };
        (1..logits.len()).fold(0, larger)
    }
}

/// The measures of collapse, as in the companion code of Zhu et al., *A Geometric Analysis of
/// Neural Collapse with Unconstrained Features*, NeurIPS 2021 (tding1/Neural-Collapse,
/// `validate_NC.py`). A classifier or class means of zeros make NaN of what is divided by their
/// length.
///
/// # Errors
/// [`CollapseError::Mismatch`] when classifier and statistics differ in classes or features.
pub fn measures(
    statistics: &ClassStatistics,
    head: &LinearHead,
    center: Center,
) -> Result<Measures, CollapseError> {
    let means = statistics.means();
    fits(
        "classes of the classifier",
        means.rows(),
        head.weight.rows(),
    )?;
    let features = head.weight.columns();
    fits("features of the classifier", means.columns(), features)?;
    let weight = &head.weight;
    let logits = head.logits(&statistics.center(center));
    Ok(Measures {
        nc1: statistics.nc1(center),
        nc2: from_simplex(weight.matmul_transposed(weight)),
        nc3: from_simplex(weight.matmul_transposed(&statistics.centred(center))),
        bias: norm(&logits),
        equinorm_weight: variation(weight),
        equinorm_means: statistics.equinorm_means(),
    })
}

/// The distance of a matrix of length 1 from a simplex's Gram matrix of length 1.
fn from_simplex(matrix: Matrix) -> f64 {
    let length = matrix.norm();
    let target = target(matrix.rows());
    let mut difference = matrix.scaled(1.0 / length);
    difference.add(-1.0, &target);
    difference.norm()
}

/// The coefficient of variation of the rows' lengths.
fn variation(matrix: &Matrix) -> f64 {
    let count = matrix.rows() as f64;
    let lengths: Vec<f64> = (0..matrix.rows()).map(|i| norm(matrix.row(i))).collect();
    let mean = lengths.iter().sum::<f64>() / count;
    let squares: f64 = lengths.iter().map(|length| (length - mean).powi(2)).sum();
    (squares / count).sqrt() / mean
}
