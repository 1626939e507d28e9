//! TOML whose mistakes are explained: where they are, and which known name is nearest.

use anyhow::{Error, Result};
use serde::de::DeserializeOwned;

/// Reads what a user can see. A mistake is shown with its line.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count();
        let sentence = unknown_name(&error).map(|sentence| match error.span() {
            Some(span) => format!("line {}: {sentence}", line(span.start)),
            None => sentence,
        });
        Error::msg(sentence.unwrap_or_else(|| error.to_string().trim_end().to_owned()))
    })
}

/// Reads what was put together from a recipe and settings. A mistake is shown with its key, since
/// nobody has seen the lines.
pub(crate) fn read_settings<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let sentence = unknown_name(&error).unwrap_or_else(|| match path(&error) {
            Some(path) => format!("`{path}`: {}", error.message()),
            None => error.message().to_owned(),
        });
        Error::msg(sentence)
    })
}

/// The known name that is most like this one, if one is like it.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Jaro's measure knows abbreviations, and Damerau's the swapped letters of a short name.
    let likeness = |known: &str| {
        let swaps = strsim::normalized_damerau_levenshtein(name, known);
        strsim::jaro(name, known).max(swaps + 0.1)
    };
    let scored = known.iter().map(|known| (likeness(known), *known));
    let (likeness, known) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > 0.7).then_some(known)
}

/// What to write in place of a name.
pub(crate) fn advice(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}

/// What serde says of a key or a variant that it does not know, said so that it helps; `None` for
/// other errors.
fn unknown_name(error: &toml::de::Error) -> Option<String> {
    let path = path(error);
    if let Some(rest) = error.message().strip_prefix("unknown field `") {
        let (name, known) = names(rest)?;
        let place = path.map_or_else(String::new, |path| format!(" in [{path}]"));
        return Some(format!(
            "unknown key `{name}`{place}: {}",
            advice(name, &known)
        ));
    }
    let rest = error.message().strip_prefix("unknown variant `")?;
    let (name, known) = names(rest)?;
    let place = path.map_or_else(String::new, |path| format!(" for `{path}`"));
    Some(format!(
        "unknown value `{name}`{place}: {}",
        advice(name, &known)
    ))
}

/// The unknown name and the known ones, from what stands behind the first backtick of the message.
fn names(rest: &str) -> Option<(&str, Vec<&str>)> {
    if let Some((name, known)) = rest.rsplit_once("`, expected ") {
        return Some((name, known.split('`').skip(1).step_by(2).collect()));
    }
    let (name, _) = rest.rsplit_once("`, there are no ")?;
    Some((name, Vec::new()))
}

/// The keys that lead to the error, with dots between them. The error shows them when it has no
/// text to point at.
fn path(error: &toml::de::Error) -> Option<String> {
    let mut bare = error.clone();
    bare.set_input(None);
    let shown = bare.to_string();
    let rest = shown.strip_prefix(bare.message())?.trim();
    let path = rest.strip_prefix("in `")?.strip_suffix('`')?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use deq::prelude::DeqConfig;
    use deq_train::TrainConfig;

    use super::*;

    type Train = BTreeMap<String, TrainConfig>;
    type Layer = BTreeMap<String, DeqConfig>;

    fn seen<T: DeserializeOwned>(text: &str) -> String {
        read::<T>(text).err().expect("must be refused").to_string()
    }

    fn unseen<T: DeserializeOwned>(text: &str) -> String {
        let found = read_settings::<T>(text);
        found.err().expect("must be refused").to_string()
    }

    #[test]
    fn an_unknown_key_is_shown_with_the_nearest() {
        let text = "# ours\n[train]\nsteps = 3\nlog_evry = 3\n";
        let sentence = "unknown key `log_evry` in [train]: did you mean `log_every`?";
        assert_eq!(seen::<Train>(text), format!("line 4: {sentence}"));
        assert_eq!(unseen::<Train>(text), sentence);
        let error = seen::<TrainConfig>("stepz = 3");
        assert_eq!(error, "line 1: unknown key `stepz`: did you mean `steps`?");
        let text = "[deq]\nforward.termination.max_iters = 3\n";
        assert_eq!(
            seen::<Layer>(text),
            "line 2: unknown key `max_iters` in [deq.forward.termination]: did you mean `max_iter`?"
        );
        let error = seen::<TrainConfig>("colour = 3");
        assert!(
            error.contains("known are seed, steps, log_every"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_value_is_shown_with_the_nearest() {
        let text = "[train]\nbest = { metric = \"loss\", mode = \"minn\" }\n";
        let sentence = "unknown value `minn` for `train.best.mode`: did you mean `min`?";
        assert_eq!(seen::<Train>(text), format!("line 2: {sentence}"));
        let text = "[train]\nschedule = { kind = \"cosin\", rate = 0.1, steps = 3 }\n";
        let error = unseen::<Train>(text);
        for word in ["`cosin`", "train.schedule", "did you mean `cosine`?"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn other_errors_keep_their_words() {
        let text = "[train]\nsteps = \"many\"\n";
        let error = seen::<Train>(text);
        assert!(
            error.contains("line 2") && error.contains("steps = \"many\""),
            "{error}"
        );
        let error = unseen::<Train>(text);
        assert!(error.starts_with("`train.steps`: invalid type"), "{error}");
        let error = seen::<Train>("[train]\nsteps = = 3\n");
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn only_like_names_are_near() {
        assert_eq!(
            nearest("max_iters", &["tolerance", "max_iter"]),
            Some("max_iter")
        );
        assert_eq!(
            nearest("tol", &["tolerance", "max_iter"]),
            Some("tolerance")
        );
        assert_eq!(nearest("sdg", &["adam", "adamw", "sgd"]), Some("sgd"));
        assert_eq!(nearest("zebra", &["tolerance", "max_iter"]), None);
        assert_eq!(advice("a", &[]), "leave it out");
        let (name, known) = names("a`b`, expected `c` or `d`").expect("names");
        assert_eq!((name, known), ("a`b", vec!["c", "d"]));
        assert_eq!(names("a`, there are no fields"), Some(("a", vec![])));
    }
}
