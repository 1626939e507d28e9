use std::collections::HashMap;

use super::{EOS, UNKNOWN};
use crate::DataError;

/// What a token is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A word; words are separated by white space, lines end with `<eos>`.
    Word,
    /// A character.
    Character,
}

/// Numbers for symbols. Frequent symbols have low numbers, so that adaptive embeddings can cut the
/// vocabulary by rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    symbols: Vec<String>,
    numbers: HashMap<String, u32>,
    unit: Unit,
    /// Whether words are looked up in lower case.
    lower_case: bool,
}

impl Vocabulary {
    /// A vocabulary of these symbols, in their order; a repeated one keeps its first number.
    pub fn from_symbols(unit: Unit, symbols: impl IntoIterator<Item = String>) -> Self {
        let mut vocabulary = Self {
            symbols: Vec::new(),
            numbers: HashMap::new(),
            unit,
            lower_case: false,
        };
        for symbol in symbols {
            vocabulary.add(symbol);
        }
        vocabulary
    }

    fn add(&mut self, symbol: String) {
        if self.numbers.contains_key(&symbol) {
            return;
        }
        let number = u32::try_from(self.symbols.len()).expect("fewer symbols than 2^32");
        self.numbers.insert(symbol.clone(), number);
        self.symbols.push(symbol);
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// What a symbol is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The symbols, by number.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// The symbol of a number.
    pub fn symbol(&self, token: u32) -> Option<&str> {
        self.symbols.get(token as usize).map(String::as_str)
    }

    /// The number of a symbol; that of `<unk>` for one that is not in the vocabulary, where it has
    /// `<unk>`.
    pub fn token(&self, symbol: &str) -> Option<u32> {
        let number = |symbol: &str| self.numbers.get(symbol).copied();
        number(symbol).or_else(|| match self.unit {
            Unit::Word => number(UNKNOWN),
            Unit::Character => None,
        })
    }

    /// The tokens of a text. In a text of words every line ends with `<eos>`, empty ones included.
    ///
    /// # Errors
    /// [`DataError::Request`] names a symbol, and its line, that is not in a vocabulary without
    /// `<unk>`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let mut tokens = Vec::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let missing = |symbol: &str| {
                DataError::Request(format!(
                    "line {} holds {symbol:?}, which is not in the vocabulary: build the vocabulary from this text too, or from one with `{UNKNOWN}`",
                    index + 1
                ))
            };
            let mut push = |symbol: &str| {
                tokens.push(self.token(symbol).ok_or_else(|| missing(symbol))?);
                Ok::<(), DataError>(())
            };
            match self.unit {
                Unit::Word => {
                    for word in line.split_whitespace() {
                        if self.lower_case {
                            push(&word.to_lowercase())?;
                        } else {
                            push(word)?;
                        }
                    }
                    push(EOS)?;
                }
                Unit::Character => {
                    let mut buffer = [0; 4];
                    for character in line.chars() {
                        push(&*character.encode_utf8(&mut buffer))?;
                    }
                }
            }
        }
        Ok(tokens)
    }

    /// The text of tokens: words joined by spaces with a new line for `<eos>`, or characters as
    /// they are. A number outside the vocabulary becomes `<unk>`.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut text = String::new();
        for &token in tokens {
            let symbol = self.symbol(token).unwrap_or(UNKNOWN);
            match self.unit {
                Unit::Character => text.push_str(symbol),
                Unit::Word if symbol == EOS => text.push('\n'),
                Unit::Word => {
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push(' ');
                    }
                    text.push_str(symbol);
                }
            }
        }
        text
    }
}

/// Counts words and orders them by frequency, as Transformer-XL's vocabulary does.
///
/// ```
/// use deq_datasets::text::VocabularyBuilder;
///
/// let mut builder = VocabularyBuilder::default();
/// builder.count("the fox saw the dog\nthe dog ran\n");
/// let vocabulary = builder.build();
/// assert_eq!(vocabulary.symbols()[..3], ["<eos>", "the", "dog"]);
/// assert_eq!(vocabulary.encode("the dog\n")?, [1, 2, 0]);
/// # Ok::<(), deq_datasets::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VocabularyBuilder {
    special: Vec<String>,
    min_frequency: usize,
    max_size: Option<usize>,
    lower_case: bool,
    /// How often each word was seen, and its place among first appearances.
    counts: HashMap<String, (usize, usize)>,
}

impl Default for VocabularyBuilder {
    /// `<eos>` in front, every word, as it is written.
    fn default() -> Self {
        Self {
            special: vec![EOS.to_owned()],
            min_frequency: 0,
            max_size: None,
            lower_case: false,
            counts: HashMap::new(),
        }
    }
}

impl VocabularyBuilder {
    /// Sets the symbols that come first whatever their frequency. `<eos>` must be among them for
    /// [`Vocabulary::encode`] to end lines.
    #[must_use]
    pub fn with_special(mut self, special: &[&str]) -> Self {
        self.special = special.iter().map(|&symbol| symbol.to_owned()).collect();
        self
    }

    /// Leaves out words seen less often.
    #[must_use]
    pub fn with_min_frequency(mut self, min_frequency: usize) -> Self {
        self.min_frequency = min_frequency;
        self
    }

    /// Keeps at most so many words, the most frequent; special symbols are not counted.
    #[must_use]
    pub fn with_max_size(mut self, max_size: Option<usize>) -> Self {
        self.max_size = max_size;
        self
    }

    /// Turns words into lower case, here and in [`Vocabulary::encode`].
    #[must_use]
    pub fn with_lower_case(mut self, lower_case: bool) -> Self {
        self.lower_case = lower_case;
        self
    }

    /// Counts the words of a text.
    pub fn count(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let first_seen = self.counts.len();
            let word = if self.lower_case {
                word.to_lowercase()
            } else {
                word.to_owned()
            };
            self.counts.entry(word).or_insert((0, first_seen)).0 += 1;
        }
    }

    /// The vocabulary: special symbols, then words by falling frequency; of equally frequent ones
    /// the earlier first.
    pub fn build(&self) -> Vocabulary {
        let mut words: Vec<(&String, &(usize, usize))> = self.counts.iter().collect();
        words.sort_by_key(|(_, (count, first_seen))| (std::cmp::Reverse(*count), *first_seen));
        let words = words
            .into_iter()
            .take(self.max_size.unwrap_or(usize::MAX))
            .take_while(|(_, (count, _))| *count >= self.min_frequency)
            .map(|(word, _)| word.clone());
        let symbols = self.special.iter().cloned().chain(words);
        Vocabulary {
            lower_case: self.lower_case,
            ..Vocabulary::from_symbols(Unit::Word, symbols)
        }
    }
}
