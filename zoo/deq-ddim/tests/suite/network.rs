//! The network: sizes, hyper-parameters, dropout and refusals.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use deq_ddim::{DdimConfig, DdimError, Preset, UNet, UNetConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{difference, numbers, small, values};

/// The number of parameters from the layers' shapes.
fn counted(config: &UNetConfig) -> usize {
    let time = 4 * config.width;
    let conv =
        |inputs: usize, outputs: usize, kernel: usize| (inputs * kernel * kernel + 1) * outputs;
    let block = |inputs: usize, outputs: usize| {
        let shortcut = if inputs == outputs {
            0
        } else {
            conv(inputs, outputs, 1)
        };
        let convs = conv(inputs, outputs, 3) + conv(outputs, outputs, 3) + shortcut;
        2 * inputs + 2 * outputs + convs + (time + 1) * outputs
    };
    let attention = |channels: usize| 2 * channels + 4 * conv(channels, channels, 1);
    let widths: Vec<usize> = config
        .multipliers
        .iter()
        .map(|factor| factor * config.width)
        .collect();
    let attends = |level: usize| {
        let resolution = config.image_size >> level;
        usize::from(config.attention_resolutions.contains(&resolution))
    };

    let mut count = (config.width + 1) * time + (time + 1) * time;
    count += conv(config.channels, config.width, 3);
    let mut channels = config.width;
    for (level, &width) in widths.iter().enumerate() {
        for _ in 0..config.res_blocks {
            count += block(channels, width) + attends(level) * attention(width);
            channels = width;
        }
        if level + 1 < widths.len() {
            count += conv(width, width, 3);
        }
    }
    count += 2 * block(channels, channels) + attention(channels);
    for level in (0..widths.len()).rev() {
        let width = widths[level];
        for index in 0..=config.res_blocks {
            // The last block reads what entered the level on the way down.
            let skip = match (index == config.res_blocks, level) {
                (false, _) => width,
                (true, 0) => config.width,
                (true, level) => widths[level - 1],
            };
            count += block(channels + skip, width) + attends(level) * attention(width);
            channels = width;
        }
        if level > 0 {
            count += conv(width, width, 3);
        }
    }
    count + 2 * channels + conv(channels, config.channels, 3)
}

#[test]
fn presets_have_the_sizes_of_their_shapes() {
    let sizes = [
        (Preset::Cifar10, 35_746_307),
        (Preset::Fashion28, 1_112_801),
        (Preset::Fashion16, 701_345),
        (Preset::Tiny, 284_513),
    ];
    let device = &deq::devices::all()[0];
    for (preset, size) in sizes {
        let config = preset.config();
        assert_eq!(counted(&config.network), size, "{preset:?}");
        let model = config.init(device, 0).expect("a valid preset");
        assert_eq!(model.num_params(), size, "{preset:?}");
        let unbuilt = config.network.num_params().expect("a valid preset");
        assert_eq!(unbuilt, size, "{preset:?}");
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
        let name = serde_json::to_string(&preset).expect("serialises");
        assert_eq!(name, format!("\"{}\"", preset.name()));
    }
    assert_eq!(Preset::from_name("cifar"), None);
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        let config = preset.config();
        let text = toml::to_string(&config).expect("serialises");
        let again: DdimConfig = toml::from_str(&text).expect("reads back");
        assert_eq!(again, config);
        assert!(toml::from_str::<DdimConfig>(&format!("depth = 3\n{text}")).is_err());
        let nested = text.replace("[network]", "[network]\ndepth = 3");
        assert_ne!(nested, text);
        assert!(toml::from_str::<DdimConfig>(&nested).is_err());
    }
    for text in [
        r#"{"schedule": "linear"}"#,
        r#"{"steps": 10, "skip": "uniform"}"#,
    ] {
        assert!(serde_json::from_str::<deq_ddim::DiffusionConfig>(text).is_err());
        assert!(serde_json::from_str::<deq_ddim::SamplingConfig>(text).is_err());
        assert!(serde_json::from_str::<deq_ddim::EquilibriumConfig>(text).is_err());
        assert!(serde_json::from_str::<deq_ddim::InversionConfig>(text).is_err());
    }
}

fn network(config: &UNetConfig, device: &Device, seed: u64) -> UNet {
    UNet::new(config, device, seed).expect("valid")
}

fn estimate(config: &UNetConfig, device: &Device, seed: u64) -> Vec<f32> {
    let x = numbers(
        [2, config.channels, config.image_size, config.image_size],
        device,
    );
    let network = network(config, device, seed);
    values(network.forward(x, &[3, 150]).expect("fits"))
}

#[test]
fn a_seed_gives_the_same_network_on_every_device() {
    let devices = deq::devices::all();
    let config = small(1).network;
    let first = estimate(&config, &devices[0], 7);
    assert_ne!(first, estimate(&config, &devices[0], 8));
    for device in &devices {
        for (a, b) in first.iter().zip(estimate(&config, device, 7)) {
            assert!((a - b).abs() < 1e-4, "{device:?}");
        }
    }
}

