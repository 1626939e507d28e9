//! Anderson acceleration. How the mixture is found is a file each.

mod config;
mod gram;
mod qr;
mod type_one;

use std::borrow::Cow;

use burn::tensor::{Bool, Tensor};

pub use config::{AndersonConfig, Mixing, Regularization};

use crate::mask::norm;
use crate::solvers::Overflow;
use crate::{Evaluation, Halt, InverseJacobian, Map, Next, Solver};

/// Anderson acceleration (Anderson, J. ACM 12, 1965; Walker and Ni, SIAM J. Numer. Anal. 49,
/// 2011), for each sample on its own.
///
/// With $g = f(z) - z$, the columns of $S$ the last differences of points and those of $Y$ the
/// last differences of residuals,
///
/// $$z_{k+1} = z_k + \tau g_k - (S + \tau Y) \gamma, \qquad
///   \gamma = (Y^\top Y)^{-1} Y^\top g_k \text{ (type II)}, \qquad
///   \gamma = (S^\top Y)^{-1} S^\top g_k \text{ (type I)}.$$
///
/// Type II minimises $\lVert g_k - Y \gamma \rVert$; it is the multisecant form of "bad" Broyden,
/// type I that of "good" Broyden. [`Mixing`] says which, and how the system is solved; TorchDEQ's
/// form is the default. A direction in which the residuals do not differ is left out, so a
/// singular system cannot occur.
///
/// - Cost: one evaluation per step. Memory: two states per entry of the window.
/// - Returns $f(z_k)$ of the best step, as TorchDEQ does. With [`Mixing::Qr`] and
///   [`Mixing::TypeOne`] it hands on an inverse Jacobian.
/// - On affine maps type II with a long window equals GMRES; on contractions it is at least as
///   good as Picard near the solution. Far from it a step can be bad:
///   [`safeguard`](AndersonConfig::safeguard) takes it back.
/// - Choose it for maps that contract slowly.
#[derive(Clone, Debug)]
pub struct Anderson {
    config: AndersonConfig,
    evaluations: usize,
    mixture: Option<Box<dyn Mixture>>,
    guard: Option<Guard>,
}

/// A window of past evaluations, and the next point from it.
trait Mixture: std::fmt::Debug + Send + Sync {
    /// How many entries the window holds.
    fn entries(&self) -> usize;

    /// Adds an evaluation.
    fn push(&mut self, evaluation: &Evaluation);

    /// Forgets the window of the masked samples.
    fn forget(&mut self, samples: &Tensor<2, Bool>);

    /// The next point, after the evaluation that was pushed last.
    fn next(&self, evaluation: &Evaluation, damping: f64) -> Tensor<2>;

    /// $B$ in $z_{k+1} = z_k - B g_k$, where it has a short form.
    fn inverse_jacobian(&self, damping: f64) -> Option<InverseJacobian>;

    fn clone_box(&self) -> Box<dyn Mixture>;
}

impl Clone for Box<dyn Mixture> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// What the safeguard compares with.
#[derive(Clone, Debug)]
struct Guard {
    accepted: Evaluation,
    /// Samples whose last step was taken back: the next one is not judged.
    spared: Tensor<2, Bool>,
}

impl Anderson {
    /// A solver with these options.
    pub fn new(config: AndersonConfig) -> Self {
        Self {
            config,
            evaluations: 0,
            mixture: None,
            guard: None,
        }
    }

    fn empty_mixture(&self, like: &Tensor<2>) -> Box<dyn Mixture> {
        let window = self.config.window;
        match &self.config.mixing {
            Mixing::Gram(regularization) => {
                Box::new(gram::Gram::new(window, regularization.clone(), like))
            }
            Mixing::Qr => Box::new(qr::Qr::new(window, like)),
            Mixing::TypeOne => Box::new(type_one::TypeOne::new(window, like)),
        }
    }

