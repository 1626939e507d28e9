use burn::tensor::TensorData;
use serde::Deserialize;

/// A tensor that a fixture generates instead of storing: uniform numbers from splitmix64.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) shape: Vec<usize>,
    seed: u64,
    scale: f64,
    shift: f64,
}

impl Recipe {
    /// Element `i` is `shift + scale * (2 u - 1)` with `u` the leading 24 bits of the `i`-th word.
    pub(crate) fn generate(&self) -> TensorData {
        let count: usize = self.shape.iter().product();
        let values: Vec<f32> = (1..=count as u64)
            .map(|i| {
                let unit = (word(self.seed, i) >> 40) as f64 / f64::from(1 << 24);
                (self.shift + self.scale * (2.0 * unit - 1.0)) as f32
            })
            .collect();
        TensorData::new(values, self.shape.as_slice())
    }
}

fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_values() {
        assert_eq!(
            [word(0, 1), word(0, 2), word(0, 3)],
            [0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f]
        );
        let recipe = Recipe {
            shape: vec![4],
            seed: 850_001,
            scale: 0.5,
            shift: 0.0,
        };
        let values: Vec<f32> = recipe.generate().iter::<f32>().collect();
        assert_eq!(
            values,
            [-0.215_395_93, -0.252_355_34, -0.218_410_37, 0.198_958_16]
        );
    }
}
