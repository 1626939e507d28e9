use super::random::Random;
use super::{LabelledImages, names};
use crate::DataError;

/// The classes of the built-in shapes and textures. Mirroring keeps every class.
pub const SHAPES: [&str; 10] = [
    "disc",
    "square",
    "triangle",
    "ring",
    "cross",
    "horizontal stripes",
    "vertical stripes",
    "checkerboard",
    "dots",
    "gradient",
];

impl LabelledImages {
    /// Labelled shapes and textures by formula, without files: image `i` is of class `i mod 10`,
    /// with position, size, colours and noise drawn from the seed. A network far above chance (a
    /// tenth) has learnt something; the numbers compare with no published ones.
    ///
    /// # Errors
    /// [`DataError::Request`] without an image, below 8 pixels a side, and for channels other than
    /// 1 and 3.
    pub fn shapes(
        count: usize,
        side: usize,
        channels: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        if count == 0 || side < 8 || !matches!(channels, 1 | 3) {
            return Err(DataError::Request(format!(
                "built-in shapes need an image, at least 8 pixels a side and 1 or 3 channels, not {count}, {side} and {channels}"
            )));
        }
        let mut pixels = Vec::with_capacity(count * channels * side * side);
        let mut labels = Vec::with_capacity(count);
        for index in 0..count {
            let class = index % SHAPES.len();
            let mut random = Random::new(&[seed, index as u64]);
            let scene = Scene::new(class, &mut random);
            for _ in 0..channels {
                let ink = random.between(0.65, 1.0);
                let paper = random.between(0.0, 0.35);
                for row in 0..side {
                    for column in 0..side {
                        let x = (column as f64 + 0.5) / side as f64;
                        let y = (row as f64 + 0.5) / side as f64;
                        let noise = random.between(-0.1, 0.1);
                        let value = paper + (ink - paper) * scene.coverage(x, y) + noise;
                        pixels.push((value.clamp(0.0, 1.0) * 255.0).round() as u8);
                    }
                }
            }
            labels.push(class as u16);
        }
        Self::new([channels, side, side], pixels, labels, names(&SHAPES))
    }
}

/// One picture without its colours.
struct Scene {
    class: usize,
    /// Centre and radius of a shape, in the unit square.
    centre: [f64; 2],
    radius: f64,
    /// Periods and phase of a texture.
    periods: f64,
    phase: f64,
}

impl Scene {
    fn new(class: usize, random: &mut Random) -> Self {
        let radius = random.between(0.2, 0.35);
        Self {
            class,
            centre: [0, 1].map(|_| random.between(radius + 0.05, 0.95 - radius)),
            radius,
            periods: random.between(2.5, 4.0),
            phase: random.unit(),
        }
    }

    /// How much ink there is at a point, y pointing down.
    fn coverage(&self, x: f64, y: f64) -> f64 {
        let (u, v) = (
            (x - self.centre[0]) / self.radius,
            (y - self.centre[1]) / self.radius,
        );
        let distance = (u * u + v * v).sqrt();
        let wave = |t: f64| (t * self.periods + self.phase).rem_euclid(1.0) < 0.5;
        let cell = |t: f64| (t * self.periods + self.phase).rem_euclid(1.0) - 0.5;
        let is_ink = match self.class {
            0 => distance < 1.0,
            1 => u.abs().max(v.abs()) < 0.85,
            2 => v < 0.8 && v > -1.0 && u.abs() < (v + 1.0) * 0.55,
            3 => (0.6..1.0).contains(&distance),
            4 => u.abs().min(v.abs()) < 0.3 && u.abs().max(v.abs()) < 1.0,
            5 => wave(y),
            6 => wave(x),
            7 => wave(x) != wave(y),
            8 => cell(x).hypot(cell(y)) < 0.3,
            _ => return (y + 0.3 * self.phase).min(1.0),
        };
        f64::from(u8::from(is_ink))
    }
}
