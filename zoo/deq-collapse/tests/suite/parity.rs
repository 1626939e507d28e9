//! The project's fixtures: measures, closed forms and gradients in `f64`.

use std::path::Path;

use deq_collapse::parity;
use deq_parity::compare_folder;

#[test]
fn the_fixtures_are_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq::devices::all() {
        let reports = compare_folder(&folder, &device, 1.0, parity::replay).expect("replays");
        assert_eq!(reports.len(), 12);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}
