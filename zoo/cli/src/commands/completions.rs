//! `completions`: what a shell needs to complete commands, options and values.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

/// The program's name, as it is typed.
const NAME: &str = "deq-zoo";

/// What clap_complete puts between a command and its subcommand in bash.
const LEVEL: &str = "__subcmd__";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    std::io::stdout()
        .write_all(script(arguments.shell).as_bytes())
        .context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::Arguments::command(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6 spells a name with a hyphen in one way where it looks for a command and
        // in another where it lists the command's options, and then finds none (clap issue 6421).
        Shell::Bash => script.replace(&NAME.replace('-', LEVEL), &NAME.replace('-', "__")),
        _ => script,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, ValueEnum};

    use super::*;

    /// All commands with the words that lead to them.
    fn commands() -> Vec<(Vec<String>, Command)> {
        fn collect(path: &[String], command: &Command, found: &mut Vec<(Vec<String>, Command)>) {
            found.push((path.to_vec(), command.clone()));
            for child in command.get_subcommands() {
                let mut path = path.to_vec();
                path.push(child.get_name().to_owned());
                collect(&path, child, found);
            }
        }
        let mut root = crate::Arguments::command();
        root.build();
        let mut found = Vec::new();
        collect(&[], &root, &mut found);
        assert!(found.len() > 20, "{}", found.len());
        found
    }

    /// The long options that a command takes.
    fn taken(command: &Command) -> BTreeSet<String> {
        let arguments = command.get_arguments().filter(|a| !a.is_hide_set());
        let longs = arguments.filter_map(|argument| argument.get_long());
        longs.map(|long| format!("--{long}")).collect()
    }

    /// Those that its help explains: a line begins with each.
    fn explained(command: &Command) -> BTreeSet<String> {
        let help = command.clone().render_long_help().to_string();
        let options = help.lines().filter_map(|line| {
            // Deeper lines are descriptions.
            let option = line.trim_start();
            if !(2..=6).contains(&(line.len() - option.len())) {
                return None;
            }
            let option = match option.split_once(", ") {
                Some((short, rest)) if short.len() == 2 && short.starts_with('-') => rest,
                _ => option,
            };
            let name = option.split([' ', '=', '[', '.']).next()?;
            name.starts_with("--").then(|| name.to_owned())
        });
        options.collect()
    }

    /// Those that bash offers for it.
    fn offered(script: &str, path: &[String]) -> BTreeSet<String> {
        let mut label = NAME.replace('-', "__");
        for word in path {
            label += LEVEL;
            label += &word.replace('-', LEVEL);
        }
        let block = script.split_once(&format!(" {label})\n            opts=\""));
        let (_, block) = block.unwrap_or_else(|| panic!("no {label} in {script}"));
        let (words, _) = block.split_once('"').expect("the options' end");
        let longs = words.split(' ').filter(|word| word.starts_with("--"));
        longs.map(str::to_owned).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        crate::Arguments::command().debug_assert();
    }

    #[test]
    fn help_and_completions_agree_on_every_long_option() {
        let script = script(Shell::Bash);
        for (path, command) in commands() {
            // The commands below `help` take none, and do not say so.
            if path.iter().any(|word| word == "help") {
                continue;
            }
            let taken = taken(&command);
            assert!(taken.contains("--help"), "{path:?}: {taken:?}");
            assert_eq!(explained(&command), taken, "help of {path:?}");
            assert_eq!(offered(&script, &path), taken, "completions of {path:?}");
        }
    }

    #[test]
    fn every_shell_knows_every_command_and_option() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for (path, command) in commands() {
                let name = path.last().map_or(NAME, String::as_str);
                assert!(script.contains(name), "{shell}: {name}");
                for long in taken(&command) {
                    let long = match shell {
                        Shell::Fish => format!(" -l {} ", long.trim_start_matches('-')),
                        _ => long,
                    };
                    assert!(script.contains(&long), "{shell}: {long}");
                }
            }
        }
    }
}
