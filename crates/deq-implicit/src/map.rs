use burn::module::Module;
use deq_solvers::State;

/// The transposed Jacobian of a map at one point: from $u$ to $J^\top u$, on plain tensors.
pub type Transpose<S> = Box<dyn Fn(S) -> S>;

/// A map at fixed arguments, with everything computed that does not depend on $z$: weights laid
/// out, injections added up, memory set aside.
pub type Prepared<'a, S> = Box<dyn FnMut(S) -> S + 'a>;

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

    /// The same map at these arguments, which are plain: made once a solve, and evaluated at its
    /// steps in place of [`forward`](Self::forward); `None` evaluates that. Gradients are always
    /// those of [`forward`](Self::forward), and where they retrace the solver's path, so are the
    /// solver's steps. [`check_prepared`](crate::check_prepared) compares the two.
    fn prepare<'a>(&'a self, _args: &'a A) -> Option<Prepared<'a, S>> {
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

/// A map from two functions: the map itself, and what [prepares](EquilibriumMap::prepare) it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_implicit::{CallOptions, DeqConfig, with_prepare};
///
/// type Args = (Tensor<2>, Tensor<2>, Tensor<2>);
/// // z = tanh(z W + x U), where x U is the same at every step.
/// let map = with_prepare(
///     |(w, u, x): &Args, z: Tensor<2>| (z.matmul(w.clone()) + x.clone().matmul(u.clone())).tanh(),
///     |(w, u, x): &Args| {
///         let injection = x.clone().matmul(u.clone());
///         Box::new(move |z: Tensor<2>| (z.matmul(w.clone()) + injection.clone()).tanh())
///     },
/// );
/// let device = Device::flex();
/// let w = Tensor::<2>::full([2, 2], 0.25, &device);
/// let args: Args = (w.clone(), w, Tensor::ones([3, 2], &device));
/// let deq = DeqConfig::default().with_tolerance(1e-6).init()?;
/// let start = Tensor::zeros([3, 2], &device);
/// let solved = deq.solve_map(CallOptions::default(), &args, start, map)?;
/// assert!(solved.stats.all_converged());
/// # Ok::<(), deq_implicit::SolveError>(())
/// ```
pub fn with_prepare<A, S, F, P>(map: F, prepare: P) -> impl EquilibriumMap<A, S>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S + Send + Sync + 'static,
    P: for<'a> Fn(&'a A) -> Prepared<'a, S> + Send + Sync + 'static,
{
    WithPrepare { map, prepare }
}

struct WithPrepare<F, P> {
    map: F,
    prepare: P,
}

impl<A, S, F, P> EquilibriumMap<A, S> for WithPrepare<F, P>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S + Send + Sync + 'static,
    P: for<'a> Fn(&'a A) -> Prepared<'a, S> + Send + Sync + 'static,
{
    fn forward(&self, args: &A, z: S) -> S {
        (self.map)(args, z)
    }

    fn prepare<'a>(&'a self, args: &'a A) -> Option<Prepared<'a, S>> {
        Some((self.prepare)(args))
    }
}