    /// Replaces evaluations that a bad step led to by those it started from.
    fn safeguarded<'e>(&mut self, evaluation: &'e Evaluation) -> Cow<'e, Evaluation> {
        let Some(ratio) = self.config.safeguard else {
            return Cow::Borrowed(evaluation);
        };
        let Some(guard) = self.guard.take() else {
            let spared = norm(&evaluation.residual).lower_elem(0.0);
            self.guard = Some(Guard {
                accepted: evaluation.clone(),
                spared,
            });
            return Cow::Borrowed(evaluation);
        };
        let bound = norm(&guard.accepted.residual) * ratio;
        let worse = norm(&evaluation.residual).greater(bound);
        let bad = worse.bool_and(guard.spared.bool_not());
        if let Some(mixture) = &mut self.mixture {
            mixture.forget(&bad);
        }
        let accepted = evaluation.clone().choose(&bad, &guard.accepted);
        self.guard = Some(Guard {
            accepted: accepted.clone(),
            spared: bad,
        });
        Cow::Owned(accepted)
    }

    fn learn<'e>(&mut self, evaluation: &'e Evaluation) -> Cow<'e, Evaluation> {
        let evaluation = self.safeguarded(evaluation);
        self.evaluations += 1;
        if self.evaluations > self.config.delay {
            let full = |mixture: &dyn Mixture| mixture.entries() == self.config.window;
            let restart = self.config.overflow == Overflow::Restart;
            let mut mixture = match self.mixture.take() {
                Some(mixture) if !(restart && full(&*mixture)) => mixture,
                _ => self.empty_mixture(&evaluation.point),
            };
            mixture.push(&evaluation);
            self.mixture = Some(mixture);
        }
        evaluation
    }
}

impl Solver for Anderson {
    fn init(&mut self, _start: &Tensor<2>) {
        self.evaluations = 0;
        self.mixture = None;
        self.guard = None;
    }

    fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
        let evaluation = self.learn(evaluation);
        let damping = self.config.damping;
        let next = match &self.mixture {
            Some(mixture) => mixture.next(&evaluation, damping),
            None => evaluation.point.clone() + evaluation.residual.clone() * damping,
        };
        Ok(next.into())
    }

    fn inverse_jacobian(&mut self, unseen: Option<&Evaluation>) -> Option<InverseJacobian> {
        if let Some(evaluation) = unseen {
            self.learn(evaluation);
        }
        let mixture = self.mixture.as_ref()?;
        mixture.inverse_jacobian(self.config.damping)
    }
}

/// The last differences of points ($S$) and residuals ($Y$), `[samples, window, features]` each.
#[derive(Clone, Debug)]
struct Differences {
    points: Tensor<3>,
    residuals: Tensor<3>,
    last: Option<Evaluation>,
    stored: usize,
}

/// The newest difference, and where it is stored.
struct Difference {
    slot: usize,
    point: Tensor<2>,
    residual: Tensor<2>,
}

impl Differences {
    /// A window of `window` evaluations, which have one difference fewer.
    fn new(window: usize, like: &Tensor<2>) -> Self {
        let zeros = window_of_zeros(window - 1, like);
        Self {
            points: zeros.clone(),
            residuals: zeros,
            last: None,
            stored: 0,
        }
    }

    /// The evaluations that the window spans.
    fn entries(&self) -> usize {
        self.filled() + usize::from(self.last.is_some())
    }

    fn filled(&self) -> usize {
        let [_, slots, _] = self.points.dims();
        self.stored.min(slots)
    }

    /// Stores the difference to the last evaluation; returns it with its slot.
    fn push(&mut self, evaluation: &Evaluation) -> Option<Difference> {
        let last = self.last.replace(evaluation.clone())?;
        let [_, slots, _] = self.points.dims();
        let slot = self.stored % slots;
        self.stored += 1;
        let point = evaluation.point.clone() - last.point;
        let residual = evaluation.residual.clone() - last.residual;
        put_row(&mut self.points, slot, point.clone());
        put_row(&mut self.residuals, slot, residual.clone());
        Some(Difference {
            slot,
            point,
            residual,
        })
    }

    fn forget(&mut self, samples: &Tensor<2, Bool>) {
        for rows in [&mut self.points, &mut self.residuals] {
            forget_rows(rows, samples);
        }
    }
}

fn window_of_zeros(slots: usize, like: &Tensor<2>) -> Tensor<3> {
    let [batch, features] = like.dims();
    Tensor::zeros([batch, slots, features], (&like.device(), like.dtype()))
}

/// Writes a row of each sample in place.
fn put_row(rows: &mut Tensor<3>, slot: usize, row: Tensor<2>) {
    let [batch, features] = row.dims();
    rows.inplace(|rows| {
        rows.slice_assign(
            [0..batch, slot..slot + 1, 0..features],
            row.reshape([batch, 1, features]),
        )
    });
}

/// Zeroes all rows of the masked samples.
fn forget_rows(rows: &mut Tensor<3>, samples: &Tensor<2, Bool>) {
    let mask = samples.clone().unsqueeze_dim::<3>(2).expand(rows.shape());
    rows.inplace(|rows| rows.mask_fill(mask, 0.0));
}
