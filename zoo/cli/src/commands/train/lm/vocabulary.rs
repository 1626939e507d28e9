//! A run's vocabulary, so that its model can be used without its data.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use deq_datasets::text::{EOS, Unit, Vocabulary};
use serde::{Deserialize, Serialize};

const FILE: &str = "vocabulary.json";

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    unit: StoredUnit,
    /// By number.
    symbols: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredUnit {
    Word,
    Character,
}

/// Refuses a text whose vocabulary is not the run's.
pub(super) fn check_vocabulary(vocabulary: &Vocabulary, run: &Path) -> Result<()> {
    if run.join(FILE).is_file() {
        ensure!(
            read_vocabulary(run)? == *vocabulary,
            "the run in {} was made with another text, whose vocabulary is not this one's: give the folder of that text as --data-dir",
            run.display()
        );
    }
    Ok(())
}

/// Writes the vocabulary into a run's folder, unless it is there.
pub(super) fn write_vocabulary(vocabulary: &Vocabulary, run: &Path) -> Result<()> {
    let path = run.join(FILE);
    if path.is_file() {
        return Ok(());
    }
    let stored = Stored {
        unit: match vocabulary.unit() {
            Unit::Word => StoredUnit::Word,
            Unit::Character => StoredUnit::Character,
        },
        symbols: vocabulary.symbols().to_vec(),
    };
    let new = run.join("vocabulary.json.new");
    std::fs::write(&new, serde_json::to_string(&stored)?)
        .and_then(|()| std::fs::rename(&new, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The vocabulary of a run.
pub(crate) fn read_vocabulary(run: &Path) -> Result<Vocabulary> {
    let path = run.join(FILE);
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
    let stored: Stored =
        serde_json::from_str(&text).with_context(|| format!("{shown} is no vocabulary"))?;
    let unit = match stored.unit {
        StoredUnit::Word => Unit::Word,
        StoredUnit::Character => Unit::Character,
    };
    let count = stored.symbols.len();
    let vocabulary = Vocabulary::from_symbols(unit, stored.symbols);
    ensure!(
        vocabulary.len() == count,
        "{shown} is no vocabulary: a symbol is in it twice"
    );
    Ok(vocabulary)
}

/// A prompt's tokens. Words go on in the same line, unless the prompt ends with one.
pub(crate) fn encode_prompt(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<u32>> {
    let mut tokens = vocabulary.encode(prompt)?;
    let last = tokens.last().and_then(|&token| vocabulary.symbol(token));
    if vocabulary.unit() == Unit::Word && !prompt.ends_with('\n') && last == Some(EOS) {
        tokens.pop();
    }
    ensure!(
        !tokens.is_empty(),
        "the prompt is empty: give at least one {} to continue",
        match vocabulary.unit() {
            Unit::Word => "word",
            Unit::Character => "character",
        }
    );
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_is_read_back_and_prompts_go_on_in_their_line() {
        let run = tempfile::tempdir().expect("a temporary folder");
        let symbols = [EOS, "the", "fox"].map(str::to_owned);
        let words = Vocabulary::from_symbols(Unit::Word, symbols);
        write_vocabulary(&words, run.path()).expect("written");
        let read = read_vocabulary(run.path()).expect("read");
        assert_eq!(read, words);
        check_vocabulary(&words, run.path()).expect("the same");
        let others = [EOS, "fox", "the"].map(str::to_owned);
        let others = Vocabulary::from_symbols(Unit::Word, others);
        let error = check_vocabulary(&others, run.path()).expect_err("must be refused");
        assert!(error.to_string().contains("another text"), "{error}");
        for (prompt, tokens) in [("the fox", vec![1, 2]), ("the\n", vec![1, 0])] {
            assert_eq!(encode_prompt(&read, prompt).expect("tokens"), tokens);
        }
        assert!(encode_prompt(&read, "").is_err());
        let error = encode_prompt(&read, "dog").expect_err("must be refused");
        assert!(error.to_string().contains("dog"), "{error}");
    }
}
