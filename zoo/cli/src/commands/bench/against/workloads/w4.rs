//! W4: an implicit layer on a graph, with the zoo's propagation along its edges.

use anyhow::Result;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq::implicit::Prepared;
use deq_kernels::{Activation, Entry, PackedLinear, SparseMatrix, layers};
use ignn::{Adjacency, Graph};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::layers::transposed;
use crate::commands::bench::against::files::Arrays;

/// $\lVert W \rVert_\infty$, with an adjacency of radius 1.
const RATE: f64 = 0.9;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) nodes: usize,
    /// Edges drawn at random, both ways each. Repeated ones count once; loops are added.
    pub(super) edges: usize,
    pub(super) inputs: usize,
    pub(super) hidden: usize,
}

/// $Z = \mathrm{ReLU}(A Z W^\top + X \Omega^\top)$, all nodes being one sample, with
/// $A = D^{-1/2} (\text{edges} + I) D^{-1/2}$.
pub(super) struct Nodes {
    weights: Weights,
    edges: Edges,
    x: Tensor<2>,
    cotangent: Tensor<3>,
}

/// $A$, for devices with and without a kernel for sparse products.
#[derive(Module, Debug)]
pub(super) struct Edges {
    #[module(skip)]
    matrix: SparseMatrix,
    adjacency: Adjacency,
}

#[derive(Module, Debug)]
pub(super) struct Weights {
    w: Linear,
    omega: Linear,
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Result<Arrays> {
    let Sizes {
        nodes,
        inputs,
        hidden,
        ..
    } = *sizes;
    let mut draw = Draw::new(4);
    let mut arrays = Arrays::new(settings);
    draw_graph(&mut arrays, &mut draw, nodes, sizes.edges)?;
    let mut w = Vec::with_capacity(hidden * hidden);
    for _ in 0..hidden {
        // Mostly positive, so that the spectral radius is not far below the bound.
        let mut number = || draw.unit() * if draw.unit() < 0.125 { -1.0 } else { 1.0 };
        let row: Vec<f64> = (0..hidden).map(|_| number()).collect();
        let scale = RATE / row.iter().map(|value| value.abs()).sum::<f64>();
        w.extend(row.into_iter().map(|value| (value * scale) as f32));
    }
    arrays.insert("w", &[hidden, hidden], w);
    let deviation = 1.0 / (inputs as f64).sqrt();
    let omega = draw.normal(hidden * inputs, deviation);
    arrays.insert("omega", &[hidden, inputs], omega);
    arrays.insert("x", &[nodes, inputs], draw.normal(nodes * inputs, 1.0));
    let cotangent = draw.normal(nodes * hidden, 1.0);
    arrays.insert("cotangent", &[1, nodes, hidden], cotangent);
    Ok(arrays)
}

/// Draws a graph, and adds its normalised adjacency as compressed rows.
pub(super) fn draw_graph(
    arrays: &mut Arrays,
    draw: &mut Draw,
    nodes: usize,
    edges: usize,
) -> Result<()> {
    let mut node = || draw.index(nodes) as u32;
    let edges: Vec<(u32, u32)> = (0..edges).map(|_| (node(), node())).collect();
    // Loops among them would count double with those that the normalisation adds.
    let edges: Vec<(u32, u32)> = edges.into_iter().filter(|(from, to)| from != to).collect();
    let graph = Graph::undirected(nodes, &edges)?.normalised()?;
    // Edges are in the order of the node they end at; the matrix is symmetric.
    let mut starts = vec![0; nodes + 1];
    for &(_, to) in graph.edges() {
        starts[to as usize + 1] += 1;
    }
    for row in 0..nodes {
        starts[row + 1] += starts[row];
    }
    let columns = graph.edges().iter().map(|&(from, _)| from as i32);
    arrays.insert_integers("indices", columns.collect());
    arrays.insert_integers("indptr", starts);
    let values = graph.weights();
    arrays.insert("values", &[values.len()], values.to_vec());
    Ok(())
}

/// The number of nodes of a file's graph, and the entries of its matrix.
fn entries(arrays: &Arrays) -> Result<(usize, Vec<Entry>)> {
    let starts = arrays.integers("indptr")?;
    let columns = arrays.integers("indices")?;
    let (_, values) = arrays.floats("values")?;
    let mut entries = Vec::with_capacity(columns.len());
    for (row, bounds) in starts.windows(2).enumerate() {
        for at in bounds[0] as usize..bounds[1] as usize {
            entries.push((row as u32, columns[at] as u32, f64::from(values[at])));
        }
    }
    Ok((starts.len() - 1, entries))
}

/// The adjacency of a file.
pub(super) fn adjacency(arrays: &Arrays, device: &Device) -> Result<Adjacency> {
    let (nodes, entries) = entries(arrays)?;
    let edges = entries.iter().map(|&(row, column, _)| (column, row));
    let values = entries.iter().map(|&(_, _, value)| value as f32);
    let (edges, values): (Vec<_>, Vec<_>) = (edges.collect(), values.collect());
    let graph = Graph::weighted(nodes, &edges, &values)?;
    Ok(Adjacency::new(graph, device))
}

impl Edges {
    fn load(arrays: &Arrays, device: &Device) -> Result<Self> {
        let (nodes, entries) = entries(arrays)?;
        Ok(Self {
            matrix: SparseMatrix::new([nodes; 2], &entries),
            adjacency: adjacency(arrays, device)?,
        })
    }

