//! Means and spreads.

/// The arithmetic mean; `None` of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median, of an even number of values the mean of the middle two; `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// A mean with its sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// $\sqrt{\sum (x - \bar x)^2 / (n - 1)}$; `None` of a single value.
    pub(super) deviation: Option<f64>,
    /// $n$.
    pub(super) count: usize,
}

impl Spread {
    /// Of these values; `None` of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        let mean = mean(values)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            count,
        })
    }

    /// `mean ± deviation`, or the mean alone where there is no deviation.
    pub(super) fn text(&self, decimals: usize) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.decimals$} ± {deviation:.decimals$}", self.mean),
            None => format!("{:.decimals$}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_medians() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[6.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[6.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn the_spread_is_the_sample_deviation() {
        assert_eq!(Spread::of(&[]), None);
        let one = Spread::of(&[5.0]).expect("a value");
        assert_eq!((one.mean, one.deviation, one.count), (5.0, None, 1));
        assert_eq!(one.text(1), "5.0");
        // Deviations −2, 0 and 2: (4 + 0 + 4) / 2 = 4.
        let three = Spread::of(&[1.0, 3.0, 5.0]).expect("values");
        assert_eq!(three.deviation, Some(2.0));
        assert_eq!(three.text(2), "3.00 ± 2.00");
    }
}
