//! Multimodal data: miniatures in the official layouts, generated views, scaling and holding out.

use std::path::Path;

use deq_datasets::DataError;
use deq_datasets::multimodal::{
    GeneratedViews, MinMax, Modality, MultimodalData, MultimodalSplit, Targets, features, mogonet,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).expect("written");
}

/// The message of a refusal, which must contain all of these.
fn refusal<T>(result: Result<T, DataError>, parts: &[&str]) {
    let message = result.err().expect("must be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Two modalities of 2 and 3 features, 4 and 2 samples.
fn miniature() -> tempfile::TempDir {
    let folder = folder();
    let at = folder.path();
    write(at, "labels_tr.csv", "0.0e+00\n1.0e+00\n1\n0\n");
    write(at, "labels_te.csv", "1.000000000000000000e+00\n0\n");
    write(at, "1_tr.csv", "0.5,1\n1.5,2\n2.5,3\n0.5,5\n");
    write(at, "1_te.csv", "1,1\n2,7\n");
    write(at, "2_tr.csv", "1,2,3\n4,5,6\n7,8,9\n1,1,1\n");
    write(at, "2_te.csv", "0,0,0\n-1e-1,2,2\n");
    write(at, "1_featname.csv", "ENSG1\nENSG2\n");
    folder
}

#[test]
fn mogonet_is_read_as_it_stands() {
    let folder = miniature();
    let data = mogonet::open(folder.path()).expect("readable");
    assert!(data.validation.is_none());
    let train = &data.train;
    assert_eq!((train.samples(), data.test.samples()), (4, 2));
    assert_eq!(train.modalities()[0].name, "1");
    assert_eq!(train.modalities()[0].features, ["ENSG1", "ENSG2"]);
    assert!(train.modalities()[1].features.is_empty());
    assert_eq!(
        train.values(0),
        [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 0.5, 5.0].as_slice()
    );
    assert_eq!(
        data.test.values(1),
        [0.0, 0.0, 0.0, -0.1, 2.0, 2.0].as_slice()
    );
    let expected = Targets::Classes {
        classes: 2,
        of_sample: vec![0, 1, 1, 0],
    };
    assert_eq!(train.targets(), &expected);

    let batch = train.batch(&[3, 0]).expect("samples");
    assert_eq!(batch.shapes, [[2, 1, 2], [2, 1, 3]]);
    assert_eq!(batch.views[1], [1.0, 1.0, 1.0, 1.0, 2.0, 3.0]);
    let second = train.select(&[1]).expect("a modality");
    assert_eq!(second.modalities().len(), 1);
    assert_eq!(second.values(0), train.values(1));
}

#[test]
fn damaged_mogonet_files_are_refused_with_file_and_line() {
    let cases: [(&str, &str, &[&str]); 12] = [
        ("1_tr.csv", "1,2\n1,2\n1\n1,2\n", &["1_tr.csv", "line 3"]),
        (
            "1_te.csv",
            "1,2\n1,two\n",
            &["1_te.csv", "line 2", "`two` is not"],
        ),
        ("2_tr.csv", "1,2,nan\n", &["line 1", "`nan`"]),
        ("2_tr.csv", "", &["2_tr.csv", "empty"]),
        ("2_tr.csv", "1,2,3\n", &["1 samples", "4 labels"]),
        ("2_te.csv", "1,2\n1,2\n", &["2 columns", "2_tr.csv has 3"]),
        ("labels_tr.csv", "0\n1\n-1\n0\n", &["line 3", "label -1"]),
        ("labels_tr.csv", "0\n0.5\n1\n0\n", &["line 2", "0.5"]),
        ("labels_tr.csv", "0\n2\n2\n0\n", &["class 1 has no sample"]),
        ("labels_te.csv", "1\n2\n", &["sample 2", "label 2"]),
        ("labels_te.csv", "1,0\n1\n", &["line 1", "2 columns"]),
        ("1_featname.csv", "one\n", &["1 names", "2 features"]),
    ];
    for (name, content, parts) in cases {
        let folder = miniature();
        write(folder.path(), name, content);
        refusal(mogonet::open(folder.path()), parts);
    }
    // A gap in the numbers is a missing file, and so is the whole of a wrong folder.
    for name in ["1_tr.csv", "1_te.csv", "labels_te.csv"] {
        let folder = miniature();
        std::fs::remove_file(folder.path().join(name)).expect("removed");
        refusal(mogonet::open(folder.path()), &["cannot read", name]);
    }
    refusal(mogonet::open(folder().path()), &["labels_tr.csv"]);
}

fn same(a: &MultimodalSplit, b: &MultimodalSplit) {
    assert_eq!(a.train, b.train);
    assert_eq!(a.validation, b.validation);
    assert_eq!(a.test, b.test);
}

#[test]
fn feature_files_keep_everything() {
    let folder = folder();
    let path = folder.path().join("views.safetensors");
    let views = GeneratedViews {
        train: 12,
        test: 6,
        missing: 0.4,
        ..GeneratedViews::default()
    };
    let mut data = views.generate(1).expect("valid");
    data.validation = Some(data.train.subset(&[2, 0, 5]).expect("samples"));
    // All three parts have missing views, or the comparison would be of less.
    features::save(&path, &data).expect("written");
    same(&features::open(&path).expect("readable"), &data);

    let sequence = |samples: usize| {
        let modality = Modality {
            length: 4,
            ..Modality::vector("text", 2)
        };
        let values = (0..samples * 8).map(|i| i as f32 * 0.25).collect();
        let targets = Targets::Values((0..samples).map(|i| i as f32 - 1.5).collect());
        let data = MultimodalData::new(vec![modality], vec![values], targets);
        let lengths = (0..samples).map(|i| 1 + i % 4).collect();
        data.and_then(|data| data.with_lengths(lengths))
            .expect("valid")
    };
    let data = MultimodalSplit {
        train: sequence(5),
        validation: None,
        test: sequence(3),
    };
    features::save(&path, &data).expect("written");
    same(&features::open(&path).expect("readable"), &data);

    let labelled = |samples: usize| {
        let values = vec![0.5; samples * 3];
        let targets = Targets::Labels {
            labels: 2,
            of_sample: (0..samples * 2).map(|i| i % 3 == 0).collect(),
        };
        MultimodalData::new(vec![Modality::vector("image", 3)], vec![values], targets)
            .expect("valid")
    };
    let data = MultimodalSplit {
        train: labelled(4),
        validation: None,
        test: labelled(2),
    };
    features::save(&path, &data).expect("written");
    same(&features::open(&path).expect("readable"), &data);
}

#[test]
fn damaged_feature_files_are_refused() {
    let folder = folder();
    let path = folder.path().join("views.safetensors");
    refusal(features::open(&path), &["cannot read", "views.safetensors"]);
    let data = GeneratedViews::default().generate(0).expect("valid");
    features::save(&path, &data).expect("written");
    let whole = std::fs::read(&path).expect("read");
    for cut in [0, 7, 40, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).expect("written");
        refusal(features::open(&path), &["views.safetensors"]);
    }
    // Renamed tensors of the same length: one missing, and one too many.
    let renamed = |from: &str, to: &str| {
        let mut places = whole.windows(from.len());
        let place = places.position(|bytes| bytes == from.as_bytes());
        let place = place.expect("a tensor of that name");
        let mut bytes = whole.clone();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).expect("written");
        features::open(&path)
    };
    refusal(
        renamed("\"train.y\"", "\"train.z\""),
        &["`train.y` is missing"],
    );
    refusal(
        renamed("\"test.x0\"", "\"test.w0\""),
        &["`test.x0` is missing"],
    );
    refusal(
        renamed("\"test.x2\"", "\"test.x3\""),
        &["3 modalities", "`test` has 2"],
    );
}

