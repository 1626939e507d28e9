use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{InvalidProblem, MapProblem, dense};

/// A monotone equilibrium layer $z = \operatorname{relu}(W z + b)$ with a known solution.
///
/// $$W = (1 - m) I - A^\top A + B - B^\top$$
///
/// with $A$ and $B$ normal of deviation `scale` $/ \sqrt{\text{dim}}$. Then $I - W$ has the
/// symmetric part $m I + A^\top A$, so that it is strongly monotone with the margin $m$, and the
/// solution is unique. $z^\star = \operatorname{relu}(y)$ with a standard normal $y$ and
/// $b = y - W z^\star$, one for every sample.
///
/// The plain iteration of the map converges only for small `scale`. Forward-backward splitting
/// converges for steps below $2 m / \lVert I - W \rVert_2^2$, Peaceman–Rachford for all.
///
/// Source: Winston and Kolter, Monotone operator equilibrium networks, NeurIPS 2020,
/// arXiv 2006.08591.
#[derive(Clone, Debug)]
pub struct Monotone {
    margin: f64,
    scale: f64,
    shape: [usize; 2],
    weight: Vec<f64>,
    bias: Vec<f64>,
    solution: Vec<f64>,
}

impl Monotone {
    /// A random layer; the same for the same arguments, on every device.
    ///
    /// # Errors
    /// [`InvalidProblem`] when `margin` is not a finite number above 0, `scale` is not one of at
    /// least 0, or `batch` or `dim` is 0.
    pub fn new(
        margin: f64,
        scale: f64,
        batch: usize,
        dim: usize,
        seed: u64,
    ) -> Result<Self, InvalidProblem> {
        InvalidProblem::require(
            margin > 0.0 && margin.is_finite(),
            "margin",
            margin,
            "a finite number above 0",
        )?;
        InvalidProblem::require_size("scale", scale)?;
        InvalidProblem::require_length("batch", batch)?;
        InvalidProblem::require_length("dim", dim)?;

        let mut rng = StdRng::seed_from_u64(seed);
        let deviation = scale / (dim as f64).sqrt();
        let mut random = || -> Vec<f64> {
            let numbers = dense::gaussian(dim * dim, &mut rng);
            numbers.iter().map(|number| number * deviation).collect()
        };
        let (a, b) = (random(), random());
        let gram = dense::product(&dense::transposed(&a, dim), &a, dim);
        let skew = dense::difference(&b, &dense::transposed(&b, dim));
        let mut weight = dense::difference(&skew, &gram);
        for diagonal in weight.iter_mut().step_by(dim + 1) {
            *diagonal += 1.0 - margin;
        }
        let inner = dense::gaussian(batch * dim, &mut rng);
        let solution: Vec<f64> = inner.iter().map(|y| y.max(0.0)).collect();
        let image = dense::product(&solution, &dense::transposed(&weight, dim), dim);
        Ok(Self {
            margin,
            scale,
            shape: [batch, dim],
            bias: dense::difference(&inner, &image),
            weight,
            solution,
        })
    }

    /// $m$.
    pub fn margin(&self) -> f64 {
        self.margin
    }

    /// $W$, row by row.
    pub fn matrix(&self) -> &[f64] {
        &self.weight
    }

    /// $\lVert I - W \rVert_2$ by the power method, from below; usually to more than 6 digits.
    pub fn operator_norm(&self) -> f64 {
        let dim = self.shape[1];
        let mut operator: Vec<f64> = self.weight.iter().map(|weight| -weight).collect();
        for diagonal in operator.iter_mut().step_by(dim + 1) {
            *diagonal += 1.0;
        }
        let transposed = dense::transposed(&operator, dim);
        let mut direction = dense::gaussian(dim, &mut StdRng::seed_from_u64(0));
        let mut norm = 0.0_f64;
        // The norms rise monotonically, and at 1000 steps they have long settled.
        for _ in 0..1000 {
            let length = dense::norm(&direction);
            for value in &mut direction {
                *value /= length;
            }
            let image = dense::product(&operator, &direction, dim);
            let next = dense::norm(&image);
            if next <= norm * (1.0 + 1e-14) {
                return norm.max(next);
            }
            norm = next;
            direction = dense::product(&transposed, &image, dim);
        }
        norm
    }

    /// $W$, `[dim, dim]`. A batch of rows is multiplied by its transpose.
    pub fn weight(&self, device: &Device, dtype: DType) -> Tensor<2> {
        let dim = self.shape[1];
        dense::tensor(&self.weight, [dim, dim], device, dtype)
    }

    /// $(I + \alpha (I - W))^{-1}$, `[dim, dim]`, the operator of Peaceman–Rachford splitting. A batch
    /// of rows is multiplied by its transpose.
    pub fn resolvent(&self, alpha: f64, device: &Device, dtype: DType) -> Tensor<2> {
        let dim = self.shape[1];
        let mut operator: Vec<f64> = self.weight.iter().map(|weight| -alpha * weight).collect();
        for diagonal in operator.iter_mut().step_by(dim + 1) {
            *diagonal += 1.0 + alpha;
        }
        dense::tensor(&dense::inverse(operator, dim), [dim, dim], device, dtype)
    }

    /// $b$, `[batch, dim]`.
    pub fn bias(&self, device: &Device, dtype: DType) -> Tensor<2> {
        dense::tensor(&self.bias, self.shape, device, dtype)
    }

    /// Zeros, `[batch, dim]`.
    pub fn start(&self, device: &Device, dtype: DType) -> Tensor<2> {
        Tensor::zeros(self.shape, (device, dtype))
    }

    /// $z^\star$, `[batch, dim]`.
    pub fn solution(&self, device: &Device, dtype: DType) -> Tensor<2> {
        dense::tensor(&self.solution, self.shape, device, dtype)
    }

    /// $z \mapsto \operatorname{relu}(z W^\top + b)$ for the whole batch.
    pub fn map(
        &self,
        device: &Device,
        dtype: DType,
    ) -> impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + use<> {
        let weight = self.weight(device, dtype).transpose();
        let bias = self.bias(device, dtype);
        move |z: Tensor<2>| relu(z.matmul(weight.clone()) + bias.clone())
    }

    /// The map with its start and its solution. Its Lipschitz constant is not stated: it may be
    /// above 1.
    pub fn problem(&self, device: &Device, dtype: DType) -> MapProblem {
        let name = format!(
            "monotone, margin {}, scale {}, dim {}",
            self.margin, self.scale, self.shape[1]
        );
        MapProblem::new(name, self.start(device, dtype), self.map(device, dtype))
            .with_solution(self.solution(device, dtype))
    }
}
