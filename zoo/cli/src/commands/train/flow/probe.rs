//! What a trained matcher does with its first test pairs, in numbers and pictures.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use deq::prelude::CallOptions;
use deq::regularizers::spectral_radius;
use deq_datasets::Image;
use deq_datasets::flow::{FlowField, FramePair};
use deq_flow::{DeqFlow, FlowArguments, FlowState, InputPadder, MatcherState};

use super::batch::{fields, frames, true_flow};
use super::pairs::MeasuredPairs;
use crate::commands::train::{Layer, POWER_STEPS, Probe, Sample};

/// Pairs of one size that are solved for and shown.
const SHOWN: usize = 3;

/// Solves for the first pairs of a test, and draws them.
pub(super) fn probe(model: &DeqFlow, test: &MeasuredPairs, device: &Device) -> Result<Probe> {
    let mut pairs: Vec<FramePair> = Vec::new();
    for pair in test.pairs().take(SHOWN) {
        let pair = pair?;
        let size = |pair: &FramePair| (pair.width(), pair.height());
        if pairs
            .first()
            .is_some_and(|first| size(first) != size(&pair))
        {
            break;
        }
        pairs.push(pair);
    }
    let first = pairs.first().context("there is no pair to show")?;
    let padder = InputPadder::new([first.height(), first.width()], test.padding);
    let [first, second] = frames(&pairs, device)?;
    let [first, second] = padder.pad_pair(first, second)?;
    let arguments = model.prepare(first, second)?;
    let solved = model.solve(&arguments, None, CallOptions::default())?;
    let stats = solved.stats.clone();
    let state = solved.into_last();
    let (hidden, coords) = state.clone();
    let flow = model.decode(&FlowState {
        hidden,
        flow: coords - arguments.origin(),
    });
    let found = fields(padder.unpad(flow)?)?;

    // The map as it is solved depends on its coordinates, whatever the training makes of that.
    let arguments = arguments.with_all_gradients().materialize();
    let map = |arguments: &FlowArguments, state: MatcherState| arguments.evaluate(state);
    let radii = spectral_radius(&arguments, map, &state, POWER_STEPS).growth;
    let mut samples = Vec::new();
    for (index, (pair, flow)) in pairs.iter().zip(&found).enumerate() {
        samples.extend(pictures(&format!("pair {}", index + 1), pair, flow)?);
    }
    let (width, height) = (found[0].width(), found[0].height());
    Ok(Probe {
        batch: format!("{} pairs of {width}×{height} pixels", pairs.len()),
        layers: vec![Layer { stats, radii }],
        samples,
    })
}

/// The first frame, the true flow, the model's and the error.
fn pictures(name: &str, pair: &FramePair, found: &FlowField) -> Result<Vec<Sample>> {
    let truth = true_flow(pair)?;
    let longest = longest(truth);
    let error = found.end_point_error(truth)?;
    let still = FlowField::new(
        truth.width(),
        truth.height(),
        vec![0.0; truth.data().len()],
        None,
    )?;
    let zero = still.end_point_error(truth)?;
    let worst = found.end_point_errors(truth)?.into_iter();
    let worst = worst.fold(0.0, f32::max);
    let picture = |title: String, image: &Image| -> Result<Sample> {
        Ok(Sample::Picture {
            title: format!("{name}: {title}"),
            png: image.to_png()?,
        })
    };
    Ok(vec![
        picture("first frame".to_owned(), pair.first())?,
        picture(
            format!("true flow, up to {longest:.1} px"),
            &truth.picture(scale(longest))?,
        )?,
        picture(
            format!("flow found, off by {error:.2} px; no flow would be off by {zero:.2} px"),
            &found.picture(scale(longest))?,
        )?,
        picture(
            format!("error, white at {worst:.1} px"),
            &found.error_picture(truth, scale(worst))?,
        )?,
    ])
}

/// The length of the longest known vector.
pub(crate) fn longest(flow: &FlowField) -> f32 {
    let vectors = flow.data().chunks_exact(2);
    let lengths = vectors.map(|vector| vector[0].hypot(vector[1]));
    lengths
        .filter(|length| length.is_finite())
        .fold(0.0, f32::max)
}

/// As a picture's full scale, which must be above 0.
pub(crate) fn scale(value: f32) -> Option<f32> {
    (value > 0.0 && value.is_finite()).then_some(value)
}
