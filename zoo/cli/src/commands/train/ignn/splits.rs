use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Which split of the data: a number from 0, or `"all"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splits {
    /// This one.
    One(usize),
    /// Each, in a run of its own.
    All,
}

const EXPECTED: &str = "a number from 0, or \"all\"";

impl Default for Splits {
    fn default() -> Self {
        Self::One(0)
    }
}

impl FromStr for Splits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let number = text.parse().map(Self::One);
        number.map_err(|_| format!("give {EXPECTED}"))
    }
}

impl Serialize for Splits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(number) => serializer.serialize_u64(*number as u64),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

impl<'de> Deserialize<'de> for Splits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrAll)
    }
}

struct NumberOrAll;

impl Visitor<'_> for NumberOrAll {
    type Value = Splits;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Splits, E> {
        let number = usize::try_from(number);
        number
            .map(Splits::One)
            .map_err(|_| E::custom(format!("expected {EXPECTED}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Splits, E> {
        let number = usize::try_from(number);
        number
            .map(Splits::One)
            .map_err(|_| E::custom(format!("expected {EXPECTED}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Splits, E> {
        match text {
            "all" => Ok(Splits::All),
            _ => Err(E::custom(format!("expected {EXPECTED}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct File {
        split: Splits,
    }

    #[test]
    fn files_hold_a_number_or_all() {
        for (text, split) in [
            ("split = 3", Splits::One(3)),
            ("split = \"all\"", Splits::All),
        ] {
            let file: File = toml::from_str(text).expect("a split");
            assert_eq!(file, File { split });
            let written = toml::to_string(&file).expect("TOML");
            assert_eq!(written.trim(), text);
        }
        for text in ["split = -1", "split = \"some\"", "split = 1.5"] {
            let error = toml::from_str::<File>(text).expect_err("must be refused");
            assert!(error.to_string().contains("a number from 0"), "{error}");
        }
        assert_eq!("7".parse::<Splits>(), Ok(Splits::One(7)));
        assert!("-7".parse::<Splits>().is_err());
    }
}
