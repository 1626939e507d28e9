use super::{Point, Ufm, UfmLoss};
use crate::etf::simplex_basis;
use crate::matrix::norm;
use crate::symmetric::eigen;
use crate::{CollapseError, Matrix};

/// A global minimum in closed form.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimiser {
    /// One of the minimisers: all others are $(W Q, Q^\top H)$ with $Q$ orthogonal, `[d, d]`.
    pub point: Point,
    /// $F$ there.
    pub value: f64,
    /// $a$ or $s$ where the minimum has a single factor; `None` for imbalanced classes.
    pub factor: Option<f64>,
}

/// A singular value of $W H$ with its vectors; the right one in classes, scaled by
/// $\sqrt{n_k}$ for each.
struct Part {
    value: f64,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Part {
    fn same(value: f64, vector: Vec<f64>) -> Self {
        Self {
            value,
            right: vector.clone(),
            left: vector,
        }
    }
}

impl Ufm {
    /// The global minimum. With $\mu = \sqrt{\lambda_W \lambda_H}$ and $x_+ = \max(0, x)$:
    ///
    /// - Cross-entropy, balanced, $d \ge K - 1$, with or without bias: with
    ///   $t = (K-1) \sqrt n\, \mu$,
    ///   $$W H = a \bigl(I - \tfrac1K 1 1^\top\bigr) \otimes 1_n^\top, \qquad
    ///   a = \Bigl(\ln \frac{(K-1)(1-t)}{t}\Bigr)_+, \qquad b = 0.$$
    ///   ($a = 0$ from $K \sqrt n\, \mu = 1$ on.)
    /// - Squared error without bias, any $n_k$ and $d$:
    ///   $$W H = S\, Y, \qquad S = \mathrm{diag}\bigl(1 - N \mu / \sqrt{n_k}\bigr)_+,$$
    ///   of which the $\min(d, K)$ largest classes are kept; for balanced classes the factor is
    ///   $s = (1 - K \sqrt n\, \mu)_+$.
    /// - Squared error with a bias that is not decayed, any $n_k$ and $d$: the same shrinkage by
    ///   $N \mu$ of the singular values of $Y (I - 11^\top/N)$, and $b = n_k / N$.
    /// - Squared error with $\lambda_b > 0$, balanced, $d \ge K$: with
    ///   $\theta = \lambda_b / (1 + \lambda_b)$ and $s' = (1 - K \sqrt n\, \mu / \theta)_+$,
    ///   $$W H = \bigl(s (I - \tfrac1K 1 1^\top) + s' \tfrac1K 1 1^\top\bigr) \otimes 1_n^\top,
    ///   \qquad b = \frac{1 - s'}{K (1 + \lambda_b)}.$$
    ///
    /// $W$ and $H$ are the balanced factors, $\lambda_W W^\top W = \lambda_H H H^\top$. The first
    /// two forms are those of the project's notes on arXiv 2407.10702 and of the fixtures; the
    /// others follow in the same way, from soft thresholding of singular values.
    ///
    /// # Errors
    /// [`CollapseError::NoClosedForm`] for every other case; [`Ufm::certificate`] knows a global
    /// minimum all the same.
    pub fn minimiser(&self) -> Result<Minimiser, CollapseError> {
        let none = |what| Err(CollapseError::NoClosedForm(what));
        let balanced = self.per_class();
        let (classes, features) = (self.classes(), self.features());
        match (self.config.loss, self.config.lambda_b) {
            (UfmLoss::CrossEntropy, _) => match balanced {
                None => none("cross-entropy with imbalanced classes"),
                Some(_) if features + 1 < classes => {
                    none("cross-entropy with fewer than K - 1 features")
                }
                Some(per_class) => Ok(self.cross_entropy(per_class)),
            },
            (UfmLoss::Mse, None) => Ok(self.squared_error()),
            (UfmLoss::Mse, Some(0.0)) => Ok(self.squared_error_with_free_bias()),
            (UfmLoss::Mse, Some(decay)) => match balanced {
                None => none("the squared error with imbalanced classes and lambda_b above 0"),
                Some(_) if features < classes => {
                    none("the squared error with lambda_b above 0 and fewer than K features")
                }
                Some(per_class) => Ok(self.squared_error_with_bias(per_class, decay)),
            },
        }
    }

