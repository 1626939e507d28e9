//! How the memory of a training step grows with the number of forward iterations.
//!
//! Alone in its binary: the allocator counts everything the process does. It sees the CPU
//! backends; a GPU's memory is asked of its own pool.

#![allow(
    clippy::print_stdout,
    reason = "the measured bytes, for `cargo test --workspace --test memory -- --nocapture`"
)]

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use deq_implicit::{DeqConfig, Gradient, Neumann, Reversible, Unrolled, input};
use deq_solvers::{Finish, SolverConfig};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HOST: PeakAlloc = PeakAlloc;

const FEATURES: usize = 256;

/// Peak bytes of a solve with backward pass beyond what was allocated before it.
fn peak(device: &Device, iterations: usize, gradient: &Gradient) -> f64 {
    let device = device.clone().autodiff();
    let weight = Tensor::<2>::full([FEATURES; 2], 0.9 / FEATURES as f64, &device);
    let w = weight.require_grad();
    let x = Tensor::<2>::ones([64, FEATURES], &device).require_grad();
    let mut config = DeqConfig::default()
        .with_max_iter(iterations)
        .with_gradient(gradient.clone());
    if let Gradient::Reversible(_) = gradient {
        config.forward.solver = SolverConfig::reversible();
    }
    config.forward.termination.finish = Finish::Final; // runs every iteration
    let deq = config.init().expect("a valid layer");
    let start = x.clone().inner().zeros_like();

    let before = HOST.current_usage();
    HOST.reset_peak_usage();
    type Args = (Param<Tensor<2>>, Param<Tensor<2>>);
    let map = |(w, x): &Args, z: Tensor<2>| (z.matmul(w.val()) + x.val()).tanh();
    let args = (input(w.clone()), input(x));
    let solved = deq.solve(&args, start, map).expect("a valid solve");
    assert!(solved.stats.evaluations == iterations);
    let gradients = solved.into_last().sum().backward();
    assert!(w.grad(&gradients).is_some());
    drop(gradients);
    match device.memory_pool_usage() {
        Some(pool) => pool.bytes_reserved as f64,
        None => (HOST.peak_usage() - before) as f64,
    }
}

#[test]
fn peak_memory_grows_as_documented() {
    for device in deq_devices::all() {
        let unrolled = |checkpoint| Gradient::Unrolled(Unrolled { checkpoint });
        // A GPU's pool grows by pages, so there only flatness can be told.
        let counted = device.memory_pool_usage().is_none();
        // Reversible in the state's own type: not every device keeps f64.
        let reversible = Gradient::Reversible(Reversible { double: false });
        for gradient in [
            Gradient::implicit(),
            Gradient::JacobianFree,
            Gradient::phantom(3, 1.0),
            Gradient::Neumann(Neumann::default()),
            reversible,
            unrolled(false),
            unrolled(true),
        ] {
            // The first run also pays for one-time caches.
            let counts = if counted { [16, 64, 256] } else { [4, 8, 16] };
            peak(&device, counts[0], &gradient);
            let bytes = counts.map(|iterations| peak(&device, iterations, &gradient));
            println!("{device:?} {gradient:?}: {bytes:?} bytes at {counts:?} iterations");
            let [few, more, many] = bytes;
            let growth = (many - more) / (more - few);
            match &gradient {
                Gradient::Unrolled(_) if !counted => {}
                // 192 against 48 steps, and 16 - 8 against 8 - 4.
                Gradient::Unrolled(Unrolled { checkpoint: false }) => {
                    assert!((3.6..4.4).contains(&growth), "{growth}");
                }
                Gradient::Unrolled(Unrolled { checkpoint: true }) => {
                    assert!((1.8..2.2).contains(&growth), "{growth}");
                }
                _ => assert!(many < 1.1 * few && few > 0.0, "{few} {many}"),
            }
        }
    }
}
