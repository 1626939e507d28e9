//! What a map that knows its transpose saves an adjoint solve.
//!
//! `cargo bench --manifest-path benchmarks/Cargo.toml --bench adjoint`
//!
//! The backward pass of an implicit gradient with ten Picard steps, on two maps: `tanh(zW + x)` at
//! batch 64 and 1024 features, and the graph map `relu(A z W + x)` at 10,000 nodes, 100,000 edges
//! and 32 features. `autodiff` evaluates the map and its backward pass for each product,
//! `transpose` the map's own. The solve itself is skipped, and one tracked evaluation precedes the
//! backward pass in both.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use deq_benchmarks::noise;
use deq_implicit::{CallOptions, DeqConfig, EquilibriumMap, Gradient, Transpose};
use deq_solvers::{Finish, SolveConfig};

const STEPS: usize = 10;
const FEATURES: usize = 1024;
const BATCH: usize = 64;
const NODES: usize = 10_000;
const EDGES: usize = 100_000;
const CHANNELS: usize = 32;

/// z = tanh(z W + x).
#[derive(Clone)]
struct Tanh;
type TanhArgs = (Tensor<2>, Tensor<2>);

impl EquilibriumMap<TanhArgs, Tensor<2>> for Tanh {
    fn forward(&self, (w, x): &TanhArgs, z: Tensor<2>) -> Tensor<2> {
        (z.matmul(w.clone()) + x.clone()).tanh()
    }

    fn transpose(&self, args: &TanhArgs, z: &Tensor<2>) -> Option<Transpose<Tensor<2>>> {
        let image = self.forward(args, z.clone());
        let slope = image.square().neg().add_scalar(1.0);
        let w = args.0.clone().transpose();
        Some(Box::new(move |u| (u * slope.clone()).matmul(w.clone())))
    }
}

/// z = relu(A z W + x) with a sparse A, its edges from the first list to the second.
#[derive(Clone)]
struct Graph;
type GraphArgs = (Tensor<2>, Tensor<2>, Tensor<1, Int>, Tensor<1, Int>);

fn propagate(z: Tensor<2>, from: &Tensor<1, Int>, to: &Tensor<1, Int>) -> Tensor<2> {
    let messages = z.clone().select(0, from.clone()) * (NODES as f64 / EDGES as f64);
    z.zeros_like()
        .select_assign(0, to.clone(), messages, IndexingUpdateOp::Add)
}

impl EquilibriumMap<GraphArgs, Tensor<2>> for Graph {
    fn forward(&self, (w, x, from, to): &GraphArgs, z: Tensor<2>) -> Tensor<2> {
        let sum = propagate(z.matmul(w.clone()), from, to) + x.clone();
        burn::tensor::activation::relu(sum)
    }

    fn transpose(&self, args: &GraphArgs, z: &Tensor<2>) -> Option<Transpose<Tensor<2>>> {
        let inactive = self.forward(args, z.clone()).lower_equal_elem(0.0);
        let (w, _, from, to) = args.clone();
        let w = w.transpose();
        Some(Box::new(move |u: Tensor<2>| {
            let u = u.mask_fill(inactive.clone(), 0.0);
            propagate(u, &to, &from).matmul(w.clone())
        }))
    }
}

fn layer() -> DeqConfig {
    let mut backward = SolveConfig::default()
        .with_tolerance(0.0)
        .with_max_iter(STEPS);
    backward.termination.finish = Finish::Final;
    DeqConfig::default().with_gradient(Gradient::implicit_with(backward))
}

/// Times the backward pass alone.
fn backward<A>(
    criterion: &mut Criterion,
    name: &str,
    device: &Device,
    args: &A,
    start: &Tensor<2>,
    map: impl EquilibriumMap<A, Tensor<2>> + Clone,
) where
    A: burn::module::Module + 'static,
{
    let deq = layer().init().expect("a valid layer");
    let forward = || {
        let options = CallOptions {
            max_iter: Some(0),
            ..Default::default()
        };
        let solved = deq.solve_map(options, args, start.clone(), map.clone());
        solved.expect("a valid solve").into_last().sum()
    };
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            forward,
            |loss| {
                black_box(loss.backward());
                device.sync().expect("the device answers");
            },
            BatchSize::SmallInput,
        );
    });
}

fn tanh(criterion: &mut Criterion) {
    for device in deq_devices::all() {
        let autodiff = device.clone().autodiff();
        let w = noise([FEATURES; 2], 1, &autodiff) * (0.5 / (FEATURES as f64).sqrt());
        let args = (
            w.detach().require_grad(),
            noise([BATCH, FEATURES], 2, &autodiff),
        );
        let start = args.1.zeros_like();
        let name = |way| format!("tanh/{device:?}/{way}");
        let plain = |args: &TanhArgs, z| Tanh.forward(args, z);
        backward(criterion, &name("autodiff"), &device, &args, &start, plain);
        backward(criterion, &name("transpose"), &device, &args, &start, Tanh);
    }
}

fn graph(criterion: &mut Criterion) {
    for device in deq_devices::all() {
        let autodiff = device.clone().autodiff();
        let w = noise([CHANNELS; 2], 1, &autodiff) * (0.5 / (CHANNELS as f64).sqrt());
        let ends = |seed| {
            let ends = noise([1, EDGES], seed, &device).into_data();
            let node = |x: f64| ((x * 0.5 + 0.5) * NODES as f64) as i32 % NODES as i32;
            let ends: Vec<i32> = ends.iter::<f64>().map(node).collect();
            Tensor::<1, Int>::from_data(TensorData::new(ends, [EDGES]), &autodiff)
        };
        let x = noise([NODES, CHANNELS], 2, &autodiff);
        let start = x.zeros_like();
        let args = (w.detach().require_grad(), x, ends(3), ends(4));
        let name = |way| format!("graph/{device:?}/{way}");
        let plain = |args: &GraphArgs, z| Graph.forward(args, z);
        backward(criterion, &name("autodiff"), &device, &args, &start, plain);
        backward(criterion, &name("transpose"), &device, &args, &start, Graph);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = tanh, graph
}
criterion_main!(benches);
