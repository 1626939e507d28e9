//! What is said about repeated timings. Medians, since interruptions only ever make a run slower.

/// The middle of the values; the mean of the two in the middle where their number is even. NaN for
/// none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => f64::NAN,
        all if all.len().is_multiple_of(2) => f64::midpoint(all[middle - 1], all[middle]),
        all => all[middle],
    }
}

/// The median absolute deviation $\mathrm{median}_i \lvert x_i - m \rvert$ from `median` $m$, not
/// scaled to a standard deviation.
pub(super) fn mad(values: &[f64], median: f64) -> f64 {
    let deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    self::median(&deviations)
}

/// A value is an outlier when its modified z-score $\lvert x - m \rvert / \mathrm{MAD}$ is larger:
/// ten standard deviations of a normal distribution, whose standard deviation is 1.4826 MAD. The
/// same threshold as hyperfine's.
pub(super) const OUTLIER: f64 = 14.826;

/// How many of the values are outliers. Where more than half of them are equal, MAD is 0, and
/// every other value is one.
pub(super) fn outliers(values: &[f64], median: f64, mad: f64) -> usize {
    let far = |value: &&f64| (**value - median).abs() > OUTLIER * mad;
    values.iter().filter(far).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_deviation_is_that_of_the_middle_value() {
        // Deviations from 3: 2, 1, 0, 1, 97.
        let values = [1.0, 2.0, 3.0, 4.0, 100.0];
        assert_eq!(mad(&values, 3.0), 1.0);
        assert_eq!(mad(&[5.0], 5.0), 0.0);
    }

    #[test]
    fn outliers_are_far_in_deviations() {
        let values = [1.0, 2.0, 3.0, 4.0, 100.0];
        assert_eq!(outliers(&values, 3.0, 1.0), 1);
        // 14 deviations away is near enough, 15 is not.
        assert_eq!(outliers(&[2.0, 3.0, 4.0, 3.0 + 14.0], 3.0, 1.0), 0);
        assert_eq!(outliers(&[2.0, 3.0, 4.0, 3.0 - 15.0], 3.0, 1.0), 1);
        assert_eq!(outliers(&[2.0, 2.0, 2.0, 2.5], 2.0, 0.0), 1);
        assert_eq!(outliers(&[2.0, 2.0], 2.0, 0.0), 0);
    }
}
