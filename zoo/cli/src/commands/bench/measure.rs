//! One cell.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result};
use burn::tensor::Device;

use super::device_time::device_seconds;
use super::effort::Effort;
use super::models::{Work, Workload};
use super::plan::Task;
use super::report::{Cell, Measured, Memory, Name, Outcome, Pass};
use super::sampling::{Budget, sample, sync};
use super::tables::duration;
use crate::commands::interrupt;

/// Measures a cell; `None` when Ctrl-C came before it had samples enough.
///
/// burn reports unsupported operations, missing memory and lost devices by panicking, so a panic
/// becomes the cell's failure. What the cell used is dropped, but state that the backend shares
/// between cells may be broken after it (a poisoned lock, a lost GPU): then the device's later
/// cells fail too, each with its own message. What aborts the process (a driver that crashes, the
/// host's memory running out) cannot be caught; the cells before it are on disk with `--out`.
pub(super) fn cell(task: &Task<'_>, budget: &Budget) -> Option<Cell> {
    let workload = &*task.entry.workload;
    let attempt = || measure(workload, task.device, task.pass, budget);
    let outcome = match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(Ok(measured)) => Outcome::Measured(Box::new(measured)),
        Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
        Err(panic) => Outcome::Failed(format!("panicked: {}", panic_text(&*panic))),
    };
    if matches!(outcome, Outcome::Failed(_)) && interrupt::interrupted() {
        return None;
    }
    Some(Cell {
        name: task.name.clone(),
        workload: workload.title(),
        items: workload.items(),
        unit: workload.unit().to_owned(),
        outcome,
    })
}

fn measure(
    workload: &dyn Workload,
    device: &Device,
    pass: Pass,
    budget: &Budget,
) -> Result<Measured> {
    let mut work: Work = match pass {
        Pass::Forward => workload.forward(device)?,
        Pass::Train => workload.train(device)?,
    };
    sync(device).context("the model could not be built")?;
    let mut total = Effort::default();
    let sample = sample(budget, device, &mut || -> Result<()> {
        total.merge(&work()?);
        Ok(())
    })?;
    let memory = match device.memory_pool_usage() {
        Some(_) => Memory::DevicePool,
        None => Memory::HostPeak,
    };
    // Devices without memory of their own have no clock of their own either.
    let seconds = match memory {
        Memory::DevicePool if !interrupt::interrupted() => device_seconds(device, &mut work),
        Memory::DevicePool | Memory::HostPeak => None,
    };
    let items = workload.items();
    Ok(Measured::new(sample, &total, items, memory, seconds))
}

/// A cell in a line, for those who wait.
pub(super) fn line(cell: &Cell) -> String {
    let Name {
        model,
        device,
        pass,
        ..
    } = &cell.name;
    let result = match &cell.outcome {
        Outcome::Measured(measured) => {
            let sample = &measured.sample;
            format!(
                "{} ± {} ({} samples)",
                duration(sample.median),
                duration(sample.mad),
                sample.seconds.len()
            )
        }
        Outcome::Failed(message) => format!("failed: {message}"),
    };
    format!("{model} on {device}, {}: {result}", pass.name())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "no reason was given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::plan::Entry;

    /// Fails in the way that it is told.
    struct Broken(fn() -> Result<Effort>);

    impl Workload for Broken {
        fn title(&self) -> String {
            "nothing".to_owned()
        }

        fn items(&self) -> usize {
            3
        }

        fn unit(&self) -> &'static str {
            "items"
        }

        fn forward(&self, _device: &Device) -> Result<Work> {
            Ok(Box::new(self.0))
        }

        fn train(&self, _device: &Device) -> Result<Work> {
            anyhow::bail!("no training")
        }
    }

    fn outcome(work: fn() -> Result<Effort>, pass: Pass) -> Outcome {
        let device = deq::devices::all().remove(0);
        let entry = Entry {
            model: "broken",
            preset: "none".to_owned(),
            batch: 1,
            workload: Box::new(Broken(work)),
        };
        let task = Task {
            entry: &entry,
            device: &device,
            pass,
            name: Name {
                model: "broken".to_owned(),
                preset: "none".to_owned(),
                device: "any".to_owned(),
                pass,
                batch: 1,
            },
        };
        let budget = Budget {
            warmup_seconds: 0.0,
            samples: 4,
            min_samples: 3,
            max_seconds: 60.0,
        };
        let cell = cell(&task, &budget).expect("nobody pressed Ctrl-C");
        assert!(line(&cell).contains("broken on any"));
        cell.outcome
    }

    fn fails() -> Result<Effort> {
        anyhow::bail!("no memory")
    }

    fn panics() -> Result<Effort> {
        panic!("no kernel")
    }

    fn works() -> Result<Effort> {
        std::thread::sleep(std::time::Duration::from_millis(2));
        Ok(Effort {
            forward: Some(5),
            ..Effort::default()
        })
    }

    #[test]
    fn errors_and_panics_are_failures() {
        let failed = |message: &str| Outcome::Failed(message.to_owned());
        assert_eq!(outcome(fails, Pass::Forward), failed("no memory"));
        let panicked = failed("panicked: no kernel");
        assert_eq!(outcome(panics, Pass::Forward), panicked);
        assert_eq!(outcome(works, Pass::Train), failed("no training"));
    }

    #[test]
    fn a_cell_has_as_many_samples_as_were_asked_for() {
        let Outcome::Measured(measured) = outcome(works, Pass::Forward) else {
            panic!("it works");
        };
        assert_eq!(measured.sample.seconds.len(), 4);
        assert!(measured.sample.min >= 0.002 && measured.sample.median >= measured.sample.min);
        assert_eq!(measured.forward_evaluations, Some(5));
        let expected = 3.0 / measured.sample.median;
        assert!((measured.items_per_second - expected).abs() < 1e-9 * expected);
    }
}
