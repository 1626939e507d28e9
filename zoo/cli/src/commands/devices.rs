use std::process::ExitCode;

use anyhow::Result;
use deq::devices::{Backend, DeviceName};
use serde::Serialize;

use crate::commands::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    device: &'static str,
    compiled: bool,
    present: bool,
    remark: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rows: Vec<Row> = Backend::ALL.into_iter().map(row).collect();
    if arguments.json {
        say(serde_json::to_string_pretty(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for row in rows {
        let state = match (row.compiled, row.present) {
            (false, _) => "not compiled in",
            (true, false) => "not present",
            (true, true) => "ready",
        };
        let line = format!("{:<8} {state:<16} {}", row.device, row.remark);
        say(line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(backend: Backend) -> Row {
    let name = DeviceName {
        backend,
        index: None,
    };
    let (present, remark) = match name.open() {
        Ok(_) => (true, String::new()),
        Err(error) => (false, error.to_string()),
    };
    Row {
        device: backend.name(),
        compiled: backend.is_compiled(),
        present,
        remark,
    }
}
