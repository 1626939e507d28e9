//! Single precision.

use super::{Arithmetic, Scalar};

impl Scalar for f32 {
    const ROUNDER: Self = 12_582_912.0;
    const EXP_RANGE: [Self; 2] = [-104.0, 89.0];
    const EXP_IS_NORMAL: Self = -87.0;
    // 14 bits times 8.
    const LN_2: [Self; 2] = [0.693_176_27, -2.908_897_1e-5];
    const TANH_SATURATES: Self = 20.0;
    const NORMAL_VANISHES: Self = 14.5;

    by_bits!(mantissa: 23, bias: 127, sign: 31, lower: 12);

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    /// Interpolates at the Chebyshev nodes, computed with 60 digits: relative error
    /// $1.0 \cdot 10^{-8}$ of $e^r$, $2.5 \cdot 10^{-8}$ of $e^r - 1$. Taylor's needs one term more.
    #[inline(always)]
    fn exp_series<A: Arithmetic>(r: Self) -> Self {
        polynomial!(
            A,
            r,
            [
                0.001_392_625_1,
                0.008_363_233,
                0.041_666_554,
                0.166_665_77,
                0.5
            ]
        )
    }

    /// Up to $r^{13}$ in $\sin r$: the remainder is below $7 \cdot 10^{-10}$.
    #[inline(always)]
    fn sine_series<A: Arithmetic>(square: Self) -> Self {
        polynomial!(
            A,
            square,
            [
                1.0 / 6_227_020_800.0,
                -1.0 / 39_916_800.0,
                1.0 / 362_880.0,
                -1.0 / 5_040.0,
                1.0 / 120.0,
                -1.0 / 6.0
            ]
        )
    }

    /// $\pi$ in three parts of 10 bits and a rest: the sum is right to $3 \cdot 10^{-18}$, and
    /// products with the first parts are exact.
    #[inline(always)]
    fn less_multiple_of_pi<A: Arithmetic>(self, n: Self) -> Self {
        let r = A::mul_add(-n, Self::of(3.140_625), self);
        let r = A::mul_add(-n, Self::of(9.679_794_311_523_438e-4), r);
        let r = A::mul_add(-n, Self::of(-3.259_629_011_154_175e-7), r);
        A::mul_add(-n, Self::of(1.215_420_125_655_342e-10), r)
    }

    /// The rational function of degrees 4 and 5 that interpolates at the Chebyshev nodes of
    /// $(a - 5/2) / (a + 5/2)$, computed with 60 digits: relative error $1.1 \cdot 10^{-8}$. All
    /// coefficients are positive, so nothing cancels.
    #[inline(always)]
    fn mills<A: Arithmetic>(a: Self) -> Self {
        let above = polynomial!(
            A,
            a,
            [
                0.0038593039400674177,
                0.03895907338714142,
                0.1783659447346181,
                0.43188343829157283,
                0.5000000008168878
            ]
        );
        let below = polynomial!(
            A,
            a,
            [
                0.0096736864266389,
                0.09766391435021915,
                0.4565920252794571,
                1.182535944744961,
                1.6616515869499555,
                1.0
            ]
        );
        above / below
    }
}
