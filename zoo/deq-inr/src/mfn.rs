use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::{Activation, PackedLinear, add_activation, linear, sin};
use deq_nn::Init;

use crate::Filter;
use crate::config::InrConfig;

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
            z_map: init.linear(config.width, config.width, true),
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
            Filter::SirenLike {} => sin(injection),
        }
    }

    /// One evaluation of the map: `first` is [`Mfn::first`] of the first injection, `injections`
    /// are those of the layers.
    pub fn forward(&self, first: Tensor<2>, injections: &[Tensor<2>], z: Tensor<2>) -> Tensor<2> {
        let layers = self.layers.iter().zip(injections);
        layers.fold(z + first, |z, (layer, u)| {
            let (weight, bias) = layer.weights();
            let z = linear(z, weight, bias, None);
            match self.filter {
                Filter::Fourier {} | Filter::Gabor { .. } => u.clone() * z,
                Filter::SirenLike {} => add_activation(z, u.clone(), Activation::Sin),
            }
        })
    }

    /// [`Mfn::forward`] for injections that stay the same, with the weights laid out once.
    pub fn prepare(
        &self,
        first: Tensor<2>,
        injections: &[Tensor<2>],
    ) -> impl Fn(Tensor<2>) -> Tensor<2> + use<> {
        let filter = self.filter;
        let layers = self.layers.iter().zip(injections).map(|(layer, u)| {
            let (weight, bias) = layer.weights();
            match (filter, bias) {
                (Filter::SirenLike {}, Some(bias)) => (
                    PackedLinear::new(weight, None),
                    u.clone() + bias.unsqueeze(),
                ),
                (_, bias) => (PackedLinear::new(weight, bias), u.clone()),
            }
        });
        let layers: Vec<_> = layers.collect();
        move |z: Tensor<2>| {
            layers
                .iter()
                .fold(z + first.clone(), |z, (layer, u)| match filter {
                    Filter::Fourier {} | Filter::Gabor { .. } => u.clone() * layer.forward(z, None),
                    Filter::SirenLike {} => layer.forward_add(z, u.clone(), Some(Activation::Sin)),
                })
        }
    }
}

impl MfnLayer {
    fn weights(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        let Linear { weight, bias } = &self.z_map;
        (weight.val(), bias.as_ref().map(Param::val))
    }
}
