//! Graphs: propagation against dense matrices, spectral radii, batches, and what is refused.

use burn::tensor::{Device, Tensor, TensorData};
use ignn::{Adjacency, Graph, GraphBatch, GraphError, IgnnError};

/// A directed graph of six nodes with a loop, a repeated edge and an isolated node.
fn graph() -> Graph {
    let edges = [(0, 1), (1, 2), (2, 0), (0, 2), (3, 3), (4, 1), (0, 1)];
    let weights = [0.5, -1.0, 2.0, 0.25, 1.5, 3.0, 0.75];
    Graph::weighted(6, &edges, &weights).expect("a valid graph")
}

fn dense(graph: &Graph, device: &Device) -> Tensor<2> {
    let nodes = graph.nodes();
    let mut values = vec![0.0f32; nodes * nodes];
    for (&(from, to), &weight) in graph.edges().iter().zip(graph.weights()) {
        values[from as usize * nodes + to as usize] += weight;
    }
    Tensor::from_data(TensorData::new(values, [nodes, nodes]), device)
}

fn rows(nodes: usize, features: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..nodes * features)
        .map(|i| ((i * 37 % 19) as f32 - 9.0) / 7.0)
        .collect();
    Tensor::from_data(TensorData::new(values, [nodes, features]), device)
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(found: Tensor<2>, expected: Tensor<2>) {
    assert_eq!(found.dims(), expected.dims());
    for (found, expected) in values(found).into_iter().zip(values(expected)) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn propagation_is_a_product_with_the_matrix() {
    for device in deq::devices::all() {
        for graph in [graph(), graph().normalised().expect("degrees are positive")] {
            let y = rows(6, 3, &device);
            let expected = dense(&graph, &device).transpose().matmul(y.clone());
            close(Adjacency::new(graph, &device).propagate(y), expected);
        }
        let unit = Graph::undirected(4, &[(0, 1), (1, 2), (2, 2)]).expect("a valid graph");
        let y = rows(4, 5, &device);
        let expected = dense(&unit, &device).transpose().matmul(y.clone());
        close(Adjacency::new(unit, &device).propagate(y), expected);
        let none = Graph::new(3, &[]).expect("a valid graph");
        let zeros = Tensor::zeros([3, 2], &device);
        close(
            Adjacency::new(none, &device).propagate(rows(3, 2, &device)),
            zeros,
        );
    }
}

#[test]
fn its_gradient_is_the_product_with_the_transpose() {
    for device in deq::devices::all() {
        // On the plain device, as a constant beside tracked features.
        let adjacency = Adjacency::new(graph(), &device);
        let device_ad = device.clone().autodiff();
        let y = rows(6, 3, &device_ad).require_grad();
        let cotangent = rows(6, 3, &device_ad) * 0.3 + 0.1;
        let loss = (adjacency.propagate(y.clone()) * cotangent.clone()).sum();
        let gradients = loss.backward();
        let found = y.grad(&gradients).expect("a gradient");
        close(found, dense(&graph(), &device).matmul(cotangent.inner()));
    }
}

#[test]
fn spectral_radii_have_closed_forms() {
    let radius = |nodes, edges: &[(u32, u32)]| {
        let graph = Graph::undirected(nodes, edges).expect("a valid graph");
        graph.spectral_radius()
    };
    // A path of n nodes: 2 cos(π / (n + 1)). A cycle: 2. A star: the root of its rays.
    let path: Vec<(u32, u32)> = (0..9).map(|i| (i, i + 1)).collect();
    let expected = 2.0 * (std::f64::consts::PI / 11.0).cos();
    assert!((radius(10, &path) - expected).abs() < 1e-8);
    let cycle: Vec<(u32, u32)> = (0..7).map(|i| (i, (i + 1) % 7)).collect();
    assert!((radius(7, &cycle) - 2.0).abs() < 1e-8);
    let star: Vec<(u32, u32)> = (1..10).map(|i| (0, i)).collect();
    assert!((radius(10, &star) - 3.0).abs() < 1e-8);
    // The largest of several parts; edges between them that do not return do not count.
    let directed = Graph::new(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (3, 2)]).expect("valid");
    assert!((directed.spectral_radius() - 1.0).abs() < 1e-8);
    // A triangular matrix has its diagonal as eigenvalues.
    let chain = Graph::new(3, &[(0, 1), (1, 2)]).expect("valid");
    assert!(chain.spectral_radius().abs() < 1e-12);
    let chain = chain.normalised().expect("degrees are positive");
    assert!((chain.spectral_radius() - 1.0).abs() < 1e-6);
    // Of the absolute weights: a cycle with the product 6 has the cube root of it.
    let cycle = Graph::weighted(3, &[(0, 1), (1, 2), (2, 0)], &[1.0, -2.0, 3.0]).expect("valid");
    assert!((cycle.spectral_radius() - 6f64.cbrt()).abs() < 1e-8);
    assert!(
        (Adjacency::new(cycle.clone(), &deq::devices::all()[0]).spectral_radius()
            - cycle.spectral_radius())
        .abs()
            < 1e-15
    );
}

