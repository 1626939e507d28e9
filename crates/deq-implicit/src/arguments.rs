//! The tensors in a map's arguments that carry a gradient, as one vector.
//!
//! A gradient that evaluates the map many times in the backward pass must hand the sum of what it
//! finds to the arguments themselves. It reaches them as burn's optimisers do: by visiting
//! parameters.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

/// A tensor as an argument that every gradient can reach: a parameter that belongs to no module.
///
/// Plain tensors in `args` are enough for gradients that evaluate the tracked map where the solve
/// ended. [`Unrolled`](crate::Unrolled) with checkpoints and [`Reversible`](crate::Reversible)
/// evaluate it anew in the backward pass; they find parameters, and tensors wrapped by this, and
/// refuse others that carry a gradient.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_implicit::{DeqConfig, Gradient, Reversible, input};
/// use deq_solvers::{Finish, SolverConfig};
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<2>::full([1, 1], 0.25, &device).require_grad();
/// let mut config = DeqConfig::default()
///     .with_solver(SolverConfig::reversible())
///     .with_gradient(Gradient::Reversible(Reversible::default()));
/// config.forward.termination.finish = Finish::Best;
/// let start = Tensor::zeros([1, 1], &device);
/// let map = |x: &burn::module::Param<Tensor<2>>, z: Tensor<2>| z * 0.5 + x.val();
/// let z = config.init()?.solve(&input(x.clone()), start, map)?.into_last();
/// let gradients = z.sum().backward();
/// let dx = x.grad(&gradients).map(|g| g.into_scalar::<f32>());
/// assert!((dx.unwrap_or(0.0) - 2.0).abs() < 1e-2);
/// # Ok::<(), deq_implicit::SolveError>(())
/// ```
pub fn input<const D: usize>(tensor: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), tensor)
}

/// Which parameters of the arguments, in the order of a visit, carry a gradient.
pub(crate) type Carriers = Vec<bool>;

/// The parameters that carry a gradient, joined into one tracked vector; `None` if there are none.
pub(crate) fn join<A: Module>(args: &A) -> (Carriers, Option<Tensor<1>>) {
    let mut join = Join::default();
    args.visit(&mut join);
    let joined = (!join.tensors.is_empty()).then(|| Tensor::cat(join.tensors, 0));
    (join.carriers, joined)
}

#[derive(Default)]
struct Join {
    carriers: Carriers,
    tensors: Vec<Tensor<1>>,
}

impl ModuleVisitor for Join {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        self.carriers.push(tensor.is_tracked());
        if tensor.is_tracked() {
            self.tensors.push(flat(tensor));
        }
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}

/// The arguments with their parameters as constants: what is still tracked in a map of these
/// escapes [`join`].
pub(crate) fn constant<A: Module>(args: &A) -> A {
    args.clone().map(&mut Detach)
}

struct Detach;

impl ModuleMapper for Detach {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        // burn's detached leaf still requires its gradient.
        Param::from_mapped_value(id, tensor.detach().set_require_grad(false), mapper)
    }
}

/// The gradient of one parameter, as a vector.
type Leaf = Box<dyn Fn(&Gradients) -> Tensor<1>>;

/// Makes the carriers among plain arguments leaves of a new graph, and says how to read their
/// joined gradient from it.
pub(crate) fn leaves<A: Module>(
    plain: &A,
    carriers: &Carriers,
) -> (A, impl Fn(&Gradients) -> Option<Tensor<1>>) {
    let mut track = Track {
        carriers: carriers.iter(),
        leaves: Vec::new(),
    };
    let args = plain.clone().map(&mut track);
    let leaves = track.leaves;
    let joined = move |gradients: &Gradients| {
        let each: Vec<Tensor<1>> = leaves.iter().map(|leaf| leaf(gradients)).collect();
        (!each.is_empty()).then(|| Tensor::cat(each, 0))
    };
    (args, joined)
}

struct Track<'a> {
    carriers: std::slice::Iter<'a, bool>,
    leaves: Vec<Leaf>,
}

impl ModuleMapper for Track<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.carriers.next() != Some(&true) {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let leaf = tensor.autodiff().require_grad();
        let kept = leaf.clone();
        self.leaves.push(Box::new(move |gradients| {
            let gradient = kept.grad(gradients);
            flat(gradient.unwrap_or_else(|| kept.clone().inner().zeros_like()))
        }));
        Param::from_mapped_value(id, leaf, mapper)
    }
}
