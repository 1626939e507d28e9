use burn::module::Module;
use deq_solvers::State;

/// The transposed Jacobian of a map at one point: from $u$ to $J^\top u$, on plain tensors.
pub type Transpose<S> = Box<dyn Fn(S) -> S>;

/// A map whose fixed point is sought: any `Fn(&A, S) -> S`, or a type that knows more about itself.
///
/// burn keeps no graph after a backward pass, so each vector–Jacobian product of an adjoint solve
/// costs a forward and a backward of the map. A map that can write its own transpose down saves
/// that: what depends on the point alone is computed once a backward pass, and a product is then no
/// more than a transposed forward.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_implicit::{CallOptions, DeqConfig, EquilibriumMap, Gradient, Transpose};
///
/// /// $f(z) = \tanh(z W + x)$, with $J^\top u = (u \odot (1 - f(z)^2)) W^\top$.
/// struct Tanh;
/// type Args = (Tensor<2>, Tensor<2>);
///
/// impl EquilibriumMap<Args, Tensor<2>> for Tanh {
///     fn forward(&self, (w, x): &Args, z: Tensor<2>) -> Tensor<2> {
///         (z.matmul(w.clone()) + x.clone()).tanh()
///     }
///     fn transpose(&self, args: &Args, z: &Tensor<2>) -> Option<Transpose<Tensor<2>>> {
///         let image = self.forward(args, z.clone());
///         let slope = image.square().neg().add_scalar(1.0);
///         let w = args.0.clone().transpose();
///         Some(Box::new(move |u| (u * slope.clone()).matmul(w.clone())))
///     }
/// }
///
/// let device = Device::flex().autodiff();
/// let w = Tensor::<2>::full([2, 2], 0.25, &device).require_grad();
/// let x = Tensor::<2>::ones([3, 2], &device);
/// let deq = DeqConfig::default().with_gradient(Gradient::implicit()).init()?;
/// let start = x.zeros_like();
/// let solved = deq.solve_map(CallOptions::default(), &(w.clone(), x), start, Tanh)?;
/// let gradients = solved.into_last().sum().backward();
/// assert!(w.grad(&gradients).is_some());
/// # Ok::<(), deq_implicit::SolveError>(())
/// ```
pub trait EquilibriumMap<A: Module, S: State>: Send + Sync + 'static {
    /// $f(z)$, with everything that carries a gradient taken from `args`.
    fn forward(&self, args: &A, z: S) -> S;

    /// The transposed Jacobian at `z`, where the map knows it; `None` leaves it to autodiff. `args`
    /// and `z` are plain. [`check_transpose`](crate::check_transpose) compares the two.
    fn transpose(&self, _args: &A, _z: &S) -> Option<Transpose<S>> {
        None
    }
}

impl<A, S, F> EquilibriumMap<A, S> for F
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S + Send + Sync + 'static,
{
    fn forward(&self, args: &A, z: S) -> S {
        self(args, z)
    }
}
