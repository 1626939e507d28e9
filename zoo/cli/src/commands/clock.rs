//! When, of which source, and how it was built.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The day of a time in seconds since 1970, as `2024-02-29` in UTC.
pub(crate) fn day(seconds: f64) -> String {
    // Howard Hinnant's days-to-civil: years begin in March, and 400 of them have 146,097 days.
    let days = (seconds / 86_400.0).floor() as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{of_month:02}", year + era * 400 + next)
}

/// A time in seconds since 1970 as a date in UTC, such as `2025-11-22 06:19:00 UTC`.
pub(crate) fn date(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let of_day = seconds as u64 % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", day(seconds))
}

/// The revision of the source that this program was built from, as its folder is now, with
/// `-dirty` where it has changes; `None` where there is no repository.
pub(crate) fn revision() -> Option<String> {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .args(["--exclude", "*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// How this program was built: `debug` or `release`.
pub(crate) fn build() -> &'static str {
    match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0.0, "1970-01-01"),
            (86_399.9, "1970-01-01"),
            (951_782_400.0, "2000-02-29"),
            (1_709_164_800.0, "2024-02-29"),
            (1_709_251_200.0, "2024-03-01"),
            (1_735_689_599.0, "2024-12-31"),
            (4_107_542_400.0, "2100-03-01"),
        ] {
            assert_eq!(day(seconds), expected);
        }
        assert!(day(now()).as_str() > "2024-01-01");
    }

    #[test]
    fn dates_have_a_time() {
        assert_eq!(date(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_399.9), "2000-02-28 23:59:59 UTC");
        assert_eq!(date(951_782_400.0), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_735_689_599.0), "2024-12-31 23:59:59 UTC");
        assert_eq!(date(1_735_689_600.0), "2025-01-01 00:00:00 UTC");
        assert_eq!(date(-1.0), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn a_revision_is_one_word() {
        if let Some(name) = revision() {
            assert!(
                !name.is_empty() && !name.contains(char::is_whitespace),
                "{name}"
            );
        }
    }
}