#[test]
fn data_that_do_not_fit_together_are_refused() {
    let vector = || vec![Modality::vector("one", 2)];
    let classes = |of_sample: Vec<u32>| Targets::Classes {
        classes: 2,
        of_sample,
    };
    let new = |values: Vec<f32>, targets| MultimodalData::new(vector(), vec![values], targets);
    refusal(new(vec![], classes(vec![])), &["at least one"]);
    refusal(new(vec![1.0], classes(vec![0])), &["`one` has 1 numbers"]);
    refusal(new(vec![1.0; 2], classes(vec![2])), &["class 2"]);
    refusal(
        new(vec![1.0, f32::NAN], classes(vec![0])),
        &["sample 0", "not finite"],
    );
    refusal(
        new(vec![1.0; 2], Targets::Values(vec![f32::INFINITY])),
        &["target of sample 0"],
    );
    let labels = Targets::Labels {
        labels: 2,
        of_sample: vec![true; 3],
    };
    refusal(new(vec![1.0; 2], labels), &["no whole number"]);

    let data = new(vec![1.0; 4], classes(vec![0, 1])).expect("valid");
    refusal(data.clone().with_present(vec![true]), &["1 are marked"]);
    refusal(
        data.clone().with_present(vec![true, false]),
        &["sample 1 has no view"],
    );
    refusal(data.clone().with_lengths(vec![1, 2]), &["sample 1"]);
    refusal(data.subset(&[2]), &["sample 2"]);
    refusal(data.subset(&[]), &["no sample"]);
    refusal(data.select(&[1]), &["modality 1"]);
    refusal(data.select(&[0, 0]), &["modality 0"]);
    refusal(data.hold_out(0.0, 0), &["fraction"]);
    refusal(data.hold_out(0.5, 0), &["class 0 has 1 sample"]);
}

