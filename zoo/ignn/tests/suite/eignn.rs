//! The linear case against EIGNN's closed form (Liu et al., NeurIPS 2021, proposition 3.1).

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use deq::prelude::*;
use ignn::{Activation, Architecture, Graph, GraphBatch, IgnnConfig, Network, NodeNet};

const HIDDEN: usize = 4;
const NODES: usize = 7;
const GAMMA: f64 = 0.8;

type Matrix = Vec<Vec<f64>>;

/// The eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi rotations.
fn eigen(mut a: Matrix) -> (Vec<f64>, Matrix) {
    let n = a.len();
    let mut q: Matrix = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for _sweep in 0..60 {
        for p in 0..n {
            for r in p + 1..n {
                if a[p][r].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[r][r] - a[p][p]) / (2.0 * a[p][r]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in a.iter_mut().chain(&mut q) {
                    let (x, y) = (row[p], row[r]);
                    row[p] = c * x - s * y;
                    row[r] = s * x + c * y;
                }
                #[allow(clippy::needless_range_loop, reason = "two rows change together")]
                for k in 0..n {
                    let (x, y) = (a[p][k], a[r][k]);
                    a[p][k] = c * x - s * y;
                    a[r][k] = s * x + c * y;
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), q)
}

fn product(a: &[Vec<f64>], b: &[Vec<f64>]) -> Matrix {
    let entry = |row: &[f64], j: usize| -> f64 { row.iter().zip(b).map(|(x, r)| x * r[j]).sum() };
    a.iter()
        .map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect())
        .collect()
}

fn transpose(a: &[Vec<f64>]) -> Matrix {
    (0..a[0].len())
        .map(|j| a.iter().map(|row| row[j]).collect())
        .collect()
}

#[test]
fn the_linear_layer_converges_to_the_closed_form() {
    let edges = [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 6),
        (6, 0),
        (2, 6),
    ];
    let graph = Graph::undirected(NODES, &edges).expect("a valid graph");
    let graph = graph.normalised().expect("degrees are positive");
    let mut s = vec![vec![0.0; NODES]; NODES];
    for (&(from, to), &weight) in graph.edges().iter().zip(graph.weights()) {
        s[from as usize][to as usize] = f64::from(weight);
    }
    let number = |i: usize, j: usize| ((i * 31 + j * 17 + 5) % 23) as f64 / 11.0 - 1.0;
    let fill = |rows: usize, columns: usize| -> Matrix {
        (0..rows)
            .map(|i| (0..columns).map(|j| number(i, j)).collect())
            .collect()
    };
    let f = fill(HIDDEN, HIDDEN);
    let x = fill(HIDDEN, NODES);
    // g(F) = FᵀF / (‖FᵀF‖_F + 1e-12).
    let gram = product(&transpose(&f), &f);
    let norm = gram.iter().flatten().map(|v| v * v).sum::<f64>().sqrt() + 1e-12;
    let g: Matrix = gram
        .iter()
        .map(|row| row.iter().map(|v| v / norm).collect())
        .collect();

    // Z = Q_F (G ∘ (Q_Fᵀ X Q_S)) Q_Sᵀ with G_ij = 1 / (1 - γ λ_F,i λ_S,j).
    let (lambda_f, q_f) = eigen(g.clone());
    let (lambda_s, q_s) = eigen(s);
    let mut inner = product(&product(&transpose(&q_f), &x), &q_s);
    for (row, f) in inner.iter_mut().zip(&lambda_f) {
        for (value, s) in row.iter_mut().zip(&lambda_s) {
            *value /= 1.0 - GAMMA * f * s;
        }
    }
    let expected = product(&product(&q_f, &inner), &transpose(&q_s));

    let mut deq = DeqConfig::default()
        .with_max_iter(400)
        .with_tolerance(1e-13);
    deq.forward.termination.finish = Finish::Best;
    let config = IgnnConfig {
        architecture: Architecture::Node {
            normalise: false,
            dropout: 0.0,
        },
        inputs: NODES,
        hidden: HIDDEN,
        classes: 1,
        kappa: None,
        activation: Activation::Identity,
        norm: None,
        deq,
    };
    for device in deq::devices::double_precision() {
        let options = (&device, DType::F64);
        let tensor = |m: &Matrix| -> Tensor<2> {
            let shape = [m.len(), m[0].len()];
            Tensor::from_data(TensorData::new(m.concat(), shape), options)
        };
        let w: Matrix = g
            .iter()
            .map(|row| row.iter().map(|v| GAMMA * v).collect())
            .collect();
        let mut network: NodeNet = config.init(&device, 0).expect("a valid network");
        // With the identity as features, b = Ω₂ is X itself.
        network.ig1.W = Param::from_tensor(tensor(&w));
        network.ig1.Omega_1 = Param::from_tensor(Tensor::zeros([HIDDEN, NODES], options));
        network.ig1.Omega_2 = Param::from_tensor(tensor(&x));
        let identity: Matrix = (0..NODES)
            .map(|i| (0..NODES).map(|j| f64::from(u8::from(i == j))).collect())
            .collect();
        let batch = GraphBatch::single(graph.clone(), options);
        let layer = network.layers()[0];
        let solved = layer
            .forward(&batch.adjacency, tensor(&identity))
            .expect("a valid call");
        assert!(solved.stats.all_converged(), "{:?}", solved.stats);
        // The Jacobian is γ g(F) ⊗ S, whose eigenvalues are products.
        let largest = |values: &[f64]| values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let radius = GAMMA * largest(&lambda_f) * largest(&lambda_s);
        let (input, state) = (solved.input.clone(), solved.state.clone());
        let found = layer.jacobian_radius(&batch.adjacency, input, state, 400);
        assert!((found - radius).abs() < 1e-6, "{found} {radius}");
        let found: Vec<f64> = solved.state.into_data().iter::<f64>().collect();
        for (found, expected) in found.iter().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-11, "{found} {expected}");
        }
        // The graph matters: without it Z would be X.
        let moved = expected.iter().flatten().zip(x.iter().flatten());
        assert!(moved.map(|(z, x)| (z - x).abs()).fold(0.0, f64::max) > 0.1);
    }
}
