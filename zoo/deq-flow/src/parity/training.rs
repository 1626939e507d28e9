use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq_import::{StateDict, gradients};
use deq_parity::{Fixture, FixtureError, Results};

use super::frames;
use crate::{DeqFlow, Encoder, FlowState, MatcherState, Norm, Target, sequence_loss};

/// States, flows, loss, metrics, running statistics and gradients of a training call.
pub(super) fn insert(
    results: &mut Results,
    fixture: &Fixture,
    model: &DeqFlow,
    weights: &StateDict,
    device: &Device,
) -> Result<(), FixtureError> {
    let [first, second] = frames(fixture, device)?;
    let arguments = model.prepare(first, second).map_err(FixtureError::replay)?;
    let solved = model.solve(&arguments, None, CallOptions::default());
    let states: Vec<MatcherState> = solved.map_err(FixtureError::replay)?.into_states();
    let count = TensorData::new(vec![states.len() as i64], [1]);
    results.insert_data("expect.n_outputs", count);
    let mut flows = Vec::new();
    for (index, (net, coords)) in states.into_iter().enumerate() {
        results.insert(format!("expect.net.{index}"), net.clone());
        results.insert(format!("expect.coords.{index}"), coords.clone());
        let flow = model.decode(&FlowState {
            hidden: net,
            flow: coords - arguments.origin(),
        });
        results.insert(format!("expect.flow_up.{index}"), flow.clone());
        flows.push(flow);
    }
    insert_running_statistics(results, "cnet", &model.cnet);
    insert_running_statistics(results, "fnet", &model.fnet);

    let truth: Tensor<4> = fixture.tensor("input.flow_gt", device)?;
    let valid: Tensor<3> = fixture.tensor("input.valid", device)?;
    if let Some(last) = flows.last() {
        let max_flow = model.config().max_flow;
        insert_metrics(results, last, &truth, &valid, max_flow);
    }
    let target = Target::new(truth, Some(valid), model.config().max_flow);
    let target = target.map_err(FixtureError::replay)?;
    let loss = sequence_loss(&flows, &target, &model.config().correction);
    let loss = loss.map_err(FixtureError::replay)?;
    results.insert("expect.loss", loss.clone());
    let backward = loss.backward();
    results.insert_gradients(&gradients(model, &backward, weights));
    Ok(())
}

/// The reference's training metrics, over all pixels with zeros where flow is invalid.
///
/// Its masks of validity have an axis more than its errors, so that in a batch sample i's mask meets
/// the errors of all samples, and the means are over these.
fn insert_metrics(
    results: &mut Results,
    flow: &Tensor<4>,
    truth: &Tensor<4>,
    valid: &Tensor<3>,
    max_flow: f64,
) {
    let [samples, _, height, width] = truth.dims();
    let pixels = height * width;
    let host =
        |tensor: &Tensor<4>| -> Vec<f64> { tensor.clone().into_data().iter::<f64>().collect() };
    let (flow, truth) = (host(flow), host(truth));
    let valid: Vec<f64> = valid.clone().into_data().iter::<f64>().collect();
    let at = |sample: usize, pixel: usize| {
        let x = 2 * sample * pixels + pixel;
        (x, x + pixels)
    };
    let is_short = |sample: usize, pixel: usize| {
        let (x, y) = at(sample, pixel);
        truth[x].hypot(truth[y]) < max_flow
    };
    let mut epe = vec![0.0; samples];
    let mut within = [vec![0.0; samples], vec![0.0; samples], vec![0.0; samples]];
    let part = 1.0 / (samples * pixels) as f64;
    for mask in 0..samples {
        for sample in 0..samples {
            for pixel in 0..pixels {
                let counts = valid[mask * pixels + pixel] >= 0.5
                    && is_short(mask, pixel)
                    && is_short(sample, pixel);
                let (x, y) = at(sample, pixel);
                let error = if counts {
                    (flow[x] - truth[x]).hypot(flow[y] - truth[y])
                } else {
                    0.0
                };
                epe[mask] += error * part;
                for (within, limit) in within.iter_mut().zip([1.0, 3.0, 5.0]) {
                    within[mask] += if error < limit { part } else { 0.0 };
                }
            }
        }
    }
    let mut insert = |name: &str, values: Vec<f64>| {
        let values = TensorData::new(values, [samples]);
        results.insert_data(format!("expect.metric.{name}"), values);
    };
    insert("epe", epe);
    for (name, values) in ["1px", "3px", "5px"].into_iter().zip(within) {
        insert(name, values);
    }
}

fn insert_running_statistics(results: &mut Results, name: &str, encoder: &Encoder) {
    let mut norms = vec![(format!("{name}.norm1"), &encoder.norm1)];
    let layers = [&encoder.layer1, &encoder.layer2, &encoder.layer3];
    for (layer, blocks) in layers.into_iter().enumerate() {
        for (index, block) in blocks.iter().enumerate() {
            let name = format!("{name}.layer{}.{index}", layer + 1);
            norms.push((format!("{name}.norm1"), &block.norm1));
            norms.push((format!("{name}.norm2"), &block.norm2));
            norms.push((format!("{name}.norm3"), &block.norm3));
        }
    }
    for (name, norm) in norms {
        if let Some(Norm::Batch(norm)) = norm {
            let (mean, variance) = (&norm.running_mean, &norm.running_var);
            results.insert(
                format!("expect.after.{name}.running_mean"),
                mean.value_sync(),
            );
            results.insert(
                format!("expect.after.{name}.running_var"),
                variance.value_sync(),
            );
        }
    }
}
