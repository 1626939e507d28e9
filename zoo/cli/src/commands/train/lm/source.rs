//! Where text comes from.

use std::path::Path;

use anyhow::Result;
use deq_datasets::text::{Corpus, WordOptions};
use deq_lm::Preset;
use serde::{Deserialize, Serialize};

/// The data of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum TextSource {
    /// Built-in sentences.
    Text {
        /// What a token is.
        unit: Tokens,
        /// How many characters there are in all parts together.
        characters: usize,
        #[serde(default)]
        seed: u64,
    },
    /// Tiny Shakespeare's characters: `tinyshakespeare/input.txt`.
    Shakespeare {},
    /// The words of `wikitext-2`.
    #[serde(rename = "wikitext-2")]
    Wikitext2 {},
    /// The words of `wikitext-103`.
    #[serde(rename = "wikitext-103")]
    Wikitext103 {},
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tokens {
    Characters,
    Words,
}

/// Sources by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Name {
    Text,
    Shakespeare,
    #[value(name = "wikitext-2")]
    Wikitext2,
    #[value(name = "wikitext-103")]
    Wikitext103,
}

impl Name {
    /// What a preset is made for.
    pub(super) fn of_preset(preset: Preset) -> Self {
        match preset {
            Preset::DeqLmWt103 | Preset::DeqSeqWt103 => Self::Wikitext103,
            Preset::Wikitext2Small => Self::Wikitext2,
            Preset::ShakespeareSmall => Self::Shakespeare,
        }
    }

    /// The source. Built-in text has the tokens of that which the preset is made for.
    pub(super) fn source(self, preset: Preset) -> TextSource {
        match self {
            Self::Text => TextSource::Text {
                unit: match preset {
                    Preset::ShakespeareSmall => Tokens::Characters,
                    _ => Tokens::Words,
                },
                characters: 200_000,
                seed: 0,
            },
            Self::Shakespeare => TextSource::Shakespeare {},
            Self::Wikitext2 => TextSource::Wikitext2 {},
            Self::Wikitext103 => TextSource::Wikitext103 {},
        }
    }
}

impl TextSource {
    /// Its name in folders.
    pub(super) fn short_name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Shakespeare {} => "shakespeare",
            Self::Wikitext2 {} => "wikitext-2",
            Self::Wikitext103 {} => "wikitext-103",
        }
    }

    /// Its name in sentences, in the plural.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Text { .. } => "built-in sentences",
            Self::Shakespeare {} => "the characters of Tiny Shakespeare",
            Self::Wikitext2 {} => "the words of WikiText-2",
            Self::Wikitext103 {} => "the words of WikiText-103",
        }
    }

    /// Whether it is made and not read.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// Reads or makes the text.
    pub(super) fn load(&self, folder: &Path) -> Result<Corpus> {
        Ok(match *self {
            Self::Text {
                unit: Tokens::Characters,
                characters,
                seed,
            } => Corpus::built_in_characters(characters, seed)?,
            Self::Text {
                unit: Tokens::Words,
                characters,
                seed,
            } => Corpus::built_in_words(characters, seed)?,
            Self::Shakespeare {} => Corpus::characters(&folder.join("tinyshakespeare/input.txt"))?,
            Self::Wikitext2 {} => {
                Corpus::words(&folder.join("wikitext-2"), &WordOptions::wikitext2())?
            }
            Self::Wikitext103 {} => {
                Corpus::words(&folder.join("wikitext-103"), &WordOptions::wikitext103())?
            }
        })
    }
}