#[test]
fn generated_views_are_balanced_and_repeatable() {
    let views = GeneratedViews {
        train: 30,
        missing: 0.5,
        ..GeneratedViews::default()
    };
    let data = views.generate(5).expect("valid");
    same(&data, &views.generate(5).expect("valid"));
    assert_ne!(data.train, views.generate(6).expect("valid").train);
    for (part, each) in [(&data.train, 10), (&data.test, 20)] {
        let Targets::Classes { classes, of_sample } = part.targets() else {
            panic!("classes are made");
        };
        assert_eq!(*classes, 3);
        for class in 0..3 {
            assert_eq!(of_sample.iter().filter(|&&c| c == class).count(), each);
        }
    }
    let present = data.train.present().expect("some are missing");
    let missing = present.iter().filter(|there| !**there).count();
    assert!((20..70).contains(&missing), "{missing} of 90");
    for (sample, there) in present.chunks(3).enumerate() {
        assert!(there.contains(&true));
        for (modality, there) in there.iter().enumerate() {
            let width = views.widths[modality];
            let view = &data.train.values(modality)[sample * width..(sample + 1) * width];
            assert_eq!(view.iter().any(|&x| x != 0.0), *there);
        }
    }
}

/// The share of test samples whose nearest class mean, over all features, is their own.
fn nearest_mean(data: &MultimodalSplit) -> f64 {
    let joined = |part: &MultimodalData, sample: usize| -> Vec<f32> {
        let views = part.modalities().iter().enumerate().map(|(index, m)| {
            part.values(index)[sample * m.width..(sample + 1) * m.width].to_vec()
        });
        views.flatten().collect()
    };
    let classes = |part: &MultimodalData| match part.targets() {
        Targets::Classes { of_sample, .. } => of_sample.clone(),
        _ => panic!("classes are made"),
    };
    let of_train = classes(&data.train);
    let width = joined(&data.train, 0).len();
    let mut means = vec![vec![0.0f32; width]; 3];
    for (sample, &class) in of_train.iter().enumerate() {
        for (mean, x) in means[class as usize]
            .iter_mut()
            .zip(joined(&data.train, sample))
        {
            *mean += x * 3.0 / of_train.len() as f32;
        }
    }
    let correct = classes(&data.test)
        .iter()
        .enumerate()
        .filter(|(sample, class)| {
            let x = joined(&data.test, *sample);
            let distance =
                |mean: &[f32]| -> f32 { mean.iter().zip(&x).map(|(m, x)| (m - x).powi(2)).sum() };
            let own = distance(&means[**class as usize]);
            means.iter().all(|mean| distance(mean) >= own)
        })
        .count();
    correct as f64 / data.test.samples() as f64
}

