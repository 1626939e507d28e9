//! Protein interactions in tissues: GraphSAGE's data (Hamilton, Ying and Leskovec, NeurIPS 2017).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::npy::Array;
use super::{Features, GraphData, Labels};
use crate::DataError;

/// The graphs of each part of the split. A node has several labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Ppi {
    /// For training: 20 tissues in the official data.
    pub train: Vec<GraphData>,
    /// For validation: 2 tissues.
    pub validation: Vec<GraphData>,
    /// For testing: 2 tissues.
    pub test: Vec<GraphData>,
}

/// NetworkX's node-link format.
#[derive(Deserialize)]
struct NodeLink {
    directed: bool,
    nodes: Vec<Node>,
    #[serde(alias = "edges")]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Node {
    id: u32,
    #[serde(default)]
    val: bool,
    #[serde(default)]
    test: bool,
}

#[derive(Deserialize)]
struct Link {
    source: u32,
    target: u32,
}

/// Reads one of the two layouts in which the data are given out:
///
/// - one graph a file, as the reference reads it: `{train,valid,test}_graph.json`,
///   `…_feats.npy`, `…_labels.npy` and `…_graph_id.npy`, of one row a node;
/// - GraphSAGE's own: `ppi-G.json` with `val` and `test` marks, `ppi-feats.npy`,
///   `ppi-class_map.json` and `ppi-id_map.json`. It does not say which tissue a node belongs to, so
///   each part is one graph of parts without edges in between; edges from one part of the split
///   to another are left out.
///
/// # Errors
/// [`DataError`] naming the file and what is wrong with it: missing, damaged, an edge to a node
/// that does not exist or to another graph, files that do not fit together.
pub fn open(folder: &Path) -> Result<Ppi, DataError> {
    if folder.join("ppi-G.json").exists() {
        return open_joined(folder);
    }
    Ok(Ppi {
        train: open_part(folder, "train")?,
        validation: open_part(folder, "valid")?,
        test: open_part(folder, "test")?,
    })
}

fn open_part(folder: &Path, part: &str) -> Result<Vec<GraphData>, DataError> {
    let graph_path = folder.join(format!("{part}_graph.json"));
    let link: NodeLink = json(&graph_path)?;
    let rows = link.nodes.len();
    let features = matrix(&folder.join(format!("{part}_feats.npy")), rows)?;
    let labels = matrix(&folder.join(format!("{part}_labels.npy")), rows)?;
    let ids_path = folder.join(format!("{part}_graph_id.npy"));
    let ids = Array::open(&ids_path)?.indices();
    let ids = ids.map_err(|reason| DataError::format(&ids_path, "npy", reason))?;
    if ids.len() != rows {
        let reason = format!("it has {} rows for {rows} nodes", ids.len());
        return Err(DataError::format(&ids_path, "npy", reason));
    }
    // The rows of each graph, in the order of the files.
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (row, &id) in ids.iter().enumerate() {
        members.entry(id).or_default().push(row);
    }
    let order: Vec<u32> = members.keys().copied().collect();
    let group: Vec<usize> = ids
        .iter()
        .map(|id| order.partition_point(|other| other < id))
        .collect();
    let edges = edges(
        &graph_path,
        &link,
        rows,
        |node| group[node],
        members.len(),
        false,
    )?;
    let rows_of: Vec<Vec<usize>> = members.into_values().collect();
    Ok(assemble(&rows_of, edges, &features, &labels))
}