#[test]
fn edges_are_joined_and_normalised() {
    let graph = Graph::new(3, &[(0, 1), (2, 1), (0, 1)]).expect("valid");
    assert_eq!(graph.edges(), [(0, 1), (2, 1)]);
    assert_eq!(graph.weights(), [2.0, 1.0]);
    let both = Graph::undirected(3, &[(0, 1), (1, 0), (2, 2)]).expect("valid");
    assert_eq!(both.edges(), [(1, 0), (0, 1), (2, 2)]);
    assert_eq!(both.weights(), [1.0; 3]);

    // Degrees with loops: 3, 1, 2.
    let normalised = graph.normalised().expect("degrees are positive");
    let expected = [
        ((0, 0), 1.0 / 3.0),
        ((0, 1), 2.0 / 3f32.sqrt()),
        ((1, 1), 1.0),
        ((2, 1), 1.0 / 2f32.sqrt()),
        ((2, 2), 0.5),
    ];
    assert_eq!(normalised.edges().len(), expected.len());
    let found = normalised.edges().iter().zip(normalised.weights());
    for ((edge, weight), (expected_edge, expected)) in found.zip(expected) {
        assert_eq!(*edge, expected_edge);
        assert!((weight - expected).abs() < 1e-6);
    }
}

#[test]
fn a_batch_keeps_its_graphs_apart() {
    for device in deq::devices::all() {
        let small = Graph::undirected(2, &[(0, 1)]).expect("valid");
        let batch = GraphBatch::new(&[graph(), small.clone()], &device).expect("a batch");
        assert_eq!((batch.graphs(), batch.nodes()), (2, 8));
        let y = rows(8, 3, &device);
        let together = batch.adjacency.propagate(y.clone());
        let first = Adjacency::new(graph(), &device).propagate(y.clone().narrow(0, 0, 6));
        let second = Adjacency::new(small, &device).propagate(y.clone().narrow(0, 6, 2));
        close(together, Tensor::cat(vec![first, second], 0));

        let pooled = batch.pool(y.clone()).expect("as many rows as nodes");
        let first = y.clone().narrow(0, 0, 6).sum_dim(0);
        let second = y.clone().narrow(0, 6, 2).sum_dim(0);
        let expected = Tensor::cat(vec![first, second], 0);
        close(pooled, expected.clone());

        let joined = batch.adjacency.graph().clone();
        let again = GraphBatch::from_joined(joined.clone(), &[0, 0, 0, 0, 0, 0, 1, 1], &device);
        close(again.expect("a batch").pool(y).expect("rows"), expected);
        let short = GraphBatch::from_joined(joined, &[0, 1], &device);
        assert!(matches!(
            short.err(),
            Some(IgnnError::Mismatch {
                expected: 8,
                found: 2,
                ..
            })
        ));
        let wrong = batch.pool(rows(7, 3, &device));
        assert!(matches!(wrong.err(), Some(IgnnError::Mismatch { .. })));
    }
}

#[test]
fn what_is_no_graph_is_refused() {
    assert!(matches!(
        Graph::new(0, &[]).err(),
        Some(GraphError::Empty(..))
    ));
    let missing = Graph::new(3, &[(0, 1), (1, 3)]).err();
    assert_eq!(
        missing,
        Some(GraphError::MissingNode {
            edge: 1,
            from: 1,
            to: 3,
            last: 2
        })
    );
    assert!(matches!(
        Graph::undirected(3, &[(0, 1), (4, 1)]).err(),
        Some(GraphError::MissingNode { edge: 1, .. })
    ));
    assert!(matches!(
        Graph::weighted(3, &[(0, 1)], &[]).err(),
        Some(GraphError::WeightCount {
            edges: 1,
            weights: 0
        })
    ));
    assert!(matches!(
        Graph::weighted(3, &[(0, 1)], &[f32::NAN]).err(),
        Some(GraphError::NotFinite(0))
    ));
    let negative = Graph::weighted(2, &[(1, 0)], &[-1.5]).expect("valid");
    assert!(matches!(
        negative.normalised().err(),
        Some(GraphError::NegativeDegree(1))
    ));
    assert!(matches!(
        Graph::join(&[]).err(),
        Some(GraphError::Empty(..))
    ));
}
