use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::Signal;

/// Random points: one shuffled pass after another. They depend on the seed and on how many were
/// taken before, so that taking as many again leads to the same place.
#[derive(Debug)]
pub(super) struct Order {
    rng: StdRng,
    remaining: Vec<usize>,
}

impl Order {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            remaining: Vec::new(),
        }
    }

    /// The next `count` points of `points`, or what a pass has left. They stay the next ones until
    /// they are [taken](Self::take).
    pub(super) fn next(&mut self, count: usize, points: usize) -> &[usize] {
        if self.remaining.is_empty() {
            self.remaining = (0..points).collect();
            self.remaining.shuffle(&mut self.rng);
        }
        &self.remaining[self.rest(count)..]
    }

    /// Goes past the next `count` points.
    pub(super) fn take(&mut self, count: usize) {
        self.remaining.truncate(self.rest(count));
    }

    fn rest(&self, count: usize) -> usize {
        self.remaining.len().saturating_sub(count)
    }
}

/// Some points of the signal, on the model's device.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) coords: Tensor<2>,
    pub(super) targets: Tensor<2>,
    /// The last fixed point, when it is reused.
    pub(super) state: Option<Tensor<2>>,
}

impl Chunk {
    pub(super) fn new(signal: &Signal, points: &[usize], device: &Device) -> Self {
        let rows = |values: &[f32], width: usize| {
            let rows = points
                .iter()
                .flat_map(|&p| &values[p * width..(p + 1) * width]);
            let data = TensorData::new(rows.copied().collect(), [points.len(), width]);
            Tensor::from_data(data, device)
        };
        Self {
            coords: rows(signal.coords(), signal.in_channels()),
            targets: rows(signal.targets(), signal.out_channels()),
            state: None,
        }
    }
}
