//! `man`: the manual pages.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::commands::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Writes a page for each command into this folder, which is made, in place of the first page
    /// to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let command = crate::Arguments::command();
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        let mut output = std::io::stdout();
        output
            .write_all(&page)
            .context("cannot write to standard output")?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .with_context(|| format!("cannot write the manual into {}", folder.display()))?;
    say(format_args!("wrote the manual into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
