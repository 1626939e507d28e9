//! The measures of collapse: definitions, invariances, and one pass against two.

use crate::common::{all_near, near, noise, product, random_matrix, tensor};
use deq_collapse::etf::{random_etf, standard_etf};
use deq_collapse::{
    Center, ClassStatistics, CollapseError, LinearHead, Matrix, Measures, Moments, measures,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const CENTERS: [Center; 2] = [Center::Samples, Center::ClassMeans];

/// Features with a class each.
#[derive(Clone, Debug)]
struct Data {
    classes: usize,
    features: Matrix,
    labels: Vec<usize>,
}

impl Data {
    /// Noise around random class means; `counts` samples of each.
    fn new(counts: &[usize], features: usize, spread: f64, seed: u64) -> Self {
        let labels: Vec<usize> = counts
            .iter()
            .enumerate()
            .flat_map(|(class, &count)| vec![class; count])
            .collect();
        let means = random_matrix(counts.len(), features, seed);
        let noise = random_matrix(labels.len(), features, seed + 1);
        let value = |i: usize, j: usize| means[(labels[i], j)] + spread * noise[(i, j)];
        Self {
            classes: counts.len(),
            features: Matrix::from_fn(labels.len(), features, value),
            labels,
        }
    }

    fn statistics(&self) -> ClassStatistics {
        let mut moments = Moments::new(self.classes, self.features.columns()).expect("fits");
        for (row, &label) in self.labels.iter().enumerate() {
            moments.add(self.features.row(row), label).expect("fits");
        }
        moments.statistics().expect("every class has a sample")
    }
}

fn numbers(measures: Measures) -> [f64; 6] {
    [
        measures.nc1,
        measures.nc2,
        measures.nc3,
        measures.bias,
        measures.equinorm_weight,
        measures.equinorm_means,
    ]
}

fn head(classes: usize, features: usize, seed: u64) -> LinearHead {
    let weight = random_matrix(classes, features, seed);
    LinearHead::new(weight, noise(classes, seed + 1)).expect("a head")
}

#[test]
fn one_pass_gives_what_two_give() {
    let data = Data::new(&[5, 1, 3], 4, 0.3, 1);
    let (samples, width) = (data.labels.len(), 4);
    let mut means = Matrix::zeros(3, width);
    for (row, &label) in data.labels.iter().enumerate() {
        let count = data.labels.iter().filter(|&&l| l == label).count();
        for j in 0..width {
            means[(label, j)] += data.features[(row, j)] / count as f64;
        }
    }
    let within = Matrix::from_fn(width, width, |i, j| {
        let deviation =
            |row: usize, j: usize| data.features[(row, j)] - means[(data.labels[row], j)];
        let products = (0..samples).map(|row| deviation(row, i) * deviation(row, j));
        products.sum::<f64>() / samples as f64
    });
    let found = data.statistics();
    assert_eq!(found.counts(), [5, 1, 3]);
    all_near(found.means().values(), means.values(), 1e-14);
    all_near(found.within().values(), within.values(), 1e-14);

    let by_samples = [5.0 / 9.0, 1.0 / 9.0, 3.0 / 9.0];
    let by_class = [1.0 / 3.0; 3];
    for (center, weights) in [
        (Center::Samples, by_samples),
        (Center::ClassMeans, by_class),
    ] {
        let mean = |j: usize| (0..3).map(|k| weights[k] * means[(k, j)]).sum::<f64>();
        let centred = Matrix::from_fn(3, width, |k, j| means[(k, j)] - mean(j));
        all_near(found.centred(center).values(), centred.values(), 1e-14);
        let between = product(&centred.transpose(), &centred).scaled(1.0 / 3.0);
        all_near(found.between(center).values(), between.values(), 1e-14);
    }
}

#[test]
fn a_collapse_far_below_the_means_is_resolved() {
    // Sums of squares would leave nothing of a spread of 1e-7 around means of 1e2.
    let wide = Data::new(&[4, 4, 4], 3, 1e-7, 2);
    let mut far = wide.clone();
    far.features = Matrix::from_fn(12, 3, |i, j| wide.features[(i, j)] + 100.0);
    for center in CENTERS {
        let (near_by, far_off) = (wide.statistics().nc1(center), far.statistics().nc1(center));
        assert!(
            (far_off / near_by - 1.0).abs() < 1e-5,
            "{near_by:e} {far_off:e}"
        );
    }
}

#[test]
fn batches_on_a_device_are_as_their_samples() {
    for device in deq::devices::all() {
        let data = Data::new(&[4, 3, 2], 5, 0.5, 3);
        let mut moments = Moments::new(3, 5).expect("fits");
        for rows in [0..4, 4..9] {
            let part = Matrix::from_fn(rows.len(), 5, |i, j| data.features[(rows.start + i, j)]);
            let added = moments.add_batch(tensor(&part, &device), &data.labels[rows]);
            added.expect("fits");
        }
        let found = moments.statistics().expect("every class");
        let expected = data.statistics();
        assert_eq!(found.counts(), expected.counts());
        all_near(found.means().values(), expected.means().values(), 1e-6);
        all_near(found.within().values(), expected.within().values(), 1e-6);
    }
}

#[test]
fn an_exact_simplex_has_collapsed() {
    for (classes, features) in [(3, 2), (4, 4), (5, 9)] {
        let frame = random_etf(classes, features, 11).expect("a frame");
        let mut moments = Moments::new(classes, features).expect("fits");
        for class in (0..classes).chain(0..classes) {
            let vertex: Vec<f64> = (0..features).map(|j| 3.0 * frame[(j, class)]).collect();
            moments.add(&vertex, class).expect("fits");
        }
        let statistics = moments.statistics().expect("every class");
        let head = LinearHead::new(frame.transpose().scaled(0.5), vec![0.0; classes]);
        let head = head.expect("a head");
        for center in CENTERS {
            let found = measures(&statistics, &head, center).expect("fits");
            // A spread of 0 is a spread of rounding squared.
            for number in numbers(found) {
                near(number, 0.0, 1e-12);
            }
            let cosines = statistics.cosines(center);
            near(cosines[(0, 1)], -1.0 / (classes - 1) as f64, 1e-12);
            near(cosines[(1, 1)], 1.0, 1e-12);
        }
        for class in 0..classes {
            let vertex: Vec<f64> = (0..features).map(|j| frame[(j, class)]).collect();
            assert_eq!(head.predict(&vertex), class);
            assert_eq!(statistics.nearest(&vertex), class);
        }
    }
}

#[test]
fn measures_by_hand() {
    // Means (1, 0) and (−1, 0), a spread of 0.5 along the first axis in the first class alone.
    let mut moments = Moments::new(2, 2).expect("fits");
    for (features, label) in [
        ([1.5, 0.0], 0),
        ([0.5, 0.0], 0),
        ([-1.0, 0.0], 1),
        ([-1.0, 0.0], 1),
    ] {
        moments.add(&features, label).expect("fits");
    }
    let statistics = moments.statistics().expect("both classes");
    let head = LinearHead::new(
        Matrix::new(2, 2, vec![2.0, 0.0, 0.0, 1.0]).expect("fits"),
        vec![0.3, -0.4],
    );
    let found = measures(&statistics, &head.expect("a head"), Center::Samples).expect("fits");
    // Σ_W = diag(1/8, 0), Σ_B = diag(1, 0).
    near(found.nc1, 0.125 / 2.0, 1e-14);
    // W Wᵀ = diag(4, 1) against (I − 11ᵀ/2).
    let length = 17.0f64.sqrt();
    let nc2 = (4.0 / length - 0.5).powi(2) + (1.0 / length - 0.5).powi(2) + 0.5;
    near(found.nc2, nc2.sqrt(), 1e-14);
    // W M = [[2, −2], [0, 0]], of length √8.
    let entry = 0.5f64.sqrt();
    let nc3 = (entry - 0.5).powi(2) + (0.5 - entry).powi(2) + 0.5;
    near(found.nc3, nc3.sqrt(), 1e-14);
    near(found.bias, 0.5, 1e-14);
    near(found.equinorm_weight, 0.5 / 1.5, 1e-14);
    near(found.equinorm_means, 0.0, 1e-14);
}

#[test]
fn the_center_matters_for_imbalanced_classes_alone() {
    let measured = |counts: &[usize]| {
        let statistics = Data::new(counts, 4, 0.2, 4).statistics();
        CENTERS.map(|center| numbers(measures(&statistics, &head(3, 4, 9), center).expect("fits")))
    };
    let [samples, classes] = measured(&[4, 4, 4]);
    all_near(&samples, &classes, 1e-10);
    let [samples, classes] = measured(&[9, 2, 1]);
    for index in [0, 2, 3] {
        assert!((samples[index] - classes[index]).abs() > 1e-6, "{index}");
    }
}

#[test]
fn means_that_coincide_have_not_collapsed() {
    let mut moments = Moments::new(3, 4).expect("fits");
    for (features, label) in [([1.0; 4], 0), ([1.0; 4], 1), ([-1.0; 4], 2)] {
        moments.add(&features, label).expect("fits");
    }
    let statistics = moments.statistics().expect("every class");
    assert_eq!(statistics.nc1(Center::Samples), f64::INFINITY);
}

#[test]
fn what_does_not_fit_is_refused() {
    for (classes, features, field) in [(1, 3, "classes"), (0, 3, "classes"), (2, 0, "features")] {
        let error = Moments::new(classes, features).err();
        assert!(
            matches!(&error, Some(CollapseError::InvalidConfig { field: found, .. }) if *found == field),
            "{error:?}"
        );
    }
    let mut moments = Moments::new(3, 2).expect("fits");
    let width = moments.add(&[1.0], 0).err();
    assert!(matches!(
        width,
        Some(CollapseError::Mismatch {
            expected: 2,
            found: 1,
            ..
        })
    ));
    let label = moments.add(&[1.0, 2.0], 3).err();
    assert!(matches!(
        label,
        Some(CollapseError::Label {
            label: 3,
            classes: 3,
            ..
        })
    ));
    moments.add(&[1.0, 2.0], 0).expect("fits");
    moments.add(&[1.0, 2.0], 2).expect("fits");
    let empty = CollapseError::EmptyClass {
        class: 1,
        samples: 2,
    };
    assert_eq!(moments.statistics().err(), Some(empty));

    let device = &deq::devices::all()[0];
    let features = random_matrix(2, 2, 0);
    for (labels, features) in [
        (vec![0], features.clone()),
        (vec![0, 3], features.clone()),
        (vec![0, 1], random_matrix(2, 3, 0)),
    ] {
        assert!(
            moments
                .add_batch(tensor(&features, device), &labels)
                .is_err()
        );
    }
    moments.add(&[0.0, 1.0], 1).expect("fits");
    let statistics = moments.statistics().expect("every class");
    assert_eq!(statistics.counts(), [1, 1, 1], "nothing refused was added");
    for other in [head(2, 2, 0), head(3, 3, 0)] {
        let error = measures(&statistics, &other, Center::Samples).err();
        assert!(matches!(error, Some(CollapseError::Mismatch { .. })));
    }
    assert!(LinearHead::new(random_matrix(3, 2, 0), vec![0.0; 2]).is_err());
    assert!(LinearHead::new(random_matrix(1, 2, 0), vec![0.0]).is_err());
    assert!(LinearHead::new(Matrix::zeros(2, 0), vec![0.0; 2]).is_err());
}

/// The same cases on every run.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(config, rng)
}

