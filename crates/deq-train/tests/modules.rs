//! Modules and tensors through files: layers with a layout of their own, running statistics, and
//! tensors of other kinds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, LinearLayout};
use burn::tensor::{Device, Tensor, TensorData};
use deq_train::{Tensors, load_module, read_tensors, save_module, write_tensors};

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn input(device: &Device) -> Tensor<2> {
    let values = (0..6).map(|i| (1.9 * i as f32).cos()).collect();
    Tensor::from_data(TensorData::new(values, [2, 3]), device)
}

#[test]
fn linear_layers_in_either_layout() {
    for device in &deq_devices::all() {
        for layout in [LinearLayout::Row, LinearLayout::Col] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("layer");
            let new = || LinearConfig::new(3, 5).with_layout(layout).init(device);
            let source: Linear = new();
            save_module(&path, &source).unwrap();
            let target: Linear = new();
            let x = input(device);
            assert_ne!(
                read(source.forward(x.clone())),
                read(target.forward(x.clone()))
            );
            let target = load_module(&path, target).unwrap();
            assert_eq!(read(source.forward(x.clone())), read(target.forward(x)));
        }
    }
}

#[test]
fn weights_that_are_not_finite_do_not_replace_a_file() {
    for device in &deq_devices::all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        let layer: Linear = LinearConfig::new(3, 5).init(device);
        save_module(&path, &layer).unwrap();
        let before = std::fs::read(&path).unwrap();
        for value in [f32::NAN, f32::INFINITY] {
            let mut broken = layer.clone();
            broken.weight = broken.weight.map(|weight| {
                let at = Tensor::<2>::full([1, 1], value, device);
                weight.slice_assign([2..3, 4..5], at)
            });
            let error = save_module(&path, &broken).unwrap_err().to_string();
            assert!(
                error.contains("`weight`") && error.contains("learning rate"),
                "{error}"
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn running_statistics_are_saved_up_to_the_last_batch() {
    for device in &deq_devices::all() {
        let device = device.clone().autodiff();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("norm");
        let new = || -> BatchNorm { BatchNormConfig::new(3).init(&device) };
        let straight = new();
        straight.forward(input(&device) * 2.0);
        save_module(&path, &straight).unwrap();
        let resumed = new();
        // What it has seen before must not come back.
        resumed.forward(input(&device) * -7.0);
        let resumed = load_module(&path, resumed).unwrap();
        let statistics = |norm: &BatchNorm| {
            let [mean, variance] = [&norm.running_mean, &norm.running_var];
            (read(mean.value_sync()), read(variance.value_sync()))
        };
        assert_eq!(statistics(&straight), statistics(&resumed));
        straight.forward(input(&device) + 1.0);
        resumed.forward(input(&device) + 1.0);
        assert_eq!(statistics(&straight), statistics(&resumed));
        assert!(statistics(&straight).0.iter().any(|mean| mean.abs() > 1e-3));
        let plain = input(&device.clone().inner());
        let [one, other] =
            [straight, resumed].map(|norm| read(norm.valid().forward(plain.clone())));
        assert_eq!(one, other);
    }
}

#[test]
fn tensors_of_every_kind_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tensors");
    let odd = [f32::NAN, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY];
    let tensors = Tensors::from([
        ("floats".to_owned(), TensorData::from(odd)),
        ("double".to_owned(), TensorData::from([[0.1f64], [1e-300]])),
        ("counts".to_owned(), TensorData::from([i64::MIN, 7])),
        ("flags".to_owned(), TensorData::from([true, false, true])),
        (
            "none".to_owned(),
            TensorData::new(Vec::<f32>::new(), [0, 4]),
        ),
    ]);
    write_tensors(&path, &tensors).unwrap();
    let back = read_tensors(&path).unwrap();
    assert_eq!(back.len(), tensors.len());
    for (name, data) in &tensors {
        let other = &back[name];
        assert_eq!(other.dtype(), data.dtype(), "{name}");
        assert_eq!(other.shape(), data.shape(), "{name}");
        assert_eq!(other.as_bytes(), data.as_bytes(), "{name}");
    }
}
