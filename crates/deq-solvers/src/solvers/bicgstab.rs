use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::driver::epsilon;
use crate::mask::{choose, dot, norm, safe_ratio};
use crate::{Evaluation, Halt, Map, Next, Solver};

/// Options of [`BiCgStab`]: there is nothing to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BiCgStabConfig {}

/// BiCGSTAB for **affine** maps $f(u) = J u + b$, such as the adjoint equation
/// $u = g + J^\top u$ (van der Vorst, SIAM J. Sci. Stat. Comput. 13, 1992), with $A = I - J$:
///
/// $$p \leftarrow r + \beta (p - \omega A p), \quad s = r - \alpha A p, \quad
///   u \leftarrow u + \alpha p + \omega s.$$
///
/// $J v$ is the difference of two values of $f$, which is exact for an affine map, and the
/// residual $r$ is always the true one. A sample whose recurrence breaks down starts it again.
///
/// - Cost: three evaluations per step (two products, one residual) and a read-back of two numbers
///   per sample. Memory: three states, however
///   many steps.
/// - Returns $u_k$ of the best step.
/// - Converges on most affine maps without eigenvalue 1, less smoothly than GMRES; it can stagnate
///   where the eigenvalues of $J$ lie along the imaginary axis.
/// - Choose it for adjoint solves of large states, where GMRES's memory is dear.
#[derive(Clone, Debug, Default)]
pub struct BiCgStab {
    recurrence: Option<Recurrence>,
}

/// What one step leaves to the next. Scalars are columns.
#[derive(Clone, Debug)]
struct Recurrence {
    shadow: Tensor<2>,
    direction: Tensor<2>,
    image: Tensor<2>,
    rho: Tensor<2>,
    alpha: Tensor<2>,
    omega: Tensor<2>,
}

impl BiCgStab {
    /// A solver.
    pub fn new(_config: BiCgStabConfig) -> Self {
        Self::default()
    }
}

impl Solver for BiCgStab {
    fn init(&mut self, _start: &Tensor<2>) {
        self.recurrence = None;
    }

    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt> {
        let residual = &evaluation.residual;
        let (shadow, rho, direction) = match self.recurrence.take() {
            None => (residual.clone(), dot(residual, residual), residual.clone()),
            Some(last) => {
                let rho = dot(&last.shadow, residual);
                let sizes = norm(&last.shadow) * norm(residual);
                let broken = rho.clone().abs().lower(sizes * epsilon(residual.dtype()));
                let beta =
                    safe_ratio(rho.clone(), last.rho) * safe_ratio(last.alpha, last.omega.clone());
                let turned = last.direction - last.image * last.omega;
                let direction = residual.clone() + turned * beta;
                (
                    choose(&broken, residual, last.shadow),
                    choose(&broken, &dot(residual, residual), rho),
                    choose(&broken, residual, direction),
                )
            }
        };
        let product = |map: &mut Map<'_>, vector: &Tensor<2>| -> Result<Tensor<2>, Halt> {
            Ok(vector.clone() - map.jacobian_product(evaluation, vector, 1.0)?)
        };
        let image = product(map, &direction)?;
        let alpha = safe_ratio(rho.clone(), dot(&shadow, &image));
        let half = residual.clone() - image.clone() * alpha.clone();
        let half_image = product(map, &half)?;
        // Both products are looked at, so that a broken one is seen before the next step.
        let sizes = Tensor::cat(vec![norm(&image), norm(&half_image)], 1).into_data();
        let sizes: Vec<f64> = sizes.iter::<f64>().collect();
        for (sample, sizes) in sizes.chunks(2).enumerate() {
            if !sizes.iter().all(|size| size.is_finite()) {
                map.fail(sample);
            }
        }
        let omega = safe_ratio(dot(&half_image, &half), dot(&half_image, &half_image));
        let point =
            evaluation.point.clone() + direction.clone() * alpha.clone() + half * omega.clone();
        self.recurrence = Some(Recurrence {
            shadow,
            direction,
            image,
            rho,
            alpha,
            omega,
        });
        Ok(point.into())
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
