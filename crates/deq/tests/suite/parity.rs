//! TorchDEQ's iterates, traces, step counts and gradients, on every device of the build.

use std::path::Path;

use deq_parity::compare_folder;

#[test]
fn solvers_and_gradients_reproduce_torchdeq() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq_devices::all() {
        // Stiff maps amplify rounding: the reference's own f32 run is the yardstick, ten times.
        let reports = compare_folder(&folder, &device, 10.0, deq::parity::replay).expect("replays");
        assert_eq!(reports.len(), 16);
        for report in reports {
            let out: Vec<_> = report.lines.iter().filter(|line| !line.pass).collect();
            assert!(out.is_empty(), "{} on {device:?}: {out:#?}", report.case);
        }
    }
}
