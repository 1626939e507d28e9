//! What a solver costs beside its map.
//!
//! `cargo bench --manifest-path benchmarks/Cargo.toml --bench solver_step`
//!
//! - `step`: solves of 20 steps at batch 64 and 1024 features, whose map hands out prepared
//!   tensors and costs nothing. The throughput is the *least* traffic of the steps, each tensor
//!   that must be read or written counted once, per second; compare it with `copy`, which is what
//!   the machine's memory gives to a plain copy.
//! - `overhead`: 50 steps of `tanh(zW + b)` at batch 1 and 32 features, where everything is
//!   bookkeeping; `loop` is the same map without a solver.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deq_benchmarks::noise;
use deq_solvers::{
    AndersonConfig, BroydenConfig, Finish, Mixing, Overflow, PicardConfig, Regularization,
    SolveConfig, SolverConfig,
};

const BATCH: usize = 64;
const FEATURES: usize = 1024;
const STEPS: usize = 20;
const WINDOW: usize = 6;

fn config(solver: SolverConfig, steps: usize) -> SolveConfig {
    let mut config = SolveConfig::new(solver)
        .with_tolerance(0.0)
        .with_max_iter(steps);
    config.termination.finish = Finish::Final;
    config.termination.divergence = None;
    config.termination.stall = None;
    config
}

fn anderson(mixing: Mixing) -> SolverConfig {
    SolverConfig::Anderson(AndersonConfig {
        window: WINDOW,
        mixing,
        ..AndersonConfig::default()
    })
}

/// Solvers with the states they must at least read or write per step: the residual takes three
/// (two in, one out) and its norm one, for all of them.
fn solvers() -> Vec<(&'static str, SolverConfig, usize)> {
    let damped = PicardConfig {
        damping: 0.5,
        ..PicardConfig::default()
    };
    let broyden = BroydenConfig {
        memory: WINDOW,
        overflow: Overflow::Overwrite,
        ..BroydenConfig::default()
    };
    let window = WINDOW;
    vec![
        ("picard", SolverConfig::picard(), 4),
        // Two in, one out.
        ("picard damped", SolverConfig::Picard(damped), 4 + 3),
        // Two rows stored (in and out), the window of residuals for the new products, the window
        // of images for the mixture, and the point.
        (
            "anderson gram",
            anderson(Mixing::Gram(Regularization::Relative(1e-8))),
            4 + 4 + 2 * window + 1,
        ),
        (
            "anderson type I",
            anderson(Mixing::TypeOne),
            4 + 6 + 4 * window + 1,
        ),
        ("anderson qr", anderson(Mixing::Qr), 4 + 6 + 4 * window + 1),
        // Both factors for Bᵀ dz, B dg and B g, two rows stored, two differences, the point.
        (
            "broyden",
            SolverConfig::Broyden(broyden),
            4 + 6 * window + 4 + 6 + 3,
        ),
    ]
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(20);
    let bytes = |states: usize| (states * BATCH * FEATURES * size_of::<f32>()) as u64;
    for device in deq_devices::all() {
        let images: Vec<Tensor<2>> = (0..8)
            .map(|seed| noise([BATCH, FEATURES], seed + 1, &device))
            .collect();
        let start = noise([BATCH, FEATURES], 0, &device);
        let name = |of: &str| BenchmarkId::new(of.to_owned(), format!("{device:?}"));

        group.throughput(Throughput::Bytes(bytes(2 * STEPS)));
        group.bench_function(name("copy"), |bencher| {
            bencher.iter(|| copies(&images, &device));
        });
        for (solver_name, solver, states) in solvers() {
            let config = config(solver, STEPS);
            group.throughput(Throughput::Bytes(bytes(states * STEPS)));
            group.bench_function(name(solver_name), |bencher| {
                bencher.iter(|| {
                    let mut calls = 0;
                    let map = |_: Tensor<2>| {
                        calls += 1;
                        images[calls % images.len()].clone()
                    };
                    let solution = config.solve(map, start.clone()).expect("a valid solve");
                    black_box(solution.stats.steps)
                });
            });
        }
    }
    group.finish();
}

/// Reads and writes as many states as there are steps.
fn copies(images: &[Tensor<2>], device: &Device) {
    for call in 0..STEPS {
        // Adding zero is the plainest operation that may not share memory with its argument.
        black_box(images[call % images.len()].clone() + 0.0);
    }
    device.sync().expect("the device runs");
}

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overhead");
    let steps = 50;
    for device in deq_devices::all() {
        let weight = noise([32, 32], 3, &device) * 0.1;
        let bias = noise([1, 32], 4, &device);
        let map = |z: Tensor<2>| (z.matmul(weight.clone()) + bias.clone()).tanh();
        let start = Tensor::<2>::zeros([1, 32], &device);
        let name = |of: &str| BenchmarkId::new(of.to_owned(), format!("{device:?}"));
        group.bench_function(name("loop"), |bencher| {
            bencher.iter(|| {
                let mut z = start.clone();
                for _ in 0..steps {
                    z = map(z);
                }
                black_box(z.into_data())
            });
        });
        for (solver_name, solver, _) in solvers() {
            let config = config(solver, steps);
            group.bench_function(name(solver_name), |bencher| {
                bencher.iter(|| {
                    let solution = config.solve(map, start.clone()).expect("a valid solve");
                    black_box(solution.stats.steps)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, step, overhead);
criterion_main!(benches);
