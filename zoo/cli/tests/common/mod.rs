//! What the tests of the command line share.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

pub(crate) fn deq_zoo(arguments: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
    command.args(arguments).assert()
}

pub(crate) fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8")
}

pub(crate) fn json(assert: &Assert) -> Value {
    serde_json::from_str(&stdout(assert)).expect("JSON")
}

/// A refused request: exit code 2 and a message with all of these words.
pub(crate) fn refused(arguments: &[&str], words: &[&str]) {
    let message = stderr(&deq_zoo(arguments).code(2));
    for word in words {
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}