    fn cross_entropy(&self, per_class: usize) -> Minimiser {
        let classes = self.classes() as f64;
        let root = (per_class as f64).sqrt();
        let t = (classes - 1.0) * root * self.mu();
        let factor = if t < (classes - 1.0) / classes {
            ((classes - 1.0) * (1.0 - t) / t).ln()
        } else {
            0.0
        };
        let parts = self.contrasts(factor * root);
        let bias = vec![0.0; self.classes()];
        self.assemble(parts, bias, Some(factor))
    }

    fn squared_error(&self) -> Minimiser {
        let shrink = self.samples() as f64 * self.mu();
        let mut order: Vec<usize> = (0..self.classes()).collect();
        // Stable: equal classes keep their order.
        order.sort_by_key(|&class| std::cmp::Reverse(self.config.counts[class]));
        let part = |class: usize| {
            let value = (self.config.counts[class] as f64).sqrt() - shrink;
            let mut axis = vec![0.0; self.classes()];
            axis[class] = 1.0;
            Part::same(value.max(0.0), axis)
        };
        let parts = order.into_iter().map(part).collect();
        let factor = self.per_class().map(|n| self.shrunk(n, 1.0));
        self.assemble(parts, Vec::new(), factor)
    }

    fn squared_error_with_free_bias(&self) -> Minimiser {
        let samples = self.samples() as f64;
        let shares: Vec<f64> = self
            .config
            .counts
            .iter()
            .map(|&n| n as f64 / samples)
            .collect();
        let counts = &self.config.counts;
        // Y (I - 11ᵀ/N) in classes, each column times the root of its count.
        let classes = self.classes();
        let target = Matrix::from_fn(classes, classes, |i, j| {
            let own = if i == j { 1.0 } else { 0.0 };
            (own - shares[i]) * (counts[j] as f64).sqrt()
        });
        let found = eigen(&target.matmul_transposed(&target));
        let shrink = samples * self.mu();
        let mut parts = Vec::new();
        for (index, square) in found.values.iter().enumerate() {
            let value = square.max(0.0).sqrt() - shrink;
            if value > 0.0 {
                let left = found.vectors.row(index).to_vec();
                let row = Matrix::from_fn(1, classes, |_, j| left[j]).matmul(&target);
                let length = row.norm();
                parts.push(Part {
                    value,
                    left,
                    right: row.scaled(1.0 / length).into_values(),
                });
            }
        }
        let factor = self.per_class().map(|n| self.shrunk(n, 1.0));
        self.assemble(parts, shares, factor)
    }

    fn squared_error_with_bias(&self, per_class: usize, decay: f64) -> Minimiser {
        let classes = self.classes() as f64;
        let root = (per_class as f64).sqrt();
        let factor = self.shrunk(per_class, 1.0);
        let common = self.shrunk(per_class, decay / (1.0 + decay));
        let mut parts = self.contrasts(factor * root);
        let mean = vec![1.0 / classes.sqrt(); self.classes()];
        parts.push(Part::same(common * root, mean));
        let bias = (1.0 - common) / (classes * (1.0 + decay));
        self.assemble(parts, vec![bias; self.classes()], Some(factor))
    }

    /// $(1 - K \sqrt n\, \mu / \theta)_+$.
    fn shrunk(&self, per_class: usize, theta: f64) -> f64 {
        let root = (per_class as f64).sqrt();
        (1.0 - self.classes() as f64 * root * self.mu() / theta).max(0.0)
    }

    /// The singular value `value` along all directions that sum to zero.
    fn contrasts(&self, value: f64) -> Vec<Part> {
        let basis = simplex_basis(self.classes());
        let rows = 0..basis.rows();
        rows.map(|row| Part::same(value, basis.row(row).to_vec()))
            .collect()
    }

    /// The balanced factors of the `d` first parts, and the bias where the model has one.
    fn assemble(&self, parts: Vec<Part>, bias: Vec<f64>, factor: Option<f64>) -> Minimiser {
        let mut point = Point::zeros(self);
        let ratio = (self.config.lambda_h / self.config.lambda_w).powf(0.25);
        for (axis, part) in parts.iter().take(self.features()).enumerate() {
            debug_assert!((norm(&part.left) - 1.0).abs() < 1e-9);
            let root = part.value.sqrt();
            for (class, left) in part.left.iter().enumerate() {
                point.weight[(class, axis)] = ratio * root * left;
            }
            for (sample, &class) in self.labels.iter().enumerate() {
                let scale = (self.config.counts[class] as f64).sqrt();
                point.features[(axis, sample)] = root / ratio * part.right[class] / scale;
            }
        }
        if self.has_bias() {
            point.bias = bias;
        }
        Minimiser {
            value: self.value_at(&point),
            point,
            factor,
        }
    }
}
