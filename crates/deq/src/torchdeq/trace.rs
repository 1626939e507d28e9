use burn::tensor::{Tensor, TensorData};
use deq_solvers::StepEvent;

use super::Solver;

/// The residuals of a solve as TorchDEQ reports them in `info`, of each sample the absolute
/// $\lVert r \rVert$ and the relative $\lVert r \rVert / (\lVert z + r \rVert + 10^{-9})$ with
/// $r = s (f(z) - z)$ ([`Trace::with_scale`]). TorchDEQ's traces begin with a column of $10^8$,
/// which these do not have; its `simple_fixed_point_iter` reports the last step alone.
///
/// An observer of [`DriveOptions`](deq_solvers::DriveOptions) or of a layer's call:
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq::solvers::{DriveOptions, SolveConfig, StepEvent};
/// use deq::torchdeq::{Options, Trace};
///
/// let options: Options = serde_json::from_str(r#"{"f_solver": "anderson", "f_max_iter": 12}"#)?;
/// let config = options.deq()?;
/// let mut trace = Trace::new(options.f_solver, config.eval_max_iter());
/// let mut record = |event: &StepEvent<'_>| trace.record(event);
/// let drive = DriveOptions { observer: Some(&mut record), ..DriveOptions::default() };
/// let start = Tensor::<2>::zeros([3, 4], &Device::flex());
/// config.forward.solve_with(drive, |z: Tensor<2>| z * 0.5 + 1.0, start)?;
/// assert_eq!(trace.abs_trace().shape().as_slice(), [3, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    /// Evaluations that precede TorchDEQ's trace: Anderson's window starts with two, Broyden's
    /// start is not a step.
    untraced: usize,
    length: usize,
    scale: f64,
    return_final: bool,
    /// Reports one step, the last.
    only_last: bool,
    samples: usize,
    events: usize,
    /// Of each step and sample.
    absolute: Vec<Vec<f64>>,
    relative: Vec<Vec<f64>>,
}

impl Trace {
    /// Of a solve by this solver with this cap on its steps.
    pub fn new(solver: Solver, max_iter: usize) -> Self {
        let (untraced, length) = match solver {
            Solver::FixedPointIter => (0, max_iter),
            Solver::SimpleFixedPointIter => (0, 1),
            Solver::Anderson => (2, max_iter.saturating_sub(2)),
            Solver::Broyden => (1, max_iter),
        };
        Self {
            untraced,
            length,
            scale: 1.0,
            return_final: false,
            only_last: solver == Solver::SimpleFixedPointIter,
            samples: 0,
            events: 0,
            absolute: Vec::new(),
            relative: Vec::new(),
        }
    }

    /// For residuals that carry a factor $s$: in TorchDEQ those of `fixed_point_iter` and
    /// `simple_fixed_point_iter` carry their `tau`. The default is 1.
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// For solves with TorchDEQ's `return_final`, which reports the last residual as the lowest.
    pub fn with_return_final(mut self, return_final: bool) -> Self {
        self.return_final = return_final;
        self
    }

    /// Takes the residuals of a step.
    pub fn record(&mut self, event: &StepEvent<'_>) {
        self.events += 1;
        self.samples = event.residuals.len();
        if self.events <= self.untraced {
            return;
        }
        if self.only_last {
            self.absolute.clear();
            self.relative.clear();
        }
        let residual = event.evaluation.residual.clone() * self.scale;
        let image = norms(event.evaluation.point.clone() + residual.clone());
        let residual = norms(residual);
        let epsilon = if self.only_last { 1e-8 } else { 1e-9 };
        let ratios = residual.iter().zip(&image).map(|(r, f)| r / (f + epsilon));
        self.relative.push(ratios.collect());
        self.absolute.push(residual);
    }

    /// The lowest residual of each sample, `[samples]`.
    pub fn abs_lowest(&self) -> TensorData {
        vector(self.lowest(&self.absolute))
    }

    /// The lowest residual of each sample by the norm of its image, `[samples]`.
    pub fn rel_lowest(&self) -> TensorData {
        vector(self.lowest(&self.relative))
    }

    /// The residuals, `[samples, steps]`: after an early stop TorchDEQ goes on with the lowest.
    pub fn abs_trace(&self) -> TensorData {
        self.padded(&self.absolute)
    }

    /// The residuals by the norms of the images, `[samples, steps]`, padded in the same way.
    pub fn rel_trace(&self) -> TensorData {
        self.padded(&self.relative)
    }

    fn padded(&self, steps: &[Vec<f64>]) -> TensorData {
        let lowest = self.lowest(steps);
        let mut padded = Vec::with_capacity(lowest.len() * self.length);
        for (sample, &lowest) in lowest.iter().enumerate() {
            let of_sample = steps.iter().map(|step| step[sample]);
            let padding = std::iter::repeat(lowest);
            padded.extend(of_sample.chain(padding).take(self.length));
        }
        TensorData::new(padded, [lowest.len(), self.length])
    }

    fn lowest(&self, steps: &[Vec<f64>]) -> Vec<f64> {
        if let (true, Some(last)) = (self.return_final, steps.last()) {
            return last.clone();
        }
        (0..self.samples)
            .map(|sample| {
                let of_sample = steps.iter().map(|step| step[sample]);
                // Where TorchDEQ's lowest residuals start.
                of_sample.fold(1e8, f64::min)
            })
            .collect()
    }
}

fn vector(values: Vec<f64>) -> TensorData {
    let length = values.len();
    TensorData::new(values, [length])
}

fn norms(matrix: Tensor<2>) -> Vec<f64> {
    let data = matrix.square().sum_dim(1).sqrt().into_data();
    data.iter::<f64>().collect()
}
