//! Time of IGNN's sparse propagation against the number of edges.
//!
//! `cargo bench --manifest-path benchmarks/Cargo.toml --bench propagation`
//!
//! Random graphs of 10⁴, 10⁵ and 10⁶ edges with a tenth as many nodes and 64 features: the
//! throughput is edges a second, and should not fall.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deq_benchmarks::noise;
use ignn::{Adjacency, Graph};

const FEATURES: usize = 64;

fn propagation(criterion: &mut Criterion) {
    for device in deq_devices::all() {
        let mut group = criterion.benchmark_group(format!("propagation/{device:?}"));
        for edges in [10_000_usize, 100_000, 1_000_000] {
            let nodes = edges / 10;
            let ends = noise([2, edges], 1, &device).into_data();
            let node = |x: f32| ((x * 0.5 + 0.5) * nodes as f32) as u32 % nodes as u32;
            let ends: Vec<u32> = ends.iter::<f32>().map(node).collect();
            let (from, to) = ends.split_at(edges);
            let list: Vec<(u32, u32)> = from.iter().copied().zip(to.iter().copied()).collect();
            let graph = Graph::new(nodes, &list).expect("edges between nodes");
            let adjacency = Adjacency::new(graph, &device);
            let rows = noise([nodes, FEATURES], 2, &device);
            group.throughput(Throughput::Elements(edges as u64));
            group.bench_function(BenchmarkId::from_parameter(edges), |bencher| {
                bencher.iter(|| {
                    black_box(adjacency.propagate(rows.clone()));
                    device.sync().expect("the device answers");
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = propagation
}
criterion_main!(benches);
