//! How the memory of a gradient step of inversion grows with the steps of the chain.
//!
//! Alone in its binary: the allocator counts everything the process does. It sees the CPU backends
//! alone; a GPU's pool grows by pages that are larger than all of this.

#![allow(
    clippy::print_stdout,
    reason = "the measured bytes, for `cargo test --workspace --test memory -- --nocapture`"
)]

use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq_ddim::{
    DdimConfig, Inversion, InversionConfig, InversionStart, Method, Preset, SamplingConfig,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HOST: PeakAlloc = PeakAlloc;

fn config(steps: usize, gradient: &Gradient) -> DdimConfig {
    let mut config = Preset::Tiny.config();
    config.network.image_size = 2;
    config.network.multipliers = vec![1];
    config.network.attention_resolutions = Vec::new();
    config.sampling = SamplingConfig::steps(steps);
    config.equilibrium.chunk = Some(2);
    config.equilibrium.deq.gradient = gradient.clone();
    config
}

/// Peak bytes of a gradient step beyond what was allocated before it.
fn peak(device: &Device, steps: usize, method: Method, gradient: &Gradient) -> f64 {
    let model = config(steps, gradient).init(device, 0).expect("valid");
    let image = Tensor::full([1, 1, 2, 2], 0.5, device);
    let options = InversionConfig {
        method,
        start: InversionStart::Noise { seed: 1 },
        ..InversionConfig::default()
    };
    let mut inversion = Inversion::new(&model, image, None, options).expect("valid");
    let before = HOST.current_usage();
    HOST.reset_peak_usage();
    let step = inversion.step().expect("finite");
    assert_eq!(step.stats.is_some(), method != Method::Unrolled {});
    (HOST.peak_usage() - before) as f64
}

#[test]
fn only_the_unrolled_chain_grows_with_its_steps() {
    let devices = deq::devices::all().into_iter();
    for device in devices.filter(|device| device.memory_pool_usage().is_none()) {
        let equilibrium = Method::Equilibrium { warm_start: true };
        for (method, gradient) in [
            (equilibrium, Gradient::JacobianFree),
            (equilibrium, Gradient::phantom(1, 0.1)),
            (equilibrium, Gradient::implicit()),
            (Method::Unrolled {}, Gradient::JacobianFree),
        ] {
            let counts = [5, 10, 20];
            // The first run also pays for one-time caches.
            peak(&device, counts[0], method, &gradient);
            let bytes = counts.map(|steps| peak(&device, steps, method, &gradient));
            println!("{device:?} {method:?} {gradient:?}: {bytes:?} bytes at {counts:?} steps");
            let [few, more, many] = bytes;
            match method {
                Method::Equilibrium { .. } => {
                    assert!(many < 1.25 * few && few > 0.0, "{few} {many}");
                }
                // 20 - 10 against 10 - 5.
                Method::Unrolled {} => {
                    let growth = (many - more) / (more - few);
                    assert!((1.7..2.3).contains(&growth), "{growth}");
                }
            }
        }
    }
}
