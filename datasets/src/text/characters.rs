use std::collections::BTreeSet;
use std::path::Path;

use super::corpus::read;
use super::{Corpus, Unit, Vocabulary, generate};
use crate::DataError;

impl Corpus {
    /// Reads one text file as a character corpus: the first 90 % are for training, the next 5 %
    /// for validation, the rest for the test. The vocabulary holds the characters of the whole
    /// file in the order of their code points (Tiny Shakespeare: 65).
    ///
    /// # Errors
    /// [`DataError`] when the file is missing, empty, not UTF-8, or too short to be cut in three.
    pub fn characters(path: &Path) -> Result<Self, DataError> {
        let text = read(path)?;
        Self::from_characters(&text)
            .map_err(|error| DataError::format(path, super::corpus::KIND, error))
    }

    /// A character corpus of generated sentences ([`generate`]), so many characters in total.
    ///
    /// # Errors
    /// [`DataError::Request`] when that is too short to be cut in three.
    pub fn built_in_characters(characters: usize, seed: u64) -> Result<Self, DataError> {
        Self::from_characters(&generate(characters, seed))
    }

    /// A character corpus from a text in memory.
    ///
    /// # Errors
    /// [`DataError::Request`] when it is too short to be cut in three.
    pub fn from_characters(text: &str) -> Result<Self, DataError> {
        let characters: Vec<char> = text.chars().collect();
        let [train, valid, _] = split(characters.len())?;
        let symbols: BTreeSet<char> = characters.iter().copied().collect();
        let symbols = symbols.into_iter().map(String::from);
        let vocabulary = Vocabulary::from_symbols(Unit::Character, symbols);
        let tokens = vocabulary.encode(text)?;
        let parts = vec![
            tokens[..train].to_vec(),
            tokens[train..train + valid].to_vec(),
            tokens[train + valid..].to_vec(),
        ];
        Ok(Self::from_parts(vocabulary, parts))
    }
}

/// The sizes of the three parts by position: 90, 5 and 5 %.
pub(super) fn split(length: usize) -> Result<[usize; 3], DataError> {
    let train = length * 90 / 100;
    let valid = length * 5 / 100;
    if valid == 0 {
        return Err(DataError::Request(format!(
            "the text has {length} pieces, too few for a training, a validation and a test part: at least 20 are needed"
        )));
    }
    Ok([train, valid, length - train - valid])
}
