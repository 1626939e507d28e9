use std::process::ExitCode;

use anyhow::Result;

use crate::commands::say;
use crate::zoo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let models = zoo::models()?;
    if arguments.json {
        say(serde_json::to_string_pretty(&models)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for model in models {
        say(format_args!("{}: {}", model.name, model.summary))?;
        say(format_args!("  {}", model.paper))?;
        for preset in model.presets {
            say(format_args!(
                "  {:<16} {:>12} parameters",
                preset.name,
                with_separators(preset.parameters)
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// 1234567 as 1,234,567.
fn with_separators(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
