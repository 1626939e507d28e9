use burn::module::Module;
use burn::tensor::{Shape, Tensor};
use deq_solvers::State;

use crate::EquilibriumMap;

/// The vector–Jacobian product $J^\top u$ of a map at $z$, with $J = \partial f / \partial z$.
///
/// `args` must be plain (`args.valid()`), as must be `z` and `u`, which have the same shapes. Costs
/// one forward and one backward of the map.
pub fn vjp<A: Module, S: State>(args: &A, map: impl Fn(&A, S) -> S, z: &S, u: &S) -> S {
    let shapes = z.shapes();
    let (point, u) = (z.clone().into_matrix(), u.clone().into_matrix());
    S::from_matrix(product(args, map, &point, &shapes, u), &shapes)
}

/// How far a map's own [transpose](EquilibriumMap::transpose) is from autodiff's: the norm of the
/// difference of the two products $J^\top u$, relative to that of autodiff's; `None` when the map
/// has none of its own. For the tests of such a map: about 1e-6 is right in `f32`.
pub fn check_transpose<A: Module, S: State>(
    args: &A,
    map: &impl EquilibriumMap<A, S>,
    z: &S,
    u: &S,
) -> Option<f64> {
    let own = map.transpose(args, z)?(u.clone()).into_matrix();
    let expected = vjp(args, |args, z| map.forward(args, z), z, u).into_matrix();
    let scale = norm(expected.clone()).max(f64::MIN_POSITIVE);
    Some(norm(own - expected) / scale)
}

/// How far a [prepared](EquilibriumMap::prepare) map is from the map itself: the norm of the
/// difference at `z` and at the image of `z` together, relative to that of the images; `None` when
/// the map is not prepared. For the tests of such a map: about 1e-6 is right in `f32`.
///
/// It is evaluated twice before the first image is read, so that memory which one evaluation
/// leaves to the next shows.
pub fn check_prepared<A: Module, S: State>(
    args: &A,
    map: &impl EquilibriumMap<A, S>,
    z: &S,
) -> Option<f64> {
    let mut prepared = map.prepare(args)?;
    let first = prepared(z.clone());
    let second = prepared(first.clone());
    let expected = map.forward(args, z.clone());
    let both =
        |first: S, second: S| Tensor::cat(vec![first.into_matrix(), second.into_matrix()], 0);
    let after = map.forward(args, expected.clone());
    let expected = both(expected, after);
    let scale = norm(expected.clone()).max(f64::MIN_POSITIVE);
    Some(norm(both(first, second) - expected) / scale)
}

fn norm(matrix: Tensor<2>) -> f64 {
    matrix.square().sum().sqrt().into_scalar::<f64>()
}

/// The same as [`vjp`] on matrices of samples by features.
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
