use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor, Param, Reparameterization};
use burn::tensor::{Device, Tensor};

mod config;
mod power;
mod reset;

pub use config::SpectralNormConfig;
pub(crate) use reset::Reset;

use crate::attach::matrix;

/// Spectral norm (Miyato et al., ICLR 2018, arXiv 1802.05957; in TorchDEQ's form with gains and a
/// clipped factor):
///
/// $$W = V \cdot \min\bigl(c, \frac{g}{\sigma}\bigr), \qquad \sigma = u^\top M v,$$
///
/// where $M$ is the stored weight $V$ as a matrix, output channels by everything else. $u$ and $v$
/// approximate the singular vectors of its largest singular value. They are constants for the
/// gradient, so that $\partial \sigma / \partial M = u v^\top$, are saved and loaded with the
/// module, and move only in [`reset_norms`](crate::reset_norms). $g$ is one gain per output channel,
/// or the target norm.
///
/// With equal gains and no clip, a linear layer's largest singular value is $g$. A convolution's
/// Lipschitz constant is not that of its kernel's matrix: it may exceed $g$ by up to the root of
/// the number of kernel elements.
///
/// Attached by [`SpectralNormConfig::apply`].
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    /// $g$, `[output channels]`; `None` with a fixed target norm.
    pub gain: Option<Param<Tensor<1>>>,
    /// $u$, `[output channels]`, of length 1.
    pub u: Param<Tensor<1>>,
    /// $v$, `[elements of an output channel]`, of length 1.
    pub v: Param<Tensor<1>>,
    /// The axis of the output channels.
    axis: usize,
    target_norm: f64,
    clip: Option<f64>,
    n_power_iterations: usize,
}

impl Reparameterization for SpectralNorm {
    const NAME: &'static str = "spectral_norm";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let matrix = matrix(base.clone(), self.axis);
        let [rows, columns] = matrix.dims();
        let left: Tensor<2> = self.u.val().reshape([1, rows]);
        let right: Tensor<2> = self.v.val().reshape([columns, 1]);
        let sigma: Tensor<D> = left.matmul(matrix.matmul(right)).reshape([1usize; D]);
        let factor = match &self.gain {
            Some(gain) => {
                let mut shape = [1; D];
                shape[self.axis] = rows;
                gain.val().reshape(shape) / sigma
            }
            None => sigma.recip() * self.target_norm,
        };
        base * match self.clip {
            Some(clip) => factor.clamp_max(clip),
            None => factor,
        }
    }
}

impl SpectralNorm {
    fn each(self, mut f: impl FnMut(Param<Tensor<1>>) -> Param<Tensor<1>>) -> Self {
        Self {
            gain: self.gain.map(&mut f),
            u: f(self.u),
            v: f(self.v),
            ..self
        }
    }

    /// What burn announces as the container of the fields. See [`Settings`].
    fn container(&self) -> String {
        Settings {
            axis: self.axis,
            iterations: self.n_power_iterations,
        }
        .container()
    }
}

/// What a reset needs beside the tensors.
///
/// burn shows a mapper a weight and the tensors of its reparameterisation, but never the
/// reparameterisation itself. The container's name is all that a module may say of itself on the
/// way, so the settings travel in it. That is why [`Module`] is written out below instead of
/// derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    axis: usize,
    iterations: usize,
}

impl Settings {
    const PREFIX: &'static str = "Struct:SpectralNorm";

    fn container(self) -> String {
        format!("{}:{}:{}", Self::PREFIX, self.axis, self.iterations)
    }

    fn parse(container: &str) -> Option<Self> {
        let (axis, iterations) = container
            .strip_prefix(Self::PREFIX)?
            .strip_prefix(':')?
            .split_once(':')?;
        Some(Self {
            axis: axis.parse().ok()?,
            iterations: iterations.parse().ok()?,
        })
    }
}

impl Module for SpectralNorm {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        let container = self.container();
        let fields = [
            ("gain", self.gain.as_ref()),
            ("u", Some(&self.u)),
            ("v", Some(&self.v)),
        ];
        for (name, param) in fields {
            if let Some(param) = param {
                visitor.enter_module(name, &container);
                Module::visit(param, visitor);
                visitor.exit_module(name, &container);
            }
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let container = self.container();
        let mut field = |name: &str, param: Param<Tensor<1>>| {
            mapper.enter_module(name, &container);
            let param = Module::map(param, mapper);
            mapper.exit_module(name, &container);
            param
        };
        Self {
            gain: self.gain.map(|gain| field("gain", gain)),
            // Whatever a mapper does to all parameters, such as unfreezing them: these are state.
            u: field("u", self.u).set_require_grad(false),
            v: field("v", self.v).set_require_grad(false),
            ..self
        }
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        let devices = Module::collect_devices(&self.gain, devices);
        let devices = Module::collect_devices(&self.u, devices);
        Module::collect_devices(&self.v, devices)
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|param| Module::to_device(param, device))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|param| Module::fork(param, device))
    }

    fn train(self) -> Self {
        self.each(Module::train)
    }

    fn valid(&self) -> Self {
        self.clone().each(|param| Module::valid(&param))
    }

    fn materialize(self) -> Self {
        self.each(Module::materialize)
    }
}
