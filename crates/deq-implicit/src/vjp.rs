use burn::module::Module;
use burn::tensor::{Shape, Tensor};
use deq_solvers::State;

/// The vector–Jacobian product $J^\top u$ of a map at $z$, with $J = \partial f / \partial z$.
///
/// `args` must be plain (`args.valid()`), as must be `z` and `u`, which have the same shapes. Costs
/// one forward and one backward of the map.
pub fn vjp<A: Module, S: State>(args: &A, map: impl Fn(&A, S) -> S, z: &S, u: &S) -> S {
    let shapes = z.shapes();
    let (point, u) = (z.clone().into_matrix(), u.clone().into_matrix());
    S::from_matrix(product(args, map, &point, &shapes, u), &shapes)
}

/// The same on matrices of samples by features.
pub(crate) fn product<A: Module, S: State>(
    args: &A,
    map: impl Fn(&A, S) -> S,
    point: &Tensor<2>,
    shapes: &[Shape],
    u: Tensor<2>,
) -> Tensor<2> {
    let z = point.clone().autodiff().require_grad();
    let image = map(args, S::from_matrix(z.clone(), shapes)).into_matrix();
    if !image.is_tracked() {
        return u.zeros_like(); // the map ignores z
    }
    let gradients = (image * u.clone()).sum().backward();
    z.grad(&gradients).unwrap_or_else(|| u.zeros_like())
}
