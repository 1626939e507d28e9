use std::path::{Path, PathBuf};

use super::{Unit, Vocabulary, VocabularyBuilder, generate};
use crate::DataError;

/// A text in three parts, as token numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// What the numbers mean.
    pub vocabulary: Vocabulary,
    /// What a model is trained on.
    pub train: Vec<u32>,
    /// What decides between models.
    pub valid: Vec<u32>,
    /// What a model is judged by.
    pub test: Vec<u32>,
}

/// Whose words make a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those of all three parts, as is usual for Penn Treebank and WikiText-2.
    AllParts,
    /// Those of the training part, as is usual for WikiText-103.
    Train,
}

/// How a word corpus becomes numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordOptions {
    /// Whose words make the vocabulary.
    pub counted: Counted,
    /// Words seen less often are left out.
    pub min_frequency: usize,
    /// The largest number of words, `<eos>` not counted.
    pub max_size: Option<usize>,
    /// Whether the text is turned into lower case.
    pub lower_case: bool,
}

impl WordOptions {
    /// WikiText-2: the words of all parts, as they are written. 33,278 symbols.
    pub fn wikitext2() -> Self {
        Self {
            counted: Counted::AllParts,
            min_frequency: 0,
            max_size: None,
            lower_case: false,
        }
    }

    /// WikiText-103: the words of the training part, as they are written. 267,735 symbols.
    pub fn wikitext103() -> Self {
        Self {
            counted: Counted::Train,
            ..Self::wikitext2()
        }
    }
}

/// The names a part may have on disk.
const PARTS: [[&str; 2]; 3] = [
    ["train.txt", "wiki.train.tokens"],
    ["valid.txt", "wiki.valid.tokens"],
    ["test.txt", "wiki.test.tokens"],
];

/// What files of text are called in errors.
pub(super) const KIND: &str = "text";

impl Corpus {
    /// Reads a word corpus: `train.txt`, `valid.txt` and `test.txt`, or `wiki.train.tokens` and so
    /// on, in `folder`. Words are separated by white space; each line ends with `<eos>`.
    ///
    /// # Errors
    /// [`DataError`] when a part is missing, empty or not UTF-8, or holds a word outside a
    /// vocabulary without `<unk>`.
    pub fn words(folder: &Path, options: &WordOptions) -> Result<Self, DataError> {
        let mut paths = Vec::new();
        let mut texts = Vec::new();
        for names in PARTS {
            let path = part(folder, names)?;
            texts.push(read(&path)?);
            paths.push(path);
        }
        let mut encoded = Vec::new();
        let vocabulary = word_vocabulary(&texts, options);
        for (path, text) in paths.iter().zip(&texts) {
            let tokens = vocabulary.encode(text);
            encoded.push(tokens.map_err(|error| DataError::format(path, KIND, error))?);
        }
        Ok(Self::from_parts(vocabulary, encoded))
    }

    /// A word corpus of generated sentences ([`generate`]), about so many characters in total.
    ///
    /// # Errors
    /// [`DataError::Request`] when that is too short to be cut in three.
    pub fn built_in_words(characters: usize, seed: u64) -> Result<Self, DataError> {
        let text = generate(characters, seed);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let [train, valid, _] = super::characters::split(lines.len())?;
        let texts = [
            lines[..train].concat(),
            lines[train..train + valid].concat(),
            lines[train + valid..].concat(),
        ];
        let vocabulary = word_vocabulary(&texts, &WordOptions::wikitext2());
        let encoded = texts.iter().map(|text| vocabulary.encode(text));
        let encoded = encoded.collect::<Result<Vec<_>, DataError>>()?;
        Ok(Self::from_parts(vocabulary, encoded))
    }

    pub(super) fn from_parts(vocabulary: Vocabulary, parts: Vec<Vec<u32>>) -> Self {
        let mut parts = parts.into_iter();
        let mut next = || parts.next().unwrap_or_default();
        Self {
            vocabulary,
            train: next(),
            valid: next(),
            test: next(),
        }
    }

    /// What a token is.
    pub fn unit(&self) -> Unit {
        self.vocabulary.unit()
    }
}

fn word_vocabulary(texts: &[String], options: &WordOptions) -> Vocabulary {
    let mut builder = VocabularyBuilder::default()
        .with_min_frequency(options.min_frequency)
        .with_max_size(options.max_size)
        .with_lower_case(options.lower_case);
    let counted = match options.counted {
        Counted::AllParts => texts,
        Counted::Train => &texts[..1],
    };
    for text in counted {
        builder.count(text);
    }
    builder.build()
}

/// The file of a part, under either of its names.
fn part(folder: &Path, names: [&str; 2]) -> Result<PathBuf, DataError> {
    let [first, second] = names.map(|name| folder.join(name));
    if second.is_file() && !first.is_file() {
        return Ok(second);
    }
    if first.is_file() {
        return Ok(first);
    }
    let reason = format!(
        "there is neither `{}` nor `{}` in this folder",
        names[0], names[1]
    );
    let missing = std::io::Error::new(std::io::ErrorKind::NotFound, reason);
    Err(DataError::read(folder, missing))
}

/// A text file, which must be UTF-8 and hold something other than white space.
pub(super) fn read(path: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        DataError::format(path, KIND, format!("byte {offset} is not valid UTF-8"))
    })?;
    if text.trim().is_empty() {
        return Err(DataError::format(path, KIND, "the document is empty"));
    }
    Ok(text)
}
