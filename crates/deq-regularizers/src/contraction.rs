use burn::module::Module;
use burn::tensor::{Distribution, Tensor};
use deq_solvers::State;
use serde::{Deserialize, Serialize};

/// The root mean square of the step of the differences. Larger ones cost truncation, smaller ones
/// rounding.
const STEP: f64 = 2e-2;

/// Measures how fast perturbations of each sample shrink: its finite-time Lyapunov exponent
///
/// $$\lambda = \frac{1}{k} \sum_{t = t_0}^{t_0 + k - 1}
///   \ln \frac{\lVert \delta_{t+1} \rVert}{\lVert \delta_t \rVert},
///   \qquad \delta_{t+1} = J(z_t)\, \delta_t, \qquad J = \frac{\partial f}{\partial z},$$
///
/// with $\delta$ brought back to length one after each step (Benettin and others, *Meccanica* 15,
/// 1980). A negative exponent means contraction by $e^\lambda$ a step, on average. At a fixed point
/// it tends to $\ln \rho(J)$ as $t_0$ grows, also where the largest eigenvalues are complex. Unlike
/// the spectral radius it is defined along a trajectory that has not converged, and a finite $k$
/// shows the transient growth of a map that is not normal.
///
/// $J \delta$ is a difference of fourth order, as in
/// [`jacobian_penalty`](crate::jacobian_penalty), so no graph is built: four evaluations a step,
/// and one more along a trajectory. In `f32` a factor below about $10^{-5}$ a step is rounding.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_regularizers::Lyapunov;
///
/// let halve = |w: &Tensor<2>, z: Tensor<2>| z * w.clone();
/// let device = Device::flex();
/// let (w, z) = (Tensor::<2>::full([1, 1], 0.5, &device), Tensor::<2>::ones([3, 4], &device));
/// let found = Lyapunov::default().measure(&w, halve, &z)?;
/// assert_eq!(found.exponents.len(), 3);
/// assert!(found.exponents.iter().all(|exponent| (exponent - 0.5_f64.ln()).abs() < 1e-4));
/// # Ok::<(), deq_regularizers::LyapunovError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lyapunov {
    /// $k$, the steps that are averaged: at least 1. 50 by default.
    pub steps: usize,
    /// $t_0$, the steps before them, in which the perturbation turns towards the direction that
    /// decays slowest. 50 by default.
    pub transient: usize,
    /// Where the Jacobian is taken.
    pub along: Along,
}

/// Where [`Lyapunov`] takes the Jacobian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// At the given state, as at a fixed point: $z_t = z$. The default.
    #[default]
    Point,
    /// Along the plain iteration from the given state: $z_{t+1} = f(z_t)$.
    Trajectory,
}

/// What [`Lyapunov::measure`] found.
#[derive(Clone, Debug)]
pub struct LyapunovExponents<S> {
    /// $\lambda$ of each sample, in nats a step: negative infinity where the perturbation vanished,
    /// NaN where something was not a number, which is no contraction.
    pub exponents: Vec<f64>,
    /// The last point, $z_{t_0 + k}$; the given state for [`Along::Point`].
    pub state: S,
    /// The last perturbation, of root mean square one.
    pub perturbation: S,
}

/// Why exponents could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LyapunovError {
    /// There is nothing to average.
    #[error("`steps` is 0, but must be at least 1: the exponent is an average over the steps")]
    NoStep,
}

impl Default for Lyapunov {
    fn default() -> Self {
        Self {
            steps: 50,
            transient: 50,
            along: Along::Point,
        }
    }
}

impl Lyapunov {
    /// The exponent of each sample, from a random perturbation. Samples must not depend on each
    /// other. The map runs on plain tensors, in evaluation mode.
    ///
    /// # Errors
    /// [`LyapunovError`] without a step.
    ///
    /// # Panics
    /// Where the map changes the state's shapes.
    pub fn measure<A, S, F>(
        &self,
        args: &A,
        map: F,
        z: &S,
    ) -> Result<LyapunovExponents<S>, LyapunovError>
    where
        A: Module,
        S: State,
        F: Fn(&A, S) -> S,
    {
        let like = z.clone().into_matrix().inner();
        let random = like.random_like(Distribution::Normal(0.0, 1.0));
        let perturbation = S::from_matrix(random, &z.shapes());
        self.measure_from(args, map, z, &perturbation)
    }

    /// [`Lyapunov::measure`] from a perturbation of one's own, a state like `z`. Its length does
    /// not matter, but a sample whose perturbation is zero has the exponent NaN.
    ///
    /// # Errors
    /// As [`Lyapunov::measure`].
    ///
    /// # Panics
    /// As [`Lyapunov::measure`], and for a perturbation of other shapes.
    pub fn measure_from<A, S, F>(
        &self,
        args: &A,
        map: F,
        z: &S,
        perturbation: &S,
    ) -> Result<LyapunovExponents<S>, LyapunovError>
    where
        A: Module,
        S: State,
        F: Fn(&A, S) -> S,
    {
        if self.steps == 0 {
            return Err(LyapunovError::NoStep);
        }
        let shapes = z.shapes();
        let plain = args.valid().materialize();
        let image = |point: Tensor<2>| map(&plain, S::from_matrix(point, &shapes)).into_matrix();
        let mut point = z.clone().into_matrix().inner();
        let start = perturbation.clone().into_matrix().inner();
        let size = root_mean_square(start.clone());
        // No perturbation says nothing about contraction.
        let absent = size.clone().equal_elem(0.0);
        let mut direction = start / size.mask_fill(absent, f64::NAN);
        let mut growths = Vec::with_capacity(self.steps);
        for step in 0..self.transient + self.steps {
            let across = |reach: f64| {
                let moved = direction.clone() * (reach * STEP);
                image(point.clone() + moved.clone()) - image(point.clone() - moved)
            };
            let next = (across(1.0) * 8.0 - across(2.0)) / (12.0 * STEP);
            let growth = root_mean_square(next.clone());
            // What has vanished stays zero, where dividing it by its length would make it NaN.
            let vanishes = growth.clone().equal_elem(0.0);
            direction = next / growth.clone().mask_fill(vanishes, 1.0);
            if step >= self.transient {
                growths.push(growth);
            }
            if self.along == Along::Trajectory {
                point = image(point);
            }
        }
        // The logarithms are taken on the host, where that of 0 is sure to be negative infinity.
        let growths: Vec<f64> = Tensor::cat(growths, 1)
            .into_data()
            .iter::<f64>()
            .map(f64::ln)
            .collect();
        let mean = |logarithms: &[f64]| logarithms.iter().sum::<f64>() / self.steps as f64;
        Ok(LyapunovExponents {
            exponents: growths.chunks_exact(self.steps).map(mean).collect(),
            state: S::from_matrix(point, &shapes),
            perturbation: S::from_matrix(direction, &shapes),
        })
    }
}

/// Of each row, `[samples, 1]`.
fn root_mean_square(rows: Tensor<2>) -> Tensor<2> {
    rows.square().mean_dim(1).sqrt()
}
