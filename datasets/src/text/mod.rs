//! Text as sequences of token numbers: vocabularies, word and character corpora, a generator, and
//! the batched streams on which language models are trained.
//!
//! ```
//! use deq_datasets::text::{Corpus, Streams};
//!
//! let corpus = Corpus::built_in_characters(4_000, 0)?;
//! let streams = Streams::new(&corpus.train, 4, 32)?;
//! let segment = streams.iter().next().expect("a first segment");
//! // Targets are the data, one token later.
//! assert_eq!(segment.data[1..32], segment.targets[..31]);
//! # Ok::<(), deq_datasets::DataError>(())
//! ```

mod characters;
mod corpus;
mod streams;
mod synthetic;
mod vocabulary;

pub use corpus::{Corpus, Counted, WordOptions};
pub use streams::{Segment, Streams};
pub use synthetic::generate;
pub use vocabulary::{Unit, Vocabulary, VocabularyBuilder};

/// The end of a line in word corpora.
pub const EOS: &str = "<eos>";

/// What stands for words outside the vocabulary.
pub const UNKNOWN: &str = "<unk>";
