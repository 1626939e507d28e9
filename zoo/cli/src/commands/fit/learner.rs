use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use deq_inr::{Fit, FitState, InrError, Rendering, Signal, SignalKind};
use deq_train::{
    Learner, LearnerError, Metrics, Optimizer, OptimizerConfig, Tensors, load_module, read_tensors,
    save_module, write_tensors,
};

use crate::commands::train::on_host;

/// The checkpoint's file for what a fit carries besides its model and its optimiser.
const STATE: &str = "fit.safetensors";

/// The fingerprint of the signal in that file.
const SIGNAL: &str = "signal";

/// A model with the signal that it learns.
pub(super) struct FitLearner {
    fit: Fit,
    optimizer: Optimizer,
    signal: Signal,
    device: Device,
    /// Where renderings of a picture are kept.
    renderings: PathBuf,
    /// The rendering of the model as it is, if there was one.
    last: Option<Rendering>,
}

impl FitLearner {
    /// `fit` has made no step yet; its model is on `device`.
    pub(super) fn new(
        fit: Fit,
        signal: &Signal,
        device: Device,
        renderings: PathBuf,
    ) -> Result<Self> {
        Ok(Self {
            fit,
            // Adam as in `Fit::step`.
            optimizer: Optimizer::new(OptimizerConfig::default())?,
            signal: signal.clone(),
            device,
            renderings,
            last: None,
        })
    }

    pub(super) fn fit(&self) -> &Fit {
        &self.fit
    }

    /// The signal as the model sees it now, solved from zero.
    pub(super) fn rendering(&mut self) -> Result<Rendering, InrError> {
        match self.last.take() {
            Some(rendering) => Ok(rendering),
            None => self.fit.render(&self.signal),
        }
    }

    /// Keeps a rendering of a picture for the filmstrip.
    fn keep(&self, rendering: &Rendering) -> Result<(), LearnerError> {
        let kind = self.signal.kind();
        let SignalKind::Image { .. } = kind else {
            return Ok(());
        };
        let folder = &self.renderings;
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        let name = format!("step-{:08}.png", self.fit.steps());
        Ok(kind
            .to_image(&rendering.values)?
            .save_png(&folder.join(name))?)
    }
}

/// What a rendering says of the model.
pub(super) fn measured(rendering: &Rendering) -> Metrics {
    let mut metrics = Metrics::new().with("psnr", rendering.psnr);
    if let Some(residual) = rendering.residual {
        metrics.insert("solver_steps", rendering.solver_steps as f64);
        metrics.insert("residual", residual);
    }
    metrics
}

/// FNV-1a over the numbers' bits.
fn fingerprint(values: &[f32]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in values.iter().flat_map(|value| value.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.cast_signed()
}

impl Learner for FitLearner {
    fn step(&mut self, _step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        self.last = None;
        let optimizer = &mut self.optimizer;
        let report = self
            .fit
            .step_with(|model, gradients| -> Result<_, LearnerError> {
                Ok(optimizer.step(rate, model, gradients)?)
            })?;
        let mut metrics = Metrics::new()
            .with("loss", report.loss)
            .with("psnr", report.psnr)
            .with("solver_steps", report.solver_steps as f64);
        if let Some(residual) = report.residual {
            metrics.insert("residual", residual);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        let rendering = self.fit.render(&self.signal)?;
        self.keep(&rendering)?;
        let metrics = measured(&rendering);
        self.last = Some(rendering);
        Ok(metrics)
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        let model = self.fit.model();
        save_module(&folder.join("model.safetensors"), model)?;
        self.optimizer
            .save(&folder.join("optimizer.safetensors"), model)?;
        let state = self.fit.state();
        let numbers = [
            ("step", state.step as i64),
            (SIGNAL, fingerprint(self.signal.targets())),
        ];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), TensorData::from([number])));
        let mut tensors = Tensors::from(numbers);
        for (chunk, z) in state.fixed_points.iter().enumerate() {
            tensors.insert(format!("z.{chunk}"), on_host(z));
        }
        Ok(write_tensors(&folder.join(STATE), &tensors)?)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        let mut tensors = read_tensors(&folder.join(STATE))?;
        let mut number = |name: &str| {
            let data = tensors.remove(name);
            data.and_then(|data| data.iter::<i64>().next())
        };
        let step = number("step").and_then(|step| usize::try_from(step).ok());
        let signal = number(SIGNAL);
        let signal = signal.ok_or_else(|| {
            format!("{STATE} does not tell which signal it learns: choose another --out")
        })?;
        if signal != fingerprint(self.signal.targets()) {
            return Err(
                "the signal is not the one this fit has learnt: bring its file back, or choose another --out"
                    .into(),
            );
        }
        let model = self.fit.model().clone();
        let model = load_module(&folder.join("model.safetensors"), model)?;
        self.optimizer
            .load(&folder.join("optimizer.safetensors"), &model)?;
        let mut state = FitState {
            step: step.ok_or_else(|| format!("{STATE} does not tell how many steps were made"))?,
            fixed_points: Vec::new(),
        };
        let device = self.device.clone().inner();
        while let Some(z) = tensors.remove(&format!("z.{}", state.fixed_points.len())) {
            state.fixed_points.push(Tensor::from_data(z, &device));
        }
        self.last = None;
        Ok(self.fit.restore(model, state)?)
    }
}
