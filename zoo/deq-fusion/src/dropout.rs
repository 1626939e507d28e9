use burn::tensor::Tensor;
use deq::regularizers::{Drops, VariationalDropout};
use rand::rngs::StdRng;

/// Draws the dropout masks of one call, on the host.
///
/// Inside a map a mask must not change between a solver's evaluations, so it is drawn once and
/// travels in the arguments.
pub(crate) struct Dropout<'a> {
    rng: Option<&'a mut StdRng>,
}

impl<'a> Dropout<'a> {
    /// Without a generator nothing is dropped.
    pub(crate) fn new(rng: Option<&'a mut StdRng>) -> Self {
        Self { rng }
    }

    /// Factors for numbers like these: 0 with probability `rate`, else 1 / (1 - rate); `None` if
    /// nothing is dropped. `rate` is in [0, 1).
    pub(crate) fn factors<const D: usize>(
        &mut self,
        rate: f64,
        like: &Tensor<D>,
    ) -> Option<Tensor<D>> {
        let rng = self.rng.as_deref_mut()?;
        let dropout = VariationalDropout {
            p: rate,
            drops: Drops::Elements {},
        };
        let mask = dropout.sample(like, rng);
        let mask = mask.expect("the rate was validated with the configuration");
        mask.factors().cloned()
    }

    /// These numbers with some of them dropped.
    pub(crate) fn apply<const D: usize>(&mut self, rate: f64, x: Tensor<D>) -> Tensor<D> {
        match self.factors(rate, &x) {
            Some(factors) => x * factors,
            None => x,
        }
    }

    /// The generator, for what draws on its own.
    pub(crate) fn rng(&mut self) -> Option<&mut StdRng> {
        self.rng.as_deref_mut()
    }
}
