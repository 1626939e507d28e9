//! The memory of a training step does not grow with the number of forward iterations.
//!
//! Alone in its binary: the allocator counts everything the process does. It sees the CPU
//! backends; a GPU's memory is asked of its own pool.

#![allow(
    clippy::print_stdout,
    reason = "the measured bytes, for `cargo test -p deq-implicit --test memory -- --nocapture`"
)]

use burn::tensor::{Device, Tensor};
use deq_implicit::{DeqConfig, Gradient};
use deq_solvers::Finish;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HOST: PeakAlloc = PeakAlloc;

/// Peak bytes of a solve with backward pass beyond what was allocated before it.
fn peak(device: &Device, iterations: usize, gradient: &Gradient) -> f64 {
    let device = device.clone().autodiff();
    let features = 256;
    let w = Tensor::<2>::full([features, features], 0.9 / features as f64, &device).require_grad();
    let x = Tensor::<2>::ones([64, features], &device).require_grad();
    let mut config = DeqConfig::default()
        .with_max_iter(iterations)
        .with_gradient(gradient.clone());
    config.forward.termination.finish = Finish::Final; // runs every iteration
    let deq = config.init().expect("a valid layer");
    let start = x.clone().inner().zeros_like();

    let before = HOST.current_usage();
    HOST.reset_peak_usage();
    let map =
        |(w, x): &(Tensor<2>, Tensor<2>), z: Tensor<2>| (z.matmul(w.clone()) + x.clone()).tanh();
    let solved = deq
        .solve(&(w.clone(), x), start, map)
        .expect("a valid solve");
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
fn peak_memory_is_flat_in_the_number_of_iterations() {
    for device in deq_devices::all() {
        for gradient in [
            Gradient::implicit(),
            Gradient::JacobianFree,
            Gradient::phantom(3, 1.0),
        ] {
            // The first run also pays for one-time caches.
            peak(&device, 10, &gradient);
            let few = peak(&device, 10, &gradient);
            let many = peak(&device, 200, &gradient);
            println!("{device:?} {gradient:?}: {few} bytes at 10 iterations, {many} at 200");
            assert!(many < 1.1 * few && few > 0.0, "{few} {many}");
        }
    }
}
