//! The correlation and its lookup, against a plain computation in `f64`.

use crate::common::{close, noise, tensor, values};
use burn::tensor::{Device, Tensor};
use deq_flow::{Correlation, FlowError, Lookup};

const CHANNELS: usize = 3;

fn maps(samples: usize, [height, width]: [usize; 2], device: &Device) -> [Tensor<4>; 2] {
    [1, 2].map(|seed| {
        let count = samples * CHANNELS * height * width;
        tensor(
            noise(count, seed),
            [samples, CHANNELS, height, width],
            device,
        )
    })
}

/// Positions in, across and far beyond the border, whole and between.
fn positions(samples: usize, [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let count = samples * 2 * height * width;
    let mut values: Vec<f32> = noise(count, 3)
        .into_iter()
        .enumerate()
        .map(|(index, noise)| (index % width) as f32 + 3.0 * noise)
        .collect();
    for (index, value) in [0.0, 2.0, -1.0, 1e6, -1e6, width as f32 - 1.0]
        .into_iter()
        .enumerate()
    {
        values[index] = value;
    }
    tensor(values, [samples, 2, height, width], device)
}

struct Naive {
    features: [Vec<f64>; 2],
    samples: usize,
    size: [usize; 2],
}

impl Naive {
    fn feature(&self, frame: usize, sample: usize, channel: usize, y: usize, x: usize) -> f64 {
        let [height, width] = self.size;
        self.features[frame][((sample * CHANNELS + channel) * height + y) * width + x]
    }

    /// The correlation of pixel `p` of the first frame with a block of the second, zero outside.
    fn at(&self, sample: usize, p: [usize; 2], level: usize, q: [i64; 2]) -> f64 {
        let [height, width] = self.size.map(|side| (side >> level) as i64);
        if !(0..height).contains(&q[0]) || !(0..width).contains(&q[1]) {
            return 0.0;
        }
        let block = 1usize << level;
        let mut sum = 0.0;
        for y in 0..block {
            for x in 0..block {
                let (y, x) = (q[0] as usize * block + y, q[1] as usize * block + x);
                for channel in 0..CHANNELS {
                    sum += self.feature(0, sample, channel, p[0], p[1])
                        * self.feature(1, sample, channel, y, x);
                }
            }
        }
        sum / (block * block) as f64 / (CHANNELS as f64).sqrt()
    }

    /// The bilinear value at row `y` and column `x`.
    fn between(&self, sample: usize, p: [usize; 2], level: usize, y: f64, x: f64) -> f64 {
        let (row, column) = (y.floor(), x.floor());
        let (dy, dx) = (y - row, x - column);
        let mut sum = 0.0;
        for (r, of_row) in [(0, 1.0 - dy), (1, dy)] {
            for (c, of_column) in [(0, 1.0 - dx), (1, dx)] {
                let q = [row as i64 + r, column as i64 + c];
                sum += of_row * of_column * self.at(sample, p, level, q);
            }
        }
        sum
    }

    /// `[samples, levels · (2r + 1)², height, width]`: the offset along x is the slower one.
    fn lookup(&self, coords: &[f32], levels: usize, radius: usize) -> Vec<f32> {
        let [height, width] = self.size;
        let radius = radius as i64;
        let mut found = Vec::new();
        for sample in 0..self.samples {
            for level in 0..levels {
                for i in -radius..=radius {
                    for j in -radius..=radius {
                        for y in 0..height {
                            for x in 0..width {
                                let at = |axis: usize| {
                                    let index = ((sample * 2 + axis) * height + y) * width + x;
                                    f64::from(coords[index]) / f64::from(1 << level)
                                };
                                let (column, row) = (at(0) + i as f64, at(1) + j as f64);
                                let value = self.between(sample, [y, x], level, row, column);
                                found.push(value as f32);
                            }
                        }
                    }
                }
            }
        }
        found
    }
}

#[test]
fn lookups_agree_with_a_plain_computation() {
    // An odd side loses its last row or column at the next level, and 5 >> 2 leaves one pixel.
    for (samples, size, levels, radius) in [(2, [6, 5], 3, 1), (1, [4, 4], 1, 0), (1, [4, 6], 2, 3)]
    {
        for device in deq::devices::all() {
            let [first, second] = maps(samples, size, &device);
            let coords = positions(samples, size, &device);
            let naive = Naive {
                features: [&first, &second].map(|map| {
                    let data = map.clone().into_data();
                    data.iter::<f64>().collect()
                }),
                samples,
                size,
            };
            let expected = naive.lookup(&values(coords.clone()), levels, radius);
            for lookup in [Lookup::AllPairs, Lookup::OnDemand] {
                let correlation =
                    Correlation::new(first.clone(), second.clone(), levels, radius, lookup);
                let correlation = correlation.expect("fits");
                let found = correlation.lookup(coords.clone());
                let planes = levels * (2 * radius + 1) * (2 * radius + 1);
                assert_eq!(found.dims(), [samples, planes, size[0], size[1]]);
                close(&values(found), &expected, 1e-5);
            }
        }
    }
}

#[test]
fn the_volume_has_all_pairs_and_no_more() {
    for device in deq::devices::all() {
        let [first, second] = maps(2, [4, 5], &device);
        let all = Correlation::new(first.clone(), second.clone(), 2, 1, Lookup::AllPairs);
        let all = all.expect("fits");
        let shapes = [0, 1].map(|level| all.volume(level).map(|volume| volume.dims()));
        assert_eq!(shapes, [Some([40, 1, 4, 5]), Some([40, 1, 2, 2])]);
        assert!(all.volume(2).is_none());
        let demand = Correlation::new(first, second, 2, 1, Lookup::OnDemand).expect("fits");
        assert!(demand.volume(0).is_none());
    }
}

/// More positions than one selection of features reads.
#[test]
fn large_lookups_on_demand_are_cut_without_a_seam() {
    for device in deq::devices::all() {
        let size = [17, 24];
        let [first, second] = maps(1, size, &device);
        let coords = positions(1, size, &device);
        let looked_up = |lookup| {
            let correlation = Correlation::new(first.clone(), second.clone(), 1, 4, lookup);
            values(correlation.expect("fits").lookup(coords.clone()))
        };
        let all = looked_up(Lookup::AllPairs);
        close(&looked_up(Lookup::OnDemand), &all, 1e-5);
        assert!(all.iter().any(|value| value.abs() > 0.1));
    }
}

#[test]
fn both_ways_have_the_same_gradients() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let size = [4, 4];
        let gradients = |lookup| {
            let [first, second] = maps(2, size, &device).map(Tensor::require_grad);
            let coords = positions(2, size, &device).require_grad();
            let correlation = Correlation::new(first.clone(), second.clone(), 2, 1, lookup);
            let found = correlation.expect("fits").lookup(coords.clone());
            let weights = tensor(
                noise(found.shape().num_elements(), 5),
                found.dims(),
                &device,
            );
            let backward = (found * weights).sum().backward();
            [first, second, coords].map(|leaf| values(leaf.grad(&backward).expect("a gradient")))
        };
        let all = gradients(Lookup::AllPairs);
        let demand = gradients(Lookup::OnDemand);
        for (demand, all) in demand.iter().zip(&all) {
            close(demand, all, 1e-4);
            assert!(all.iter().any(|value| value.abs() > 1e-2));
        }
    }
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let device = &deq::devices::all()[0];
    let [first, second] = maps(1, [4, 4], device);
    let other = second.clone().narrow(3, 0, 3);
    let refused = Correlation::new(first.clone(), other, 1, 1, Lookup::AllPairs);
    assert!(matches!(refused, Err(FlowError::Shape { .. })));
    for levels in [0, 4, 100] {
        let refused = Correlation::new(first.clone(), second.clone(), levels, 1, Lookup::OnDemand);
        assert!(matches!(refused, Err(FlowError::InvalidConfig { .. })));
    }
}
