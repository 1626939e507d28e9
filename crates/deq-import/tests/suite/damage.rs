//! Files that are no checkpoints, or damaged or hostile ones: all are refused with a reason, and
//! none can make the reader panic.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use deq_import::{CheckpointCause, CheckpointError, StateDict};
use safetensors::tensor::{Dtype, TensorView, serialize};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/checkpoints")
        .join(name)
}

fn content(dict: &StateDict) -> Vec<(String, TensorData)> {
    dict.iter()
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect()
}

/// Opens files with this content, one after the other.
struct Opener {
    folder: tempfile::TempDir,
}

impl Opener {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<StateDict, CheckpointError> {
        let path = self.folder.path().join("file.pth");
        std::fs::write(&path, bytes).expect("written");
        StateDict::open(path)
    }
}

/// An archive with this pickle and one storage of twelve bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = FileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", [0; 12].as_slice())] {
        zip.start_file(name, options).expect("an entry");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("an archive").into_inner()
}

/// `{"w": tensor}` with a tensor of three floats.
const PICKLE: &[u8] =
    b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
    ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQK\0K\x03\x85K\x01\x85\x89}tRs.";

#[test]
fn what_is_no_state_dict_is_refused_with_the_remedy() {
    let remedy = "torch.save(model.state_dict(), path)";
    let parts = ["`generator`, a dict", "`discriminator`, a dict", remedy];
    let cases: [(&str, &[&str]); 10] = [
        ("legacy.pth", &["PyTorch before 1.6", remedy]),
        ("script.pt", &["TorchScript", "torch.jit.load"]),
        ("module.pth", &["an object of net.Net", remedy]),
        ("several.pth", &["`state_dict`, `model`", remedy]),
        ("parts.pth", &parts),
        (
            "complex.pth",
            &["`weight`", "ComplexFloatStorage", ".float()"],
        ),
        (
            "outside.pth",
            &["`weight`", "[3, 4]", "storage of 12 numbers"],
        ),
        ("compressed.pth", &["compressed/data.pkl", "is compressed"]),
        ("command.pth", &["`extra`", "mkdir, not a tensor"]),
        ("nowhere.pth", &["cannot be read"]),
    ];
    for (name, expected) in cases {
        let error = StateDict::open(checkpoint(name)).expect_err(name);
        let text = error.to_string();
        for part in [name].iter().chain(expected) {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
    assert!(!Path::new("deq-import-ran-a-command").exists());
}

#[test]
fn other_files_are_refused() {
    let opener = Opener::new();
    let files: [&[u8]; 5] = [b"", b"PK", b"weights", b"PK\x05\x06 and more", &[0; 64]];
    for bytes in files {
        let error = opener.open(bytes).expect_err("no checkpoint");
        assert!(matches!(error.cause, CheckpointCause::Unknown), "{error}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("text.txt", FileOptions::default())
        .expect("an entry");
    let bytes = zip.finish().expect("an archive").into_inner();
    let error = opener.open(&bytes).expect_err("another archive");
    assert!(matches!(error.cause, CheckpointCause::Unknown), "{error}");
    let error = StateDict::open(env!("CARGO_MANIFEST_DIR")).expect_err("a folder");
    assert!(matches!(error.cause, CheckpointCause::Io(_)), "{error}");
}

#[test]
fn a_file_cut_short_is_refused() {
    let opener = Opener::new();
    let torch = std::fs::read(checkpoint("linear.pth")).expect("a file");
    for bytes in [torch, safetensors()] {
        assert!(opener.open(&bytes).is_ok());
        for length in 0..bytes.len() {
            let error = opener.open(&bytes[..length]).expect_err("it is cut");
            let is_told = matches!(
                error.cause,
                CheckpointCause::Damaged(_) | CheckpointCause::Unknown
            );
            assert!(is_told, "{length} bytes: {error}");
            assert!(error.to_string().contains("file.pth"), "{error}");
        }
    }
}

#[test]
fn a_wrong_byte_never_gives_other_numbers() {
    let opener = Opener::new();
    let mut bytes = std::fs::read(checkpoint("linear.pth")).expect("a file");
    let whole = content(&opener.open(&bytes).expect("reads"));
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            bytes[at] ^= change;
            // Dates and padding may be anything.
            if let Ok(dict) = opener.open(&bytes) {
                assert_eq!(content(&dict), whole, "byte {at} changed by {change:#x}");
            }
            bytes[at] ^= change;
        }
    }
}

#[test]
fn wrong_bytes_in_a_safetensors_file_do_no_harm() {
    let opener = Opener::new();
    let mut bytes = safetensors();
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            bytes[at] ^= change;
            if let Err(error) = opener.open(&bytes) {
                assert!(error.to_string().contains("file.pth"), "{error}");
            }
            bytes[at] ^= change;
        }
    }
}

