//! Times on the command line.

const UNITS: [(&str, f64); 3] = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// 30 years: clocks count no further on every system.
const LONGEST: f64 = 1e9;

/// Seconds from `90s`, `20m`, `1.5h`, or a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let unit = UNITS
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    let seconds = number.trim().parse::<f64>().map(|number| number * factor);
    match seconds {
        Ok(seconds) if seconds > 0.0 && seconds < LONGEST => Ok(seconds),
        _ => Err("give a time above 0 such as 90s, 20m or 1.5h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [("90s", 90.0), ("20m", 1200.0), ("1.5h", 5400.0), ("7", 7.0)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for text in ["", "0", "-1m", "m", "inf", "NaN", "3d", "1e9h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
