/// Random numbers (splitmix64; Steele, Lea and Flood, OOPSLA 2014) that are the same on every
/// machine and in every release, so that a run can be resumed and a generated data set has one
/// content for ever.
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// Numbers that depend on all these keys, in order.
    pub(super) fn new(keys: &[u64]) -> Self {
        let mut random = Self { state: 0 };
        for &key in keys {
            random.state = random.next() ^ key;
        }
        // One more step, so that neighbouring keys share no word.
        random.state = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
