//! What goes wrong outside the program: a clear error, and nothing lost.

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(dead_code, reason = "other tests use the rest")]
mod recipes;

use common::text;
use recipes::{CHAINS, folder, refused};

#[test]
fn an_unknown_device_is_refused_by_every_command_that_takes_one() {
    let commands: [&[&str]; 4] = [
        &["train", "ignn", "--steps", "1"],
        &["eval", "ignn", "--run", "no-such-run"],
        &["fit", "--steps", "1"],
        &["solve"],
    ];
    for command in commands {
        for (device, words) in [
            ("tpu", &["tpu", "use flex, ndarray, wgpu"]),
            ("flex:1", &["flex", "leave the index out"]),
            ("cuda:x", &["cuda:x", "number"]),
        ] {
            let mut arguments = command.to_vec();
            arguments.extend(["--device", device]);
            common::refused(&arguments, words);
        }
    }
    if !cfg!(feature = "cuda") {
        let dir = folder();
        let out = dir.path().join("run");
        let words = ["cuda", "--features cuda"];
        refused("ignn --steps 1 --device cuda", &out, &words);
        assert!(!out.exists(), "nothing is left behind");
    }
}

#[test]
fn an_empty_data_folder_is_named_with_what_it_lacks() {
    let dir = folder();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let out = dir.path().join("run");
    for (options, lacks) in [
        ("ignn --data cora", "cora"),
        ("ignn --data cornell", "cornell"),
        ("ignn --data mutag", "MUTAG"),
        ("ignn --data ppi", "ppi"),
        ("mdeq --data mnist", "mnist"),
        ("mdeq --data cifar10-jpeg", "cifar10-jpeg.tar.gz"),
        ("mdeq --data cifar100", "cifar-100-binary"),
        ("mdeq --data folder", "train"),
        ("deq-flow --data chairs", "FlyingChairs_release"),
        ("deq-flow --data things", "FlyingThings3D"),
        ("deq-flow --data sintel", "Sintel"),
        ("deq-flow --data kitti", "KITTI"),
        ("deq-flow --data hd1k", "HD1k"),
        ("deq-flow --data mixture", "Sintel"),
        ("deq-collapse --data cifar10", "cifar-10-batches-bin"),
        ("deq-fusion --data rosmap", "ROSMAP"),
        ("deq-fusion --data brca", "BRCA"),
        ("deq-fusion --data features", "mm-imdb.safetensors"),
        ("deq-lm --data wikitext-2", "wikitext-2"),
        ("deq-lm --data wikitext-103", "wikitext-103"),
    ] {
        let options = format!("{options} --data-dir {}", text(&data));
        refused(&options, &out, &[text(&data), lacks]);
    }
    assert!(!out.exists(), "nothing is left behind");
    assert_eq!(std::fs::read_dir(&data).expect("a folder").count(), 0);
}

