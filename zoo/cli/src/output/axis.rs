//! Axes with round numbers.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Log,
}

/// An interval around values, with about six labels. Places on it are values, or their logarithms
/// to base 10 on [`Scale::Log`].
#[derive(Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    /// Of labels, on [`Scale::Linear`].
    decimals: Option<usize>,
}

/// An axis as plotters draws it. Its own combination of an interval with chosen ticks cannot be
/// drawn for `f64`, for want of a formatter.
pub(crate) struct Places {
    along: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, limit: (i32, i32)) -> i32 {
        self.along.map(place, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.along.range()
    }
}

/// Labels within a decade.
const COARSE: [f64; 5] = [1.0, 2.0, 3.0, 5.0, 7.0];
/// Labels within less than half a decade.
const FINE: [f64; 21] = [
    1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0,
    7.0, 8.0, 9.0,
];

impl Scale {
    /// The place of a value; `None` where it has none: NaN and infinities, and on a logarithmic
    /// axis what is not above 0.
    pub(crate) fn place(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => (value.abs() < 1e300).then_some(value),
            Self::Log => (value > 1e-300 && value < 1e300).then(|| value.log10()),
        }
    }
}

impl Axis {
    /// The axis around these values, with a margin on a linear one.
    pub(crate) fn around(scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extent(scale, values);
        match scale {
            Scale::Linear => {
                let margin = 0.05 * (high - low);
                Self::linear(low - margin, high + margin)
            }
            Scale::Log => Self::log(low, high),
        }
    }

    /// The axis from the least to the largest of these values, for what goes on over time.
    pub(crate) fn spanning(scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extent(scale, values);
        match scale {
            Scale::Linear => Self::linear(low, high),
            Scale::Log => Self::log(low, high),
        }
    }

    /// The axis from zero, or from a power of ten below all values, to beyond them, for bars.
    pub(crate) fn from_base(scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        match scale {
            Scale::Linear => {
                let (low, high) = extent(scale, values.into_iter().chain([0.0]));
                let margin = 0.05 * (high - low);
                let low = if low < 0.0 { low - margin } else { low };
                Self::linear(low, if high > 0.0 { high + margin } else { high })
            }
            Scale::Log => {
                let (low, high) = extent(scale, values);
                let low = (low - 0.1).floor();
                Self::decades(low, (high + 0.1).max(low + 1.0))
            }
        }
    }

    /// The axis of so many rows, whose middles are at 0.5, 1.5 and so on.
    pub(crate) fn rows(count: usize) -> Self {
        Self {
            scale: Scale::Linear,
            low: 0.0,
            high: count.max(1) as f64,
            ticks: (0..count).map(|row| row as f64 + 0.5).collect(),
            decimals: Some(1),
        }
    }

    fn linear(low: f64, high: f64) -> Self {
        let step = round_step((high - low) / 5.0);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let power = (step.log10() + 1e-9).floor();
        let largest = low.abs().max(high.abs());
        let is_plain = power >= -4.0 && largest < 1e6;
        Self {
            scale: Scale::Linear,
            low,
            high,
            ticks: (first..=last).map(|count| count as f64 * step).collect(),
            decimals: is_plain.then(|| (-power).max(0.0) as usize),
        }
    }

    fn log(low: f64, high: f64) -> Self {
        if high - low >= 1.0 {
            return Self::decades(low.floor(), high.ceil());
        }
        // Less than a factor of ten: a decade would leave most of the plot empty.
        let (low, high) = (low - 0.05, high + 0.05);
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let factors: &[f64] = if high - low < 0.35 { &FINE } else { &COARSE };
        let ticks = (first..=last).flat_map(|power| {
            factors
                .iter()
                .map(move |factor| f64::from(power) + factor.log10())
        });
        Self {
            scale: Scale::Log,
            low,
            high,
            ticks: ticks.filter(|tick| (low..=high).contains(tick)).collect(),
            decimals: None,
        }
    }

    /// Labels at powers of ten, about ten.
    fn decades(low: f64, high: f64) -> Self {
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let stride = ((last - first + 9) / 10).max(1);
        let powers = (first..=last).filter(|power| power.rem_euclid(stride) == 0);
        Self {
            scale: Scale::Log,
            low,
            high,
            ticks: powers.map(f64::from).collect(),
            decimals: None,
        }
    }

    /// Its lower end, as a place.
    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    /// Its upper end, as a place.
    pub(crate) fn high(&self) -> f64 {
        self.high
    }

    /// What plotters draws.
    pub(crate) fn range(&self) -> Places {
        Places {
            along: (self.low..self.high).into(),
            ticks: self.ticks.clone(),
        }
    }

