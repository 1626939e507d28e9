//! Sets of graphs in the layout of TU Dortmund's collection (Morris et al., 2020).

use std::path::Path;

use super::lines::Lines;
use super::{Features, GraphData, GraphSet, Labels};
use crate::DataError;

const KIND: &str = "TU";

/// Reads `<folder>/<name>/<name>_{A,graph_indicator,graph_labels}.txt` and, where they are there,
/// `_node_labels.txt` and `_node_attributes.txt`: MUTAG, PROTEINS, NCI1 and so on.
///
/// A node's features are its label, one-hot over the range of all labels; without labels its
/// attributes; without both its number of in-edges. `attributes` puts the attributes in front of
/// the labels. Edges are directed, as in the file, which has both directions.
///
/// # Errors
/// [`DataError`] naming the file, the line and what is wrong with it: missing, damaged, another
/// number of lines than there are nodes or graphs, an edge to a node that does not exist or to
/// another graph; and [`DataError::Request`] for `attributes` where there are none.
pub fn open(folder: &Path, name: &str, attributes: bool) -> Result<GraphSet, DataError> {
    let path = |part: &str| folder.join(name).join(format!("{name}_{part}.txt"));
    let optional = |part: &str| {
        let path = path(part);
        if path.exists() {
            Lines::open(&path, KIND).map(Some)
        } else {
            Ok(None)
        }
    };

    let classes_file = Lines::open(&path("graph_labels"), KIND)?;
    let graph_labels: Vec<i64> = classes_file.column()?;
    let mut distinct = graph_labels.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let labels: Vec<u32> = graph_labels
        .iter()
        .map(|label| distinct.partition_point(|other| other < label) as u32)
        .collect();
    if labels.is_empty() {
        return Err(classes_file.broken("it lists no graph"));
    }

    let indicator = Lines::open(&path("graph_indicator"), KIND)?;
    let sizes = graph_sizes(&indicator, labels.len())?;
    let nodes = sizes.iter().sum();
    let mut edges = edges(&Lines::open(&path("A"), KIND)?, &sizes)?;

    let node_labels = match optional("node_labels")? {
        Some(file) => Some(one_hot(&file, nodes)?),
        None => None,
    };
    let node_attributes = match optional("node_attributes")? {
        Some(file) if attributes || node_labels.is_none() => Some(table(&file, nodes)?),
        _ => None,
    };
    if attributes && node_attributes.is_none() {
        return Err(DataError::Request(format!(
            "{name} has no node attributes: {} is missing",
            path("node_attributes").display()
        )));
    }
    let (width, values) = match (node_attributes, node_labels) {
        (Some(first), Some(second)) => side_by_side(&first, &second, nodes),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => (1, in_degrees(&edges, &sizes)),
    };

    let mut graphs = Vec::with_capacity(sizes.len());
    let mut first = 0;
    for (graph, &size) in sizes.iter().enumerate() {
        graphs.push(GraphData {
            num_nodes: size,
            edges: std::mem::take(&mut edges[graph]),
            features: Features::Dense {
                width,
                values: values[first * width..(first + size) * width].to_vec(),
            },
            labels: Labels::None,
            splits: Vec::new(),
        });
        first += size;
    }
    Ok(GraphSet {
        graphs,
        classes: distinct.len(),
        labels,
    })
}

/// The number of nodes of each graph.
fn graph_sizes(file: &Lines, graphs: usize) -> Result<Vec<usize>, DataError> {
    let mut sizes = vec![0; graphs];
    let mut last = 1;
    for (line, text) in file.iter() {
        let graph: usize = file.number(line, text)?;
        if graph < last {
            return Err(file.error(
                line,
                format!("graph {graph} after graph {last}: each graph's nodes must stand together"),
            ));
        }
        if graph > graphs {
            return Err(file.error(
                line,
                format!("graph {graph}, but there are {graphs} graph labels"),
            ));
        }
        last = graph;
        sizes[graph - 1] += 1;
    }
    match sizes.iter().position(|&size| size == 0) {
        Some(empty) => Err(file.broken(format!("graph {} has no node", empty + 1))),
        None => Ok(sizes),
    }
}

