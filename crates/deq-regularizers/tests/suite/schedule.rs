//! The schedule of a penalty: its weights, its draws and its refusals.

use deq_regularizers::{Increment, PenaltySchedule};

fn schedule(weight: f64, frequency: f64, increment: Option<(f64, u64)>) -> PenaltySchedule {
    PenaltySchedule {
        weight,
        frequency,
        increment: increment.map(|(by, every)| Increment { by, every }),
    }
}

/// The steps below `count` that use the penalty.
fn used(schedule: &PenaltySchedule, seed: u64, count: u64) -> Vec<u64> {
    (0..count)
        .filter(|&step| schedule.draw(seed, step).is_some())
        .collect()
}

#[test]
fn the_weight_grows_after_every_interval_as_in_torchdeq() {
    let schedule = schedule(0.1, 1.0, Some((0.25, 5)));
    // TorchDEQ's loop: after each step, the count goes up, and at a multiple the weight does.
    let (mut weight, mut finished) = (0.1, 0);
    for step in 0..23 {
        assert!((schedule.weight_at(step) - weight).abs() < 1e-12, "{step}");
        assert_eq!(schedule.draw(1, step), Some(schedule.weight_at(step)));
        finished += 1;
        if finished % 5 == 0 {
            weight += 0.25;
        }
    }
    assert!(weight > 1.0);
    let constant = PenaltySchedule {
        increment: None,
        ..schedule
    };
    assert_eq!(constant.weight_at(1_000_000), 0.1);
}

#[test]
fn the_frequency_is_the_fraction_of_steps() {
    let count = 4000;
    for (seed, frequency) in [(0, 0.4), (1, 0.4), (2, 0.05)] {
        let schedule = schedule(0.5, frequency, None);
        let steps = used(&schedule, seed, count);
        let within = |found: usize, probability: f64| {
            let expected = probability * count as f64;
            let deviation = (expected * (1.0 - probability)).sqrt();
            assert!(
                (found as f64 - expected).abs() < 4.0 * deviation,
                "{found}, expected {expected} ± {deviation}"
            );
        };
        within(steps.len(), frequency);
        // Neighbouring steps draw independently of each other.
        let pairs = steps.windows(2).filter(|pair| pair[1] == pair[0] + 1);
        within(pairs.count(), frequency * frequency);
    }
}

#[test]
fn the_ends_of_the_frequency_are_never_and_always() {
    assert!(used(&schedule(0.5, 0.0, None), 3, 500).is_empty());
    assert_eq!(used(&schedule(0.5, 1.0, None), 3, 500).len(), 500);
    // A weight of 0, the default, has nothing to add.
    assert!(used(&PenaltySchedule::default(), 3, 500).is_empty());
}

#[test]
fn a_draw_depends_on_seed_and_step_alone() {
    let schedule = schedule(0.5, 0.4, None);
    let whole = used(&schedule, 7, 200);
    // A run resumed at step 90.
    let resumed = (90..200).filter(|&step| schedule.draw(7, step).is_some());
    let tail = whole.iter().copied().filter(|&step| step >= 90);
    assert!(resumed.eq(tail));
    assert_ne!(whole, used(&schedule, 8, 200));
    let denser = PenaltySchedule {
        frequency: 0.6,
        ..schedule
    };
    let denser = used(&denser, 7, 200);
    assert!(whole.iter().all(|step| denser.contains(step)));
    assert!(denser.len() > whole.len());
}

#[test]
fn settings_out_of_range_are_refused() {
    for (field, refused) in [
        ("weight", schedule(-0.1, 0.5, None)),
        ("weight", schedule(f64::NAN, 0.5, None)),
        ("weight", schedule(f64::INFINITY, 0.5, None)),
        ("frequency", schedule(0.1, 1.1, None)),
        ("frequency", schedule(0.1, -0.1, None)),
        ("frequency", schedule(0.1, f64::NAN, None)),
        ("increment.by", schedule(0.1, 0.5, Some((0.0, 10)))),
        ("increment.by", schedule(0.1, 0.5, Some((f64::NAN, 10)))),
        ("increment.every", schedule(0.1, 0.5, Some((0.1, 0)))),
        // TorchDEQ ignores the increment of a weight of 0.
        ("weight", schedule(0.0, 0.5, Some((0.1, 10)))),
    ] {
        let error = refused.validate().expect_err("must be refused");
        assert_eq!(error.field, field, "{refused:?}");
        assert!(error.to_string().contains("must be"), "{error}");
    }
    assert_eq!(PenaltySchedule::default().validate(), Ok(()));
    assert_eq!(schedule(0.1, 0.4, Some((0.1, 30_000))).validate(), Ok(()));
}

#[test]
fn a_schedule_is_read_from_a_configuration() {
    let read = |text: &str| serde_json::from_str::<PenaltySchedule>(text);
    assert_eq!(read("{}").expect("defaults"), PenaltySchedule::default());
    let found = read(r#"{"weight": 0.1, "frequency": 0.4, "increment": {"every": 30000}}"#);
    let expected = schedule(0.1, 0.4, Some((0.1, 30_000)));
    assert_eq!(found.expect("well-formed"), expected);
    let text = serde_json::to_string(&expected).expect("writes");
    assert_eq!(read(&text).expect("reads back"), expected);
    for unknown in [
        r#"{"wieght": 0.1}"#,
        r#"{"increment": {"every": 1, "to": 2}}"#,
    ] {
        assert!(read(unknown).is_err(), "{unknown}");
    }
}