#[test]
fn wrong_bytes_in_a_pickle_do_no_harm() {
    let opener = Opener::new();
    let dict = opener.open(&archive(PICKLE)).expect("reads");
    assert_eq!(dict.names().collect::<Vec<_>>(), ["w"]);
    // What a slip would most likely turn an operand into, and instructions that move the stack.
    let replacements = *b"\x00\x01\x7f\x80\xff.(01tuseRbQqh\x81\x85\x93\x94";
    let mut pickle = PICKLE.to_vec();
    for at in 0..pickle.len() {
        let right = pickle[at];
        for replacement in replacements {
            pickle[at] = replacement;
            if let Ok(dict) = opener.open(&archive(&pickle)) {
                assert!(dict.names().count() > 0, "byte {at}: {replacement:#x}");
            }
        }
        pickle[at] = right;
    }
    for length in 0..PICKLE.len() {
        let error = opener.open(&archive(&PICKLE[..length]));
        let error = error.expect_err("it is cut");
        let place = error.entry.as_deref().unwrap_or_default();
        assert!(place.starts_with("a/data.pkl at byte"), "{error}");
    }
}

#[test]
fn hostile_pickles_are_refused() {
    let opener = Opener::new();
    let cases: [(&[u8], &str); 9] = [
        // A dict that holds itself.
        (b"\x80\x02}q\0X\x01\0\0\0ah\0s.", "none of its parts"),
        (b"\x80\x02}q\0X\x05\0\0\0modelh\0s.", "nest without end"),
        // Lengths beyond the file, and beyond memory.
        (b"\x80\x02X\xff\xff\xff\x7fa.", "ends in the middle"),
        (
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
            "ends in the middle",
        ),
        (b"\x80\x04\x8b\xff\xff\xff\xff.", "ends in the middle"),
        // Nothing on the stack, nothing above the mark, nothing remembered.
        (b"\x80\x02.", "lacks its operands"),
        (b"\x80\x02N(\x85.", "lacks its operands"),
        (b"\x80\x02h\x05.", "nothing is remembered"),
        (b"\x80\x02I1\n.", "0x49"),
    ];
    for (pickle, expected) in cases {
        let error = opener.open(&archive(pickle)).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
    // A tensor that repeats three numbers for ever, in place of one of three numbers.
    let repeat: &[u8] = b"K\0J\xff\xff\xff\x7f\x85K\0\x85";
    let at = PICKLE
        .windows(9)
        .position(|part| part == b"K\0K\x03\x85K\x01\x85\x89")
        .expect("the view");
    let huge = [&PICKLE[..at], repeat, &PICKLE[at + 8..]].concat();
    let error = opener.open(&archive(&huge)).expect_err("too large");
    assert!(error.to_string().contains("far larger"), "{error}");
}

/// Two tensors.
fn safetensors() -> Vec<u8> {
    let numbers: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
    let views = [
        ("a", TensorView::new(Dtype::F32, vec![2], &numbers)),
        ("b", TensorView::new(Dtype::BF16, vec![1, 4], &numbers)),
    ]
    .map(|(name, view)| (name, view.expect("a view")));
    serialize(views, None).expect("bytes")
}
