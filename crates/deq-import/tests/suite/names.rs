//! Names and layouts of PyTorch's state dicts.

use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Tensor, TensorData};
use deq_import::{StateDict, gradients, load};

#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
    norm: LayerNorm,
    conv: Conv2d,
    /// Not a normalisation layer's: keeps its name.
    gamma: Param<Tensor<1>>,
}

fn tensor(shape: &[usize]) -> TensorData {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
    TensorData::new(values, shape)
}

fn dict() -> StateDict {
    let shapes: [(&str, &[usize]); 9] = [
        ("layers.0.weight", &[2, 3]),
        ("layers.0.bias", &[2]),
        ("layers.1.weight", &[4, 2]),
        ("layers.1.bias", &[4]),
        ("norm.weight", &[4]),
        ("norm.bias", &[4]),
        ("conv.weight", &[2, 1, 3, 3]),
        ("conv.bias", &[2]),
        ("gamma", &[5]),
    ];
    shapes
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), tensor(shape)))
        .collect()
}

fn net(device: &burn::tensor::Device) -> Net {
    Net {
        layers: vec![
            LinearConfig::new(3, 2).init(device),
            LinearConfig::new(2, 4).init(device),
        ],
        norm: LayerNormConfig::new(4).init(device),
        conv: Conv2dConfig::new([1, 2], [3, 3]).init(device),
        gamma: Param::from_tensor(Tensor::zeros([5], device)),
    }
}

#[test]
fn a_state_dict_loads_by_name_and_gradients_go_back() {
    for device in deq_devices::all() {
        let net = load(net(&device.autodiff()), &dict()).expect("loads");
        // PyTorch's [out, in] weight has element (1, 0) = 3; burn stores it at (0, 1).
        let weight = net.layers[0].weight.val();
        let element = weight.slice([0..1, 1..2]).into_scalar::<f32>();
        assert_eq!(element, 3.0);

        let x = Tensor::<2>::ones([1, 3], &net.gamma.val().device());
        let z = net.layers[1].forward(net.layers[0].forward(x));
        let loss = net.norm.forward(z).sum() + net.gamma.val().sum() * 2.0;
        let found = gradients(&net, &loss.backward(), &dict());
        assert!(found.get("conv.weight").is_none(), "not part of the loss");
        let shape = found.get("layers.0.weight").expect("found").shape();
        assert_eq!(shape.as_slice(), [2, 3]);
        let gamma: Vec<f32> = found.get("gamma").expect("found").iter::<f32>().collect();
        assert_eq!(gamma, [2.0; 5]);
    }
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_loaded() {
    for device in deq_devices::all() {
        let mut wrong: StateDict = dict()
            .iter()
            .filter(|(name, _)| *name != "norm.bias")
            .map(|(name, data)| (name.to_owned(), data.clone()))
            .collect();
        wrong.insert("head.weight", tensor(&[2]));
        wrong.insert("layers.1.weight", tensor(&[2, 4]));
        let error = load(net(&device), &wrong).expect_err("must be refused");
        assert_eq!(error.missing, ["norm.bias"]);
        assert_eq!(error.left_over, ["head.weight"]);
        assert_eq!(error.wrong_shape.len(), 1);
        let text = error.to_string();
        for part in [
            "norm.bias",
            "head.weight",
            "layers.1.weight",
            "[4, 2]",
            "[2, 4]",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[derive(Module, Debug)]
enum Layer {
    Linear(Linear),
    Norm(LayerNorm),
}

#[derive(Module, Debug)]
struct Sequence {
    net: Vec<Layer>,
    running_mean: RunningState<Tensor<1>>,
}

#[test]
fn sequences_of_layers_and_running_statistics_load_by_name() {
    let shapes: [(&str, &[usize]); 6] = [
        ("net.0.weight", &[4, 3]),
        ("net.0.bias", &[4]),
        ("net.1.weight", &[4]),
        ("net.1.bias", &[4]),
        ("running_mean", &[4]),
        ("net.1.num_batches_tracked", &[1]),
    ];
    let dict: StateDict = shapes
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), tensor(shape)))
        .collect();
    for device in deq_devices::all() {
        let device = device.autodiff();
        let sequence = Sequence {
            net: vec![
                Layer::Linear(LinearConfig::new(3, 4).init(&device)),
                Layer::Norm(LayerNormConfig::new(4).init(&device)),
            ],
            running_mean: RunningState::new(Tensor::zeros([4], &device)),
        };
        let sequence = load(sequence, &dict).expect("loads");
        let mean = sequence.running_mean.value_sync().into_data();
        assert_eq!(mean.iter::<f32>().collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0]);

        let [Layer::Linear(linear), Layer::Norm(norm)] = sequence.net.as_slice() else {
            panic!("the layers keep their kinds");
        };
        let y = norm.forward(linear.forward(Tensor::<2>::ones([1, 3], &device)));
        let found = gradients(&sequence, &y.square().sum().backward(), &dict);
        assert!(found.get("net.0.weight").is_some() && found.get("net.1.bias").is_some());
        assert!(found.get("running_mean").is_none(), "it is no parameter");
    }
}
