//! What is drawn: Gram matrices and planes.

use crate::common::{near, random_matrix, tensor};
use burn::tensor::Device;
use deq_collapse::etf::random_etf;
use deq_collapse::{Center, ClassStatistics, CollapseError, FeatureSample, Matrix, Moments};

/// Two samples at each vertex of a simplex, all moved by one vector; the labels go round twice.
fn collapsed(classes: usize, features: usize, device: &Device) -> (FeatureSample, ClassStatistics) {
    let frame = random_etf(classes, features, 3).expect("a frame");
    let rows = Matrix::from_fn(2 * classes, features, |i, j| frame[(j, i % classes)] + 0.5);
    let labels: Vec<usize> = (0..2 * classes).map(|i| i % classes).collect();
    let mut sample = FeatureSample::new(classes, features, 2).expect("valid");
    let added = sample.add_batch(tensor(&rows, device), &labels);
    added.expect("fits");
    let mut moments = Moments::new(classes, features).expect("valid");
    let added = moments.add_batch(tensor(&rows, device), &labels);
    added.expect("fits");
    (sample, moments.statistics().expect("every class"))
}

#[test]
fn collapsed_features_make_blocks() {
    for device in deq::devices::all() {
        let (sample, statistics) = collapsed(3, 4, &device);
        let gram = sample.gram(&statistics, Center::Samples).expect("fits");
        assert_eq!(gram.labels, [0, 0, 1, 1, 2, 2]);
        for i in 0..6 {
            for j in 0..6 {
                let expected = if i / 2 == j / 2 { 1.0 } else { -0.5 };
                near(gram.cosines[(i, j)], expected, 1e-5);
            }
        }
    }
}

#[test]
fn a_plane_holds_three_classes_and_a_part_of_four() {
    for device in deq::devices::all() {
        let (sample, statistics) = collapsed(3, 5, &device);
        let plane = sample.plane(&statistics, Center::ClassMeans).expect("fits");
        near(plane.explained, 1.0, 1e-6);
        assert_eq!((plane.points.rows(), plane.points.columns()), (6, 2));
        for class in 0..3 {
            let (x, y) = (plane.means[(class, 0)], plane.means[(class, 1)]);
            near(x.hypot(y), 1.0, 1e-5);
            for point in [2 * class, 2 * class + 1] {
                near(plane.points[(point, 0)], x, 1e-5);
                near(plane.points[(point, 1)], y, 1e-5);
            }
        }
        let (sample, statistics) = collapsed(4, 5, &device);
        let plane = sample.plane(&statistics, Center::ClassMeans).expect("fits");
        near(plane.explained, 2.0 / 3.0, 1e-5);
    }
}

#[test]
fn a_sample_keeps_so_many_of_each_class() {
    let device = &deq::devices::all()[0];
    let mut sample = FeatureSample::new(2, 3, 2).expect("valid");
    let rows = random_matrix(5, 3, 1);
    let labels = [1, 1, 1, 0, 1];
    for _ in 0..2 {
        sample
            .add_batch(tensor(&rows, device), &labels)
            .expect("fits");
    }
    assert_eq!(sample.labels(), [0, 0, 1, 1]);
    let kept = sample.features();
    for (row, from) in [(0, 3), (1, 3), (2, 0), (3, 1)] {
        for j in 0..3 {
            near(kept[(row, j)], rows[(from, j)], 1e-6);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for wrong in [(1, 3, 1), (2, 0, 1), (2, 3, 0)] {
        let (classes, features, per_class) = wrong;
        assert!(FeatureSample::new(classes, features, per_class).is_err());
    }
    let device = &deq::devices::all()[0];
    let (mut sample, _) = collapsed(3, 4, device);
    let (_, other) = collapsed(3, 5, device);
    let (_, more) = collapsed(4, 4, device);
    for statistics in [other, more] {
        let gram = sample.gram(&statistics, Center::Samples).err();
        assert!(matches!(gram, Some(CollapseError::Mismatch { .. })));
        let plane = sample.plane(&statistics, Center::Samples).err();
        assert!(matches!(plane, Some(CollapseError::Mismatch { .. })));
    }
    let rows = || tensor(&random_matrix(1, 4, 0), device);
    assert!(sample.add_batch(rows(), &[0, 1]).is_err());
    assert!(sample.add_batch(rows(), &[3]).is_err());
    let narrow = tensor(&random_matrix(1, 3, 0), device);
    assert!(sample.add_batch(narrow, &[0]).is_err());
    assert_eq!(sample.labels().len(), 6, "nothing refused was kept");
}
