use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::driver::epsilon;
use crate::linear::krylov::gmres;
use crate::{Evaluation, Halt, LineSearch, Map, Next, SolveError, Solver};

/// Options of [`NewtonKrylov`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewtonKrylovConfig {
    /// The largest dimension of the Krylov space of a step, at least 1.
    pub dimensions: usize,
    /// How well each linear equation is solved.
    pub forcing: Forcing,
    /// Backtracks along each step; `None` takes full steps.
    pub line_search: Option<LineSearch>,
}

/// The forcing term $\eta$: how far GMRES reduces the linear residual of a Newton step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forcing {
    /// $\eta_k = 0.9\, (\lVert g_k \rVert / \lVert g_{k-1} \rVert)^2$ with its safeguards, from
    /// 0.1 on (Eisenstat and Walker, SIAM J. Sci. Comput. 17, 1996, choice 2): loose far from
    /// the solution, tight near it.
    #[default]
    EisenstatWalker,
    /// The same in (0, 1) at every step: linear convergence at this rate.
    Constant(f64),
}

impl Default for NewtonKrylovConfig {
    fn default() -> Self {
        Self {
            dimensions: 20,
            forcing: Forcing::default(),
            line_search: Some(LineSearch::default()),
        }
    }
}

impl NewtonKrylovConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        let dimensions = self.dimensions;
        SolveError::require(dimensions >= 1, "dimensions", dimensions, "at least 1")?;
        if let Forcing::Constant(eta) = self.forcing {
            let valid = eta > 0.0 && eta < 1.0;
            SolveError::require(valid, "forcing", eta, "above 0 and below 1")?;
        }
        self.line_search
            .as_ref()
            .map_or(Ok(()), LineSearch::validate)
    }
}

/// Newton's method on $g(z) = f(z) - z$ without a matrix (Knoll and Keyes, J. Comput. Phys. 193,
/// 2004): each step solves
///
/// $$(I - J) d = g(z_k), \qquad z_{k+1} = z_k + s d,$$
///
/// by GMRES to the accuracy that its [`Forcing`] asks for, with $s$ from a [`LineSearch`].
/// Products $J v$ come from [`DriveOptions::jvp`](crate::DriveOptions::jvp), or from differences
/// $(f(z + h v) - f(z)) / h$, which limit the accuracy of a product to the root of the machine
/// epsilon and no more than slow the last steps down.
///
/// - Cost: one evaluation per dimension of the Krylov space and per trial of the line search.
///   Memory: one state per dimension. A step here is a whole Newton step.
/// - Returns $z_k$ of the best step.
/// - Converges superlinearly near a regular solution, whatever the map's rate. GMRES stops short
///   of it where more dimensions are needed than it may have.
/// - Choose it where nothing else converges, or where high accuracy is worth its price.
#[derive(Clone, Debug)]
pub struct NewtonKrylov {
    config: NewtonKrylovConfig,
    /// Of the last step and each sample: its residual and its forcing term.
    last: Option<(Vec<f64>, Vec<f64>)>,
}

impl NewtonKrylov {
    /// A solver with these options.
    pub fn new(config: NewtonKrylovConfig) -> Self {
        Self { config, last: None }
    }

    /// The forcing term of each sample.
    fn forcing(&mut self, map: &Map<'_>) -> Vec<f64> {
        let residuals = map.residuals().to_vec();
        let chosen: Vec<f64> = match (self.config.forcing, self.last.take()) {
            (Forcing::Constant(eta), _) => vec![eta; residuals.len()],
            (Forcing::EisenstatWalker, None) => vec![0.1; residuals.len()],
            (Forcing::EisenstatWalker, Some((before, etas))) => residuals
                .iter()
                .zip(before)
                .zip(etas)
                .map(|((now, before), eta)| {
                    let next = 0.9 * (now / before).powi(2);
                    let memory = 0.9 * eta * eta;
                    let next = if memory > 0.1 { next.max(memory) } else { next };
                    next.min(0.9)
                })
                .collect(),
        };
        self.last = Some((residuals, chosen.clone()));
        // No step need go further than half of the tolerance.
        let enough = map.reduction();
        let bounded = chosen.iter().zip(enough);
        bounded.map(|(eta, enough)| eta.max(0.5 * enough)).collect()
    }
}

impl Solver for NewtonKrylov {
    fn init(&mut self, _start: &Tensor<2>) {
        self.last = None;
    }

    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt> {
        let forcing = self.forcing(map);
        let relative_step = epsilon(evaluation.point.dtype()).sqrt();
        let dimensions = self.config.dimensions;
        let direction = gmres(map, evaluation, relative_step, dimensions, &forcing)?;
        LineSearch::advance(
            self.config.line_search.as_ref(),
            evaluation,
            &direction,
            map,
        )
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        evaluation.point.clone()
    }

    fn initial_evaluations(&self) -> usize {
        1
    }

    fn uses_jacobian_products(&self) -> bool {
        true
    }
}
