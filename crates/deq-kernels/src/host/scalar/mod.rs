//! What the elementary functions need to know of `f32` and `f64`.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::simd::Arithmetic;

/// A floating-point type with the constants and polynomials of its precision.
pub trait Scalar:
    Copy
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Div<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + Sub<Output = Self>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// 1.5 times the power of two whose unit in the last place is 1. Adding it to a small number
    /// rounds that number to an integer, which then stands in the lowest bits of the sum.
    const ROUNDER: Self;
    /// Below the first number $e^x$ rounds to 0, above the second it overflows.
    const EXP_RANGE: [Self; 2];
    /// From here up to 0, $e^x$ is a normal number.
    const EXP_IS_NORMAL: Self;
    /// $\ln 2$ as a sum. The first part has so few bits that its product with an exponent is exact.
    const LN_2: [Self; 2];
    /// $\tanh(x / 2)$ rounds to 1 from here on.
    const TANH_SATURATES: Self;
    /// $e^{-a^2/2}$ rounds to 0 from here on.
    const NORMAL_VANISHES: Self;

    /// The nearest number of this type.
    fn of(value: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// $\lvert x \rvert$.
    fn abs(self) -> Self;
    /// $\pm\lvert x \rvert$, with the sign of another number.
    fn copysign(self, sign: Self) -> Self;
    /// $\sqrt x$.
    fn sqrt(self) -> Self;
    /// $xb + c$ with one rounding.
    fn fused(self, b: Self, c: Self) -> Self;
    /// The standard library's $\sin x$.
    fn standard_sin(self) -> Self;
    /// The standard library's $\cos x$.
    fn standard_cos(self) -> Self;

    /// $2^n$ for the integer in the lowest bits of `rounded`, an exponent of a normal number.
    fn power_of_two(rounded: Self) -> Self;
    /// Two factors of $2^n$, for exponents up to twice those of normal numbers.
    fn powers_of_two(rounded: Self) -> [Self; 2];
    /// $-x$ when the integer in the lowest bits of `rounded` is odd, else $x$.
    fn negated_if_odd(self, rounded: Self) -> Self;
    /// The number without the lower half of its bits: its square is exact.
    fn leading_half(self) -> Self;

    /// $(e^r - 1 - r) / r^2$ for $\lvert r \rvert \le \frac12 \ln 2$.
    fn exp_series<A: Arithmetic>(r: Self) -> Self;
    /// $(\sin r - r) / r^3$ from $r^2$, for $\lvert r \rvert \le \pi / 2$.
    fn sine_series<A: Arithmetic>(square: Self) -> Self;
    /// $x - n \pi$, where $2n$ is an integer of at most 13 bits.
    fn less_multiple_of_pi<A: Arithmetic>(self, n: Self) -> Self;
    /// $\Phi(-a)\, e^{a^2 / 2}$ for $0 \le a \le$ [`NORMAL_VANISHES`](Self::NORMAL_VANISHES), with
    /// the normal distribution $\Phi$.
    fn mills<A: Arithmetic>(a: Self) -> Self;
}

/// Horner's rule with the coefficients from the highest power to the lowest.
macro_rules! polynomial {
    ($arithmetic:ident, $x:expr, [$leading:expr $(, $coefficient:expr)* $(,)?]) => {{
        let x = $x;
        let value = Self::of($leading);
        $(let value = $arithmetic::mul_add(value, x, Self::of($coefficient));)*
        value
    }};
}

/// What is the same for both types but for the layout of their bits.
macro_rules! by_bits {
    (mantissa: $mantissa:literal, bias: $bias:literal, sign: $sign:literal, lower: $lower:literal) => {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;

        #[inline(always)]
        fn abs(self) -> Self {
            Self::abs(self)
        }

        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            Self::copysign(self, sign)
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            Self::sqrt(self)
        }

        #[inline(always)]
        fn fused(self, b: Self, c: Self) -> Self {
            self.mul_add(b, c)
        }

        fn standard_sin(self) -> Self {
            self.sin()
        }

        fn standard_cos(self) -> Self {
            self.cos()
        }

        #[inline(always)]
        fn power_of_two(rounded: Self) -> Self {
            let n = rounded.to_bits().wrapping_sub(Self::ROUNDER.to_bits());
            Self::from_bits(n.wrapping_add($bias) << $mantissa)
        }

        #[inline(always)]
        fn powers_of_two(rounded: Self) -> [Self; 2] {
            let n = rounded.to_bits().wrapping_sub(Self::ROUNDER.to_bits());
            // Twice the bias makes n positive, so that a shift halves it.
            let half = (n.wrapping_add(4 * $bias) >> 1).wrapping_sub(2 * $bias);
            let rest = n.wrapping_sub(half);
            [
                Self::from_bits(half.wrapping_add($bias) << $mantissa),
                Self::from_bits(rest.wrapping_add($bias) << $mantissa),
            ]
        }

        #[inline(always)]
        fn negated_if_odd(self, rounded: Self) -> Self {
            Self::from_bits(self.to_bits() ^ (rounded.to_bits() << $sign))
        }

        #[inline(always)]
        fn leading_half(self) -> Self {
            Self::from_bits(self.to_bits() >> $lower << $lower)
        }
    };
}

// Below the macros, which they use.
mod double;
mod single;