fn open_joined(folder: &Path) -> Result<Ppi, DataError> {
    let graph_path = folder.join("ppi-G.json");
    let link: NodeLink = json(&graph_path)?;
    let nodes = link.nodes.len();
    let features = matrix(&folder.join("ppi-feats.npy"), nodes)?;
    let ids_path = folder.join("ppi-id_map.json");
    let id_map: BTreeMap<String, usize> = json(&ids_path)?;
    let classes_path = folder.join("ppi-class_map.json");
    let class_map: BTreeMap<String, Vec<u8>> = json(&classes_path)?;
    let broken = |path: &Path, reason: String| DataError::format(path, "PPI", reason);

    // Where each node id stands in the files.
    let mut row_of_id = vec![None; nodes];
    let mut part_of_row = vec![None; nodes];
    let width = class_map.values().next().map_or(0, Vec::len);
    let mut labels = (width, vec![0.0; nodes * width]);
    for node in &link.nodes {
        let key = node.id.to_string();
        let row = id_map.get(&key).copied().filter(|&row| row < nodes);
        let row = row.ok_or_else(|| {
            broken(
                &ids_path,
                format!("node {key} has no row, or one beyond the {nodes} there are"),
            )
        })?;
        let classes = class_map.get(&key).filter(|classes| classes.len() == width);
        let classes = classes.ok_or_else(|| {
            broken(
                &classes_path,
                format!("node {key} has no list of {width} labels"),
            )
        })?;
        for (slot, &label) in labels.1[row * width..].iter_mut().zip(classes) {
            *slot = f64::from(label);
        }
        let Some(slot) = row_of_id.get_mut(node.id as usize) else {
            return Err(broken(
                &graph_path,
                format!("node {key}, but there are {nodes} nodes"),
            ));
        };
        if slot.replace(row).is_some() || part_of_row[row].is_some() {
            return Err(broken(
                &graph_path,
                format!("node {key} or its row is listed twice"),
            ));
        }
        part_of_row[row] = Some(match (node.val, node.test) {
            (_, true) => 2,
            (true, false) => 1,
            (false, false) => 0,
        });
    }
    // Every row has been given out once.
    let part_of_row: Vec<usize> = part_of_row.into_iter().flatten().collect();
    let row_of_id: Vec<usize> = row_of_id.into_iter().flatten().collect();
    let links = link.links.iter().map(|link| {
        let row = |id: u32| {
            row_of_id
                .get(id as usize)
                .map_or(u32::MAX, |&row| row as u32)
        };
        Link {
            source: row(link.source),
            target: row(link.target),
        }
    });
    let in_rows = NodeLink {
        directed: link.directed,
        links: links.collect(),
        nodes: Vec::new(),
    };
    let edges = edges(
        &graph_path,
        &in_rows,
        nodes,
        |row| part_of_row[row],
        3,
        true,
    )?;
    let mut rows_of = vec![Vec::new(); 3];
    for (row, &part) in part_of_row.iter().enumerate() {
        rows_of[part].push(row);
    }
    let mut graphs = assemble(&rows_of, edges, &features, &labels).into_iter();
    let mut next = || {
        graphs
            .next()
            .into_iter()
            .filter(|graph| graph.num_nodes > 0)
            .collect()
    };
    Ok(Ppi {
        train: next(),
        validation: next(),
        test: next(),
    })
}

/// The edges of each group of rows, as rows, without loops. An edge between groups is left out or
/// an error.
fn edges(
    path: &Path,
    link: &NodeLink,
    rows: usize,
    group: impl Fn(usize) -> usize,
    groups: usize,
    leave_out: bool,
) -> Result<Vec<Vec<(u32, u32)>>, DataError> {
    let mut edges = vec![Vec::new(); groups];
    for (number, link_entry) in link.links.iter().enumerate() {
        let (from, to) = (link_entry.source, link_entry.target);
        let error =
            |reason: String| DataError::format(path, "PPI", format!("link {number}: {reason}"));
        if from.max(to) as usize >= rows {
            return Err(error(format!(
                "it goes to a node that does not exist: there are {rows} nodes"
            )));
        }
        let (start, end) = (group(from as usize), group(to as usize));
        if start != end {
            if leave_out {
                continue;
            }
            return Err(error(format!(
                "it goes from node {from} to node {to} of another graph"
            )));
        }
        if from == to {
            continue;
        }
        edges[start].push((from, to));
        if !link.directed {
            edges[start].push((to, from));
        }
    }
    for list in &mut edges {
        list.sort_unstable();
        list.dedup();
    }
    Ok(edges)
}

/// One graph for each group of rows, in its own numbers.
fn assemble(
    rows_of: &[Vec<usize>],
    edges: Vec<Vec<(u32, u32)>>,
    (width, features): &(usize, Vec<f64>),
    (labels, label_values): &(usize, Vec<f64>),
) -> Vec<GraphData> {
    let mut local = vec![0; features.len() / (*width).max(1)];
    for rows in rows_of {
        for (number, &row) in rows.iter().enumerate() {
            local[row] = number as u32;
        }
    }
    let graph = |(rows, edges): (&Vec<usize>, Vec<(u32, u32)>)| GraphData {
        num_nodes: rows.len(),
        edges: edges
            .into_iter()
            .map(|(from, to)| (local[from as usize], local[to as usize]))
            .collect(),
        features: Features::Dense {
            width: *width,
            values: rows
                .iter()
                .flat_map(|row| &features[row * width..(row + 1) * width])
                .map(|&value| value as f32)
                .collect(),
        },
        labels: Labels::Multi {
            labels: *labels,
            of_node: rows
                .iter()
                .flat_map(|row| &label_values[row * labels..(row + 1) * labels])
                .map(|&value| value > 0.5)
                .collect(),
        },
        splits: Vec::new(),
    };
    rows_of.iter().zip(edges).map(graph).collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    serde_json::from_slice(&bytes).map_err(|error| DataError::format(path, "JSON", error))
}

/// A matrix with one row a node: its width and values.
fn matrix(path: &Path, rows: usize) -> Result<(usize, Vec<f64>), DataError> {
    let array = Array::open(path)?;
    match array.shape.as_slice() {
        &[found, width] if found == rows && width > 0 => Ok((width, array.values)),
        shape => {
            let reason = format!("its shape is {shape:?}, but {rows} rows are needed");
            Err(DataError::format(path, "npy", reason))
        }
    }
}