    /// $\mathrm{ReLU}(A Z W^\top + B)$.
    fn forward(&self, z: Tensor<2>, w: &PackedLinear, addend: Tensor<2>) -> Tensor<2> {
        let relu = Some(Activation::Relu);
        let elsewhere = |z: Tensor<2>| self.adjacency.propagate(z);
        self.matrix
            .multiply_linear_or(z, w, addend, relu, elsewhere)
    }
}

impl Nodes {
    pub(super) fn load(arrays: &Arrays, device: &Device) -> Result<Self> {
        let linear = |name: &str| -> Result<Linear> {
            Ok(Linear {
                weight: transposed(arrays, name, device)?,
                bias: None,
            })
        };
        Ok(Self {
            weights: Weights {
                w: linear("w")?,
                omega: linear("omega")?,
            },
            edges: Edges::load(arrays, device)?,
            x: arrays.tensor("x", device)?,
            cotangent: arrays.tensor("cotangent", device)?,
        })
    }
}

impl Equilibrium for Nodes {
    type Weights = Weights;
    type Args = (Linear, Tensor<2>, Edges);
    type State = Tensor<3>;

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn args(&self) -> Self::Args {
        let injection = layers::linear(&self.weights.omega, self.x.clone(), None);
        (self.weights.w.clone(), injection, self.edges.clone())
    }

    fn start(&self) -> Tensor<3> {
        self.cotangent.zeros_like()
    }

    fn prepare((w, injection, edges): &Self::Args) -> Prepared<'_, Tensor<3>> {
        let w = PackedLinear::of(w);
        Box::new(move |z: Tensor<3>| {
            let [_, nodes, hidden] = z.dims();
            let z: Tensor<2> = z.reshape([nodes, hidden]);
            let rows = edges.forward(z, &w, injection.clone());
            rows.reshape([1, nodes, hidden])
        })
    }

    fn loss(&self, z: Tensor<3>) -> Tensor<1> {
        (z * self.cotangent.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::assert_prepared;
    use crate::commands::bench::against::workloads::host::{assert_close, linear, wide};

    const TINY: Sizes = Sizes {
        nodes: 7,
        edges: 9,
        inputs: 4,
        hidden: 3,
    };

    /// The matrix with its zeros.
    fn dense(arrays: &Arrays) -> Vec<Vec<f64>> {
        let starts = arrays.integers("indptr").expect("rows");
        let columns = arrays.integers("indices").expect("columns");
        let values = wide(arrays, "values");
        let mut matrix = vec![vec![0.0; TINY.nodes]; TINY.nodes];
        for (row, bounds) in starts.windows(2).enumerate() {
            for at in bounds[0] as usize..bounds[1] as usize {
                matrix[row][columns[at] as usize] += values[at];
            }
        }
        matrix
    }

    #[test]
    fn the_map_is_the_formula() {
        let arrays = draw(&TINY, Value::Null).expect("a graph");
        let rows = linear(&arrays, "w", None, &wide(&arrays, "cotangent"));
        let injection = linear(&arrays, "omega", None, &wide(&arrays, "x"));
        let matrix = dense(&arrays);
        let mut expected = Vec::new();
        for (node, neighbours) in matrix.iter().enumerate() {
            for i in 0..TINY.hidden {
                let terms = neighbours.iter().enumerate();
                let sum: f64 = terms.map(|(k, a)| a * rows[k * TINY.hidden + i]).sum();
                expected.push((sum + injection[node * TINY.hidden + i]).max(0.0));
            }
        }
        for device in deq::devices::all() {
            let nodes = Nodes::load(&arrays, &device).expect("arrays that fit");
            let image = Nodes::map(&nodes.args(), nodes.cotangent.clone());
            assert_close(image, &expected);
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&TINY, Value::Null).expect("a graph");
        for device in deq::devices::all() {
            let nodes = Nodes::load(&arrays, &device).expect("arrays that fit");
            assert_prepared(&nodes, &nodes.cotangent);
        }
    }

    #[test]
    fn the_map_contracts() {
        let arrays = draw(&TINY, Value::Null).expect("a graph");
        let matrix = dense(&arrays);
        let degree = |row: usize| matrix[row].iter().filter(|a| **a != 0.0).count() as f64;
        for (row, entries) in matrix.iter().enumerate() {
            assert!(entries[row] > 0.0, "every node has a loop");
            for (column, &entry) in entries.iter().enumerate() {
                assert_eq!(entry, matrix[column][row]);
                let expected = 1.0 / (degree(row) * degree(column)).sqrt();
                assert!(entry == 0.0 || (entry - expected).abs() < 1e-6);
            }
        }
        for row in wide(&arrays, "w").chunks_exact(TINY.hidden) {
            let norm: f64 = row.iter().map(|value| value.abs()).sum();
            assert!((norm - RATE).abs() < 1e-6, "{norm}");
        }
    }
}
