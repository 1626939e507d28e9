use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::Filter;
use crate::config::InrConfig;
use crate::init::Init;

/// A multiplicative filter network (Fathony et al., ICLR 2021) as the map $f$ of the equilibrium:
///
/// $$z \leftarrow z + g(z_0; u_0), \qquad z \leftarrow g(W_i z + b_i; u_i), \quad i = 1 … L,$$
///
/// where $z_0$ is 1 for the Fourier and Gabor filters and 0 for the siren-like one.
#[derive(Module, Debug)]
pub struct Mfn {
    /// The layers.
    pub layers: Vec<MfnLayer>,
    #[module(skip)]
    filter: Filter,
}

/// One layer: a linear map of the state, before its filter.
#[derive(Module, Debug)]
pub struct MfnLayer {
    /// $W_i$ and $b_i$.
    pub z_map: Linear,
}

impl Mfn {
    pub(crate) fn new(config: &InrConfig, init: &mut Init<'_>) -> Self {
        let layer = |_| MfnLayer {
            z_map: init.linear(config.width, config.width),
        };
        Self {
            layers: (0..config.layers).map(layer).collect(),
            filter: config.filter,
        }
    }

    /// What the first injection adds to the state. It does not depend on the state, so it is
    /// computed once a solve and not once an evaluation.
    pub fn first(&self, injection: Tensor<2>) -> Tensor<2> {
        match self.filter {
            Filter::Fourier {} | Filter::Gabor { .. } => injection,
            Filter::SirenLike {} => injection.sin(),
        }
    }

    /// One evaluation of the map: `first` is [`Mfn::first`] of the first injection, `injections`
    /// are those of the layers.
    pub fn forward(&self, first: Tensor<2>, injections: &[Tensor<2>], z: Tensor<2>) -> Tensor<2> {
        let layers = self.layers.iter().zip(injections);
        layers.fold(z + first, |z, (layer, u)| {
            let z = layer.z_map.forward(z);
            match self.filter {
                Filter::Fourier {} | Filter::Gabor { .. } => u.clone() * z,
                Filter::SirenLike {} => (z + u.clone()).sin(),
            }
        })
    }
}