#[test]
fn a_run_folder_that_cannot_be_made_is_named() {
    let dir = folder();
    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "mine").expect("written");
    let options = format!("{CHAINS} --steps 1");
    let below = file.join("run");
    refused(&options, &below, &["cannot make the folder", text(&below)]);
    refused(&options, &file, &["cannot make the folder", text(&file)]);
    assert_eq!(std::fs::read_to_string(&file).expect("a text"), "mine");
    if cfg!(target_os = "linux") {
        // No user may make folders there, root included.
        let out = std::path::Path::new("/sys/deq-zoo-run");
        let words = ["cannot make the folder /sys/deq-zoo-run", "choose another"];
        refused(&options, out, &words);
    }
}

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Output, Stdio};

    use super::common::{stderr, text};
    use super::recipes::{CHAINS, deq_zoo, folder, train};

    const BINARY: &str = env!("CARGO_BIN_EXE_deq-zoo");

    fn three() -> String {
        format!("{CHAINS} --steps 3")
    }

    fn six() -> String {
        format!("{CHAINS} --steps 6")
    }

    /// A run of three steps, and the weights that a run of six ends with.
    fn prepare(dir: &Path) -> (PathBuf, Vec<u8>) {
        let (run, straight) = (dir.join("run"), dir.join("straight"));
        train(&three(), &run).success();
        train(&six(), &straight).success();
        let weights = weights(&straight);
        (run, weights)
    }

    fn weights(run: &Path) -> Vec<u8> {
        let path = run.join("checkpoints/step-00000006/model.safetensors");
        std::fs::read(path).expect("the weights after six steps")
    }

    /// The training of six steps as another program starts it.
    fn started_by(mut program: Command, run: &Path) -> Output {
        program
            .args([BINARY, "train"])
            .args(six().split_whitespace())
            .args(["--out", text(run)])
            .output()
            .expect("the program starts")
    }

    /// The third step is what it was, and what was stopped goes on to the same end.
    fn nothing_is_lost(run: &Path, weights_after_six: &[u8]) {
        let checkpoints = run.join("checkpoints");
        let entries = std::fs::read_dir(&checkpoints).expect("a folder");
        let names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["step-00000003"], "nothing half-done is left");
        deq_train::verify(&checkpoints.join("step-00000003")).expect("a whole checkpoint");
        let resumed = train(&six(), run).success();
        assert!(stderr(&resumed).contains("goes on after step 3"));
        assert!(weights(run) == weights_after_six, "other weights");
    }

    fn failed(output: &Output, words: &[&str]) {
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }

    #[test]
    fn a_disk_without_room_for_a_checkpoint() {
        let dir = folder();
        let (run, weights) = prepare(dir.path());
        // Files of at most 8 KiB: room for metrics and settings, and not for 14 KB of weights.
        let mut shell = Command::new("bash");
        shell.args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#]);
        let output = started_by(shell, &run);
        let words = ["cannot write", "model.safetensors", "resume", "is whole"];
        failed(&output, &words);
        nothing_is_lost(&run, &weights);
    }

    #[test]
    fn a_folder_that_has_become_read_only() {
        let dir = folder();
        let (run, weights) = prepare(dir.path());
        let checkpoints = run.join("checkpoints");
        let allow = |folder: &Path, mode: u32| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder, mode).expect("the folder is ours");
        };
        allow(&checkpoints, 0o555);
        let Some(program) = without_privileges(&checkpoints) else {
            eprintln!("skipped: this user writes wherever it likes, and setpriv does not help");
            allow(&checkpoints, 0o755);
            return;
        };
        let checkpoint = started_by(program, &run);
        allow(&checkpoints, 0o755);
        let words = ["cannot make the folder", text(&checkpoints), "permissions"];
        failed(&checkpoint, &words);
        nothing_is_lost(&run, &weights);

        // Seven steps: what is asked of the run changes, and is to be written down.
        allow(&run, 0o555);
        let mut program = without_privileges(&run).expect("it was to be had");
        let seven = format!("{CHAINS} --steps 7");
        let command = program.args([BINARY, "train"]);
        let command = command.args(seven.split_whitespace());
        let settings = command.args(["--out", text(&run)]).output();
        allow(&run, 0o755);
        let settings = settings.expect("the program starts");
        failed(&settings, &["cannot write", "config.toml", "ermission"]);
        train(&seven, &run).success();
    }

    /// A program that starts another one which the permissions of `folder`, made read-only, bind.
    /// They do not bind root, unless it gives up the right to pass over them.
    fn without_privileges(folder: &Path) -> Option<Command> {
        let plain = || Command::new("env");
        let powerless = || {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-dac_override", "--inh-caps=-dac_override"]);
            command
        };
        let probe = folder.join("probe");
        let is_bound = |mut command: Command| {
            let runs = command.args(["touch", text(&probe)]).output();
            let bound = runs.is_ok() && !probe.exists();
            let _ = std::fs::remove_file(&probe);
            bound
        };
        if is_bound(plain()) {
            return Some(plain());
        }
        let starts = powerless().arg("true").status();
        let starts = starts.is_ok_and(|status| status.success());
        (starts && is_bound(powerless())).then(powerless)
    }

    /// A process that does not outlive the test.
    struct Guarded(Child);

    impl Drop for Guarded {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_second_process_in_the_same_folder() {
        let endless = format!("train {CHAINS} --steps 1000000");
        keeps_others_out(&endless);
        keeps_others_out("fit --size 6 --steps 1000000");
    }

    fn keeps_others_out(endless: &str) {
        let dir = folder();
        let run = dir.path().join("run");
        let mut arguments: Vec<&str> = endless.split_whitespace().collect();
        arguments.extend(["--out", text(&run)]);
        let first = Command::new(BINARY)
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut first = Guarded(first.expect("the program starts"));
        let mut output = BufReader::new(first.0.stderr.take().expect("a pipe"));
        let mut shown = String::new();
        while !shown.contains("step 1/") {
            let read = output.read_line(&mut shown).expect("a line");
            assert!(read > 0, "{shown}");
        }
        let message = stderr(&deq_zoo(&arguments).code(2));
        let process = format!("process {}", first.0.id());
        for word in [process.as_str(), "stop it", text(&run)] {
            assert!(message.contains(word), "{word}: {message}");
        }
        let other = match endless.starts_with("fit") {
            true => format!("train {CHAINS} --steps 1"),
            false => "fit --size 6 --steps 1".to_owned(),
        };
        let other: Vec<&str> = other
            .split_whitespace()
            .chain(["--out", text(&run)])
            .collect();
        let message = stderr(&deq_zoo(&other).code(2));
        assert!(message.contains(&process), "{message}");
        let status = first.0.try_wait().expect("a status");
        assert_eq!(status, None, "the first one goes on");
        drop(first);
        // One that was killed is in nobody's way.
        arguments.extend(["--time-budget", "0.001s"]);
        let third = deq_zoo(&arguments).code(1);
        assert!(stderr(&third).contains("goes on"));
    }
}
