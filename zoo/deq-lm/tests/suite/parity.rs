//! The reference implementations' states, memories, losses, traces and gradients.

use std::path::Path;

use burn::tensor::Device;
use deq_lm::parity::{replay_lm, replay_seq};
use deq_parity::{Fixture, FixtureError, Results, compare_folder};

type Replay = fn(&Fixture, &Device) -> Result<Results, FixtureError>;

fn reproduces(folder: &str, count: usize, replay: Replay) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder);
    for device in deq::devices::all() {
        let reports = compare_folder(&folder, &device, 10.0, replay).expect("replays");
        assert_eq!(reports.len(), count);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}

#[test]
fn the_pre_norm_model_reproduces_deq_lm() {
    reproduces("deq_lm", 8, replay_lm);
}

#[test]
fn the_post_norm_model_reproduces_deq_seq() {
    reproduces("deq_seq", 4, replay_seq);
}

#[test]
fn a_fixture_of_the_other_model_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let fixture = Fixture::open(&folder.join("deq_seq/broyden_eval.safetensors"));
    let fixture = fixture.expect("a fixture");
    let device = &deq::devices::all()[0];
    assert!(matches!(
        replay_lm(&fixture, device),
        Err(FixtureError::WrongModel { .. })
    ));
}