#[test]
fn every_hyper_parameter_changes_the_estimate() {
    let device = &deq::devices::all()[0];
    let base = small(1).network;
    let first = estimate(&base, device, 0);
    let mut changed = vec![base.clone(); 6];
    changed[0].channels = 3;
    changed[1].image_size = 8;
    changed[2].width = 64;
    changed[3].multipliers = vec![1, 2];
    changed[4].res_blocks = 2;
    changed[5].attention_resolutions = vec![4];
    for config in changed {
        assert_ne!(estimate(&config, device, 0), first, "{config:?}");
    }
}

#[test]
fn the_time_step_enters_the_estimate() {
    for device in deq::devices::all() {
        // At 32 channels the group norm behind the time step would remove it.
        let mut config = small(1).network;
        config.width = 64;
        let network = network(&config, &device, 0);
        let x = numbers([1, 1, 4, 4], &device);
        let at = |step: usize| network.forward(x.clone(), &[step]).expect("fits");
        assert!(difference(at(0), at(1)) > 1e-6);
        assert!(difference(at(10), at(900)) > 1e-3);
        // Each image has its own.
        let two = Tensor::cat(vec![x.clone(), x.clone()], 0);
        let two = network.forward(two, &[10, 900]).expect("fits");
        assert!(difference(two.clone().narrow(0, 0, 1), at(10)) < 1e-5);
        assert!(difference(two.narrow(0, 1, 1), at(900)) < 1e-5);
    }
}

#[test]
fn dropout_is_drawn_in_training_alone() {
    for device in deq::devices::all() {
        let mut config = small(1).network;
        let x = numbers([1, 1, 4, 4], &device);
        let plain = network(&config, &device, 0);
        config.dropout = 0.3;
        let dropping = network(&config, &device, 0);
        let training = |network: &UNet, seed| {
            let rng = &mut StdRng::seed_from_u64(seed);
            network
                .forward_training(x.clone(), &[5], rng)
                .expect("fits")
        };
        let expected = plain.forward(x.clone(), &[5]).expect("fits");
        let inference = dropping.forward(x.clone(), &[5]).expect("fits");
        assert!(difference(inference, expected.clone()) == 0.0);
        assert!(difference(training(&plain, 1), expected.clone()) == 0.0);
        assert!(difference(training(&dropping, 1), expected) > 1e-3);
        let again = training(&dropping, 1);
        assert!(difference(training(&dropping, 1), again.clone()) == 0.0);
        assert!(difference(training(&dropping, 2), again) > 1e-4);
    }
}

#[test]
fn wrong_hyper_parameters_are_refused() {
    let device = &deq::devices::all()[0];
    let refused = |change: &dyn Fn(&mut UNetConfig), field: &str| {
        let mut config = small(1).network;
        change(&mut config);
        let error = UNet::new(&config, device, 0).expect_err("invalid");
        assert!(error.to_string().contains(field), "{error}");
        assert_eq!(config.num_params(), Err(error));
    };
    refused(&|config| config.channels = 0, "channels");
    refused(&|config| config.image_size = 0, "image_size");
    refused(&|config| config.width = 48, "width");
    refused(&|config| config.width = 0, "width");
    refused(&|config| config.multipliers.clear(), "multipliers");
    refused(&|config| config.multipliers = vec![1, 0], "multipliers");
    refused(
        &|config| config.multipliers = vec![1, 1, 1, 1],
        "image_size",
    );
    refused(&|config| config.res_blocks = 0, "res_blocks");
    let attention = "attention_resolutions";
    refused(&|config| config.attention_resolutions = vec![2], attention);
    refused(
        &|config| config.attention_resolutions = vec![4, 4],
        attention,
    );
    refused(&|config| config.dropout = 1.0, "dropout");
    refused(&|config| config.dropout = f64::NAN, "dropout");
}

#[test]
fn wrong_images_are_refused() {
    let device = &deq::devices::all()[0];
    let network = network(&small(1).network, device, 0);
    let forward = |shape: [usize; 4], steps: &[usize]| {
        let x = Tensor::<4>::zeros(shape, device);
        network.forward(x, steps).expect_err("no fit")
    };
    for shape in [[1, 3, 4, 4], [1, 1, 8, 8], [1, 1, 4, 2]] {
        let error = forward(shape, &[0]).to_string();
        let text = format!("images must have shape [1, 1, 4, 4], but have {shape:?}");
        assert_eq!(error, text);
    }
    assert_eq!(forward([0, 1, 4, 4], &[]), DdimError::Empty("images"));
    let text = forward([2, 1, 4, 4], &[0]).to_string();
    assert!(
        text.contains("1 time steps were given for 2 images"),
        "{text}"
    );
}
