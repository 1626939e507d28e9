pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod fit;
mod interrupt;
pub(crate) mod list;
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
