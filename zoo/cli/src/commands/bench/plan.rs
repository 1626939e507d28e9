//! What a run is going to measure.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::Device;
use deq::devices::DeviceName;

use super::Arguments;
use super::models::{BenchModel, MODELS, Workload};
use super::report::{Name, Pass};
use super::sampling::Budget;

/// So many samples are taken however long they take, unless fewer are asked for.
const MIN_SAMPLES: usize = 3;

/// Everything resolved and opened, so that nothing the user wrote can fail later.
pub(super) struct Plan {
    pub(super) entries: Vec<Entry>,
    pub(super) devices: Vec<(DeviceName, Device)>,
    pub(super) passes: Vec<Pass>,
    pub(super) budget: Budget,
}

/// A model with its preset and data.
pub(super) struct Entry {
    pub(super) model: &'static str,
    pub(super) preset: String,
    pub(super) batch: usize,
    pub(super) workload: Box<dyn Workload>,
}

/// One measurement.
pub(super) struct Task<'a> {
    pub(super) entry: &'a Entry,
    pub(super) device: &'a Device,
    pub(super) pass: Pass,
    pub(super) name: Name,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments) -> Result<Self> {
        let budget = budget(arguments)?;
        let models = models(&arguments.models)?;
        let presets = presets(&arguments.preset, &models)?;
        let mut entries = Vec::new();
        for model in models {
            let name = model.name();
            let preset = presets.get(name).copied();
            let preset = preset.unwrap_or_else(|| model.default_preset());
            let batch = arguments.batch.unwrap_or_else(|| model.default_batch());
            ensure!(batch >= 1, "--batch is 0, but must be at least 1");
            let workload = model.load(preset, batch);
            entries.push(Entry {
                model: name,
                preset: preset.to_owned(),
                batch,
                workload: workload.with_context(|| format!("no data for {name}"))?,
            });
        }
        Ok(Self {
            entries,
            devices: devices(&arguments.devices)?,
            passes: unique(&arguments.passes),
            budget,
        })
    }

    /// All measurements, in the order of the table: by model, then by device, then by pass.
    pub(super) fn tasks(&self) -> Vec<Task<'_>> {
        let mut tasks = Vec::new();
        for entry in &self.entries {
            for (device_name, device) in &self.devices {
                for &pass in &self.passes {
                    tasks.push(Task {
                        entry,
                        device,
                        pass,
                        name: Name {
                            model: entry.model.to_owned(),
                            preset: entry.preset.clone(),
                            device: device_name.to_string(),
                            pass,
                            batch: entry.batch,
                        },
                    });
                }
            }
        }
        tasks
    }

    /// What the GPUs among the devices call themselves.
    pub(super) fn gpus(&self) -> BTreeMap<String, String> {
        let named = self.devices.iter().filter_map(|(name, device)| {
            let gpu = identity(device)?;
            Some((name.to_string(), gpu))
        });
        named.collect()
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
fn identity(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "vulkan", feature = "cuda")))]
fn identity(_device: &Device) -> Option<String> {
    None
}

fn budget(arguments: &Arguments) -> Result<Budget> {
    let Arguments {
        samples,
        min_time,
        max_time,
        ..
    } = *arguments;
    ensure!(samples >= 1, "--samples is 0, but must be at least 1");
    ensure!(
        min_time >= 0.0 && min_time.is_finite(),
        "--min-time is {min_time}, but must be a finite number of seconds, at least 0"
    );
    ensure!(
        max_time > 0.0 && max_time.is_finite(),
        "--max-time is {max_time}, but must be a finite number of seconds above 0"
    );
    Ok(Budget {
        warmup_seconds: min_time,
        samples,
        min_samples: MIN_SAMPLES.min(samples),
        max_seconds: max_time,
    })
}