#[test]
fn every_option_of_the_generator_has_its_effect() {
    let base = GeneratedViews::default();
    let clean = GeneratedViews {
        corrupted: 0.0,
        ..base.clone()
    };
    assert!(nearest_mean(&clean.generate(2).expect("valid")) > 0.75);
    let harder = [
        GeneratedViews {
            signal: 0.0,
            ..clean.clone()
        },
        GeneratedViews {
            corrupted: 1.0,
            ..clean.clone()
        },
        GeneratedViews {
            spread: 30.0,
            ..clean.clone()
        },
        GeneratedViews {
            noise: vec![40.0, 40.0, 40.0],
            ..clean.clone()
        },
    ];
    for views in harder {
        let share = nearest_mean(&views.generate(2).expect("valid"));
        assert!(share < 0.65, "{views:?}: {share}");
    }
    let latent = GeneratedViews {
        latent: 9,
        ..clean.clone()
    };
    assert_ne!(
        latent.generate(2).expect("valid").train,
        clean.generate(2).expect("valid").train
    );

    let invalid = [
        GeneratedViews {
            train: 0,
            ..base.clone()
        },
        GeneratedViews {
            test: 0,
            ..base.clone()
        },
        GeneratedViews {
            classes: 1,
            ..base.clone()
        },
        GeneratedViews {
            latent: 2,
            ..base.clone()
        },
        GeneratedViews {
            widths: vec![],
            ..base.clone()
        },
        GeneratedViews {
            widths: vec![3, 0],
            ..base.clone()
        },
        GeneratedViews {
            signal: f64::NAN,
            ..base.clone()
        },
        GeneratedViews {
            spread: -1.0,
            ..base.clone()
        },
        GeneratedViews {
            noise: vec![1.0, 1.0],
            ..base.clone()
        },
        GeneratedViews {
            corrupted: 1.5,
            ..base.clone()
        },
        GeneratedViews {
            missing: 1.0,
            ..base
        },
    ];
    for views in invalid {
        refusal(views.generate(0), &["cannot be made"]);
    }
}

#[test]
fn scaling_uses_the_fitted_data_alone() {
    let folder = miniature();
    let data = mogonet::open(folder.path()).expect("readable");
    let scale = MinMax::fit(&data.train);
    let train = scale.apply(data.train.clone()).expect("the same features");
    let close = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?}");
        }
    };
    close(train.values(0), &[0.0, 0.0, 0.5, 0.25, 1.0, 0.5, 0.0, 1.0]);
    // (7 - 1) / (5 - 1): the test part may leave the range.
    let test = scale.apply(data.test).expect("the same features");
    close(test.values(0), &[0.25, 0.0, 0.75, 1.5]);
    let other = GeneratedViews::default().generate(0).expect("valid");
    refusal(scale.apply(other.train), &["not those"]);

    // A missing view is not part of the ranges, and stays zero.
    let modality = vec![Modality::vector("a", 1), Modality::vector("b", 1)];
    let values = vec![vec![5.0, 7.0, 9.0], vec![1.0, 1.0, 1.0]];
    let targets = Targets::Values(vec![0.0; 3]);
    let data = MultimodalData::new(modality, values, targets).expect("valid");
    let present = vec![true, true, true, true, false, true];
    let data = data.with_present(present).expect("valid");
    let scaled = MinMax::fit(&data).apply(data).expect("the same features");
    close(scaled.values(0), &[0.0, 1.0, 0.0]);
    // A constant feature.
    close(scaled.values(1), &[0.0, 0.0, 0.0]);
}

#[test]
fn held_out_samples_are_stratified_and_disjoint() {
    let of_sample: Vec<u32> = (0..50).map(|i| u32::from(i % 5 == 0)).collect();
    let values: Vec<f32> = (0..50).map(|i| i as f32).collect();
    let targets = Targets::Classes {
        classes: 2,
        of_sample,
    };
    let data = MultimodalData::new(vec![Modality::vector("id", 1)], vec![values], targets);
    let data = data.expect("valid");
    let (fit, held) = data.hold_out(0.2, 3).expect("large enough");
    let count = |part: &MultimodalData, class: u32| match part.targets() {
        Targets::Classes { of_sample, .. } => of_sample.iter().filter(|c| **c == class).count(),
        _ => panic!("classes are kept"),
    };
    assert_eq!((count(&held, 0), count(&held, 1)), (8, 2));
    assert_eq!((count(&fit, 0), count(&fit, 1)), (32, 8));
    let mut ids: Vec<f32> = [fit.values(0), held.values(0)].concat();
    assert!(fit.values(0).is_sorted() && held.values(0).is_sorted());
    ids.sort_by(f32::total_cmp);
    assert!(ids.iter().enumerate().all(|(i, id)| *id == i as f32));
    assert_eq!(data.hold_out(0.2, 3).expect("large enough").1, held);
    assert_ne!(data.hold_out(0.2, 4).expect("large enough").1, held);
}
