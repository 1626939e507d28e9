//! `deq-zoo bench --against torchdeq` as a user meets it, with a shell script for Python.

#![cfg(unix)]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use common::{json, stderr, stdout, text};

/// Answers to every case with the same times, and with a result that lies in the folder KEPT.
const STUB: &str = r#"
while [ $# -gt 0 ]; do
  case "$1" in
    --workloads) workloads="$2" ;;
    --results) results="$2" ;;
  esac
  shift
done
echo '{"ready": true, "python": "none", "torch": "2.0", "torchdeq": "0.1", "threads": 1}'
while read -r name; do
  file=$(echo "$name" | tr / -).safetensors
  cp "$KEPT/$file" "$results/$file" || exit 1
  echo "{\"case\": \"$name\", \"median\": 1000.0, \"mad\": 0.1, \"samples\": 5, \"nfe_forward\": 50, \"nfe_backward\": 0, \"residual\": 0.0}"
done
"#;

/// Copies the workloads to the folder KEPT, and ends.
const KEEPER: &str = r#"
while [ $# -gt 0 ]; do
  case "$1" in --workloads) workloads="$2" ;; esac
  shift
done
echo '{"ready": true, "python": "none", "torch": "2.0", "torchdeq": "0.1", "threads": 1}'
read -r name
cp "$workloads"/* "$KEPT"
exit 7
"#;

/// Says that a package is missing, as the script does.
const MISSING: &str = r#"
echo '{"error": "cannot import torchdeq: No module named torchdeq", "kind": "environment"}'
exit 3
"#;

/// A folder with a script in it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("script.sh"), script).expect("written");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Compares one case of the smallest workload, with `sh` for Python and `script.sh` for the
    /// script.
    fn compare(&self, more: &[&str]) -> Assert {
        let script = self.path("script.sh");
        let mut arguments = vec![
            "bench",
            "--against",
            "torchdeq",
            "--quick",
            "--threads",
            "1",
        ];
        arguments.extend(["--python", "sh", "--script", text(&script)]);
        arguments.extend(["--cases", "W7/d32/fp/fwd"]);
        arguments.extend(more);
        let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
        command.env("RAYON_NUM_THREADS", "1");
        command.env("KEPT", self.dir.path());
        command.args(arguments).assert()
    }

    /// Lets the next comparison find this result.
    fn keep_result(&self, values: &[f32]) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let view = TensorView::new(Dtype::F32, vec![1, values.len()], &bytes);
        let views = [("result", view.expect("a shape that fits"))];
        let none: Option<HashMap<String, String>> = None;
        let file = safetensors::serialize(views, none).expect("a file");
        for name in ["W7-d32-fp-fwd", "W7-d32-loop-fwd"] {
            let path = self.path(&format!("{name}.safetensors"));
            std::fs::write(path, &file).expect("written");
        }
    }
}

/// An array of a file, in f64.
fn array(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).expect(name);
    assert_eq!(view.dtype(), Dtype::F32);
    let words = view.data().chunks_exact(4);
    let values = words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    values.map(f64::from).collect()
}

/// The fixed point of z = tanh(W z + U x + b), from the workload's file.
fn fixed_point(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the workload");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let [w, u, b, x] = ["w", "u", "b", "x"].map(|name| array(&file, name));
    let width = b.len();
    let row = |matrix: &[f64], row: usize, vector: &[f64]| -> f64 {
        let row = matrix[row * width..(row + 1) * width].iter();
        row.zip(vector).map(|(a, b)| a * b).sum()
    };
    let mut z = vec![0.0; width];
    for _ in 0..50 {
        let next = (0..width).map(|i| (row(&w, i, &z) + row(&u, i, &x) + b[i]).tanh());
        z = next.collect();
    }
    z.into_iter().map(|value| value as f32).collect()
}

fn refused(assert: Assert, words: &[&str]) {
    let message = stderr(&assert.code(2));
    for word in words {
        assert!(message.contains(word), "{message}");
    }
}

/// A place whose script answers with the right result.
fn answering() -> Place {
    let place = Place::new(KEEPER);
    let words = ["TorchDEQ's side of W7/d32/fp/fwd", "ended"];
    refused(place.compare(&[]), &words);
    let result = fixed_point(&place.path("W7-d32.safetensors"));
    std::fs::write(place.path("script.sh"), STUB).expect("written");
    place.keep_result(&result);
    place
}

#[test]
fn equal_results_have_ratios_and_files() {
    let place = answering();
    let out = place.path("out");
    let assert = place.compare(&["--out", text(&out)]).success();
    let listed = stdout(&assert);
    assert!(listed.contains("TorchDEQ / ours"), "{listed}");
    assert!(listed.contains("W7/d32/fp/fwd"), "{listed}");
    assert!(listed.contains("50 / 50"), "{listed}");
    assert!(listed.contains("geometric mean"), "{listed}");
    assert!(!listed.contains("differs"), "{listed}");
    for name in ["json", "csv", "md", "html"] {
        let file = std::fs::read_to_string(out.join(format!("against.{name}"))).expect(name);
        assert!(file.contains("W7/d32/fp/fwd"), "{name}");
    }
    // A comparison is never overwritten.
    refused(place.compare(&["--out", text(&out)]), &["exists already"]);

    let report = json(&place.compare(&["--json"]).success());
    let row = &report["rows"][0];
    assert_eq!(row["case"], "W7/d32/fp/fwd");
    assert_eq!(row["theirs"]["median"], 1000.0);
    assert_eq!(row["plain_loop"]["samples"], 5);
    assert_eq!(row["ours"]["evaluations"][0], 50);
    assert!(row["ours"]["median"].as_f64().expect("seconds") > 0.0);
    assert!(row["difference"].as_f64().expect("a number") < 1e-5);
    assert_eq!(report["versions"]["torchdeq"], "0.1");
}

#[test]
fn other_results_have_no_ratio() {
    let place = answering();
    place.keep_result(&[0.5; 32]);
    let listed = stdout(&place.compare(&[]).code(1));
    assert!(listed.contains("differs"), "{listed}");
    assert!(
        listed.contains("there is no ratio: W7/d32/fp/fwd"),
        "{listed}"
    );
    assert!(!listed.contains("geometric mean"), "{listed}");
    place.keep_result(&[0.5; 3]);
    let listed = stdout(&place.compare(&[]).code(1));
    assert!(listed.contains("not comparable"), "{listed}");
}

#[test]
fn what_is_missing_is_told_with_its_remedy() {
    let place = Place::new(MISSING);
    let out = place.path("out");
    let compare = |more: &[&str], words: &[&str]| {
        let mut arguments = vec!["--out", text(&out)];
        arguments.extend(more);
        refused(place.compare(&arguments), words);
    };
    let words = [
        "cannot import torchdeq",
        "pip install -r",
        "requirements.txt",
        "--python",
    ];
    compare(&[], &words);
    std::fs::write(place.path("script.sh"), "echo hello").expect("written");
    compare(&[], &["hello", "not understood"]);
    std::fs::write(place.path("script.sh"), "exit 4").expect("written");
    compare(&[], &["has ended", "4"]);
    assert!(!out.exists(), "a refused comparison leaves nothing behind");
}

#[test]
fn wrong_requests_are_refused() {
    let plain = |arguments: &[&str], words: &[&str]| {
        let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
        command.env("RAYON_NUM_THREADS", "1").arg("bench");
        refused(command.args(arguments).assert(), words);
    };
    let against = |more: &[&str], words: &[&str]| {
        let mut arguments = vec!["--against", "torchdeq", "--threads", "1"];
        arguments.extend(more);
        plain(&arguments, words);
    };
    against(&["--cases", "W9"], &["W9", "W1/d128/fp/fwd"]);
    against(
        &["--python", "/no/such/python"],
        &["/no/such/python", "--python"],
    );
    against(&["--script", "no/such.py"], &["no/such.py", "--script"]);
    let more = ["--against", "torchdeq", "--threads", "3"];
    plain(&more, &["RAYON_NUM_THREADS=3", "--threads 1"]);
    plain(
        &["--against", "torchdeq", "--threads", "0"],
        &["at least 1"],
    );
    plain(&["--quick"], &["--against"]);
    plain(&["--against", "jax"], &["jax", "torchdeq"]);
}
