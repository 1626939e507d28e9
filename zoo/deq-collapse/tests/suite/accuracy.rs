//! Accuracy on all classes, on the majority and on the minority, by hand.

use burn::tensor::Tensor;
use deq_collapse::{Accuracy, CollapseError, Tally};

fn tally() -> Tally {
    let mut tally = Tally::new(3).expect("classes");
    // Class 0: 3 of 4; class 1: 1 of 2; class 2: 0 of 2.
    for (label, answers) in [
        (0, vec![true, true, false, true]),
        (1, vec![true, false]),
        (2, vec![false, false]),
    ] {
        for correct in answers {
            tally.add(correct, label).expect("a class");
        }
    }
    tally
}

#[test]
fn fractions_are_of_samples() {
    let expected = |overall, majority, minority| Accuracy {
        overall,
        majority,
        minority,
    };
    let tally = tally();
    assert_eq!(tally.per_class(), [Some(0.75), Some(0.5), Some(0.0)]);
    let accuracy = |majority| tally.accuracy(majority).expect("valid");
    assert_eq!(accuracy(1), expected(0.5, Some(0.75), Some(0.25)));
    assert_eq!(accuracy(2), expected(0.5, Some(4.0 / 6.0), Some(0.0)));
    assert_eq!(accuracy(3), expected(0.5, Some(0.5), None));
    assert_eq!(accuracy(0), expected(0.5, None, Some(0.5)));
}

#[test]
fn only_the_strictly_largest_logit_counts() {
    for device in deq::devices::all() {
        let rows = [[2.0, 1.0], [2.0, 1.0], [1.0, 1.0], [f32::NAN, 0.0]];
        let logits = Tensor::<2>::from_data(rows, &device);
        let mut tally = Tally::new(2).expect("classes");
        tally.add_batch(&logits, &[0, 1, 1, 0]).expect("fits");
        assert_eq!(tally.per_class(), [Some(0.5), Some(0.0)]);
        assert!(tally.add_batch(&logits, &[0, 1]).is_err());
        assert!(tally.add_batch(&logits, &[0, 1, 1, 2]).is_err());
        let wide = Tensor::<2>::zeros([1, 3], &device);
        assert!(tally.add_batch(&wide, &[0]).is_err());
        let overall = tally.accuracy(2).expect("valid").overall;
        assert_eq!(overall, 0.25, "nothing refused was added");
    }
}

#[test]
fn what_cannot_be_counted_is_refused() {
    assert!(Tally::new(1).is_err());
    let mut tally = tally();
    assert!(matches!(
        tally.add(true, 3),
        Err(CollapseError::Label { label: 3, .. })
    ));
    let many = tally.accuracy(4).err();
    assert!(matches!(
        many,
        Some(CollapseError::InvalidConfig {
            field: "majority",
            ..
        })
    ));
    let empty = Tally::new(2).expect("classes").accuracy(1).err();
    assert!(matches!(
        empty,
        Some(CollapseError::Mismatch { found: 0, .. })
    ));
}
