//! What is read from checkpoint files. `torch_save.py` makes the files in `checkpoints`.

use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_import::{StateDict, load};
use safetensors::tensor::{Dtype, TensorView, serialize};

fn open(name: &str) -> StateDict {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints");
    StateDict::open(folder.join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn tensor<'a>(dict: &'a StateDict, name: &str) -> &'a TensorData {
    dict.get(name)
        .unwrap_or_else(|| panic!("{name} of {:?}", dict.names().collect::<Vec<_>>()))
}

fn values(dict: &StateDict, name: &str) -> Vec<f64> {
    tensor(dict, name).iter::<f64>().collect()
}

fn shape<'a>(dict: &'a StateDict, name: &str) -> &'a [usize] {
    tensor(dict, name).shape().as_slice()
}

fn content(dict: &StateDict) -> Vec<(String, TensorData)> {
    dict.iter()
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect()
}

#[test]
fn a_state_dict_loads_into_a_module() {
    let dict = open("linear.pth");
    assert_eq!(dict.names().collect::<Vec<_>>(), ["bias", "weight"]);
    for device in deq_devices::all() {
        let linear = LinearConfig::new(3, 2).init(&device);
        let linear = load(linear, &dict).expect("fits");
        let y = linear.forward(Tensor::<2>::from_data([[1.0f32, 10.0, 100.0]], &device));
        let y: Vec<f32> = y.into_data().iter::<f32>().collect();
        assert_eq!(y, [210.5, 542.5]);
    }
}

#[test]
fn every_type_of_numbers_is_read() {
    let dict = open("types.pth");
    let expected: [(&str, DType, [f64; 3]); 9] = [
        ("double", DType::F64, [0.1, -2.5, 1e300]),
        ("half", DType::F16, [0.5, -2.5, 1024.0]),
        ("bfloat", DType::BF16, [1.0, -2.5, 3.140625]),
        ("long", DType::I64, [-3.0, 1_099_511_627_776.0, 7.0]),
        ("int", DType::I32, [-3.0, 1_073_741_824.0, 7.0]),
        ("short", DType::I16, [-3.0, 16_384.0, 7.0]),
        ("char", DType::I8, [-3.0, 100.0, 7.0]),
        ("byte", DType::U8, [3.0, 200.0, 7.0]),
        (
            "bool",
            DType::Bool(burn::tensor::BoolStore::Native),
            [1.0, 0.0, 1.0],
        ),
    ];
    for (name, dtype, numbers) in expected {
        assert_eq!(tensor(&dict, name).dtype(), dtype, "{name}");
        assert_eq!(shape(&dict, name), [3], "{name}");
        assert_eq!(values(&dict, name), numbers, "{name}");
    }
    assert_eq!(shape(&dict, "scalar"), [0usize; 0]);
    assert_eq!(values(&dict, "scalar"), [7.0]);
    assert_eq!(shape(&dict, "empty"), [0, 5]);

    let dict = open("big_endian.pth");
    for name in ["float", "long", "byte"] {
        assert_eq!(values(&dict, name), [3.0, 0.0, 1.0], "{name}");
    }
}

#[derive(Module, Debug)]
struct Numbers {
    half: Param<Tensor<1>>,
    bfloat: Param<Tensor<1>>,
    int: Param<Tensor<1>>,
}

