use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Where a run was started: `environment.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// The program's version.
    pub version: String,
    /// The operating system, such as `linux`.
    pub system: String,
    /// The processor's architecture, such as `x86_64`.
    pub architecture: String,
    /// How many threads run at once.
    pub threads: usize,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// When it was started, in seconds since 1970.
    pub started: f64,
    /// What else matters: the device, the revision of the source.
    pub other: BTreeMap<String, String>,
}

impl Environment {
    /// This process's. `version` is the program's, usually `env!("CARGO_PKG_VERSION")`.
    pub fn here(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            system: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            command: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            started: seconds_since_1970(),
            other: BTreeMap::new(),
        }
    }

    /// Adds something else that matters.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.other.insert(name.to_owned(), value.to_string());
        self
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self);
        json.expect("strings and numbers have a JSON form")
    }
}

pub(crate) fn seconds_since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
