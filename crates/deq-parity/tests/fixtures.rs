//! Reading fixtures, judging results, and refusing what is broken.

use std::collections::HashMap;

use burn::tensor::{Tensor, TensorData};
use deq_parity::{Fixture, FixtureError, Mode, Results, compare};
use safetensors::{Dtype, tensor::TensorView};

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A fixture file with one parameter, one input and expectations of every kind.
fn file(change: impl Fn(&mut HashMap<String, String>)) -> Vec<u8> {
    let two = bytes(&[1.0, 2.0]);
    let sample = bytes(&[1.0, 3.0]);
    let norm = bytes(&[5.0]);
    let steps: Vec<u8> = [3i64, 4].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], data| {
        TensorView::new(dtype, shape.to_vec(), data).expect("a view")
    };
    let tensors = [
        ("param.w", view(Dtype::F32, &[1, 2], &two)),
        ("input.x", view(Dtype::F32, &[2], &two)),
        ("expect.y", view(Dtype::F32, &[2], &two)),
        ("expect.nstep", view(Dtype::I64, &[2], &steps)),
        ("gradsample.w", view(Dtype::F32, &[2], &sample)),
        ("gradnorm.w", view(Dtype::F32, &[1], &norm)),
    ];
    let tolerances =
        r#"{"expect.y": [0.01, 0.001], "gradsample.w": [0.01, 0], "gradnorm.w": [0.01, 0]}"#;
    let mut metadata: HashMap<String, String> = [
        ("model", "toy_model"),
        ("case", "first"),
        ("mode", "train"),
        ("config", r#"{"width": 2}"#),
        ("tolerances", tolerances),
        (
            "recipe",
            r#"{"param.v": {"shape": [4], "seed": 850001, "scale": 0.5, "shift": 0.0}}"#,
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    change(&mut metadata);
    safetensors::serialize(tensors, Some(metadata)).expect("serialises")
}

fn fixture(change: impl Fn(&mut HashMap<String, String>)) -> Fixture {
    Fixture::from_bytes(&file(change), "toy").expect("a fixture")
}

fn results(y: [f32; 2], steps: [i64; 2], gradient: [f32; 4]) -> Results {
    let mut results = Results::new();
    results.insert_data("expect.y", TensorData::from(y));
    results.insert_data("expect.nstep", TensorData::from(steps));
    results.insert_data("grad.w", TensorData::from(gradient));
    results
}

/// Norm 5; the elements at indices 0 and 2 are sampled.
const GRADIENT: [f32; 4] = [1.0, 0.0, 3.0, 3.872_983_3];

#[test]
fn a_fixture_gives_its_parts() {
    for device in deq_devices::all() {
        let fixture = fixture(|_| ());
        assert_eq!(
            (fixture.model.as_str(), fixture.mode),
            ("toy_model", Mode::Train)
        );
        let config: HashMap<String, usize> = fixture.config().expect("config");
        assert_eq!(config["width"], 2);
        let x: Tensor<1> = fixture.tensor("input.x", &device).expect("x");
        assert_eq!(x.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 2.0]);
        let weights = fixture.weights();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["v", "w"]);
        let rank: Result<Tensor<2>, _> = fixture.tensor("input.x", &device);
        assert!(matches!(rank, Err(FixtureError::WrongRank { .. })));
        let missing: Result<Tensor<2>, _> = fixture.tensor("input.q", &device);
        assert!(matches!(missing, Err(FixtureError::MissingTensor(_))));
        assert!(fixture.require_model("toy-model").is_ok());
        let error = fixture.require_model("deq-inr").expect_err("another model");
        assert!(error.to_string().contains("toy-model"));
    }
}

#[test]
fn the_verdict_follows_the_tolerance_and_the_slack() {
    let fixture = fixture(|_| ());
    let judged = |results: &Results, slack: f64| {
        let report = compare(&fixture, results, slack);
        let out: Vec<String> = report
            .lines
            .iter()
            .filter(|line| !line.pass)
            .map(|line| line.name.clone())
            .collect();
        assert_eq!(report.pass(), out.is_empty());
        out
    };
    // The tolerance of y is 0.001 + 0.01 * 2 = 0.021.
    assert!(judged(&results([1.02, 2.0], [3, 4], GRADIENT), 1.0).is_empty());
    let off = results([1.03, 2.0], [3, 4], GRADIENT);
    assert_eq!(judged(&off, 1.0), ["expect.y"]);
    assert!(judged(&off, 2.0).is_empty());
    let nan = results([f32::NAN, 2.0], [3, 4], GRADIENT);
    assert_eq!(judged(&nan, 1e9), ["expect.y"]);
    let steps = results([1.0, 2.0], [3, 5], GRADIENT);
    assert_eq!(judged(&steps, 1e9), ["expect.nstep"]);
    let gradient = results([1.0, 2.0], [3, 4], [1.0, 0.0, 4.0, 2.0]);
    assert_eq!(judged(&gradient, 1.0), ["gradsample.w", "gradnorm.w"]);
    assert_eq!(judged(&Results::new(), 1e9).len(), 4);
    let mut shape = results([1.0, 2.0], [3, 4], GRADIENT);
    shape.insert_data("expect.y", TensorData::from([1.0f32, 2.0, 3.0]));
    assert_eq!(judged(&shape, 1e9), ["expect.y"]);
}

#[test]
fn steps_that_depend_on_the_precision_are_left_out() {
    let fixture = fixture(|metadata| {
        metadata.insert("inexact".to_owned(), r#"["expect.nstep"]"#.to_owned());
    });
    let report = compare(&fixture, &results([1.0, 2.0], [9, 9], GRADIENT), 1.0);
    assert!(report.pass());
}

#[test]
fn broken_files_are_refused() {
    let whole = file(|_| ());
    for cut in (0..whole.len()).step_by(7) {
        assert!(Fixture::from_bytes(&whole[..cut], "cut").is_err(), "{cut}");
    }
    for key in ["model", "case", "mode", "tolerances"] {
        let bytes = file(|metadata| {
            metadata.remove(key);
        });
        let error = Fixture::from_bytes(&bytes, "toy").expect_err("must be refused");
        assert!(error.to_string().contains(key), "{error}");
    }
    for (key, value) in [("mode", "test"), ("tolerances", "[1]"), ("recipe", "{]")] {
        let bytes = file(|metadata| {
            metadata.insert(key.to_owned(), value.to_owned());
        });
        assert!(Fixture::from_bytes(&bytes, "toy").is_err(), "{key}");
    }
    let missing = Fixture::open(std::path::Path::new("/no/such/file"));
    assert!(matches!(missing, Err(FixtureError::Io { .. })));
}
