use burn::tensor::{Tensor, TensorData};
use deq::solvers::StepEvent;
use deq::torchdeq::{Options, Solver};
use deq_parity::Results;

/// Each sample's residuals, step by step.
pub(super) struct Trace {
    /// Evaluations that precede the reference's trace.
    untraced: usize,
    /// The reference's number of steps.
    length: usize,
    events: usize,
    absolute: Vec<Vec<f64>>,
    relative: Vec<Vec<f64>>,
}

impl Trace {
    pub(super) fn new(options: &Options) -> Self {
        let max_iter = options.f_max_iter.unwrap_or(40);
        let cap = match options.eval_f_max_iter {
            0 => (max_iter as f64 * options.eval_factor.unwrap_or(1.0)) as usize,
            steps => steps,
        };
        let (untraced, length) = match options.f_solver {
            Solver::FixedPointIter | Solver::SimpleFixedPointIter => (0, cap),
            Solver::Anderson => (2, cap.saturating_sub(2)),
            Solver::Broyden => (1, cap),
        };
        Self {
            untraced,
            length,
            events: 0,
            absolute: Vec::new(),
            relative: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, event: &StepEvent<'_>) {
        self.events += 1;
        if self.events <= self.untraced {
            return;
        }
        let image = norms(event.evaluation.image.clone());
        let residual = norms(event.evaluation.residual.clone());
        let ratios = residual.iter().zip(&image).map(|(r, f)| r / (f + 1e-9));
        self.relative.push(ratios.collect());
        self.absolute.push(residual);
    }

    /// After an early stop the reference pads its traces with the lowest value.
    pub(super) fn insert(&self, results: &mut Results) {
        for (kind, trace) in [("abs", &self.absolute), ("rel", &self.relative)] {
            let samples = trace.first().map_or(0, Vec::len);
            let mut padded = Vec::with_capacity(samples * self.length);
            let mut all_lowest = Vec::with_capacity(samples);
            for sample in 0..samples {
                let of_sample = || trace.iter().map(move |row| row[sample]);
                let lowest = of_sample().fold(f64::INFINITY, f64::min);
                let padding = std::iter::repeat(lowest);
                padded.extend(of_sample().chain(padding).take(self.length));
                all_lowest.push(lowest);
            }
            let padded = TensorData::new(padded, [samples, self.length]);
            results.insert_data(format!("expect.{kind}_trace"), padded);
            let all_lowest = TensorData::new(all_lowest, [samples]);
            results.insert_data(format!("expect.{kind}_lowest"), all_lowest);
        }
    }
}

fn norms(matrix: Tensor<2>) -> Vec<f64> {
    let data = matrix.square().sum_dim(1).sqrt().into_data();
    data.iter::<f64>().collect()
}