/// The edges of each graph, in its own numbers.
fn edges(file: &Lines, sizes: &[usize]) -> Result<Vec<Vec<(u32, u32)>>, DataError> {
    // The graph of each node, and its number within.
    let place: Vec<(usize, u32)> = sizes
        .iter()
        .enumerate()
        .flat_map(|(graph, &size)| (0..size as u32).map(move |node| (graph, node)))
        .collect();
    let mut edges = vec![Vec::new(); sizes.len()];
    for (line, text) in file.iter() {
        let (from, to): (usize, usize) = file.pair(line, text, ',')?;
        let found = |node: usize| node.checked_sub(1).and_then(|node| place.get(node));
        let (Some(&(graph, start)), Some(&(other, end))) = (found(from), found(to)) else {
            let reason = format!(
                "an edge from node {from} to node {to}, but there are {} nodes, counted from 1",
                place.len()
            );
            return Err(file.error(line, reason));
        };
        if graph != other {
            let reason = format!(
                "an edge from node {from} of graph {} to node {to} of graph {}",
                graph + 1,
                other + 1
            );
            return Err(file.error(line, reason));
        }
        edges[graph].push((start, end));
    }
    Ok(edges)
}

/// Labels as rows with a single 1, over the range from the smallest to the largest.
fn one_hot(file: &Lines, nodes: usize) -> Result<(usize, Vec<f32>), DataError> {
    let labels: Vec<i64> = file.column()?;
    counted(file, labels.len(), nodes)?;
    let (least, most) = labels.iter().fold((i64::MAX, i64::MIN), |(a, b), &label| {
        (a.min(label), b.max(label))
    });
    let range = most.abs_diff(least);
    if range >= 10_000 {
        return Err(file.broken(format!("labels from {least} to {most} are too far apart")));
    }
    let width = range as usize + 1;
    let mut values = vec![0.0; nodes * width];
    for (node, label) in labels.iter().enumerate() {
        values[node * width + label.abs_diff(least) as usize] = 1.0;
    }
    Ok((width, values))
}

/// Numbers with commas between, as many on every line.
fn table(file: &Lines, nodes: usize) -> Result<(usize, Vec<f32>), DataError> {
    let (mut width, mut rows, mut values) = (0, 0, Vec::new());
    for (line, text) in file.iter() {
        let before = values.len();
        for value in text.split(',') {
            values.push(file.number(line, value)?);
        }
        let found = values.len() - before;
        if rows == 0 {
            width = found;
        }
        if found != width {
            return Err(file.error(
                line,
                format!("{found} numbers, but the first line has {width}"),
            ));
        }
        rows += 1;
    }
    counted(file, rows, nodes)?;
    Ok((width, values))
}

fn counted(file: &Lines, found: usize, nodes: usize) -> Result<(), DataError> {
    if found == nodes {
        return Ok(());
    }
    Err(file.broken(format!(
        "it has {found} lines for {nodes} nodes: it is cut short or of another set"
    )))
}

fn side_by_side(
    (left_width, left): &(usize, Vec<f32>),
    (right_width, right): &(usize, Vec<f32>),
    nodes: usize,
) -> (usize, Vec<f32>) {
    let mut values = Vec::with_capacity(left.len() + right.len());
    for node in 0..nodes {
        values.extend_from_slice(&left[node * left_width..(node + 1) * left_width]);
        values.extend_from_slice(&right[node * right_width..(node + 1) * right_width]);
    }
    (left_width + right_width, values)
}

fn in_degrees(edges: &[Vec<(u32, u32)>], sizes: &[usize]) -> Vec<f32> {
    let mut degrees = Vec::new();
    for (edges, &size) in edges.iter().zip(sizes) {
        let first = degrees.len();
        degrees.resize(first + size, 0.0);
        for &(_, to) in edges {
            degrees[first + to as usize] += 1.0;
        }
    }
    degrees
}
