//! Where and with what a run was measured.

use std::collections::BTreeMap;

use deq_train::Environment;
use serde::{Deserialize, Serialize};

use crate::commands::clock::{date, revision};

/// burn's version, which it does not tell; a test compares it with the workspace's.
const BURN: &str = "0.22.1";

/// The machine and the program. What a system does not tell is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) processor: Option<String>,
    /// Its cores.
    pub(super) cores: Option<usize>,
    /// How many threads run at once: `RAYON_NUM_THREADS`, or what the system offers.
    pub(super) threads: usize,
    /// The processor's architecture, such as `x86_64`.
    pub(super) architecture: String,
    /// The operating system.
    pub(super) system: String,
    /// The GPUs among the devices, by the device's name.
    pub(super) gpus: BTreeMap<String, String>,
    /// The program's version.
    pub(super) version: String,
    /// The revision of its sources at the time of the run, with `-dirty` where they had been
    /// changed since.
    pub(super) revision: Option<String>,
    /// The compiler, where `RUSTC_VERSION` was set when the program was built.
    pub(super) rustc: Option<String>,
    /// Whether the program was built with debug assertions, as in the development profile.
    pub(super) debug_assertions: bool,
    /// burn's version.
    pub(super) burn: String,
    /// The command and its arguments.
    pub(super) command: Vec<String>,
    /// When the run started, in seconds since 1970 …
    pub(super) started: f64,
    /// … and as a date, in UTC.
    pub(super) date: String,
    /// Runnable processes before the run, on average over the last 1, 5 and 15 minutes.
    pub(super) load_before: Option<[f64; 3]>,
    /// The same after it; this run is among them.
    pub(super) load_after: Option<[f64; 3]>,
}

impl Machine {
    /// This one, with these GPUs.
    pub(super) fn here(gpus: BTreeMap<String, String>) -> Self {
        let Environment {
            version,
            system,
            architecture,
            threads,
            command,
            started,
            other: _,
        } = Environment::here(env!("CARGO_PKG_VERSION"));
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let asked = std::env::var("RAYON_NUM_THREADS").ok();
        let asked = asked.and_then(|count| count.parse().ok());
        Self {
            processor: processor(&cpus),
            cores: cores(&cpus),
            threads: asked.filter(|&count| count > 0).unwrap_or(threads),
            architecture,
            system: described(&system),
            gpus,
            version,
            revision: revision(),
            rustc: option_env!("RUSTC_VERSION").map(str::to_owned),
            debug_assertions: cfg!(debug_assertions),
            burn: BURN.to_owned(),
            command,
            started,
            date: date(started),
            load_before: load(),
            load_after: None,
        }
    }

    /// Notes the load at the end of the run.
    pub(super) fn finish(&mut self) {
        self.load_after = load();
    }

    /// Name and value, for tables.
    pub(super) fn rows(&self) -> Vec<[String; 2]> {
        let unknown = || "unknown".to_owned();
        let loads = |loads: Option<[f64; 3]>| {
            loads.map_or_else(unknown, |[one, five, fifteen]| {
                format!("{one:.2}, {five:.2}, {fifteen:.2}")
            })
        };
        let cores = self.cores.map_or_else(unknown, |cores| cores.to_string());
        let mut rows = vec![
            ("processor", self.processor.clone().unwrap_or_else(unknown)),
            ("cores", cores),
            ("threads used", self.threads.to_string()),
            ("system", format!("{}, {}", self.system, self.architecture)),
        ];
        let gpus = self.gpus.iter();
        rows.extend(gpus.map(|(device, gpu)| (device.as_str(), gpu.clone())));
        let build = if self.debug_assertions {
            "development (debug assertions)"
        } else {
            "release"
        };
        rows.extend([
            ("deq-zoo", self.version.clone()),
            ("revision", self.revision.clone().unwrap_or_else(unknown)),
            ("burn", self.burn.clone()),
            ("build", build.to_owned()),
        ]);
        rows.extend(self.rustc.clone().map(|rustc| ("rustc", rustc)));
        rows.extend([
            ("date", self.date.clone()),
            ("command", self.command.join(" ")),
            ("load before (1, 5, 15 min)", loads(self.load_before)),
            ("load after", loads(self.load_after)),
        ]);
        let rows = rows.into_iter();
        rows.map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// What about it disturbs measurements.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let cores = self.cores.unwrap_or(self.threads);
        // Before the run only others load the machine; the run itself may fill it, and its threads
        // and those of a device's driver may add up to a little more.
        let limits = [(self.load_before, 1.0), (self.load_after, 1.5)];
        for (when, (load, factor)) in ["before", "after"].into_iter().zip(limits) {
            let Some([one, ..]) = load else { continue };
            if one > factor * cores as f64 {
                warnings.push(format!(
                    "the load {when} the run was {one:.1} on {cores} cores: other programs took part of the machine"
                ));
            }
        }
        if self.debug_assertions {
            warnings.push(
                "this is a development build: backends other than flex are not optimised in it; measure with `cargo run --release`"
                    .to_owned(),
            );
        }
        warnings
    }

