//! The functions on slices against f64, in units in the last place.

use std::f64::consts::PI;

use deq_kernels::host::{self, Activation, SINE_LIMIT};

use crate::common::numbers;

/// Every 4099th `f32`: subnormal numbers, zeros, infinities and NaN of both signs among them.
fn singles() -> Vec<f32> {
    let mut values: Vec<f32> = (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect();
    values.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    values.extend([f32::MIN_POSITIVE, f32::MAX, -f32::MAX, f32::from_bits(1)]);
    values
}

/// The distance in units in the last place of an `f32` that `exact` rounds to.
fn ulps_f32(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if nearest.is_nan() || found.is_nan() {
        return if nearest.is_nan() && found.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if found == nearest {
        return 0.0;
    }
    // On the edge of overflow the largest number and infinity are neighbours.
    let finite = |x: f64| x.clamp(-(2f64.powi(128)), 2f64.powi(128));
    let exponent = exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    let unit = (exponent.min(127.0) - 23.0).exp2();
    (finite(f64::from(found)) - finite(exact)).abs() / unit
}

fn ulps_f64(found: f64, exact: f64) -> f64 {
    if found == exact || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    let size = exact.abs().max(f64::MIN_POSITIVE);
    (found - exact).abs() / (size.next_up() - size)
}

/// Checks a function at all [`singles`], infinities and NaN among them.
fn assert_f32(name: &str, f: fn(&[f32], &mut [f32]), exact: fn(f64) -> f64, bound: f64) {
    assert_f32_at(name, &singles(), f, exact, bound);
}

fn assert_f32_at(
    name: &str,
    inputs: &[f32],
    f: fn(&[f32], &mut [f32]),
    exact: fn(f64) -> f64,
    bound: f64,
) {
    let mut outputs = vec![0.0; inputs.len()];
    f(inputs, &mut outputs);
    for (&x, &y) in inputs.iter().zip(&outputs) {
        let error = ulps_f32(y, exact(f64::from(x)));
        assert!(error <= bound, "{name}({x:e}) = {y:e}, off by {error} ulp");
    }
}

fn assert_f64(
    name: &str,
    inputs: &[f64],
    f: fn(&[f64], &mut [f64]),
    exact: fn(f64) -> f64,
    bound: f64,
) {
    let mut outputs = vec![0.0; inputs.len()];
    f(inputs, &mut outputs);
    for (&x, &y) in inputs.iter().zip(&outputs) {
        let error = ulps_f64(y, exact(x));
        assert!(error <= bound, "{name}({x:e}) = {y:e}, off by {error} ulp");
    }
}

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        x.exp() / (1.0 + x.exp())
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}

fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// $\Phi(-a)$ for $a \ge 0$: the series around 0 below 1, the continued fraction of Laplace above
/// (Abramowitz and Stegun, 26.2.11 and 26.2.14). The exponent's square is split to be exact.
fn tail(a: f64) -> f64 {
    let high = f64::from(a as f32);
    let exponential = (-0.5 * high * high).exp() * (-0.5 * (a - high) * (a + high)).exp();
    let density = exponential / (2.0 * PI).sqrt();
    if a < 1.0 {
        let mut term = a;
        let mut sum = a;
        for k in 1..60 {
            term *= a * a / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 - density * sum
    } else {
        let fraction = (1..400).rev().fold(a, |f, k| a + f64::from(k) / f);
        density / fraction
    }
}

fn gelu(x: f64) -> f64 {
    if x.is_infinite() {
        // As in the formula with the error function, which multiplies infinity by 0.
        return if x > 0.0 { x } else { f64::NAN };
    }
    // Beyond, the tail is 0 and the continued fraction of infinity is not.
    let beyond = tail(x.abs().min(40.0));
    x * if x < 0.0 { beyond } else { 1.0 - beyond }
}

#[test]
fn single_precision_over_the_whole_range() {
    assert_f32("exp", host::exp, f64::exp, 2.0);
    assert_f32("tanh", host::tanh, f64::tanh, 3.0);
    assert_f32("sigmoid", host::sigmoid, sigmoid, 3.0);
    assert_f32("sin", host::sin, f64::sin, 3.0);
    assert_f32("gelu", host::gelu, gelu, 8.0);
}

#[test]
fn silu_ends_where_its_exponential_overflows() {
    let mut above = singles();
    above.retain(|&x| x.is_nan() || x.is_infinite() || x >= -88.7);
    assert_f32_at("silu", &above, host::silu, silu, 4.0);
    let mut below = singles();
    below.retain(|&x| x.is_finite() && x < -88.0);
    let mut found = vec![1.0; below.len()];
    host::silu(&below, &mut found);
    for (x, y) in below.iter().zip(found) {
        let error = (f64::from(y) - silu(f64::from(*x))).abs();
        assert!(error < 2.7e-37, "silu({x:e}) = {y:e}");
    }
}

#[test]
fn double_precision() {
    let mut inputs = numbers(100_000, 1, 750.0);
    inputs.extend(numbers(100_000, 2, 20.0));
    inputs.extend(numbers(100_000, 3, 1.0));
    inputs.extend(
        numbers(100_000, 4, 300.0)
            .into_iter()
            .map(|x| 10f64.powf(x)),
    );
    inputs.extend([0.0, -0.0, f64::INFINITY, f64::NAN, 5e-324, f64::MAX]);
    let negative: Vec<f64> = inputs.iter().map(|x| -x).collect();
    inputs.extend(negative);
    // One more than stated, which is what the standard library's own functions may be off by.
    assert_f64("exp", &inputs, host::exp, f64::exp, 3.0);
    assert_f64("tanh", &inputs, host::tanh, f64::tanh, 4.0);
    assert_f64("sin", &inputs, host::sin, f64::sin, 4.0);
    // The reference is a sum and a quotient of such values.
    assert_f64("sigmoid", &inputs, host::sigmoid, sigmoid, 6.0);
    let mut above = inputs.clone();
    above.retain(|&x| x >= -709.7);
    assert_f64("silu", &above, host::silu, silu, 8.0);
    // And here a continued fraction, itself good to some 8 units.
    inputs.retain(|x| x.abs() <= 37.0);
    assert_f64("gelu", &inputs, host::gelu, gelu, 16.0);
}

#[test]
fn multiples_of_pi_keep_their_relative_precision() {
    let count = (SINE_LIMIT / PI) as i32;
    let near = |quarter: i32| f64::from(quarter) * PI / 2.0;
    let singles: Vec<f32> = (-2 * count..=2 * count).map(|q| near(q) as f32).collect();
    let mut found = vec![0.0; singles.len()];
    host::sin(&singles, &mut found);
    for (&x, &y) in singles.iter().zip(&found) {
        assert!(ulps_f32(y, f64::from(x).sin()) <= 3.0, "sin {x}");
    }
    let mut found = vec![1.0; singles.len()];
    host::map_gradient(Activation::Sin, &singles, None, &mut found);
    for (&x, &y) in singles.iter().zip(&found) {
        assert!(ulps_f32(y, f64::from(x).cos()) <= 3.0, "cos {x}");
    }
    let doubles: Vec<f64> = (-2 * count..=2 * count).map(near).collect();
    assert_f64("sin", &doubles, host::sin, f64::sin, 4.0);
}

#[test]
fn signs_of_zero_survive() {
    let signed = [
        ("tanh", host::tanh::<f32> as fn(&[f32], &mut [f32])),
        ("sin", host::sin),
        ("gelu", host::gelu),
        ("silu", host::silu),
    ];
    for (name, f) in signed {
        let mut found = [1.0_f32; 2];
        f(&[0.0, -0.0], &mut found);
        let bits = found.map(f32::to_bits);
        assert_eq!(bits, [0.0_f32, -0.0].map(f32::to_bits), "{name}");
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let inputs = numbers(1_000, 5, 6.0);
    let step = 1e-6;
    for activation in Activation::ALL {
        // Away from the corner of the rectifier.
        let inputs: Vec<f64> = inputs.iter().map(|x| x + 1e-3 * x.signum()).collect();
        let at = |shift: f64| {
            let mut values: Vec<f64> = inputs.iter().map(|x| x + shift).collect();
            host::map(activation, None, &mut values);
            values
        };
        let (above, below) = (at(step), at(-step));
        let saved = if activation.differentiates_value() {
            at(0.0)
        } else {
            inputs.clone()
        };
        let mut derivative = vec![1.0; inputs.len()];
        host::map_gradient(activation, &saved, None, &mut derivative);
        for (place, &found) in derivative.iter().enumerate() {
            let expected = (above[place] - below[place]) / (2.0 * step);
            let x = inputs[place];
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < 1e-8, "{activation:?} at {x}: {found}, {expected}");
        }
    }
}

#[test]
fn in_place_is_the_same() {
    let inputs = singles();
    for activation in Activation::ALL {
        let mut copied = vec![0.0; inputs.len()];
        host::map(activation, Some(&inputs), &mut copied);
        let mut in_place = inputs.clone();
        host::map(activation, None, &mut in_place);
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&copied), bits(&in_place), "{activation:?}");
    }
}
