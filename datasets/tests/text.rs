//! Vocabularies, corpora and streams.

#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use std::path::Path;

use deq_datasets::DataError;
use deq_datasets::text::{
    Corpus, Counted, Streams, Unit, Vocabulary, VocabularyBuilder, WordOptions, generate,
};

const TRAIN: &str = " = Title = \n\n the fox saw the <unk> , the dog saw .\n";

fn folder(names: [&str; 3], texts: [&[u8]; 3]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in names.into_iter().zip(texts) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const PLAIN: [&str; 3] = ["train.txt", "valid.txt", "test.txt"];

fn words(texts: [&str; 3], options: &WordOptions) -> Result<Corpus, DataError> {
    let folder = folder(PLAIN, texts.map(str::as_bytes));
    Corpus::words(folder.path(), options)
}

fn symbols(vocabulary: &Vocabulary) -> Vec<&str> {
    vocabulary.symbols().iter().map(String::as_str).collect()
}

#[test]
fn words_are_ordered_by_frequency_then_appearance() {
    let corpus = words([TRAIN, "the dog\n", "dog\n"], &WordOptions::wikitext2()).unwrap();
    // Counts: the 4, dog 3, = 2, saw 2, and the rest once, in order of appearance.
    let expected = [
        "<eos>", "the", "dog", "=", "saw", "Title", "fox", "<unk>", ",", ".",
    ];
    assert_eq!(symbols(&corpus.vocabulary), expected);
    // Each line ends with <eos>, the empty one too.
    assert_eq!(corpus.train[..5], [3, 5, 3, 0, 0]);
    assert_eq!(corpus.valid, [1, 2, 0]);
    assert_eq!(corpus.test, [2, 0]);
    assert_eq!(corpus.unit(), Unit::Word);
    assert_eq!(corpus.vocabulary.decode(&corpus.valid), "the dog\n");
    let decoded = corpus.vocabulary.decode(&corpus.train);
    assert_eq!(
        decoded,
        "= Title =\n\nthe fox saw the <unk> , the dog saw .\n"
    );
}

#[test]
fn every_option_of_a_word_corpus_has_its_effect() {
    let base = WordOptions::wikitext2();
    let texts = [TRAIN, "the Dog\n", "dog\n"];
    let limited = WordOptions {
        max_size: Some(8),
        ..base.clone()
    };
    let limited = words(texts, &limited).unwrap();
    // Eight words and <eos>; what is left out reads as <unk>.
    assert_eq!(limited.vocabulary.len(), 9);
    let unknown = limited.vocabulary.token("<unk>");
    assert!(unknown.is_some());
    assert_eq!(limited.vocabulary.token("Dog"), unknown);

    let lower = WordOptions {
        lower_case: true,
        ..base.clone()
    };
    let lower = words(texts, &lower).unwrap();
    assert!(!symbols(&lower.vocabulary).contains(&"Dog"));
    assert_eq!(lower.valid[1], lower.test[0]);

    let train_only = WordOptions::wikitext103();
    assert_eq!(train_only.counted, Counted::Train);
    let train_only = words(texts, &train_only).unwrap();
    assert!(!symbols(&train_only.vocabulary).contains(&"Dog"));

    let mut builder = VocabularyBuilder::default()
        .with_special(&["<eos>", "<unk>"])
        .with_min_frequency(2);
    builder.count("b a a b c");
    let vocabulary = builder.build();
    assert_eq!(symbols(&vocabulary), ["<eos>", "<unk>", "b", "a"]);
    assert_eq!(vocabulary.encode("a c").unwrap(), [3, 1, 0]);
}

#[test]
fn both_names_of_wikitext_files_are_found() {
    let names = ["wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"];
    let folder = folder(names, [TRAIN.as_bytes(), b"the dog\n", b"dog\n"]);
    let corpus = Corpus::words(folder.path(), &WordOptions::wikitext103()).unwrap();
    assert_eq!(corpus.test.len(), 2);
}

#[test]
fn broken_corpora_are_errors_that_name_file_and_cause() {
    fn error(texts: [&[u8]; 3]) -> String {
        let folder = folder(PLAIN, texts);
        let corpus = Corpus::words(folder.path(), &WordOptions::wikitext103());
        corpus.unwrap_err().to_string()
    }
    let empty = error([b"a b\n", b" \n\n", b"a\n"]);
    assert!(
        empty.contains("valid.txt") && empty.contains("empty"),
        "{empty}"
    );
    let utf8 = error([b"a b\n", b"a\n", b"ab\xff\n"]);
    assert!(
        utf8.contains("test.txt") && utf8.contains("byte 2"),
        "{utf8}"
    );
    let unknown = error([b"a b\n", b"a\na c\n", b"a\n"]);
    assert!(
        unknown.contains("valid.txt") && unknown.contains("line 2") && unknown.contains("\"c\""),
        "{unknown}"
    );
    assert!(unknown.contains("<unk>"), "{unknown}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.txt"), "a\n").unwrap();
    let missing = Corpus::words(folder.path(), &WordOptions::wikitext103()).unwrap_err();
    assert!(matches!(missing, DataError::Io { .. }));
    assert!(missing.to_string().contains("wiki.valid.tokens"));
}

