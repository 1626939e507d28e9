//! One function of every number.

use std::marker::PhantomData;

use super::Real;
use super::layer_norm::add;
use super::output::Output;
use super::parallel::{assert_length, part};
use super::pointwise::{Activation, Identity, Pointwise, with_pointwise};
use super::scalar::Scalar;
use super::simd::{Arithmetic, Kernel, vectorised};

macro_rules! function {
    ($(#[$documentation:meta])* $name:ident, $activation:ident) => {
        $(#[$documentation])*
        ///
        /// # Panics
        /// When the lengths differ.
        pub fn $name<T: Real>(input: &[T], output: &mut [T]) {
            map(Activation::$activation, Some(input), output);
        }
    };
}

function!(
    /// $e^x$ of every number, to 2 ulp.
    exp,
    Exp
);
function!(
    /// $x\, \Phi(x)$ of every number with the normal distribution $\Phi$, to 8 ulp.
    gelu,
    Gelu
);
function!(
    /// $1 / (1 + e^{-x})$ of every number, to 3 ulp.
    sigmoid,
    Sigmoid
);
function!(
    /// $x / (1 + e^{-x})$ of every number, to 4 ulp; 0 where $e^{-x}$ overflows.
    silu,
    Silu
);
function!(
    /// $\sin x$ of every number, to 3 ulp up to [`SINE_LIMIT`](super::SINE_LIMIT) in absolute
    /// value, and by the standard library beyond.
    sin,
    Sin
);
function!(
    /// $\tanh x$ of every number, to 3 ulp.
    tanh,
    Tanh
);

/// `activation` of every number.
///
/// # Panics
/// When the lengths differ.
pub fn map<'a, T: Real>(
    activation: Activation,
    input: Option<&[T]>,
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    if let Some(input) = input {
        assert_length("input", input.len(), output.len());
    }
    with_pointwise!(activation, Function => map_with::<T, Function>(input, output));
}

fn map_with<T: Real, F: Pointwise>(input: Option<&[T]>, output: Output<'_, T>) {
    output.fill(1, |start, values| {
        vectorised(Map::<T, F> {
            input: part(input, start, values.len()),
            values,
            function: PhantomData,
        });
    });
}

/// `activation` of every number plus the one at its place in `other`; `None` leaves the sums as
/// they are.
///
/// # Panics
/// When the lengths differ.
pub fn map_sum<'a, T: Real>(
    activation: Option<Activation>,
    input: Option<&[T]>,
    other: &[T],
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    assert_length("other", other.len(), output.len());
    if let Some(input) = input {
        assert_length("input", input.len(), output.len());
    }
    match activation {
        Some(activation) => with_pointwise!(activation, Function => {
            sum_with::<T, Function>(input, other, output);
        }),
        None => sum_with::<T, Identity>(input, other, output),
    }
}

fn sum_with<T: Real, F: Pointwise>(input: Option<&[T]>, other: &[T], output: Output<'_, T>) {
    output.fill(1, |start, values| {
        vectorised(Sum::<T, F> {
            input: part(input, start, values.len()),
            other: &other[start..start + values.len()],
            values,
            function: PhantomData,
        });
    });
}

/// The gradient in the input of [`map`]: `gradient` times the derivative.
///
/// `saved` is what [`map`] returned or read, as [`Activation::differentiates_value`] says.
///
/// # Panics
/// When the lengths differ.
pub fn map_gradient<'a, T: Real>(
    activation: Activation,
    saved: &[T],
    gradient: Option<&[T]>,
    output: impl Into<Output<'a, T>>,
) {
    let output = output.into();
    assert_length("saved", saved.len(), output.len());
    if let Some(gradient) = gradient {
        assert_length("gradient", gradient.len(), output.len());
    }
    with_pointwise!(activation, Function => gradient_with::<T, Function>(saved, gradient, output));
}

fn gradient_with<T: Real, F: Pointwise>(
    saved: &[T],
    gradient: Option<&[T]>,
    output: Output<'_, T>,
) {
    output.fill(1, |start, values| {
        vectorised(Gradient::<T, F> {
            saved: &saved[start..start + values.len()],
            gradient: part(gradient, start, values.len()),
            values,
            function: PhantomData,
        });
    });
}

struct Map<'a, T, F> {
    input: Option<&'a [T]>,
    values: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for Map<'_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        match self.input {
            Some(input) => apply_to::<T, F, A>(input, self.values),
            None => apply::<T, F, A>(self.values),
        }
    }
}

struct Sum<'a, T, F> {
    input: Option<&'a [T]>,
    other: &'a [T],
    values: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for Sum<'_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        match self.input {
            Some(input) => {
                let numbers = input.iter().zip(self.other);
                for (value, (&a, &b)) in self.values.iter_mut().zip(numbers) {
                    *value = a + b;
                }
            }
            None => add(self.values, self.other),
        }
        apply::<T, F, A>(self.values);
    }
}

struct Gradient<'a, T, F> {
    saved: &'a [T],
    gradient: Option<&'a [T]>,
    values: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for Gradient<'_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        load(self.gradient, self.values);
        let pairs = self.values.iter_mut().zip(self.saved);
        if let Some(limit) = F::LIMIT
            && exceeds(self.saved, T::of(limit))
        {
            for (value, &saved) in pairs {
                *value = if saved.abs() > T::of(limit) {
                    F::far_gradient(saved, *value)
                } else {
                    F::gradient::<T, A>(saved, *value)
                };
            }
        } else {
            for (value, &saved) in pairs {
                *value = F::gradient::<T, A>(saved, *value);
            }
        }
    }
}

/// Fills `values` with the input, if it is not there already.
#[inline(always)]
fn load<T: Scalar>(input: Option<&[T]>, values: &mut [T]) {
    if let Some(input) = input {
        values.copy_from_slice(input);
    }
}

/// The function of every number, in place.
#[inline(always)]
pub(crate) fn apply<T: Scalar, F: Pointwise, A: Arithmetic>(values: &mut [T]) {
    if let Some(limit) = F::LIMIT
        && exceeds(values, T::of(limit))
    {
        for value in values {
            *value = if value.abs() > T::of(limit) {
                F::far_value(*value)
            } else {
                F::value::<T, A>(*value)
            };
        }
    } else {
        for value in values {
            *value = F::value::<T, A>(*value);
        }
    }
}

/// The function of every number of `input`.
#[inline(always)]
fn apply_to<T: Scalar, F: Pointwise, A: Arithmetic>(input: &[T], values: &mut [T]) {
    let pairs = values.iter_mut().zip(input);
    if let Some(limit) = F::LIMIT
        && exceeds(input, T::of(limit))
    {
        for (value, &x) in pairs {
            *value = if x.abs() > T::of(limit) {
                F::far_value(x)
            } else {
                F::value::<T, A>(x)
            };
        }
    } else {
        for (value, &x) in pairs {
            *value = F::value::<T, A>(x);
        }
    }
}

/// Whether any absolute value is above `limit`. Looks at all of them: leaving early would keep the
/// loop from being vectorised.
#[inline(always)]
fn exceeds<T: Scalar>(values: &[T], limit: T) -> bool {
    let mut any = false;
    for value in values {
        any |= value.abs() > limit;
    }
    any
}