fn models(names: &[String]) -> Result<Vec<&'static dyn BenchModel>> {
    if names.iter().any(|name| name == "all") {
        return Ok(MODELS.to_vec());
    }
    let mut chosen: Vec<&'static dyn BenchModel> = Vec::new();
    for name in names {
        let model = MODELS.into_iter().find(|model| model.name() == name);
        let model = model.ok_or_else(|| {
            let known: Vec<&str> = MODELS.iter().map(|model| model.name()).collect();
            anyhow!(
                "no model named `{name}` can be benchmarked: choose all, or from {}",
                known.join(", ")
            )
        })?;
        if chosen.iter().all(|other| other.name() != model.name()) {
            chosen.push(model);
        }
    }
    Ok(chosen)
}

/// The presets of `--preset MODEL=PRESET`, by model.
fn presets<'a>(
    given: &'a [String],
    models: &[&'static dyn BenchModel],
) -> Result<BTreeMap<&'a str, &'a str>> {
    let mut presets = BTreeMap::new();
    for text in given {
        let (name, preset) = text.split_once('=').ok_or_else(|| {
            anyhow!("--preset {text}: write MODEL=PRESET, such as mdeq=cifar-small")
        })?;
        let chosen: Vec<&str> = models.iter().map(|model| model.name()).collect();
        let model = models.iter().find(|model| model.name() == name);
        let model = model.ok_or_else(|| {
            anyhow!(
                "--preset {text}: `{name}` is not among the models of this run, which are {}",
                chosen.join(", ")
            )
        })?;
        let known = model.presets();
        ensure!(
            known.contains(&preset),
            "--preset {text}: {name} has no preset `{preset}`: choose one of {}",
            known.join(", ")
        );
        if presets.insert(name, preset).is_some() {
            bail!("--preset {text}: {name} has a preset already");
        }
    }
    Ok(presets)
}

/// The devices asked for; without any, those of this build that this machine has.
fn devices(names: &[DeviceName]) -> Result<Vec<(DeviceName, Device)>> {
    if !names.is_empty() {
        let open = |name: DeviceName| -> Result<(DeviceName, Device)> { Ok((name, name.open()?)) };
        return unique(names).into_iter().map(open).collect();
    }
    let mut devices = Vec::new();
    for backend in deq::devices::compiled() {
        let name = DeviceName {
            backend,
            index: None,
        };
        match name.open() {
            Ok(device) => devices.push((name, device)),
            Err(error) => eprintln!("{name} is left out: {error}"),
        }
    }
    ensure!(
        !devices.is_empty(),
        "this build has no device that this machine has: build with `--features flex`"
    );
    Ok(devices)
}

/// Each value once, in the order of their first appearance.
fn unique<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for &value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(models: &[&'static dyn BenchModel]) -> Vec<&'static str> {
        models.iter().map(|model| model.name()).collect()
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn models_are_chosen_by_name() {
        let all = models(&owned(&["all"])).expect("known");
        assert_eq!(all.len(), MODELS.len());
        let two = models(&owned(&["mdeq", "ignn", "mdeq"])).expect("known");
        assert_eq!(names(&two), ["mdeq", "ignn"]);
        let error = models(&owned(&["resnet"])).err().expect("unknown");
        assert!(error.to_string().contains("deq-inr, mdeq"), "{error}");
    }

    #[test]
    fn presets_belong_to_models_of_the_run() {
        let run = models(&owned(&["mdeq"])).expect("known");
        let given = owned(&["mdeq=cifar-small"]);
        let found = presets(&given, &run).expect("a preset");
        assert_eq!(found.get("mdeq"), Some(&"cifar-small"));
        for (given, words) in [
            (vec!["mdeq"], "MODEL=PRESET"),
            (vec!["mdeq=huge"], "fashion-tiny"),
            (vec!["ignn=ppi"], "not among the models"),
            (vec!["mdeq=cifar-small", "mdeq=cifar-large"], "already"),
        ] {
            let given = owned(&given);
            let error = presets(&given, &run).expect_err("refused").to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
