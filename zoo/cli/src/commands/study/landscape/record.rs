//! What a run depends on, and what it found.

use deq_collapse::ufm::Kind;
use serde::{Deserialize, Serialize};

use super::setup::{Loss, Setup};
use crate::commands::study::folder;
use crate::commands::study::settings::{Head, Run};

/// Everything a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) loss: Loss,
    /// $K$.
    pub(super) classes: usize,
    /// $d - K$.
    pub(super) extra: usize,
    pub(super) setup: Setup,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// $F$ at the global minimum, in closed form.
    pub(super) global_value: f64,
    /// Where the search from each start ended.
    pub(super) points: Vec<Found>,
    /// The origin around its threshold.
    pub(super) origin: Vec<Origin>,
    pub(super) seconds: f64,
}

/// Where the search from a start ended ([`deq_collapse::ufm::CriticalPoint`]). A number is `None`
/// where it is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// Steps downhill before the solver arrived.
    pub(super) descent: usize,
    /// $F - F^\star$.
    pub(super) above: Option<f64>,
    pub(super) gradient_norm: Option<f64>,
    /// Of the Hessian; `None` where the point is not critical.
    pub(super) smallest_eigenvalue: Option<f64>,
    /// The largest singular value of the loss's gradient over $\mu$: at most 1 at a global minimum.
    pub(super) certificate: Option<f64>,
}

/// The origin at a value of $K \sqrt n\, \mu$, with the loss, classes, samples and features of the
/// run, and $\lambda_W = 2 \mu$, $\lambda_H = \mu / 2$.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// $K \sqrt n\, \mu$.
    pub(super) at: f64,
    /// The smallest eigenvalue of the Hessian in closed form …
    pub(super) closed_form: f64,
    /// … and by Lanczos's method.
    pub(super) lanczos: f64,
    /// $F - F^\star$.
    pub(super) above: f64,
}

/// A finished run.
pub(super) type Record = folder::Record<Settings, Measured>;

impl Settings {
    pub(super) fn new(head: &Head, loss: Loss, [classes, extra]: [usize; 2]) -> Self {
        Self {
            head: head.clone(),
            loss,
            classes,
            extra,
            setup: Setup::new(head.scale, loss, [classes, extra]),
        }
    }

    /// What the run is called in tables.
    pub(super) fn title(&self) -> String {
        let (loss, classes) = (self.loss.title(), self.classes);
        format!("{loss}, K = {classes}, d = {}", classes + self.extra)
    }
}

impl Record {
    /// How many points are of a kind.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.of(kind).count()
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Found> {
        let points = self.measured.points.iter();
        points.filter(move |point| point.kind == kind)
    }

    /// In the order of tables.
    pub(super) fn order(&self) -> (Loss, usize, usize) {
        let settings = &self.settings;
        (settings.loss, settings.classes, settings.extra)
    }
}

impl Run for Settings {
    fn head(&self) -> &Head {
        &self.head
    }

    fn name(&self) -> String {
        let (loss, classes) = (self.loss.name(), self.classes);
        format!("{loss}-k{classes}-d{}", classes + self.extra)
    }

    fn steps(&self) -> usize {
        self.setup.searches
    }

    fn again(&self, head: &Head) -> Self {
        Self::new(head, self.loss, [self.classes, self.extra])
    }
}

impl Origin {
    /// What it is, by the sign of its smallest eigenvalue, which rounding leaves open at 1 alone.
    pub(super) fn title(&self) -> &'static str {
        match self.closed_form {
            value if value < -1e-14 => "strict saddle",
            value if value > 1e-14 => "minimum",
            _ => "on the threshold",
        }
    }
}

#[cfg(test)]
impl Record {
    /// A run on flex with made-up numbers: a minimum, a saddle, and a point of this kind.
    pub(super) fn example(loss: Loss, extra: usize, third: Kind) -> Self {
        let found = |kind, above, eigenvalue| Found {
            kind,
            descent: 10,
            above: Some(above),
            gradient_norm: Some(1e-11),
            smallest_eigenvalue: Some(eigenvalue),
            certificate: Some(1.0),
        };
        let origin = |at, value| Origin {
            at,
            closed_form: value,
            lanczos: value,
            above: f64::max(0.0, -value),
        };
        Self {
            settings: Settings::new(&Head::example(), loss, [3, extra]),
            measured: Measured {
                global_value: 0.5,
                points: vec![
                    found(Kind::GlobalMinimum, 1e-12, -1e-11),
                    found(Kind::StrictSaddle, 0.25, -0.125),
                    found(third, 0.5, -1e-8),
                ],
                origin: vec![origin(0.5, -0.1), origin(1.0, 0.0), origin(1.5, 0.1)],
                seconds: 1.0,
            },
        }
    }
}
