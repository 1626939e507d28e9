use burn::tensor::{DType, Device, Tensor};

use crate::dense;

/// A system of $n$ equations in $n$ unknowns, $g(x) = 0$, computed in `f64` on the host.
///
/// Solvers of fixed points see it as $f(x) = x - g(x)$, whose fixed points are the roots of $g$.
/// That map contracts for few of the problems.
///
/// ```
/// use deq_testproblems::systems;
///
/// let problem = systems::boggs();
/// assert_eq!(problem.residual(&[1.0, 0.0]), [2.0, 0.0]);
/// assert!(problem.residual_norm_max(&[0.0, 1.0]) < 1e-15);
/// ```
#[derive(Clone, Debug)]
pub struct RootProblem {
    name: &'static str,
    start: Vec<f64>,
    solution: Option<Vec<f64>>,
    residual: fn(&[f64]) -> Vec<f64>,
}

impl RootProblem {
    /// A problem from its parts; the start gives the dimension.
    ///
    /// # Panics
    /// When the start is empty.
    pub fn new(
        name: &'static str,
        start: Vec<f64>,
        solution: Option<Vec<f64>>,
        residual: fn(&[f64]) -> Vec<f64>,
    ) -> Self {
        assert!(!start.is_empty(), "a problem has at least one unknown");
        Self {
            name,
            start,
            solution,
            residual,
        }
    }

    /// The same system from another start.
    pub(crate) fn with_start(mut self, start: Vec<f64>) -> Self {
        self.start = start;
        self
    }

    /// The problem's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// $n$.
    pub fn dimension(&self) -> usize {
        self.start.len()
    }

    /// The standard start.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// A root, to as many digits as its source gives. The problem's documentation names others.
    pub fn solution(&self) -> Option<&[f64]> {
        self.solution.as_deref()
    }

    /// $g(x)$. NaN and infinities pass through.
    ///
    /// # Panics
    /// May panic when `point` is shorter than the dimension.
    pub fn residual(&self, point: &[f64]) -> Vec<f64> {
        (self.residual)(point)
    }

    /// $\lVert g(x) \rVert_\infty$; NaN when any component is.
    ///
    /// # Panics
    /// As [`RootProblem::residual`].
    pub fn residual_norm_max(&self, point: &[f64]) -> f64 {
        let mut largest = 0.0_f64;
        for component in self.residual(point) {
            // `f64::max` would drop NaN.
            if !(component.abs() <= largest) && !largest.is_nan() {
                largest = component.abs();
            }
        }
        largest
    }

    /// The start as a batch of one sample, `[1, n]`.
    pub fn start_tensor(&self, device: &Device, dtype: DType) -> Tensor<2> {
        dense::tensor(&self.start, [1, self.dimension()], device, dtype)
    }

    /// $f(x) = x - g(x)$ for every row of a matrix.
    ///
    /// The rows are read to the host, mapped in `f64` and rounded to the matrix's type. NaN stays
    /// in its row.
    ///
    /// # Panics
    /// The map does, when the matrix does not have one column an unknown.
    pub fn fixed_point_map(&self) -> impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + use<> {
        let (residual, dimension) = (self.residual, self.dimension());
        move |z: Tensor<2>| {
            let shape = z.dims();
            assert_eq!(shape[1], dimension, "one column an unknown");
            let mut image = dense::values(&z);
            for row in image.chunks_mut(dimension) {
                let residual = residual(row);
                for (value, component) in row.iter_mut().zip(residual) {
                    *value -= component;
                }
            }
            dense::tensor(&image, shape, &z.device(), z.dtype())
        }
    }
}
