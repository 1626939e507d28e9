//! Completions and manual pages.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use common::{deq_zoo, refused, stdout, text};

/// Every command with the words that lead to it, as the program's help lists them.
fn commands(path: &[String], found: &mut Vec<Vec<String>>) {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("-h");
    let help = stdout(&deq_zoo(&arguments).success());
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return;
    };
    for line in list.lines().take_while(|line| !line.trim().is_empty()) {
        let name = line.split_whitespace().next().expect("a name");
        if name == "help" || !line.starts_with("  ") || line.starts_with("   ") {
            continue;
        }
        let mut path = path.to_vec();
        path.push(name.to_owned());
        found.push(path.clone());
        commands(&path, found);
    }
}

fn all_commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    commands(&[], &mut found);
    for known in [
        &["completions"][..],
        &["train", "deq-lm"],
        &["config", "check"],
    ] {
        assert!(
            found.iter().any(|path| path == known),
            "{known:?}: {found:?}"
        );
    }
    found
}

#[test]
fn bash_completes_every_command() {
    let script = stdout(&deq_zoo(&["completions", "bash"]).success());
    for path in all_commands() {
        let (name, above) = path.split_last().expect("a name");
        // In the list of what may follow the command above.
        let above = above.iter().map(|word| word.replace('-', "__subcmd__"));
        let above: Vec<String> = ["deq__zoo".to_owned()].into_iter().chain(above).collect();
        let case = format!("{},{name})", above.join("__subcmd__"));
        assert!(script.contains(&case), "{case}");
    }
    let mut sizes = Vec::new();
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&deq_zoo(&["completions", shell]).success());
        assert!(
            script.contains("deq-zoo") && script.contains("deq-lm"),
            "{shell}"
        );
        sizes.push(script.len());
    }
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!(sizes.len(), 4, "each shell has a script of its own");
    refused(&["completions", "tcsh"], &["tcsh", "bash", "zsh", "fish"]);
    refused(&["completions"], &["<SHELL>"]);
}

#[cfg(unix)]
#[test]
fn bash_offers_the_options_of_a_command_below_another() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = dir.path().join("deq-zoo.bash");
    let text_of_script = stdout(&deq_zoo(&["completions", "bash"]).success());
    std::fs::write(&script, text_of_script).expect("written");
    let ask = r#"source "$0"; COMP_WORDS=(deq-zoo "$@" --); COMP_CWORD=$(($# + 1)); _deq__zoo deq-zoo -- "${@: -1}"; echo "${COMPREPLY[*]}""#;
    for (command, options) in [
        ("train deq-lm", ["--set", "--explicit", "--time-budget"]),
        ("config check", ["--set", "--help", "--version"]),
        ("solve", ["--tolerance", "--compare", "--svg"]),
    ] {
        let output = std::process::Command::new("bash")
            .args(["-c", ask, text(&script)])
            .args(command.split(' '))
            .output();
        let Ok(output) = output else {
            eprintln!("skipped: there is no bash");
            return;
        };
        let offered = String::from_utf8_lossy(&output.stdout).into_owned();
        let offered: Vec<&str> = offered.split_whitespace().collect();
        for option in options {
            assert!(offered.contains(&option), "{command} {option}: {output:?}");
        }
    }
}

#[test]
fn every_command_has_a_page() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("share/man1");
    let said = stdout(&deq_zoo(&["man", "--out", text(&folder)]).success());
    assert!(said.contains(text(&folder)), "{said}");
    let page = |name: &str| {
        let page = std::fs::read_to_string(folder.join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        for part in [".TH", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(page.contains(part), "{name} has no {part}");
        }
        page
    };
    page("deq-zoo");
    // roff writes hyphens so that they can be searched for.
    let first = stdout(&deq_zoo(&["man"]).success());
    assert!(first.contains(r"deq\-zoo\-train(1)"), "{first}");
    let commands = all_commands();
    for path in &commands {
        page(&format!("deq-zoo-{}", path.join("-")));
    }
    let pages = std::fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(pages, commands.len() + 1);
    assert!(page("deq-zoo-train-mdeq").contains(r"\-\-set"));

    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "mine").expect("written");
    let below = file.join("man1");
    refused(&["man", "--out", text(&below)], &["notes.txt", "manual"]);
}
