use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId, Reparameterization, Reparameterizer};
use burn::tensor::{Device, Tensor};

use crate::selection::Selector;
use crate::{NormError, Selection};

/// A weight to which a norm is about to be attached. Its tensors are constants: no gradient flows
/// back from them.
#[derive(Clone, Debug)]
pub struct Weight {
    shape: Vec<usize>,
    axis: usize,
    /// `[axes before the channels, channels, axes after]`.
    blocks: Tensor<3>,
}

impl Weight {
    fn new<const D: usize>(param: &Param<Tensor<D>>, axis: usize) -> Self {
        // `detach` keeps a leaf's gradient.
        let value = param.base().set_require_grad(false);
        Self {
            shape: value.dims().to_vec(),
            axis,
            blocks: blocks(value, axis),
        }
    }

    /// The weight's shape, as burn stores it.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The axis of the output channels: 1 in a linear layer or a transposed convolution, as burn
    /// stores them, and 0 elsewhere.
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// The number of output channels.
    pub fn channels(&self) -> usize {
        self.shape[self.axis]
    }

    /// The device, autodiff included.
    pub fn device(&self) -> Device {
        self.blocks.device()
    }

    /// `[channels, everything else]`.
    pub fn matrix(&self) -> Tensor<2> {
        rows(self.blocks.clone())
    }

    /// The Euclidean norm of each output channel, `[channels]`.
    pub fn channel_norms(&self) -> Tensor<1> {
        let squares = self.blocks.clone().square().sum_dim(0).sum_dim(2);
        squares.sqrt().reshape([self.channels()])
    }
}

/// A weight as `[axes before the channels, channels, axes after]`.
fn blocks<const D: usize>(weight: Tensor<D>, axis: usize) -> Tensor<3> {
    let dims = weight.dims();
    let before: usize = dims[..axis].iter().product();
    let after: usize = dims[axis + 1..].iter().product();
    weight.reshape([before, dims[axis], after])
}

fn rows(blocks: Tensor<3>) -> Tensor<2> {
    let [before, channels, after] = blocks.dims();
    let channels_first: Tensor<3> = blocks.swap_dims(0, 1);
    channels_first.reshape([channels, before * after])
}

/// A weight as `[channels, everything else]`, with the other axes in their order.
pub(crate) fn matrix<const D: usize>(weight: Tensor<D>, axis: usize) -> Tensor<2> {
    rows(blocks(weight, axis))
}

/// Attaches a norm of one's own to the selected weights of `module`.
///
/// `norm` gets each weight's path and the weight, and returns the
/// [`Reparameterization`] for it. Its parameters are trained, saved and loaded with the module, and
/// [`remove_norms`](crate::remove_norms) works on it as on the built-in norms.
///
/// ```
/// use burn::module::{Module, Param, Reparameterization};
/// use burn::nn::LinearConfig;
/// use burn::tensor::Tensor;
/// use deq_regularizers::{Selection, apply_custom};
///
/// /// The weight over its Frobenius norm, times a gain.
/// #[derive(Module, Debug)]
/// struct FrobeniusNorm {
///     gain: Param<Tensor<1>>,
/// }
///
/// impl Reparameterization for FrobeniusNorm {
///     const NAME: &'static str = "frobenius_norm";
///
///     fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
///         let norm = base.clone().square().sum().sqrt();
///         let factor: Tensor<D> = (self.gain.val() / norm).reshape([1usize; D]);
///         base * factor
///     }
/// }
///
/// let linear = LinearConfig::new(4, 3).init(&burn::tensor::Device::flex());
/// let linear = apply_custom(linear, &Selection::all(), |path, weight| {
///     assert_eq!((path, weight.channels()), ("weight", 3));
///     let norm = weight.matrix().square().sum().sqrt();
///     FrobeniusNorm { gain: Param::from_tensor(norm * 0.5) }
/// })?;
/// let norm = linear.weight.val().square().sum() / linear.weight.base().square().sum();
/// assert!((norm.into_scalar::<f32>() - 0.25).abs() < 1e-5);
/// # Ok::<(), deq_regularizers::NormError>(())
/// ```
///
/// # Errors
/// [`NormError`] when nothing is selected, a pattern has no effect, or a selected parameter is
/// reparameterised already or has fewer than two axes.
pub fn apply_custom<M, R>(
    module: M,
    selection: &Selection,
    mut norm: impl FnMut(&str, &Weight) -> R,
) -> Result<M, NormError>
where
    M: Module,
    R: Reparameterization,
{
    attach(module, selection, |path, weight| Ok(norm(path, weight)))
}