fn cases() -> impl Strategy<Value = (Vec<usize>, usize, u64)> {
    let counts = prop::collection::vec(1usize..6, 2..5);
    (counts, 0usize..4, 0u64..1 << 32).prop_map(|(mut counts, extra, seed)| {
        // A class of one sample has no spread; all of them would leave nothing to compare.
        counts[0] += 1;
        let features = counts.len() + extra;
        (counts, features, seed)
    })
}

/// An orthogonal matrix: a product of reflections.
fn rotation(size: usize, seed: u64) -> Matrix {
    let mut rotation = Matrix::identity(size);
    for index in 0..size as u64 {
        let axis = random_matrix(size, 1, seed + index);
        let square = axis.norm().powi(2);
        let reflection = Matrix::from_fn(size, size, |i, j| {
            let own = if i == j { 1.0 } else { 0.0 };
            own - 2.0 * axis[(i, 0)] * axis[(j, 0)] / square
        });
        rotation = product(&rotation, &reflection);
    }
    rotation
}

#[test]
fn turning_the_features_changes_nothing() {
    let check = |(counts, features, seed): (Vec<usize>, usize, u64)| {
        let data = Data::new(&counts, features, 0.3, seed);
        let turn = rotation(features, seed ^ 1);
        let turned = Data {
            features: product(&data.features, &turn),
            ..data.clone()
        };
        let head = head(data.classes, features, seed);
        let weight = product(head.weight(), &turn);
        let turned_head = LinearHead::new(weight, head.bias().to_vec()).expect("a head");
        for center in CENTERS {
            let before = measures(&data.statistics(), &head, center).expect("fits");
            let after = measures(&turned.statistics(), &turned_head, center).expect("fits");
            for (before, after) in numbers(before).into_iter().zip(numbers(after)) {
                // NC1 divides by the least spread of random means, which may be small.
                let is_same = (before - after).abs() <= 1e-7 * before.abs().max(1e-3);
                prop_assert!(is_same, "{before:e} {after:e}");
            }
        }
        Ok(())
    };
    runner(64).run(&cases(), check).expect("every case holds");
}

