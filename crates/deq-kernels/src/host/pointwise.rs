//! Functions of one number as types, so that a kernel is compiled for each.

use super::functions;
use super::scalar::Scalar;
use super::simd::{Arithmetic, Separate};

/// Up to this absolute value [`Activation::Sin`] and its derivative are computed by the kernel;
/// beyond, by the standard library, one number at a time.
pub const SINE_LIMIT: f64 = 1e4;

/// A function that is applied to every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// $e^x$.
    Exp,
    /// $x\, \Phi(x)$ with the normal distribution $\Phi(x) = \frac12 (1 + \mathrm{erf}(x / \sqrt 2))$.
    Gelu,
    /// $\max(x, 0)$.
    Relu,
    /// $1 / (1 + e^{-x})$.
    Sigmoid,
    /// $x / (1 + e^{-x})$, also called swish.
    Silu,
    /// $\sin x$.
    Sin,
    /// $\tanh x$.
    Tanh,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 7] = [
        Self::Exp,
        Self::Gelu,
        Self::Relu,
        Self::Sigmoid,
        Self::Silu,
        Self::Sin,
        Self::Tanh,
    ];

    /// Whether the derivative is computed from the function's value; else from its argument.
    pub fn differentiates_value(self) -> bool {
        match self {
            Self::Exp | Self::Relu | Self::Sigmoid | Self::Tanh => true,
            Self::Gelu | Self::Silu | Self::Sin => false,
        }
    }
}

/// One of [`Activation`].
pub(crate) trait Pointwise: Send + Sync {
    /// Beyond this absolute value the `far_` functions are right and the others are not.
    const LIMIT: Option<f64> = None;

    /// The function.
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T;

    /// `gradient` times the derivative; `saved` as [`Activation::differentiates_value`] says.
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T;

    /// [`Pointwise::value`] beyond the limit.
    fn far_value<T: Scalar>(x: T) -> T {
        Self::value::<T, Separate>(x)
    }

    /// [`Pointwise::gradient`] beyond the limit.
    fn far_gradient<T: Scalar>(saved: T, gradient: T) -> T {
        Self::gradient::<T, Separate>(saved, gradient)
    }
}

pub(crate) struct Exp;
pub(crate) struct Gelu;
/// What no activation is.
pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Sigmoid;
pub(crate) struct Silu;
pub(crate) struct Sin;
pub(crate) struct Tanh;

impl Pointwise for Exp {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::exp::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        saved * gradient
    }
}

impl Pointwise for Gelu {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::gelu::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        functions::gelu_derivative::<T, A>(saved) * gradient
    }
}

impl Pointwise for Identity {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        x
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(_saved: T, gradient: T) -> T {
        gradient
    }
}

// Both so that NaN stays what it is.
impl Pointwise for Relu {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        if x <= T::ZERO { T::ZERO } else { x }
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        if saved <= T::ZERO { T::ZERO } else { gradient }
    }
}

impl Pointwise for Sigmoid {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::sigmoid::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        saved * (T::ONE - saved) * gradient
    }
}

impl Pointwise for Silu {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::silu::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        functions::silu_derivative::<T, A>(saved) * gradient
    }
}

impl Pointwise for Sin {
    const LIMIT: Option<f64> = Some(SINE_LIMIT);

    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::sin::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        functions::cos::<T, A>(saved) * gradient
    }

    fn far_value<T: Scalar>(x: T) -> T {
        x.standard_sin()
    }

    fn far_gradient<T: Scalar>(saved: T, gradient: T) -> T {
        saved.standard_cos() * gradient
    }
}

impl Pointwise for Tanh {
    #[inline(always)]
    fn value<T: Scalar, A: Arithmetic>(x: T) -> T {
        functions::tanh::<T, A>(x)
    }

    #[inline(always)]
    fn gradient<T: Scalar, A: Arithmetic>(saved: T, gradient: T) -> T {
        (T::ONE - saved * saved) * gradient
    }
}

/// Evaluates an expression with `$name` standing for the type of an [`Activation`].
macro_rules! with_pointwise {
    ($activation:expr, $name:ident => $body:expr) => {
        match $activation {
            $crate::host::Activation::Exp => {
                type $name = $crate::host::pointwise::Exp;
                $body
            }
            $crate::host::Activation::Gelu => {
                type $name = $crate::host::pointwise::Gelu;
                $body
            }
            $crate::host::Activation::Relu => {
                type $name = $crate::host::pointwise::Relu;
                $body
            }
            $crate::host::Activation::Sigmoid => {
                type $name = $crate::host::pointwise::Sigmoid;
                $body
            }
            $crate::host::Activation::Silu => {
                type $name = $crate::host::pointwise::Silu;
                $body
            }
            $crate::host::Activation::Sin => {
                type $name = $crate::host::pointwise::Sin;
                $body
            }
            $crate::host::Activation::Tanh => {
                type $name = $crate::host::pointwise::Tanh;
                $body
            }
        }
    };
}

pub(crate) use with_pointwise;
