//! The reference implementation's injections, states, outputs and gradients.

use std::path::Path;

use deq_inr::parity;
use deq_parity::{Fixture, compare};

#[test]
fn the_model_reproduces_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq::devices::all() {
        let mut cases = 0;
        for entry in std::fs::read_dir(&folder).expect("fixtures") {
            let fixture = Fixture::open(&entry.expect("entry").path()).expect("fixture");
            let results = parity::replay(&fixture, &device).expect("replay");
            let report = compare(&fixture, &results, 10.0);
            for line in &report.lines {
                assert!(line.pass, "{} on {device:?}: {line:?}", fixture.case);
            }
            assert!(report.pass());
            cases += 1;
        }
        assert_eq!(cases, 12);
    }
}
