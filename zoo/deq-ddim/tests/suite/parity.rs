//! The reference implementation's estimates, trajectories, joint maps and gradients.

use std::path::Path;

use deq_ddim::parity;
use deq_parity::compare_folder;

#[test]
fn the_model_reproduces_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq::devices::all() {
        let reports = compare_folder(&folder, &device, 10.0, parity::replay).expect("replays");
        assert_eq!(reports.len(), 2);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}
