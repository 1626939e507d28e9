//! `--list`: the problems.

use anyhow::Result;
use deq_testproblems::{classic, minpack};

use super::family::Family;
use super::problem::dashed;
use super::table::{Side, Table};
use crate::commands::say;

pub(crate) fn print() -> Result<()> {
    let columns = ["problem", "what it is", "options"];
    let mut table = Table::new(columns.map(|title| (title, Side::Left)));
    for family in Family::ALL {
        let options: Vec<String> = family
            .options()
            .iter()
            .map(|option| format!("--{option}"))
            .collect();
        table.push([
            family.name().to_owned(),
            family.summary().to_owned(),
            options.join(" "),
        ]);
    }
    for (index, problem) in classic().iter().enumerate() {
        let (name, unknowns) = (problem.name(), unknowns(problem.dimension()));
        table.push([
            format!("classic:{}", index + 1),
            format!("root: {name}, {unknowns}; also classic:{}", dashed(name)),
            String::new(),
        ]);
    }
    for [name, summary] in (1..).map_while(minpack_entry) {
        table.push([name, summary, String::new()]);
    }
    for line in table.lines() {
        say(line)?;
    }
    say("minpack:K:N:FACTOR starts at FACTOR times the standard start.")
}

/// The problem of this number, as long as there is one.
fn minpack_entry(number: usize) -> Option<[String; 2]> {
    let least = (1..=4).find(|&dim| minpack(number, dim, 1.0).is_some())?;
    let name = minpack(number, least, 1.0)?.name();
    // Some exist at one dimension only.
    let only = minpack(number, least + 1, 1.0).is_none();
    Some(if only {
        [
            format!("minpack:{number}:{least}"),
            format!("root: {name}, {}", unknowns(least)),
        ]
    } else {
        [
            format!("minpack:{number}:N"),
            format!("root: {name}, N unknowns, N at least {least}"),
        ]
    })
}

fn unknowns(count: usize) -> String {
    match count {
        1 => "1 unknown".to_owned(),
        _ => format!("{count} unknowns"),
    }
}