#[test]
fn the_order_of_samples_changes_nothing() {
    let check = |(counts, features, seed): (Vec<usize>, usize, u64)| {
        let data = Data::new(&counts, features, 0.3, seed);
        let samples = data.labels.len();
        let mut order: Vec<usize> = (0..samples).collect();
        let keys = noise(samples, seed ^ 2);
        order.sort_by(|&i, &j| keys[i].total_cmp(&keys[j]));
        let shuffled = Data {
            classes: data.classes,
            features: Matrix::from_fn(samples, features, |i, j| data.features[(order[i], j)]),
            labels: order.iter().map(|&i| data.labels[i]).collect(),
        };
        let head = head(data.classes, features, seed);
        for center in CENTERS {
            let before = measures(&data.statistics(), &head, center).expect("fits");
            let after = measures(&shuffled.statistics(), &head, center).expect("fits");
            for (before, after) in numbers(before).into_iter().zip(numbers(after)) {
                let is_same = (before - after).abs() <= 1e-7 * before.abs().max(1e-3);
                prop_assert!(is_same, "{before:e} {after:e}");
            }
        }
        Ok(())
    };
    runner(64).run(&cases(), check).expect("every case holds");
}

#[test]
fn a_standard_frame_classifies_its_own_vertices() {
    let frame = standard_etf(3).expect("a frame");
    let head = LinearHead::new(frame.clone(), vec![0.0; 3]).expect("a head");
    all_near(&head.logits(frame.row(1)), &[-0.5, 1.0, -0.5], 1e-14);
    assert_eq!(head.predict(&[0.0; 3]), 0, "the first of equal ones");
}
