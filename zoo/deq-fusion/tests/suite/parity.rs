//! The reference implementation's layer and BRCA network: solves, losses and gradients.

use std::path::Path;

use deq_fusion::parity;
use deq_parity::compare_folder;

#[test]
fn the_layer_and_the_network_reproduce_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq::devices::all() {
        let reports = compare_folder(&folder, &device, 10.0, parity::replay).expect("replays");
        assert_eq!(reports.len(), 6);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}
