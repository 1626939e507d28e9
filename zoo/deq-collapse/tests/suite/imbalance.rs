//! How many samples each class has, and which.

use deq_collapse::{CollapseError, Imbalance, subset};
use deq_datasets::LabelledImages;

fn step(majority: usize, samples: usize, ratio: f64) -> Imbalance {
    Imbalance::Step {
        majority,
        samples,
        ratio,
    }
}

fn tail(samples: usize, ratio: f64) -> Imbalance {
    Imbalance::LongTail { samples, ratio }
}

#[test]
fn counts_by_hand() {
    let counts = |imbalance: Imbalance, classes| imbalance.counts(classes).expect("valid");
    assert_eq!(counts(Imbalance::Balanced { samples: 7 }, 3), [7, 7, 7]);
    assert_eq!(counts(step(3, 500, 10.0), 5), [500, 500, 500, 50, 50]);
    assert_eq!(counts(step(3, 500, 100.0), 4), [500, 500, 500, 5]);
    // Rounded, and at least one.
    assert_eq!(counts(step(1, 10, 4.0), 2), [10, 3]);
    assert_eq!(counts(step(1, 10, 100.0), 2), [10, 1]);
    assert_eq!(counts(step(1, 10, 1.0), 2), [10, 10]);
    // 100^(-k/2).
    assert_eq!(counts(tail(1000, 100.0), 3), [1000, 100, 10]);
    assert_eq!(counts(tail(80, 16.0), 5), [80, 40, 20, 10, 5]);
}

#[test]
fn majorities_by_hand() {
    assert_eq!(Imbalance::Balanced { samples: 1 }.majority(10), 10);
    assert_eq!(step(3, 10, 2.0).majority(10), 3);
    assert_eq!(tail(10, 2.0).majority(5), 3);
}

#[test]
fn a_sample_has_its_counts_and_its_seed() {
    let labels: Vec<u16> = (0..60).map(|i| i % 3).collect();
    let imbalance = step(1, 12, 4.0);
    let chosen = imbalance.sample(&labels, 3, 5).expect("enough");
    let of_class = |class| chosen.iter().filter(|&&i| labels[i] == class).count();
    assert_eq!([0, 1, 2].map(of_class), [12, 3, 3]);
    assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(imbalance.sample(&labels, 3, 5).expect("enough"), chosen);
    assert_ne!(imbalance.sample(&labels, 3, 6).expect("enough"), chosen);
    // All there is, in order.
    let all = Imbalance::Balanced { samples: 20 };
    let all = all.sample(&labels, 3, 0).expect("enough");
    assert_eq!(all, (0..60).collect::<Vec<usize>>());
}

#[test]
fn what_cannot_be_is_refused() {
    let field = |imbalance: Imbalance, classes| match imbalance.counts(classes) {
        Err(CollapseError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(Imbalance::Balanced { samples: 0 }, 3), "samples");
    assert_eq!(field(Imbalance::Balanced { samples: 1 }, 1), "classes");
    assert_eq!(field(step(0, 5, 2.0), 3), "majority");
    assert_eq!(field(step(3, 5, 2.0), 3), "majority");
    for ratio in [0.5, f64::NAN, f64::INFINITY] {
        assert_eq!(field(step(1, 5, ratio), 3), "ratio");
        assert_eq!(field(tail(5, ratio), 3), "ratio");
    }
    let few = step(1, 3, 1.0).sample(&[0usize, 0, 0, 1, 1], 2, 0).err();
    let expected = CollapseError::TooFewSamples {
        class: 1,
        asked: 3,
        available: 2,
    };
    assert_eq!(few, Some(expected));
    let label = step(1, 1, 1.0).sample(&[0usize, 2], 2, 0).err();
    assert!(matches!(
        label,
        Some(CollapseError::Label {
            label: 2,
            index: 1,
            ..
        })
    ));
}

#[test]
fn configurations_survive_serialisation() {
    for imbalance in [
        Imbalance::Balanced { samples: 3 },
        step(3, 5, 2.0),
        tail(5, 2.0),
    ] {
        let text = toml::to_string(&imbalance).expect("serialises");
        assert_eq!(
            toml::from_str::<Imbalance>(&text).expect("reads"),
            imbalance
        );
        assert!(toml::from_str::<Imbalance>(&format!("tail = 1\n{text}")).is_err());
    }
}

#[test]
fn a_subset_has_these_images_in_this_order() {
    let pixels: Vec<u8> = (0..12).collect();
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let images = LabelledImages::new([1, 2, 2], pixels, vec![0, 1, 0], classes).expect("images");
    let chosen = subset(&images, &[2, 0]).expect("in range");
    assert_eq!(chosen.count(), 2);
    assert_eq!(chosen.image(0), [8, 9, 10, 11]);
    assert_eq!(chosen.image(1), [0, 1, 2, 3]);
    assert_eq!(chosen.labels(), [0, 0]);
    assert_eq!(chosen.classes(), images.classes());
    assert!(subset(&images, &[3]).is_err());
    assert!(subset(&images, &[]).is_err());
}
