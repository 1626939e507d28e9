//! How a gradient compares with the exact one.

use anyhow::Result;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use deq::implicit::Deq;
use serde::{Deserialize, Serialize};

use super::classifier::{Classifier, Output};
use super::data::Batch;

/// One comparison, on the weights and the batch of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// The step that came after it, counted from 1.
    pub(super) step: usize,
    /// The cosine of the angle between the two gradients, over all parameters of the map; `None`
    /// where one of them is zero or not finite.
    pub(super) cosine: Option<f64>,
    /// The length of the gradient over that of the exact one; `None` as above.
    pub(super) norm_ratio: Option<f64>,
    /// Whether both solves of the exact gradient reached their tolerance for every image.
    pub(super) exact_converged: bool,
    /// The largest relative residual of its forward solve; `None` where it is not finite.
    pub(super) exact_forward: Option<f64>,
    /// The largest relative residual of its adjoint solve.
    pub(super) exact_adjoint: Option<f64>,
}

/// Compares the gradient of `layer` with that of `exact`.
///
/// Each gets a forward pass of its own, for a graph can be walked back only once; and both get a
/// copy of the model, for batch norms move their running statistics whenever they are evaluated.
pub(super) fn probe<M: Classifier>(
    step: usize,
    model: &M,
    batch: &Batch,
    layer: &Deq,
    exact: &Deq,
) -> Result<Probe> {
    let model = model.valid().train();
    let (own, _) = gradient(&model, batch, layer)?;
    let (reference, output) = gradient(&model, batch, exact)?;
    let adjoint = output.adjoint_stats();
    let solves = [Some(&output.stats), adjoint.as_ref()];
    let finite = |value: f64| value.is_finite().then_some(value);
    let [forward, backward] = solves.map(|stats| finite(stats?.max_residual()));
    Ok(Probe {
        step,
        cosine: cosine(&own, &reference),
        norm_ratio: norm_ratio(&own, &reference),
        exact_converged: solves
            .iter()
            .all(|stats| stats.is_some_and(|stats| stats.all_converged())),
        exact_forward: forward,
        exact_adjoint: backward,
    })
}

/// The gradient of the batch's loss by the map's parameters, as one vector.
fn gradient<M: Classifier>(model: &M, batch: &Batch, layer: &Deq) -> Result<(Vec<f64>, Output)> {
    let output = model.forward(batch.images.clone(), layer)?;
    let gradients = batch.loss(output.logits.clone()).backward();
    let mut flatten = Flatten {
        gradients: &gradients,
        values: Vec::new(),
    };
    model.implicit().visit(&mut flatten);
    Ok((flatten.values, output))
}

/// Joins the gradients of all parameters, zeros for those that have none.
struct Flatten<'a> {
    gradients: &'a Gradients,
    values: Vec<f64>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        match tensor.grad(self.gradients) {
            Some(gradient) => self.values.extend(gradient.into_data().iter::<f64>()),
            None => {
                let count = tensor.shape().num_elements();
                self.values.extend(std::iter::repeat_n(0.0, count));
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// $a \cdot b / (\lVert a \rVert \lVert b \rVert)$; `None` for a vector that is zero or not finite.
fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
    let cosine = dot(a, b) / lengths;
    cosine.is_finite().then_some(cosine)
}

/// $\lVert a \rVert / \lVert b \rVert$; `None` for a `b` that is zero, or either not finite.
fn norm_ratio(a: &[f64], b: &[f64]) -> Option<f64> {
    let ratio = dot(a, a).sqrt() / dot(b, b).sqrt();
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::data::Data;
    use crate::commands::study::efficient_training::fully_connected::FullyConnected;
    use crate::commands::study::efficient_training::methods::{Method, exact_layer};
    use crate::commands::study::efficient_training::scale::{Model, Scale};

    #[test]
    fn cosines_have_their_closed_forms() {
        let close = |value: Option<f64>, expected: f64| {
            assert!((value.expect("a number") - expected).abs() < 1e-12);
        };
        close(cosine(&[1.0, 2.0], &[2.0, 4.0]), 1.0);
        close(cosine(&[1.0, 2.0], &[-3.0, -6.0]), -1.0);
        close(cosine(&[1.0, 0.0], &[0.0, 5.0]), 0.0);
        close(cosine(&[1.0, 0.0], &[1.0, 1.0]), 0.5_f64.sqrt());
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), None);
        assert_eq!(cosine(&[f64::NAN, 0.0], &[1.0, 1.0]), None);
        close(norm_ratio(&[3.0, 4.0], &[0.0, 2.0]), 2.5);
        assert_eq!(norm_ratio(&[1.0], &[0.0]), None);
    }

    #[test]
    fn the_implicit_gradient_is_nearly_exact_and_the_jacobian_free_is_not() {
        let setup = Scale::Smoke.setup(Model::FullyConnected);
        let data = Data::load(&setup, None).expect("built-in shapes");
        let [_, height, width] = data.size();
        for device in deq::devices::all() {
            let device = device.autodiff();
            let model = FullyConnected::new(height * width, 24, data.classes(), &device, 0);
            let indices: Vec<usize> = (0..8).collect();
            let batch = data.train_batch(&indices, &device).expect("a batch");
            let exact = exact_layer(&setup).init().expect("a valid layer");
            let cosine = |method: Method| {
                let layer = method.layer(&setup).init().expect("a valid layer");
                let probe = probe(1, &model, &batch, &layer, &exact).expect("a probe");
                assert!(probe.exact_converged, "{probe:?}");
                probe.cosine.expect("a gradient")
            };
            let [implicit, free] = [Method::Implicit, Method::JacobianFree].map(cosine);
            assert!(implicit > 0.9999, "{implicit}");
            assert!(free > 0.0 && free < implicit, "{free}");
        }
    }
}
