//! What has been published, with its source.

use Backward::{FromZero, Full, JacobianFree, Reuse};

use super::methods::Method;

/// The claim that the study is about.
pub(super) const CLAIM: &str = "Nguyen and Mauch, “Efficient Training of Deep Equilibrium Models” (arXiv 2304.11663): to use the inverse Jacobian of Broyden's forward solve in the backward pass makes training much faster and loses no accuracy (abstract). Figures of that paper's own tables are not reproduced here; the ones below are of the same idea in SHINE.";

/// How a published run got from the fixed point to the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backward {
    /// The adjoint equation solved to the end.
    Full,
    /// So many steps of the adjoint solve, from zero.
    FromZero,
    /// The forward solve's inverse Jacobian, and so many steps from what it gives.
    Reuse,
    /// The Jacobian-free gradient, and so many steps from it.
    JacobianFree,
}

/// A published result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) backward: Backward,
    /// Steps of refinement; `None` for the full solve.
    pub(super) refine: Option<u32>,
    /// Top-1 in percent.
    pub(super) accuracy: f64,
    /// Its standard deviation over runs (five by default in the authors' script), where there were
    /// several.
    pub(super) deviation: Option<f64>,
    /// The median time of a backward pass.
    pub(super) backward_ms: f64,
}

/// Results of one data set.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// Where the figures are.
    pub(super) source: &'static str,
    pub(super) figures: &'static [Figure],
}

const fn figure(
    backward: Backward,
    refine: Option<u32>,
    accuracy: f64,
    deviation: Option<f64>,
    backward_ms: f64,
) -> Figure {
    Figure {
        backward,
        refine,
        accuracy,
        deviation,
        backward_ms,
    }
}

/// SHINE, MDEQ large on CIFAR-10.
pub(super) static CIFAR: Table = Table {
    title: "SHINE (arXiv 2106.00553), MDEQ large on CIFAR-10",
    source: "github.com/zaccharieramzi/shine, commit 7991719, cifar_aggreg_results.csv",
    figures: &[
        figure(Full, None, 93.512, Some(0.152), 209.0),
        figure(FromZero, Some(10), 93.474, Some(0.130), 142.8),
        figure(Reuse, Some(10), 93.468, Some(0.156), 157.0),
        figure(JacobianFree, Some(10), 93.602, Some(0.141), 142.6),
        figure(FromZero, Some(7), 93.468, Some(0.150), 108.0),
        figure(Reuse, Some(7), 93.498, Some(0.232), 119.0),
        figure(JacobianFree, Some(7), 93.496, Some(0.276), 109.0),
        figure(FromZero, Some(5), 93.622, Some(0.129), 86.4),
        figure(Reuse, Some(5), 93.544, Some(0.186), 96.6),
        figure(JacobianFree, Some(5), 93.476, Some(0.148), 86.5),
        figure(FromZero, Some(2), 93.410, Some(0.156), 53.7),
        figure(Reuse, Some(2), 93.404, Some(0.142), 58.9),
        figure(JacobianFree, Some(2), 93.478, Some(0.249), 53.3),
        figure(FromZero, Some(1), 92.642, Some(0.099), 41.54),
        figure(Reuse, Some(1), 93.376, Some(0.241), 46.9),
        figure(JacobianFree, Some(1), 93.344, Some(0.183), 41.58),
        figure(JacobianFree, Some(0), 93.092, Some(0.113), 12.9),
        figure(Reuse, Some(0), 93.144, Some(0.184), 16.0),
    ],
};

/// SHINE on ImageNet, one run each.
pub(super) static IMAGENET: Table = Table {
    title: "SHINE (arXiv 2106.00553), MDEQ on ImageNet, one run each",
    source: "github.com/zaccharieramzi/shine, commit 7991719, imagenet_aggreg_results.csv",
    figures: &[
        figure(Full, None, 75.530, None, 798.0),
        figure(Reuse, Some(0), 70.374, None, 35.3),
        figure(JacobianFree, Some(0), 72.594, None, 13.5),
        figure(FromZero, Some(5), 72.638, None, 212.0),
        figure(Reuse, Some(5), 74.210, None, 187.0),
        figure(JacobianFree, Some(5), 74.518, None, 186.0),
    ],
};

/// What every printed figure of these tables needs beside it.
pub(super) const CAUTION: &str = "Published figures are of other, larger models, trained to the end, on other hardware and software: their order and their ratios compare with the measured ones, their values do not. SHINE's training script and this study both leave its fallback to the Jacobian-free gradient out. SHINE refines with Broyden steps that go on from the reused inverse, this study with plain steps of the adjoint iteration.";

impl Table {
    /// The figure of the method that is trained here.
    pub(super) fn of(&self, method: Method) -> Option<&Figure> {
        let wanted = match method {
            Method::Implicit => (Full, None),
            Method::JacobianFree => (JacobianFree, Some(0)),
            Method::Reuse => (Reuse, Some(0)),
            Method::ReuseRefined => (Reuse, Some(5)),
            Method::Phantom | Method::Neumann => return None,
        };
        let mut figures = self.figures.iter();
        figures.find(|figure| (figure.backward, figure.refine) == wanted)
    }
}

impl Figure {
    /// How its backward pass is called.
    pub(super) fn name(&self) -> String {
        let from = match self.backward {
            Full => return "full adjoint solve".to_owned(),
            FromZero => "adjoint solve from zero",
            Reuse => "reused inverse (SHINE)",
            JacobianFree => "Jacobian-free",
        };
        match self.refine {
            None | Some(0) => from.to_owned(),
            Some(1) => format!("{from}, 1 step"),
            Some(steps) => format!("{from}, {steps} steps"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_tables_are_complete_and_sane() {
        for (table, count) in [(&CIFAR, 18), (&IMAGENET, 6)] {
            assert_eq!(table.figures.len(), count);
            assert!(table.source.contains("7991719"));
            for (index, figure) in table.figures.iter().enumerate() {
                assert!((50.0..100.0).contains(&figure.accuracy), "{figure:?}");
                assert!(figure.backward_ms > 0.0);
                assert_eq!(figure.refine.is_none(), figure.backward == Full);
                let same = |other: &Figure| {
                    (other.backward, other.refine) == (figure.backward, figure.refine)
                };
                assert!(
                    !table.figures[..index].iter().any(same),
                    "twice: {figure:?}"
                );
            }
        }
    }

    /// The relations that the project's notes on SHINE state.
    #[test]
    fn reuse_alone_loses_more_on_imagenet_than_with_refinement() {
        let lost = |table: &Table, method| {
            let accuracy = |method| table.of(method).map(|figure| figure.accuracy);
            accuracy(Method::Implicit)
                .zip(accuracy(method))
                .map(|(full, own)| full - own)
        };
        let close = |value: Option<f64>, expected: f64| {
            assert!(
                (value.expect("published") - expected).abs() < 0.05,
                "{value:?}"
            );
        };
        close(lost(&CIFAR, Method::Reuse), 0.4);
        close(lost(&IMAGENET, Method::Reuse), 5.2);
        close(lost(&IMAGENET, Method::ReuseRefined), 1.3);
        assert!(CIFAR.of(Method::Phantom).is_none());
    }
}
