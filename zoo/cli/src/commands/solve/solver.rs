//! Which solver, from the command line.

use anyhow::{Context, Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deq::solvers::SolverConfig;
use serde_json::{Map, Value};

/// Reads a solver's name as the solver with its default options.
pub(crate) fn parser() -> impl TypedValueParser<Value = SolverConfig> {
    let all = SolverConfig::all();
    let names: Vec<&'static str> = all.iter().map(SolverConfig::name).collect();
    PossibleValuesParser::new(names).try_map(move |name: String| {
        let named = all.iter().find(|solver| solver.name() == name);
        named
            .cloned()
            .ok_or_else(|| format!("no solver is named `{name}`"))
    })
}

/// The solver with the fields of a JSON object in place of its own.
pub(crate) fn with_options(solver: &SolverConfig, options: &str) -> Result<SolverConfig> {
    let name = solver.name();
    let place = || format!("--options of {name}");
    let options: Map<String, Value> = serde_json::from_str(options)
        .context("--options must be a JSON object such as '{\"window\": 10}'")?;
    ensure!(
        !options.contains_key("kind"),
        "--options must not have a `kind`: --solver chooses it"
    );
    let mut merged = serde_json::to_value(solver)?;
    if let Value::Object(fields) = &mut merged {
        fields.extend(options);
    }
    let merged: SolverConfig = serde_json::from_value(merged).with_context(place)?;
    merged.validate().with_context(place)?;
    Ok(merged)
}

/// Refuses a list that names a solver twice: the lines of a plot would have one name.
pub(crate) fn require_distinct(solvers: &[SolverConfig]) -> Result<()> {
    for (index, solver) in solvers.iter().enumerate() {
        ensure!(
            !solvers[..index].contains(solver),
            "--compare names {} twice: leave one out",
            solver.name()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_replace_defaults() {
        let anderson = SolverConfig::anderson();
        let same = with_options(&anderson, "{}").expect("valid");
        assert_eq!(same, anderson);
        let other = with_options(&anderson, r#"{"mixing": "qr", "window": 3}"#).expect("valid");
        let expected = r#"{"kind": "anderson", "mixing": "qr", "window": 3}"#;
        let expected: SolverConfig = serde_json::from_str(expected).expect("valid");
        assert_eq!(other, expected);
    }
}
