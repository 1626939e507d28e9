//! Double precision.

use super::{Arithmetic, Scalar};

impl Scalar for f64 {
    const ROUNDER: Self = 6_755_399_441_055_744.0;
    const EXP_RANGE: [Self; 2] = [-746.0, 710.0];
    const EXP_IS_NORMAL: Self = -708.0;
    // 40 bits times 11.
    const LN_2: [Self; 2] = [0.693_147_180_560_117_7, -1.723_944_452_561_483_5e-13];
    const TANH_SATURATES: Self = 40.0;
    const NORMAL_VANISHES: Self = 39.0;

    by_bits!(mantissa: 52, bias: 1023, sign: 63, lower: 27);

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    /// Up to $r^{13}$ in $e^r$: the remainder is below $5 \cdot 10^{-18}$.
    #[inline(always)]
    fn exp_series<A: Arithmetic>(r: Self) -> Self {
        polynomial!(
            A,
            r,
            [
                1.0 / 6_227_020_800.0,
                1.0 / 479_001_600.0,
                1.0 / 39_916_800.0,
                1.0 / 3_628_800.0,
                1.0 / 362_880.0,
                1.0 / 40_320.0,
                1.0 / 5_040.0,
                1.0 / 720.0,
                1.0 / 120.0,
                1.0 / 24.0,
                1.0 / 6.0,
                1.0 / 2.0
            ]
        )
    }

    /// Up to $r^{21}$ in $\sin r$: the remainder is below $2 \cdot 10^{-18}$.
    #[inline(always)]
    fn sine_series<A: Arithmetic>(square: Self) -> Self {
        polynomial!(
            A,
            square,
            [
                1.0 / 51_090_942_171_709_440_000.0,
                -1.0 / 121_645_100_408_832_000.0,
                1.0 / 355_687_428_096_000.0,
                -1.0 / 1_307_674_368_000.0,
                1.0 / 6_227_020_800.0,
                -1.0 / 39_916_800.0,
                1.0 / 362_880.0,
                -1.0 / 5_040.0,
                1.0 / 120.0,
                -1.0 / 6.0
            ]
        )
    }

    /// $\pi$ in two parts of 39 bits and a rest: the sum is right to $5 \cdot 10^{-41}$, and
    /// products with the first parts are exact.
    #[inline(always)]
    fn less_multiple_of_pi<A: Arithmetic>(self, n: Self) -> Self {
        let r = A::mul_add(-n, 3.141_592_653_591_942_5, self);
        let r = A::mul_add(-n, -2.149_269_310_995_662e-12, r);
        A::mul_add(-n, 1.273_663_432_702_19e-24, r)
    }

    /// As in single precision, of degrees 10 and 11 in $(a - 4) / (a + 4)$: relative error
    /// $1.7 \cdot 10^{-18}$.
    #[inline(always)]
    fn mills<A: Arithmetic>(a: Self) -> Self {
        let above = polynomial!(
            A,
            a,
            [
                2.1841939157224647e-7,
                6.8301227250702235e-6,
                0.00010474310614534726,
                0.001025071569350438,
                0.007041273528835195,
                0.03534107463999677,
                0.1311071375110668,
                0.3554710849740133,
                0.677233305206694,
                0.8264390116762824,
                0.5
            ]
        );
        let below = polynomial!(
            A,
            a,
            [
                5.474962226425645e-7,
                1.7120578741890866e-5,
                0.0002630995276560322,
                0.00258659395820462,
                0.017911312346517043,
                0.09112216947098654,
                0.3457670766572471,
                0.97465321348953,
                1.9934920327604,
                2.8098922385043354,
                2.4507625841554304,
                1.0
            ]
        );
        above / below
    }
}