    /// The label at a place.
    pub(crate) fn label(&self, place: f64) -> String {
        match (self.scale, self.decimals) {
            // Zero may come with a sign.
            (Scale::Linear, Some(decimals)) => format!("{:.decimals$}", place + 0.0),
            (Scale::Linear, None) => short(place),
            (Scale::Log, _) => short(10_f64.powf(place)),
        }
    }

    /// All labels, in order.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.ticks.iter().map(|&tick| self.label(tick)).collect()
    }
}

/// A number to three digits.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if (0.00999..1e4).contains(&size) {
        let decimals = (2.0 - size.log10().floor()).max(0.0) as usize;
        let text = format!("{value:.decimals$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, power)) if digits.contains('.') => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{power}")
        }
        _ => text,
    }
}

/// The smallest interval of places around these values; equal ends are moved apart.
fn extent(scale: Scale, values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let places = values.into_iter().filter_map(|value| scale.place(value));
    let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
        (low.min(place), high.max(place))
    });
    if low > high {
        return match scale {
            Scale::Linear => (0.0, 1.0),
            Scale::Log => (-1.0, 0.0),
        };
    }
    let size = low.abs().max(high.abs());
    if high - low > 1e-9 * size {
        return (low, high);
    }
    let half = match scale {
        Scale::Linear if size > 0.0 => 0.05 * size,
        Scale::Linear => 0.5,
        Scale::Log => 0.3,
    };
    (low - half, high + half)
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0];
    let fits = factors
        .into_iter()
        .find(|factor| factor * power >= least * (1.0 - 1e-9));
    fits.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_round_numbers() {
        let axis = Axis::spanning(Scale::Linear, [0.0, 200.0]);
        assert_eq!(axis.labels(), ["0", "50", "100", "150", "200"]);
        let axis = Axis::spanning(Scale::Linear, [-0.001, 0.0009]);
        assert_eq!(axis.labels(), ["-0.0010", "-0.0005", "0.0000", "0.0005"]);
        let axis = Axis::spanning(Scale::Linear, [0.0, 2e-7]);
        assert_eq!(axis.labels(), ["0", "5e-8", "1e-7", "1.5e-7", "2e-7"]);
        let axis = Axis::spanning(Scale::Linear, [0.0, 150_000.0]);
        assert_eq!(axis.labels(), ["0", "50000", "100000", "150000"]);
    }

    #[test]
    fn a_logarithmic_axis_spans_whole_decades() {
        let axis = Axis::around(Scale::Log, [3e-7, 20.0]);
        assert_eq!((axis.low(), axis.high()), (-7.0, 2.0));
        let axis = Axis::around(Scale::Log, [0.003, 2.0]);
        assert_eq!(axis.labels(), ["1e-3", "0.01", "0.1", "1", "10"]);
        let axis = Axis::around(Scale::Log, [1e-12, 10.0]);
        assert_eq!(axis.labels().len(), 7);
        let axis = Axis::around(Scale::Log, [1e-299, 1e299]);
        assert!((4..=11).contains(&axis.labels().len()), "{axis:?}");
    }

    #[test]
    fn less_than_a_decade_has_labels_too() {
        for values in [[0.9, 2.3], [1.0, 1.0], [2.01, 2.3]] {
            let axis = Axis::around(Scale::Log, values);
            assert!((2..=9).contains(&axis.labels().len()), "{axis:?}");
            assert!(axis.high() - axis.low() <= 1.2, "{axis:?}");
        }
    }

    #[test]
    fn a_single_value_still_has_an_interval() {
        for value in [0.5, 0.0, -3.0, 1e-12, 1e200] {
            let axis = Axis::around(Scale::Linear, [value]);
            assert!(axis.low() < value && value < axis.high(), "{axis:?}");
            assert!(!axis.labels().is_empty(), "{axis:?}");
        }
        for values in [&[][..], &[f64::NAN], &[f64::INFINITY]] {
            let axis = Axis::spanning(Scale::Linear, values.iter().copied());
            assert_eq!((axis.low(), axis.high()), (0.0, 1.0));
        }
        let axis = Axis::around(Scale::Log, [0.0, -1.0, f64::NAN]);
        assert_eq!((axis.low(), axis.high()), (-1.0, 0.0));
    }

    #[test]
    fn bars_stand_on_a_base() {
        let axis = Axis::from_base(Scale::Linear, [3.0, 4.0]);
        assert!(axis.low() == 0.0 && axis.high() > 4.0);
        let axis = Axis::from_base(Scale::Linear, [-2.0]);
        assert!(axis.low() < -2.0 && axis.high() == 0.0);
        let axis = Axis::from_base(Scale::Log, [1.0, 300.0]);
        assert!(axis.low() == -1.0 && axis.high() > 300_f64.log10());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1234.0, "1234"),
            (12.345, "12.3"),
            (0.5, "0.5"),
            (100.0, "100"),
            (-0.0123, "-0.0123"),
            (1e-7, "1e-7"),
            (2.5e6, "2.5e6"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
