//! When a solve stops, from the command line.

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deq::solvers::{Norm, StopMode, Termination};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct StopOptions {
    /// The bound on every sample's residual [default: 1e-6].
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// The largest number of steps [default: 500; with --table 2000].
    #[arg(long, value_name = "N")]
    max_iter: Option<usize>,
    /// How a sample's residual vector becomes a number.
    #[arg(long, default_value = "l2", value_parser = one_of::<Norm>(&["l2", "rms", "max"]))]
    norm: Norm,
    /// How the residual is scaled: not at all, by the state's norm, or by 1 plus that norm.
    #[arg(
        long,
        default_value = "absolute",
        value_parser = one_of::<StopMode>(&["absolute", "relative", "absolute_relative"])
    )]
    mode: StopMode,
    /// Measures the residual every so many steps only.
    #[arg(long, value_name = "K", default_value_t = 1)]
    check_every: usize,
    /// Seconds after which a solve ends [default: no limit].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    time_budget: Option<f64>,
}

impl StopOptions {
    /// The termination, with this cap on steps where none was asked for.
    pub(crate) fn termination(&self, max_iter: usize) -> Result<Termination> {
        let termination = Termination {
            tolerance: self.tolerance.unwrap_or(1e-6),
            max_iter: self.max_iter.unwrap_or(max_iter),
            norm: self.norm,
            mode: self.mode,
            check_every: self.check_every,
            time_budget: self.time_budget,
            ..Termination::default()
        };
        termination.validate()?;
        Ok(termination)
    }
}

/// Reads one of these names as configuration files do.
fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.iter().copied())
        .try_map(|name: String| serde_json::from_value::<T>(Value::String(name)))
}