    /// Why times on this machine and those of `earlier` do not compare.
    pub(super) fn differences(&self, earlier: &Self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let gpus = |machine: &Self| format!("{:?}", machine.gpus);
        let pairs = [
            ("processor", text(&earlier.processor), text(&self.processor)),
            (
                "threads",
                earlier.threads.to_string(),
                self.threads.to_string(),
            ),
            ("system", earlier.system.clone(), self.system.clone()),
            (
                "architecture",
                earlier.architecture.clone(),
                self.architecture.clone(),
            ),
            (
                "debug assertions",
                earlier.debug_assertions.to_string(),
                self.debug_assertions.to_string(),
            ),
            ("GPUs", gpus(earlier), gpus(self)),
        ];
        let other = pairs.into_iter().filter(|(_, then, now)| then != now);
        other
            .map(|(what, then, now)| {
                format!(
                    "the earlier run is of another machine or build ({what}: {then}; now {now})"
                )
            })
            .collect()
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            processor: Some("Example 1".to_owned()),
            cores: Some(2),
            threads: 2,
            architecture: "x86_64".to_owned(),
            system: "linux".to_owned(),
            gpus: BTreeMap::new(),
            version: "0.1.0".to_owned(),
            revision: Some("0123456789ab".to_owned()),
            rustc: None,
            debug_assertions: false,
            burn: BURN.to_owned(),
            command: vec!["deq-zoo".to_owned(), "bench".to_owned()],
            started: 86_400.5,
            date: date(86_400.5),
            load_before: Some([0.5, 0.25, 0.125]),
            load_after: Some([1.5, 0.25, 0.125]),
        }
    }
}

/// The value of a line `key : value` of `/proc/cpuinfo`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    (name.trim() == key).then(|| value.trim())
}

fn processor(cpus: &str) -> Option<String> {
    let mut lines = cpus.lines();
    let name = lines.find_map(|line| value(line, "model name"))?;
    Some(name.to_owned())
}

/// Cores, of which each may be several of the system's processors.
fn cores(cpus: &str) -> Option<usize> {
    let mut found = std::collections::BTreeSet::new();
    let mut package = "0";
    for line in cpus.lines() {
        if let Some(id) = value(line, "physical id") {
            package = id;
        }
        if let Some(core) = value(line, "core id") {
            found.insert((package, core));
        }
    }
    (!found.is_empty()).then_some(found.len())
}

/// The system with its release and its distribution, where it tells them.
fn described(system: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let about = read("/etc/os-release");
    let mut lines = about.lines();
    let name = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let mut text = system.to_owned();
    if !kernel.trim().is_empty() {
        text = format!("{text} {}", kernel.trim());
    }
    match name {
        Some(name) => format!("{text} ({})", name.trim_matches('"')),
        None => text,
    }
}

fn load() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burn_s_version_is_the_workspace_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let text = std::fs::read_to_string(path).expect("the workspace's Cargo.toml");
        let wanted = format!("burn = {{ version = \"={BURN}\"");
        assert!(text.contains(&wanted), "{wanted}");
    }

    #[test]
    fn processors_are_read() {
        let cpu = |core: usize| {
            format!(
                "processor\t: 9\nmodel name\t: Example 1\nphysical id\t: 0\ncore id\t: {core}\n\n"
            )
        };
        let cpus = cpu(0) + &cpu(0) + &cpu(1) + &cpu(1);
        assert_eq!(processor(&cpus).as_deref(), Some("Example 1"));
        assert_eq!(cores(&cpus), Some(2));
        assert_eq!((processor(""), cores("")), (None, None));
    }

    #[test]
    fn a_loaded_machine_and_a_development_build_are_told() {
        let mut machine = Machine::example();
        assert_eq!(machine.warnings(), Vec::<String>::new());
        machine.load_before = Some([2.5, 0.0, 0.0]);
        machine.debug_assertions = true;
        let told = machine.warnings().join("\n");
        assert!(told.contains("2.5 on 2 cores"), "{told}");
        assert!(told.contains("development build"), "{told}");
    }

    #[test]
    fn another_machine_is_told_by_what_differs() {
        let here = Machine::example();
        let mut there = here.clone();
        there.date = date(0.0);
        there.load_before = None;
        there.revision = None;
        assert_eq!(here.differences(&there), Vec::<String>::new());
        there.processor = Some("Example 2".to_owned());
        let told = here.differences(&there).join("\n");
        assert!(
            told.contains("processor: Example 2; now Example 1"),
            "{told}"
        );
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here(BTreeMap::new());
        assert!(machine.threads >= 1);
        let rows = machine.rows();
        let names: Vec<&str> = rows.iter().map(|[name, _]| name.as_str()).collect();
        for name in ["processor", "threads used", "revision", "burn", "date"] {
            assert!(names.contains(&name), "{name}");
        }
    }
}
