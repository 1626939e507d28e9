use burn::module::Module;
use burn::tensor::{Device, Tensor};
use deq::regularizers::{Drops, Mask, VariationalDropout};
use rand::rngs::StdRng;

/// Draws the masks of one call. They are drawn once, outside the map, so that the map does not
/// change between a solver's evaluations.
pub(crate) struct Dropout<'a> {
    rng: Option<&'a mut StdRng>,
    device: Device,
}

impl<'a> Dropout<'a> {
    /// Without a generator nothing is dropped.
    pub(crate) fn new(rng: Option<&'a mut StdRng>, device: &Device) -> Self {
        Self {
            rng,
            device: device.clone(),
        }
    }

    /// A mask of this shape, which has length 1 along the axes that share a draw. `rate` is in
    /// [0, 1).
    pub(crate) fn mask<const D: usize>(&mut self, rate: f64, shape: [usize; D]) -> Mask<D> {
        let Some(rng) = self.rng.as_deref_mut() else {
            return Mask::none();
        };
        let dropout = VariationalDropout {
            p: rate,
            drops: Drops::Elements {},
        };
        let like = Tensor::<D>::zeros(shape, &self.device);
        let mask = dropout.sample(&like, rng);
        mask.expect("the rate was validated with the configuration")
    }
}

/// The masks of one block.
#[derive(Module, Debug)]
pub(crate) struct BlockMasks {
    /// Of attention probabilities, `[batch, heads, queries, keys]`.
    pub(crate) attention: Mask<4>,
    /// Of features after the attention, `[batch, 1, width]`.
    pub(crate) attended: Mask<3>,
    /// Of hidden units, `[batch, 1, units]`.
    pub(crate) hidden: Mask<3>,
    /// Of features after the feed-forward layer, `[batch, 1, width]`.
    pub(crate) output: Mask<3>,
}
