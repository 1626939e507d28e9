//! Propagation on a large graph: memory far below a dense adjacency's, and time that grows with
//! the edges (`cargo bench --manifest-path benchmarks/Cargo.toml --bench propagation`).
//!
//! Alone in its binary: the allocator counts everything the process does. It sees the CPU
//! backends; a GPU's memory is asked of its own pool.

#![allow(
    clippy::print_stdout,
    reason = "the measured bytes and seconds, for `cargo test --workspace --test scale -- --nocapture`"
)]

use std::time::Instant;

use burn::tensor::Tensor;
use ignn::{Adjacency, Graph, GraphBatch};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HOST: PeakAlloc = PeakAlloc;

const NODES: usize = 100_000;
const EDGES: [usize; 3] = [10_000, 100_000, 1_000_000];
const FEATURES: usize = 64;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Edges between nodes far apart, ten for each.
fn graph(edges: usize) -> Graph {
    let nodes = edges / 10;
    let node = |x: u64| (x % nodes as u64) as u32;
    let edges: Vec<(u32, u32)> = (0..edges as u64)
        .map(|i| (node(i), node(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20)))
        .collect();
    Graph::new(nodes, &edges).expect("edges between nodes")
}

#[test]
fn a_million_edges_take_less_than_a_gibibyte() {
    for edges in EDGES {
        let graph = graph(edges);
        let nodes = graph.nodes();
        let mut in_degree = vec![0.0_f32; nodes];
        for (&(_, to), &weight) in graph.edges().iter().zip(graph.weights()) {
            in_degree[to as usize] += weight;
        }
        for device in deq::devices::all() {
            let before = HOST.current_usage();
            HOST.reset_peak_usage();
            let adjacency = Adjacency::new(graph.clone(), &device);
            let rows = Tensor::<2>::ones([nodes, FEATURES], &device);
            let start = Instant::now();
            let sums = adjacency.propagate(rows);
            let column = sums.narrow(1, FEATURES - 1, 1).into_data();
            let seconds = start.elapsed().as_secs_f64();
            let column: Vec<f32> = column.iter::<f32>().collect();
            let pairs = column.iter().zip(&in_degree).enumerate();
            let wrong: Vec<_> = pairs
                .filter(|(_, (found, degree))| found != degree)
                .collect();
            assert!(
                wrong.is_empty() && column.len() == nodes,
                "{} of {nodes} sums are wrong on {device:?}, from {:?} on",
                wrong.len(),
                wrong.first()
            );
            let bytes = match device.memory_pool_usage() {
                Some(pool) => pool.bytes_reserved as f64,
                None => (HOST.peak_usage() - before) as f64,
            };
            println!(
                "{device:?}, {edges} edges: {seconds:.4} s, {:.3} GiB",
                bytes / GIB
            );
            assert!(bytes < GIB, "{bytes} bytes on {device:?}");
        }
    }
}

#[test]
fn a_graph_of_many_nodes_is_pooled_whole() {
    for device in deq::devices::all() {
        let graph = Graph::new(NODES, &[(0, 1)]).expect("a graph");
        let batch = GraphBatch::single(graph, &device);
        let sums = batch.pool(Tensor::<2>::ones([NODES, 2], &device));
        let sums: Vec<f32> = sums
            .expect("rows for nodes")
            .into_data()
            .iter::<f32>()
            .collect();
        assert_eq!(sums, [NODES as f32; 2], "on {device:?}");
    }
}
