//! How many images each class has.

use std::fmt;
use std::str::FromStr;

use deq_collapse::Imbalance;
use serde::{Deserialize, Serialize};

/// How training images are spread over the classes. The first classes are the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Setting {
    /// All alike.
    Balanced,
    /// $K_A$ majority classes, with $R$ times as many images as the others.
    Step { majority: usize, ratio: u32 },
    /// From the first class to the last, the number falls by the factor $R$.
    LongTail { ratio: u32 },
}

impl Setting {
    /// The classes' sizes, with so many images in each on balanced data, or in the largest.
    pub(crate) fn imbalance(self, balanced: usize, largest: usize) -> Imbalance {
        match self {
            Self::Balanced => Imbalance::Balanced { samples: balanced },
            Self::Step { majority, ratio } => Imbalance::Step {
                majority,
                samples: largest,
                ratio: f64::from(ratio),
            },
            Self::LongTail { ratio } => Imbalance::LongTail {
                samples: largest,
                ratio: f64::from(ratio),
            },
        }
    }

    /// Its name in tables.
    pub(super) fn title(self) -> String {
        match self {
            Self::Balanced => "balanced".to_owned(),
            Self::Step { majority, ratio } => format!("K_A = {majority}, R = {ratio}"),
            Self::LongTail { ratio } => format!("long tail, R = {ratio}"),
        }
    }
}

impl fmt::Display for Setting {
    /// Its name on the command line and in files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Step { majority, ratio } => write!(f, "k{majority}-r{ratio}"),
            Self::LongTail { ratio } => write!(f, "tail-r{ratio}"),
        }
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = || -> Option<Self> {
            if text == "balanced" {
                return Some(Self::Balanced);
            }
            let (kind, ratio) = text.split_once("-r")?;
            let ratio = ratio.parse::<u32>().ok().filter(|&ratio| ratio >= 1)?;
            if kind == "tail" {
                return Some(Self::LongTail { ratio });
            }
            let majority = kind.strip_prefix('k')?.parse::<usize>().ok();
            let majority = majority.filter(|&majority| majority >= 1)?;
            Some(Self::Step { majority, ratio })
        };
        found().ok_or_else(|| {
            format!("there are no classes `{text}`: write balanced, k3-r10 for three majority classes with ten times as many images as the others, or tail-r10 for a long tail")
        })
    }
}

impl TryFrom<String> for Setting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Setting> for String {
    fn from(setting: Setting) -> Self {
        setting.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (text, setting) in [
            ("balanced", Setting::Balanced),
            (
                "k3-r10",
                Setting::Step {
                    majority: 3,
                    ratio: 10,
                },
            ),
            ("tail-r100", Setting::LongTail { ratio: 100 }),
        ] {
            assert_eq!(text.parse::<Setting>(), Ok(setting));
            assert_eq!(setting.to_string(), text);
            let json = serde_json::to_string(&setting).expect("plain data");
            assert_eq!(json, format!("\"{text}\""));
            let read: Setting = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read, setting);
        }
        for text in [
            "", "k3", "k-r10", "k0-r10", "k3-r0", "k3-rx", "3-r10", "tail",
        ] {
            let error = text.parse::<Setting>().expect_err("no setting");
            assert!(error.contains("k3-r10"), "{error}");
        }
    }

    #[test]
    fn sizes_follow_the_name() {
        let counts = |text: &str| {
            let setting: Setting = text.parse().expect("a setting");
            setting.imbalance(7, 200).counts(5).expect("sizes")
        };
        assert_eq!(counts("balanced"), [7; 5]);
        assert_eq!(counts("k2-r100"), [200, 200, 2, 2, 2]);
        assert_eq!(counts("tail-r16"), [200, 100, 50, 25, 13]);
    }
}
