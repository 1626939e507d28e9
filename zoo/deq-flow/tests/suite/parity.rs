//! The reference implementation's flow, states and residuals. The other fixtures, of about a
//! megabyte each, are compared by `deq-zoo verify`.

use std::path::Path;

use deq_flow::parity;
use deq_parity::compare_folder;

#[test]
fn the_model_reproduces_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq::devices::all() {
        let reports = compare_folder(&folder, &device, 10.0, parity::replay).expect("replays");
        assert_eq!(reports.len(), 1);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}
