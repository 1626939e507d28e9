//! Several runs as one number.

/// A mean with its sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    /// $\sqrt{\sum (x - \bar x)^2 / (n - 1)}$; `None` of a single value.
    pub(crate) deviation: Option<f64>,
    /// $n$.
    pub(crate) count: usize,
}

impl Spread {
    /// Of these values; `None` of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            count,
        })
    }

    /// `mean ± deviation`, or the mean alone where there is no deviation.
    pub(crate) fn text(&self, decimals: usize) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.decimals$} ± {deviation:.decimals$}", self.mean),
            None => format!("{:.decimals$}", self.mean),
        }
    }

    /// `mean ± deviation` of shares, in percent.
    pub(super) fn percent(&self) -> String {
        let mean = 100.0 * self.mean;
        match self.deviation {
            Some(deviation) => format!("{mean:.2} ± {:.2} %", 100.0 * deviation),
            None => format!("{mean:.2} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_sample_deviation() {
        assert_eq!(Spread::of(&[]), None);
        let one = Spread::of(&[0.5]).expect("a value");
        assert_eq!((one.deviation, one.percent()), (None, "50.00 %".to_owned()));
        assert_eq!((one.count, one.text(1)), (1, "0.5".to_owned()));
        // Deviations −0.25, 0 and 0.25: (0.0625 + 0.0625) / 2 = 0.0625.
        let three = Spread::of(&[0.25, 0.5, 0.75]).expect("values");
        assert_eq!((three.mean, three.deviation), (0.5, Some(0.25)));
        assert_eq!(three.percent(), "50.00 ± 25.00 %");
        assert_eq!(
            (three.count, three.text(3)),
            (3, "0.500 ± 0.250".to_owned())
        );
    }
}