/// [`apply_custom`] with a norm that may refuse a weight.
pub(crate) fn attach<M, R>(
    module: M,
    selection: &Selection,
    build: impl FnMut(&str, &Weight) -> Result<R, NormError>,
) -> Result<M, NormError>
where
    M: Module,
    R: Reparameterization,
{
    let mut collect = Collect {
        build,
        selector: Selector::new(selection),
        path: Vec::new(),
        taken: false,
        norms: BTreeMap::new(),
        error: None,
    };
    module.visit(&mut collect);
    if let Some(error) = collect.error {
        return Err(error);
    }
    if let Some(pattern) = collect.selector.unused() {
        return Err(NormError::NoMatch(pattern.to_owned()));
    }
    if collect.norms.is_empty() {
        return Err(NormError::NoWeight);
    }
    Ok(module.apply_reparameterization(Attach {
        norms: collect.norms,
    }))
}

/// How burn announces what hangs below a reparameterised parameter.
const REPARAMETERIZATION: &str = "Reparameterization";

/// The axis of a weight's output channels, by the type that holds it.
fn output_axis(container: &str) -> Option<usize> {
    match container.strip_prefix("Struct:")? {
        "Conv1d" | "Conv2d" | "Conv3d" => Some(0),
        // burn's `Linear` stores `[in, out]`, a transposed convolution `[in, out, …]`.
        "Linear" | "ConvTranspose1d" | "ConvTranspose2d" | "ConvTranspose3d" => Some(1),
        _ => None,
    }
}

/// Builds the norm of every selected weight.
struct Collect<'a, R, F> {
    build: F,
    selector: Selector<'a>,
    /// Field name and container of each level.
    path: Vec<(String, String)>,
    /// Whether the last weight seen is selected.
    taken: bool,
    norms: BTreeMap<ParamId, R>,
    error: Option<NormError>,
}

impl<R, F> Collect<'_, R, F> {
    fn path(&self) -> String {
        let names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        names.join(".")
    }

    fn is_inside_reparameterization(&self) -> bool {
        let mut containers = self.path.iter().map(|(_, container)| container);
        containers.any(|container| container == REPARAMETERIZATION)
    }

    /// The output axis, when this is the weight of a linear layer or a convolution.
    fn layer_axis(&self) -> Option<usize> {
        let (name, container) = self.path.last()?;
        output_axis(container).filter(|_| name == "weight")
    }
}

impl<R, F> ModuleVisitor for Collect<'_, R, F>
where
    F: FnMut(&str, &Weight) -> Result<R, NormError>,
{
    fn enter_module(&mut self, name: &str, container_type: &str) {
        // burn visits the stored base first, then this.
        if container_type == REPARAMETERIZATION && self.taken {
            let path = self.path();
            self.error.get_or_insert(NormError::AlreadyApplied(path));
        }
        self.path.push((name.to_owned(), container_type.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.is_inside_reparameterization() {
            return;
        }
        let path = self.path();
        let axis = self.layer_axis();
        self.taken = self.selector.takes(&path, axis.is_some());
        if !self.taken {
            return;
        }
        let norm = if D < 2 {
            Err(NormError::NotAMatrix(path))
        } else {
            (self.build)(&path, &Weight::new(param, axis.unwrap_or(0)))
        };
        match norm {
            Ok(norm) => {
                self.norms.insert(param.id, norm);
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }
}

/// Attaches the norms to their weights.
struct Attach<R> {
    norms: BTreeMap<ParamId, R>,
}

impl<R: Reparameterization> Reparameterizer for Attach<R> {
    type Reparam = R;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<R>) {
        // A copy, since one parameter may sit in several places.
        let norm = self.norms.get(&param.id).cloned();
        (param, norm)
    }
}
