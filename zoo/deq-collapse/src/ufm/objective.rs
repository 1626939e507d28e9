use super::{Point, Ufm, UfmLoss};
use crate::matrix::dot;
use crate::symmetric::eigen;
use crate::{CollapseError, Matrix};

impl Ufm {
    /// $F$ at a point.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for a point of another model.
    pub fn objective(&self, point: &Point) -> Result<f64, CollapseError> {
        point.check(self)?;
        Ok(self.value_at(point))
    }

    /// $\nabla F$: with $G$, `[K, N]`, the gradient of the mean loss with respect to the logits,
    ///
    /// $$\nabla_W = G H^\top + \lambda_W W, \qquad \nabla_H = W^\top G + \lambda_H H, \qquad
    ///   \nabla_b = G 1 + \lambda_b b.$$
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for a point of another model.
    pub fn gradient(&self, point: &Point) -> Result<Point, CollapseError> {
        point.check(self)?;
        Ok(self.gradient_at(point))
    }

    /// $\nabla^2 F$ times a direction $(V, D, c)$. With $E = V H + W D + c 1^\top$ and
    /// $G' = \tfrac1N \bigl(A_i e_i\bigr)_i$, where $A_i = \mathrm{diag}(p_i) - p_i p_i^\top$ for the
    /// softmax $p_i$ of the logits with cross-entropy, and $A_i = I$ with the squared error,
    ///
    /// $$G' H^\top + G D^\top + \lambda_W V, \qquad W^\top G' + V^\top G + \lambda_H D, \qquad
    ///   G' 1 + \lambda_b c.$$
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for a point or direction of another model.
    pub fn hessian_product(
        &self,
        point: &Point,
        direction: &Point,
    ) -> Result<Point, CollapseError> {
        point.check(self)?;
        direction.check(self)?;
        Ok(self.hessian_product_at(point, direction))
    }

    /// $\lVert G \rVert_2 / \mu$ with the gradient $G$ of the mean loss with respect to the logits.
    ///
    /// A critical point is a global minimum if this is at most 1, and only then, where $d$ does not
    /// bind: $F$ at its best factorisation of $Z = W H$ is the convex function
    /// $L(Z) + \mu \lVert Z \rVert_*$, whose optimality condition this is (Zhu et al., NeurIPS 2021,
    /// Lemma on the nuclear norm; Haeffele and Vidal, CVPR 2017). It needs no closed form.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for a point of another model.
    pub fn certificate(&self, point: &Point) -> Result<f64, CollapseError> {
        point.check(self)?;
        Ok(self.certificate_at(point))
    }

    pub(super) fn value_at(&self, point: &Point) -> f64 {
        let logits = point.logits();
        let samples = self.samples() as f64;
        let loss = match self.config.loss {
            UfmLoss::CrossEntropy => {
                // Columns are samples.
                let columns = logits.transpose();
                let terms = self.labels.iter().enumerate();
                terms
                    .map(|(i, &label)| log_sum_exp(columns.row(i)) - columns[(i, label)])
                    .sum::<f64>()
            }
            UfmLoss::Mse => {
                let mut difference = logits;
                for (i, &label) in self.labels.iter().enumerate() {
                    difference[(label, i)] -= 1.0;
                }
                0.5 * dot(difference.values(), difference.values())
            }
        };
        let half = |factor: f64, values: &[f64]| 0.5 * factor * dot(values, values);
        loss / samples
            + half(self.config.lambda_w, point.weight.values())
            + half(self.config.lambda_h, point.features.values())
            + half(self.config.lambda_b.unwrap_or(0.0), &point.bias)
    }

    pub(super) fn gradient_at(&self, point: &Point) -> Point {
        let slope = self.slope(&self.response(point));
        let mut weight = slope.matmul_transposed(&point.features);
        weight.add(self.config.lambda_w, &point.weight);
        let mut features = point.weight.transposed_matmul(&slope);
        features.add(self.config.lambda_h, &point.features);
        Point {
            weight,
            features,
            bias: self.bias_part(&slope, &point.bias),
        }
    }

