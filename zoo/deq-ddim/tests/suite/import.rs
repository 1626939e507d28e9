//! The names of the published weights.

use burn::tensor::{Tensor, TensorData};
use deq_ddim::{LoadError, UNet, UNetConfig, load_checkpoint, load_weights};
use deq_import::StateDict;
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::common::{difference, numbers, values};

fn config() -> UNetConfig {
    UNetConfig {
        channels: 3,
        image_size: 4,
        width: 32,
        multipliers: vec![1, 2],
        res_blocks: 1,
        attention_resolutions: vec![2],
        dropout: 0.0,
    }
}

type Shapes = Vec<(String, Vec<usize>)>;

fn add(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.push((format!("{name}.weight"), weight.to_vec()));
    shapes.push((format!("{name}.bias"), vec![weight[0]]));
}

fn add_block(shapes: &mut Shapes, name: &str, inputs: usize, outputs: usize) {
    add(shapes, &format!("{name}.norm1"), &[inputs]);
    add(shapes, &format!("{name}.conv1"), &[outputs, inputs, 3, 3]);
    add(shapes, &format!("{name}.temb_proj"), &[outputs, 128]);
    add(shapes, &format!("{name}.norm2"), &[outputs]);
    add(shapes, &format!("{name}.conv2"), &[outputs, outputs, 3, 3]);
    if inputs != outputs {
        let shortcut = format!("{name}.nin_shortcut");
        add(shapes, &shortcut, &[outputs, inputs, 1, 1]);
    }
}

fn add_attention(shapes: &mut Shapes, name: &str, channels: usize) {
    add(shapes, &format!("{name}.norm"), &[channels]);
    for part in ["q", "k", "v", "proj_out"] {
        add(
            shapes,
            &format!("{name}.{part}"),
            &[channels, channels, 1, 1],
        );
    }
}

/// The names and shapes that PyTorch gives the network of [`config`].
fn shapes() -> Shapes {
    let all = &mut Shapes::new();
    add(all, "temb.dense.0", &[128, 32]);
    add(all, "temb.dense.1", &[128, 128]);
    add(all, "conv_in", &[32, 3, 3, 3]);
    add_block(all, "down.0.block.0", 32, 32);
    add(all, "down.0.downsample.conv", &[32, 32, 3, 3]);
    add_block(all, "down.1.block.0", 32, 64);
    add_attention(all, "down.1.attn.0", 64);
    add_block(all, "mid.block_1", 64, 64);
    add_attention(all, "mid.attn_1", 64);
    add_block(all, "mid.block_2", 64, 64);
    add_block(all, "up.1.block.0", 128, 64);
    add_block(all, "up.1.block.1", 96, 64);
    add_attention(all, "up.1.attn.0", 64);
    add_attention(all, "up.1.attn.1", 64);
    add(all, "up.1.upsample.conv", &[64, 64, 3, 3]);
    add_block(all, "up.0.block.0", 96, 32);
    add_block(all, "up.0.block.1", 64, 32);
    add(all, "norm_out", &[32]);
    add(all, "conv_out", &[3, 32, 3, 3]);
    std::mem::take(all)
}

/// Numbers that tell one tensor from another.
fn dict() -> StateDict {
    let tensors = shapes().into_iter().enumerate();
    tensors
        .map(|(index, (name, shape))| {
            let count: usize = shape.iter().product();
            let first = index as f32 * 0.01;
            let values: Vec<f32> = (0..count).map(|i| first + (i % 7) as f32 * 1e-3).collect();
            (name, TensorData::new(values, shape))
        })
        .collect()
}

fn network(seed: u64) -> UNet {
    UNet::new(&config(), &deq::devices::all()[0], seed).expect("valid")
}

#[test]
fn every_name_finds_its_place() {
    let weights = dict();
    let loaded = load_weights(network(0), weights.clone()).expect("fits");
    let check = |name: &str, found: Vec<f32>| {
        let expected: Vec<f32> = weights.get(name).expect("a name").iter::<f32>().collect();
        assert_eq!(found, expected, "{name}");
    };
    check("conv_in.weight", values(loaded.conv_in.weight.val()));
    let block = &loaded.up[1].block[1];
    check(
        "up.1.block.1.conv2.weight",
        values(block.conv2.weight.val()),
    );
    let shortcut = block.nin_shortcut.as_ref().expect("the channels change");
    check(
        "up.1.block.1.nin_shortcut.weight",
        values(shortcut.weight.val()),
    );
    let gain = block.norm2.gamma.as_ref().expect("a gain");
    check("up.1.block.1.norm2.weight", values(gain.val()));
    let keys = &loaded.mid.attn_1.k;
    check("mid.attn_1.k.weight", values(keys.weight.val()));
    // Linear layers are transposed.
    let dense = &loaded.temb.dense[0];
    check(
        "temb.dense.0.weight",
        values(dense.weight.val().transpose()),
    );
}

#[test]
fn a_checkpoint_file_gives_the_same_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model-790000.safetensors");
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = dict()
        .iter()
        .map(|(name, data)| {
            let shape = data.shape().as_slice().to_vec();
            (format!("module.{name}"), shape, data.as_bytes().to_vec())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.expect("a view"))
    });
    std::fs::write(&path, serialize(views, None).expect("bytes")).expect("written");
    let from_file = load_checkpoint(network(0), &path).expect("fits");
    let from_memory = load_weights(network(1), dict()).expect("fits");
    let x: Tensor<4> = numbers([1, 3, 4, 4], &deq::devices::all()[0]);
    let estimate = |network: &UNet| network.forward(x.clone(), &[10]).expect("fits");
    assert!(difference(estimate(&from_file), estimate(&from_memory)) == 0.0);
    assert!(difference(estimate(&from_file), estimate(&network(0))) > 1e-3);
}

#[test]
fn what_does_not_fit_is_named() {
    let without: StateDict = dict()
        .iter()
        .filter(|(name, _)| *name != "mid.block_1.conv1.bias")
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    let mut with = without;
    with.insert("logvar", TensorData::from([0.0f32]));
    let error = load_weights(network(0), with).expect_err("does not fit");
    let error = match error {
        LoadError::Weights(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(error.missing, ["mid.block_1.conv1.bias"]);
    assert_eq!(error.left_over, ["logvar"]);

    let mut other = config();
    other.channels = 1;
    let other = UNet::new(&other, &deq::devices::all()[0], 0).expect("valid");
    let text = load_weights(other, dict())
        .expect_err("too wide")
        .to_string();
    assert!(
        text.contains("conv_in.weight (model [32, 1, 3, 3], file [32, 3, 3, 3])"),
        "{text}"
    );

    let absent = load_checkpoint(network(0), "no such file.ckpt").expect_err("no file");
    assert!(matches!(absent, LoadError::File(_)));
}
