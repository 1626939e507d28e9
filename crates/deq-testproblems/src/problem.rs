use std::fmt;

use burn::tensor::Tensor;

/// A map with what is known about it. States are matrices of samples by features.
pub struct MapProblem {
    /// The problem's name and parameters.
    pub name: String,
    /// The standard start.
    pub start: Tensor<2>,
    /// The fixed point, as far as the tensor's type can hold it.
    pub solution: Option<Tensor<2>>,
    /// A global Lipschitz constant of each sample's map in the Euclidean norm. Below 1 the map
    /// contracts, and its fixed point is unique.
    pub rho: Option<f64>,
    map: Box<dyn Fn(Tensor<2>) -> Tensor<2> + Send + Sync>,
}

impl MapProblem {
    /// A problem of which only the map and the start are known.
    pub fn new(
        name: impl Into<String>,
        start: Tensor<2>,
        map: impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            start,
            solution: None,
            rho: None,
            map: Box::new(map),
        }
    }

    /// $f(z)$ for a state of the start's shape.
    pub fn evaluate(&self, z: Tensor<2>) -> Tensor<2> {
        (self.map)(z)
    }

    pub(crate) fn with_solution(mut self, solution: Tensor<2>) -> Self {
        self.solution = Some(solution);
        self
    }

    pub(crate) fn with_rho(mut self, rho: f64) -> Self {
        self.rho = Some(rho);
        self
    }
}

impl fmt::Debug for MapProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapProblem")
            .field("name", &self.name)
            .field("rho", &self.rho)
            .finish_non_exhaustive()
    }
}