#[test]
fn characters_are_split_by_position() {
    let text = "abcdefghij".repeat(10) + "ä";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.txt");
    std::fs::write(&path, &text).unwrap();
    let corpus = Corpus::characters(&path).unwrap();
    let lengths = [&corpus.train, &corpus.valid, &corpus.test].map(Vec::len);
    assert_eq!(lengths, [90, 5, 6]);
    assert_eq!(corpus.vocabulary.len(), 11);
    assert_eq!(corpus.train[..3], [0, 1, 2]);
    let all = [corpus.train.clone(), corpus.valid, corpus.test].concat();
    assert_eq!(corpus.vocabulary.decode(&all), text);
    let error = corpus.vocabulary.encode("ab\nz").unwrap_err().to_string();
    assert!(error.contains("line 1") && error.contains("\\n"), "{error}");

    std::fs::write(&path, "short").unwrap();
    let error = Corpus::characters(&path).unwrap_err().to_string();
    assert!(
        error.contains("input.txt") && error.contains("20"),
        "{error}"
    );
    assert!(Corpus::characters(Path::new("no such file")).is_err());
    std::fs::write(&path, "").unwrap();
    let error = Corpus::characters(&path).unwrap_err().to_string();
    assert!(error.contains("empty"), "{error}");
}

#[test]
fn generated_text_is_reproducible_and_has_structure() {
    let text = generate(5_000, 3);
    assert_eq!(text.len(), 5_000);
    assert_eq!(text, generate(5_000, 3));
    assert_ne!(text, generate(5_000, 4));
    // A shorter text is the beginning of a longer one.
    assert_eq!(text[..1_000], generate(1_000, 3));

    let corpus = Corpus::built_in_words(5_000, 3).unwrap();
    assert!((20..120).contains(&corpus.vocabulary.len()));
    assert_eq!(corpus.vocabulary.symbol(1), Some("the"));
    let corpus = Corpus::built_in_characters(5_000, 3).unwrap();
    let lengths = [&corpus.train, &corpus.valid, &corpus.test].map(Vec::len);
    assert_eq!(lengths, [4_500, 250, 250]);
    assert!(Corpus::built_in_characters(10, 0).is_err());
}

#[test]
fn streams_continue_from_segment_to_segment() {
    let tokens: Vec<u32> = (0..23).collect();
    let streams = Streams::new(&tokens, 2, 4).unwrap();
    // Two streams of 11 tokens; the last one is dropped.
    assert_eq!(streams.segments(), 3);
    let segments: Vec<_> = streams.iter().collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0].data, [0, 1, 2, 3, 11, 12, 13, 14]);
    assert_eq!(segments[0].targets, [1, 2, 3, 4, 12, 13, 14, 15]);
    assert_eq!(segments[1].data, [4, 5, 6, 7, 15, 16, 17, 18]);
    assert_eq!(segments[2].length, 2);
    assert_eq!(segments[2].data, [8, 9, 19, 20]);
    assert_eq!(segments[2].targets, [9, 10, 20, 21]);
    assert_eq!(streams.segment(3), None);
    // Without a remainder the last segment is whole.
    assert_eq!(Streams::new(&tokens[..9], 1, 4).unwrap().segments(), 2);

    assert!(Streams::new(&tokens, 0, 4).is_err());
    assert!(Streams::new(&tokens, 2, 0).is_err());
    let error = Streams::new(&tokens, 12, 4).unwrap_err().to_string();
    assert!(error.contains("12 streams"), "{error}");
}
