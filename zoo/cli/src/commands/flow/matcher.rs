//! A trained model that goes from pair to pair.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use deq::implicit::Eval;
use deq::prelude::CallOptions;
use deq_datasets::flow::{FlowField, FramePair};
use deq_flow::{DeqFlow, FlowConfig, FlowState, Padding, WarmStart};
use deq_train::load_module;

use super::film::name;
use super::line::Line;
use crate::commands::train::flow::{FlowRecipe, evaluation_layer, fields, frame};
use crate::commands::train::{checkpoint, plain, read_run};

pub(super) struct Matcher {
    model: DeqFlow,
    device: Device,
    warm_start: Option<WarmStart>,
    /// Where the next solve starts.
    start: Option<FlowState>,
}

impl Matcher {
    /// The model of a run.
    pub(super) fn open(
        run: &Path,
        max_iter: Option<usize>,
        tolerance: Option<f64>,
        warm_start: Option<WarmStart>,
        device: Device,
    ) -> Result<Self> {
        let recipe: FlowRecipe = read_run(run)?;
        let mut layer = evaluation_layer(&recipe.network().deq);
        if let Some(max_iter) = max_iter {
            layer.eval = Eval::MaxIter(max_iter);
        }
        if let Some(tolerance) = tolerance {
            ensure!(
                tolerance >= 0.0,
                "--tolerance is {tolerance}, but must be at least 0"
            );
            layer.forward.termination.tolerance = tolerance;
        }
        let config = FlowConfig {
            deq: layer,
            ..recipe.network().clone()
        };
        let (path, _) = checkpoint(run)?;
        let model = config.init(&device, 0)?;
        let model = load_module(&path.join("model.safetensors"), model).map_err(plain)?;
        Ok(Self {
            model,
            device,
            warm_start,
            start: None,
        })
    }

    /// The flow of a pair, whose frames were read from these files.
    pub(super) fn find(
        &mut self,
        pair: &FramePair,
        [first, second]: [&Path; 2],
    ) -> Result<(FlowField, Line)> {
        let clock = Instant::now();
        let output = self.model.estimate(
            frame(pair.first(), &self.device),
            frame(pair.second(), &self.device),
            Padding::Sintel,
            self.start.as_ref(),
            CallOptions::default(),
        )?;
        let flow = fields(output.last().clone())?.pop();
        let flow = flow.context("the model gave no flow for a pair")?;
        let seconds = clock.elapsed().as_secs_f64();
        self.start = self.warm_start.map(|how| how.next(&output.equilibrium()));
        let line = Line {
            name: name(first),
            next: name(second),
            steps: output.stats.steps,
            residual: output.stats.max_residual(),
            status: output.stats.worst_status(),
            seconds,
            errors: None,
        };
        Ok((flow, line))
    }
}