#[test]
fn a_module_converts_what_it_loads() {
    let parts = ["half", "bfloat", "int"];
    let dict: StateDict = content(&open("types.pth"))
        .into_iter()
        .filter(|(name, _)| parts.contains(&name.as_str()))
        .collect();
    for (device, dtype) in deq_devices::all().into_iter().flat_map(|device| {
        let types = [DType::F32, DType::F64].into_iter();
        let types = types.filter(|&dtype| device.supports_dtype(dtype));
        types
            .map(|dtype| (device.clone(), dtype))
            .collect::<Vec<_>>()
    }) {
        let zeros = |device: &Device| Param::from_tensor(Tensor::<1>::zeros([3], (device, dtype)));
        let numbers = Numbers {
            half: zeros(&device),
            bfloat: zeros(&device),
            int: zeros(&device),
        };
        let numbers = load(numbers, &dict).expect("fits");
        let of = |param: &Param<Tensor<1>>| -> Vec<f64> {
            let data = param.val().into_data();
            assert_eq!(data.dtype(), dtype);
            data.iter::<f64>().collect()
        };
        assert_eq!(of(&numbers.half), [0.5, -2.5, 1024.0]);
        assert_eq!(of(&numbers.bfloat), [1.0, -2.5, 3.140625]);
        assert_eq!(of(&numbers.int), [-3.0, 1_073_741_824.0, 7.0]);
    }
}

#[test]
fn views_of_a_storage_are_gathered() {
    let dict = open("views.pth");
    let counted: Vec<f64> = (0..12).map(f64::from).collect();
    assert_eq!(values(&dict, "whole"), counted);
    assert_eq!(shape(&dict, "whole"), [3, 4]);
    let transposed = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map(f64::from);
    assert_eq!(values(&dict, "transposed"), transposed);
    assert_eq!(shape(&dict, "transposed"), [4, 3]);
    assert_eq!(values(&dict, "row"), [4.0, 5.0, 6.0, 7.0]);
    assert_eq!(values(&dict, "column"), [2.0, 6.0, 10.0]);
    assert_eq!(values(&dict, "block"), [1.0, 3.0, 9.0, 11.0]);
    assert_eq!(values(&dict, "repeated"), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
}

#[test]
fn the_state_dict_is_found_among_other_things() {
    // Beside it are an optimiser, a score that is a tensor, and objects of classes.
    assert_eq!(
        content(&open("training.pth.tar")),
        content(&open("linear.pth"))
    );
    // Protocol 4, and a dict within the dict.
    let nested = open("nested.pt");
    assert_eq!(nested.names().collect::<Vec<_>>(), ["encoder.weight"]);
    assert_eq!(
        values(&nested, "encoder.weight"),
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    );
    assert_eq!(shape(&nested, "encoder.weight"), [2, 3]);
}

#[test]
fn a_prefix_is_taken_off_when_all_names_have_it() {
    let dict = open("nested.pt");
    let names = |dict: &StateDict| dict.names().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&dict.clone().without_prefix("encoder.")), "weight");
    let mut two = dict;
    two.insert("bias", TensorData::from([0.0f32]));
    assert_eq!(
        names(&two.without_prefix("encoder.")),
        "bias encoder.weight"
    );
}

#[test]
fn safetensors_are_read_whatever_the_file_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.pth");
    let half = [0x3c00u16, 0xc100].map(u16::to_le_bytes).concat();
    let long = 5i64.to_le_bytes();
    let flags = [7u8, 0];
    let views = [
        ("module.half", Dtype::F16, vec![2, 1], half.as_slice()),
        ("module.count", Dtype::I64, vec![], long.as_slice()),
        ("module.flags", Dtype::BOOL, vec![2], flags.as_slice()),
    ]
    .map(|(name, dtype, shape, data)| {
        let view = TensorView::new(dtype, shape, data).expect("a view");
        (name, view)
    });
    std::fs::write(&path, serialize(views, None).expect("bytes")).expect("written");

    let dict = StateDict::open(&path).expect("reads");
    assert_eq!(
        dict.names().collect::<Vec<_>>(),
        ["count", "flags", "half"],
        "without the prefix of DataParallel"
    );
    assert_eq!(tensor(&dict, "half").dtype(), DType::F16);
    assert_eq!(shape(&dict, "half"), [2, 1]);
    assert_eq!(values(&dict, "half"), [1.0, -2.5]);
    assert_eq!(values(&dict, "count"), [5.0]);
    assert_eq!(values(&dict, "flags"), [1.0, 0.0]);
}
