//! Text files of numbers, line by line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::DataError;

/// A text file in memory, with what errors need to say.
pub(super) struct Lines {
    path: PathBuf,
    kind: &'static str,
    text: String,
}

impl Lines {
    pub(super) fn open(path: &Path, kind: &'static str) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            DataError::format(path, kind, format!("byte {offset} is not text"))
        })?;
        Ok(Self {
            path: path.to_owned(),
            kind,
            text,
        })
    }

    /// The lines that are not empty, with their numbers from 1.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty())
    }

    pub(super) fn error(&self, line: usize, reason: impl std::fmt::Display) -> DataError {
        self.broken(format!("line {line}: {reason}"))
    }

    /// An error about the file as a whole.
    pub(super) fn broken(&self, reason: impl ToString) -> DataError {
        DataError::format(&self.path, self.kind, reason)
    }

    pub(super) fn number<T: FromStr>(&self, line: usize, text: &str) -> Result<T, DataError> {
        let text = text.trim();
        text.parse()
            .map_err(|_| self.error(line, format!("`{}` is not a valid number", shown(text))))
    }

    /// A file of one number a line.
    pub(super) fn column<T: FromStr>(&self) -> Result<Vec<T>, DataError> {
        self.iter()
            .map(|(line, text)| self.number(line, text))
            .collect()
    }

    /// Two numbers on a line.
    pub(super) fn pair<T: FromStr>(
        &self,
        line: usize,
        text: &str,
        separator: char,
    ) -> Result<(T, T), DataError> {
        let Some((first, second)) = text.split_once(separator) else {
            let wanted = if separator == '\t' {
                "a tab"
            } else {
                "a comma"
            };
            return Err(self.error(
                line,
                format!("two numbers with {wanted} between are needed"),
            ));
        };
        Ok((self.number(line, first)?, self.number(line, second)?))
    }
}

/// The beginning of a text, for errors.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
