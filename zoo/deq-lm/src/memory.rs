use burn::tensor::{Device, Tensor};

/// What a model remembers of earlier segments: the states that later positions attend to, and what
/// was injected there. Plain tensors, so that no gradient flows from segment to segment.
///
/// An equilibrium model remembers its fixed points, once for all evaluations. An explicit one
/// remembers what entered each of its layers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// `[batch, positions, width]`: one, or one for each explicit layer; none if nothing is
    /// remembered.
    pub z: Vec<Tensor<3>>,
    /// `[batch, positions, 3 · width]`.
    pub u: Option<Tensor<3>>,
}

impl Memory {
    /// How many positions are remembered.
    pub fn len(&self) -> usize {
        self.u.as_ref().map_or(0, |u| u.dims()[1])
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last `length` positions of this memory followed by new ones.
    pub(crate) fn extended(&self, z: Vec<Tensor<3>>, u: Tensor<3>, length: usize) -> Self {
        if length == 0 {
            return Self::default();
        }
        let last = |past: Option<&Tensor<3>>, new: Tensor<3>| {
            let new = new.inner();
            let all = match past {
                Some(past) => Tensor::cat(vec![past.clone(), new], 1),
                None => new,
            };
            let kept = length.min(all.dims()[1]);
            let start = all.dims()[1] - kept;
            all.narrow(1, start, kept)
        };
        let z = z.into_iter().enumerate();
        Self {
            z: z.map(|(layer, new)| last(self.z.get(layer), new)).collect(),
            u: Some(last(self.u.as_ref(), u)),
        }
    }
}

/// A constant on a device, with that device's autodiff and checkpointing strategy.
pub(crate) fn constant(tensor: &Tensor<3>, device: &Device) -> Tensor<3> {
    let tensor = tensor.clone().inner();
    if !device.is_autodiff() {
        return tensor;
    }
    let tensor = tensor.autodiff();
    match device.gradient_checkpointing_strategy() {
        Some(strategy) => tensor.with_gradient_checkpointing_strategy(strategy),
        None => tensor,
    }
}
