use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file, whole or not at all: beside it first, and then under its name. What is no file,
/// such as `/dev/stdout`, is written to as it is.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let written = if path.exists() && !path.is_file() {
        std::fs::write(path, text)
    } else {
        replace(path, text.as_bytes())
    };
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut unfinished = OsString::from(path);
    // Of this process alone.
    unfinished.push(format!(".{}.unfinished", std::process::id()));
    let unfinished = Path::new(&unfinished);
    let attempt = || {
        let mut file = File::create(unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(unfinished, path)
    };
    let written = attempt();
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("table.md");
        for text in ["first, and longer", "second"] {
            write(&path, text).expect("a file");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
        }
        let files = std::fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(files, 1);
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for path in [dir.path().join("none/table.md"), dir.path().to_owned()] {
            let error = write(&path, "text").expect_err("must fail");
            let named = format!("cannot write {}", path.display());
            assert!(format!("{error:#}").contains(&named), "{error:#}");
        }
    }
}