    pub(super) fn hessian_product_at(&self, point: &Point, direction: &Point) -> Point {
        let response = self.response(point);
        let slope = self.slope(&response);
        let mut change = direction.weight.matmul(&point.features);
        change.add(1.0, &point.weight.matmul(&direction.features));
        for (class, bias) in direction.bias.iter().enumerate() {
            for value in change.row_mut(class) {
                *value += bias;
            }
        }
        if self.config.loss == UfmLoss::CrossEntropy {
            curve(&mut change, &response);
        }
        let change = change.scaled(1.0 / self.samples() as f64);

        let mut weight = change.matmul_transposed(&point.features);
        weight.add(1.0, &slope.matmul_transposed(&direction.features));
        weight.add(self.config.lambda_w, &direction.weight);
        let mut features = point.weight.transposed_matmul(&change);
        features.add(1.0, &direction.weight.transposed_matmul(&slope));
        features.add(self.config.lambda_h, &direction.features);
        Point {
            weight,
            features,
            bias: self.bias_part(&change, &direction.bias),
        }
    }

    pub(super) fn certificate_at(&self, point: &Point) -> f64 {
        self.slope_norm(point) / self.mu()
    }

    /// $\lVert G \rVert_2$.
    pub(super) fn slope_norm(&self, point: &Point) -> f64 {
        self.slope_squares(point)[0].max(0.0).sqrt()
    }

    /// The squares of the $K$ singular values of $G$, in falling order.
    pub(super) fn slope_squares(&self, point: &Point) -> Vec<f64> {
        let slope = self.slope(&self.response(point));
        eigen(&slope.matmul_transposed(&slope)).values
    }

    /// What the model answers, `[K, N]`: the softmax of the logits, or the logits themselves.
    fn response(&self, point: &Point) -> Matrix {
        let mut logits = point.logits();
        if self.config.loss == UfmLoss::CrossEntropy {
            softmax_columns(&mut logits);
        }
        logits
    }

    /// $G$: the gradient of the mean loss with respect to the logits.
    fn slope(&self, response: &Matrix) -> Matrix {
        let mut slope = response.clone();
        for (i, &label) in self.labels.iter().enumerate() {
            slope[(label, i)] -= 1.0;
        }
        slope.scaled(1.0 / self.samples() as f64)
    }

    fn bias_part(&self, change: &Matrix, bias: &[f64]) -> Vec<f64> {
        let lambda = self.config.lambda_b.unwrap_or(0.0);
        let sum = |class: usize| change.row(class).iter().sum::<f64>();
        let parts = bias.iter().enumerate();
        parts.map(|(class, b)| sum(class) + lambda * b).collect()
    }
}

/// Multiplies each column by $\mathrm{diag}(p) - p p^\top$ of its column of probabilities.
fn curve(change: &mut Matrix, probabilities: &Matrix) {
    let mut along = vec![0.0; change.columns()];
    for class in 0..change.rows() {
        let pairs = change.row(class).iter().zip(probabilities.row(class));
        for (sum, (value, p)) in along.iter_mut().zip(pairs) {
            *sum += value * p;
        }
    }
    for class in 0..change.rows() {
        let known = probabilities.row(class).iter().zip(&along);
        for (value, (p, along)) in change.row_mut(class).iter_mut().zip(known) {
            *value = p * (*value - along);
        }
    }
}

fn softmax_columns(logits: &mut Matrix) {
    for column in 0..logits.columns() {
        let values: Vec<f64> = (0..logits.rows()).map(|k| logits[(k, column)]).collect();
        let total = log_sum_exp(&values);
        for (class, value) in values.into_iter().enumerate() {
            logits[(class, column)] = (value - total).exp();
        }
    }
}

/// $\log \sum_k e^{u_k}$ without overflow.
fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    largest + sum.ln()
}
