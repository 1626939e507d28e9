use burn::tensor::Tensor;

use crate::linear::dense;

/// An approximation $B$ of the inverse Jacobian of $g(z) = f(z) - z$, one for each sample, as a
/// multiple of the identity and a sum of rank-one terms:
///
/// $$B = s I + \sum_{i=1}^{k} u_i v_i^\top.$$
///
/// Broyden's method and Anderson acceleration build one on their way; a solve hands it on as
/// [`Solution::inverse_jacobian`](crate::Solution::inverse_jacobian). All products cost
/// $O(k n)$ per sample. Arguments and results are matrices of samples by features.
#[derive(Clone, Debug)]
pub struct InverseJacobian {
    scale: f64,
    /// `[samples, terms, features]` each.
    factors: Option<(Tensor<3>, Tensor<3>)>,
}

impl InverseJacobian {
    /// $s I + \sum_i u_i v_i^\top$ from factors of shape `[samples, terms, features]`.
    pub fn new(scale: f64, factors: Option<(Tensor<3>, Tensor<3>)>) -> Self {
        Self { scale, factors }
    }

    /// $s$.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The $u_i$ and $v_i$, `[samples, terms, features]` each; `None` without a term.
    pub fn factors(&self) -> Option<(&Tensor<3>, &Tensor<3>)> {
        self.factors.as_ref().map(|(us, vs)| (us, vs))
    }

    /// $B x$.
    pub fn apply(&self, x: &Tensor<2>) -> Tensor<2> {
        let scaled = x.clone() * self.scale;
        match &self.factors {
            Some((us, vs)) => scaled + low_rank(us, vs, x),
            None => scaled,
        }
    }

    /// $B^\top x$.
    pub fn apply_transposed(&self, x: &Tensor<2>) -> Tensor<2> {
        self.transposed().apply(x)
    }

    /// $B^{-1} x$: the Jacobian's own product, by the Sherman–Morrison–Woodbury formula.
    pub fn solve(&self, x: &Tensor<2>) -> Tensor<2> {
        let inverse = 1.0 / self.scale;
        let Some((us, vs)) = &self.factors else {
            return x.clone() * inverse;
        };
        // B⁻¹ = (I - U (s I + VᵀU)⁻¹ Vᵀ) / s
        let [_, terms, _] = us.dims();
        let identity = dense::identity(terms, us) * self.scale;
        let capacitance = vs.clone().matmul(us.clone().swap_dims(1, 2)) + identity;
        let weights = dense::solve(capacitance, products(vs, x));
        (x.clone() - combine(us, weights)) * inverse
    }

    /// $B^{-\top} x$.
    pub fn solve_transposed(&self, x: &Tensor<2>) -> Tensor<2> {
        self.transposed().solve(x)
    }

    fn transposed(&self) -> Self {
        let swapped = self.factors.clone().map(|(us, vs)| (vs, us));
        Self::new(self.scale, swapped)
    }
}

/// $\sum_i a_i (b_i^\top x)$ for each sample.
fn low_rank(a: &Tensor<3>, b: &Tensor<3>, x: &Tensor<2>) -> Tensor<2> {
    combine(a, products(b, x))
}

/// $b_i^\top x$ for each sample and row: `[samples, rows, 1]`.
pub(crate) fn products(rows: &Tensor<3>, x: &Tensor<2>) -> Tensor<3> {
    let [batch, features] = x.dims();
    rows.clone().matmul(x.clone().reshape([batch, features, 1]))
}

/// $\sum_i w_i a_i$ for each sample, from weights `[samples, rows, 1]`.
pub(crate) fn combine(rows: &Tensor<3>, weights: Tensor<3>) -> Tensor<2> {
    let [batch, _, features] = rows.dims();
    weights
        .swap_dims(1, 2)
        .matmul(rows.clone())
        .reshape([batch, features])
}
