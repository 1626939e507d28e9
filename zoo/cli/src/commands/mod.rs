pub(crate) mod bench;
mod clock;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod devices;
mod diffusion;
pub(crate) mod eval;
mod explain;
pub(crate) mod fit;
pub(crate) mod flow;
pub(crate) mod generate;
mod interrupt;
pub(crate) mod invert;
pub(crate) mod list;
pub(crate) mod man;
mod memory;
mod pixels;
mod precision;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod sample;
pub(crate) mod solve;
pub(crate) mod study;
pub(crate) mod train;
pub(crate) mod verify;

use std::io::Write;

use anyhow::{Context, Result};

/// Writes a line to standard output. A reader that has gone (`| head`) is an error like any
/// other, where `println!` would panic.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}
