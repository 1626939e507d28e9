use rand::{Rng, RngExt};

use super::motion::Point;
use crate::flow::random::{between, chance};

/// A colour at every point of the plane: noise between two colours, and a pattern, stripes or more
/// noise, that mixes in a third.
pub(super) struct Texture {
    colors: [[f64; 3]; 3],
    noise: Noise,
    pattern: Pattern,
}

enum Pattern {
    Noise(Noise),
    Stripes {
        /// Radians a pixel, along x and y.
        frequency: Point,
        phase: f64,
    },
}

/// Value noise of several grains: random values on a lattice, smooth in between (quintic).
struct Noise {
    seed: u64,
    grain: f64,
}

/// Grain, in units of the smallest, and weight.
const OCTAVES: [(f64, f64); 3] = [(4.0, 0.5), (2.0, 0.3), (1.0, 0.2)];

impl Texture {
    pub(super) fn draw<R: Rng + ?Sized>(rng: &mut R, grain: f64) -> Self {
        // Dark, bright and any: the noise has contrast in every channel.
        let colors = [(0.0, 0.45), (0.55, 1.0), (0.0, 1.0)]
            .map(|(low, high)| [(); 3].map(|()| between(rng, low, high)));
        let noise = Noise {
            seed: rng.random(),
            grain,
        };
        let pattern = if chance(rng, 0.5) {
            Pattern::Noise(Noise {
                seed: rng.random(),
                grain,
            })
        } else {
            let (sin, cos) = between(rng, 0.0, std::f64::consts::TAU).sin_cos();
            let frequency = std::f64::consts::TAU / (grain * between(rng, 4.0, 10.0));
            Pattern::Stripes {
                frequency: [frequency * cos, frequency * sin],
                phase: between(rng, 0.0, std::f64::consts::TAU),
            }
        };
        Self {
            colors,
            noise,
            pattern,
        }
    }

    /// RGB in [0, 1].
    pub(super) fn at(&self, p: Point) -> [f64; 3] {
        let noise = self.noise.at(p);
        let pattern = match &self.pattern {
            Pattern::Noise(noise) => noise.at(p),
            Pattern::Stripes { frequency, phase } => {
                0.5 + 0.5 * (frequency[0] * p[0] + frequency[1] * p[1] + phase).sin()
            }
        };
        [0, 1, 2].map(|channel| {
            let [low, high, third] = self.colors.map(|color| color[channel]);
            let base = low + noise * (high - low);
            base + 0.6 * pattern * (third - base)
        })
    }
}

impl Noise {
    /// A value in [0, 1].
    fn at(&self, p: Point) -> f64 {
        let octave = |(octave, &(grain, weight)): (usize, &(f64, f64))| {
            let scale = grain * self.grain;
            // Octaves share no lattice point.
            let seed = self.seed.wrapping_add(octave as u64);
            weight * smooth_value(seed, [p[0] / scale, p[1] / scale])
        };
        let value: f64 = OCTAVES.iter().enumerate().map(octave).sum();
        // Averages of many values lie near 1/2.
        (0.5 + 1.6 * (value - 0.5)).clamp(0.0, 1.0)
    }
}

fn smooth_value(seed: u64, p: Point) -> f64 {
    let cell = p.map(f64::floor);
    let [tx, ty] = [0, 1].map(|i| {
        let t = p[i] - cell[i];
        t * t * t * (t * (6.0 * t - 15.0) + 10.0)
    });
    let [column, row] = cell.map(|value| value as i64);
    let value = |dx: i64, dy: i64| lattice_value(seed, column + dx, row + dy);
    let upper = value(0, 0) + tx * (value(1, 0) - value(0, 0));
    let lower = value(0, 1) + tx * (value(1, 1) - value(0, 1));
    upper + ty * (lower - upper)
}

/// A value in [0, 1) that looks random (the finisher of splitmix64).
fn lattice_value(seed: u64, column: i64, row: i64) -> f64 {
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let z = mix(seed ^ mix(column as u64 ^ mix(row as u64)));
    (z >> 11) as f64 / (1u64 << 53) as f64
}
