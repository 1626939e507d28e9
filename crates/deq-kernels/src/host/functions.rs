//! Elementary functions of one number, without branches.
//!
//! A choice between two numbers that are both computed is a mask and no branch. Comparisons are
//! written so that NaN passes through.

use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

use super::scalar::Scalar;
use super::simd::Arithmetic;

/// $1 / \sqrt{2 \pi}$.
const NORMAL_DENSITY: f64 = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

#[inline(always)]
fn at_most<T: Scalar>(x: T, bound: T) -> T {
    if x > bound { bound } else { x }
}

#[inline(always)]
fn at_least<T: Scalar>(x: T, bound: T) -> T {
    if x < bound { bound } else { x }
}

/// $n$, in the lowest bits of a sum with [`Scalar::ROUNDER`], and $e^r - 1$, where
/// $x + y = n \ln 2 + r$ and $\lvert r \rvert \le \frac12 \ln 2$.
#[inline(always)]
fn reduced_exp<T: Scalar, A: Arithmetic>(x: T, y: T) -> (T, T) {
    let rounded = A::mul_add(x + y, T::of(LOG2_E), T::ROUNDER);
    let n = rounded - T::ROUNDER;
    let [high, low] = T::LN_2;
    let r = A::mul_add(-n, low, A::mul_add(-n, high, x)) + y;
    (rounded, A::mul_add(r * r, T::exp_series::<A>(r), r))
}

/// $e^{x + y}$ for a $y$ that is small beside $x$.
#[inline(always)]
fn exp_of_sum<T: Scalar, A: Arithmetic>(x: T, y: T) -> T {
    let [lowest, highest] = T::EXP_RANGE;
    let x = at_least(at_most(x, highest), lowest);
    let (rounded, change) = reduced_exp::<T, A>(x, y);
    // In two steps: neither 2^-150 nor 2^128 is a normal number.
    let [first, second] = T::powers_of_two(rounded);
    (T::ONE + change) * first * second
}

/// $e^x$.
#[inline(always)]
pub(crate) fn exp<T: Scalar, A: Arithmetic>(x: T) -> T {
    // Minus zero is what the compiler can leave out of a sum.
    exp_of_sum::<T, A>(x, -T::ZERO)
}

/// $e^x$ for $x \le 0$, and 0 where that would be no normal number: in half the instructions.
#[inline(always)]
pub(crate) fn normal_exp<T: Scalar, A: Arithmetic>(x: T) -> T {
    let (rounded, change) = reduced_exp::<T, A>(x, -T::ZERO);
    let power = T::power_of_two(rounded);
    let value = A::mul_add(change, power, power);
    if x < T::EXP_IS_NORMAL { T::ZERO } else { value }
}

/// $\tanh x$ from $m = e^{2 \lvert x \rvert} - 1$ as $m / (m + 2)$: nothing cancels, also near 0.
#[inline(always)]
pub(crate) fn tanh<T: Scalar, A: Arithmetic>(x: T) -> T {
    let double = at_most(x.abs() + x.abs(), T::TANH_SATURATES);
    let (rounded, change) = reduced_exp::<T, A>(double, -T::ZERO);
    let power = T::power_of_two(rounded);
    let m = A::mul_add(change, power, power - T::ONE);
    (m / (m + T::of(2.0))).copysign(x)
}

/// $1 / (1 + e^{-x})$. The exponential is that of $-\lvert x \rvert$, so that small values keep
/// their precision.
#[inline(always)]
pub(crate) fn sigmoid<T: Scalar, A: Arithmetic>(x: T) -> T {
    let power = exp::<T, A>(-x.abs());
    let above = if x < T::ZERO { power } else { T::ONE };
    above / (T::ONE + power)
}

/// $x / (1 + e^{-x})$. Where the exponential overflows it is 0.
#[inline(always)]
pub(crate) fn silu<T: Scalar, A: Arithmetic>(x: T) -> T {
    x / (T::ONE + exp::<T, A>(-x))
}

/// $\sigma(x) (1 + x (1 - \sigma(x)))$ with $\sigma(x) = 1 / (1 + e^{-x})$.
#[inline(always)]
pub(crate) fn silu_derivative<T: Scalar, A: Arithmetic>(x: T) -> T {
    let share = sigmoid::<T, A>(x);
    A::mul_add(x * (T::ONE - share), share, share)
}

/// $\sin(x - n \pi)$.
#[inline(always)]
fn reduced_sin<T: Scalar, A: Arithmetic>(x: T, n: T) -> T {
    let r = x.less_multiple_of_pi::<A>(n);
    // The sums forget the sign of zero.
    let r = if n == T::ZERO { x } else { r };
    let square = r * r;
    A::mul_add(r * square, T::sine_series::<A>(square), r).copysign(r)
}

/// $\sin x$ for $\lvert x \rvert \le 10^4$.
#[inline(always)]
pub(crate) fn sin<T: Scalar, A: Arithmetic>(x: T) -> T {
    let rounded = A::mul_add(x, T::of(FRAC_1_PI), T::ROUNDER);
    reduced_sin::<T, A>(x, rounded - T::ROUNDER).negated_if_odd(rounded)
}

/// $\cos x = \sin(x + \pi / 2)$ for $\lvert x \rvert \le 10^4$.
#[inline(always)]
pub(crate) fn cos<T: Scalar, A: Arithmetic>(x: T) -> T {
    let half = T::of(0.5);
    let rounded = A::mul_add(x, T::of(FRAC_1_PI), half) + T::ROUNDER;
    let n = rounded - T::ROUNDER - half;
    reduced_sin::<T, A>(x, n).negated_if_odd(rounded)
}

/// Parts of the normal distribution at $x$.
struct Normal<T> {
    /// $e^{-x^2 / 2}$.
    density: T,
    /// $\Phi(-\lvert x \rvert)$ without that factor.
    tail: T,
}

/// The square in the exponent is taken as $h^2 + (a - h)(a + h)$ with a rounded $h$ whose square
/// is exact: an error of the exponent is one of the result, as many times larger as the exponent.
#[inline(always)]
fn normal<T: Scalar, A: Arithmetic>(x: T) -> Normal<T> {
    let a = at_most(x.abs(), T::NORMAL_VANISHES);
    let h = a.leading_half();
    let half = T::of(-0.5);
    Normal {
        density: exp_of_sum::<T, A>(half * h * h, half * (a - h) * (a + h)),
        tail: T::mills::<A>(a),
    }
}

/// $x\, \Phi(x)$ with the normal distribution $\Phi$.
#[inline(always)]
pub(crate) fn gelu<T: Scalar, A: Arithmetic>(x: T) -> T {
    let Normal { density, tail } = normal::<T, A>(x);
    // In this order the product with a vanishing density is rounded once.
    let negative = x * tail * density;
    let positive = x * (T::ONE - tail * density);
    if x < T::ZERO { negative } else { positive }
}

/// $\Phi(x) + x \varphi(x)$ with the normal distribution $\Phi$ and its density $\varphi$.
#[inline(always)]
pub(crate) fn gelu_derivative<T: Scalar, A: Arithmetic>(x: T) -> T {
    let Normal { density, tail } = normal::<T, A>(x);
    let below = tail * density;
    let probability = if x < T::ZERO { below } else { T::ONE - below };
    // Where the density is 0, so must its product with infinity be.
    let x = at_least(at_most(x, T::NORMAL_VANISHES), -T::NORMAL_VANISHES);
    A::mul_add(x * T::of(NORMAL_DENSITY), density, probability)
}
