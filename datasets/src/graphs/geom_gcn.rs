//! Cornell, Texas, Wisconsin and film in Geom-GCN's layout (Pei et al., ICLR 2020).

use std::path::Path;

use super::lines::Lines;
use super::npy::Npz;
use super::{Features, GraphData, Labels, Split};
use crate::DataError;

const KIND: &str = "Geom-GCN";

/// Reads `new_data/<name>/out1_graph_edges.txt`, `new_data/<name>/out1_node_feature_label.txt` and
/// `splits/<name>_split_0.6_0.2_<k>.npz`, from k = 0 on as many as there are, in `folder`.
///
/// Edges are directed, as in the file. A node's features are numbers with commas between, or, when
/// the header says `feature_amount`, the places of its ones.
///
/// # Errors
/// [`DataError`] naming the file, the line and what is wrong with it: missing, damaged, another
/// number of features, a node that is listed twice or not at all, an edge to a node that does not
/// exist, masks that do not fit.
pub fn open(folder: &Path, name: &str) -> Result<GraphData, DataError> {
    let data = folder.join("new_data").join(name);
    let nodes = Lines::open(&data.join("out1_node_feature_label.txt"), KIND)?;
    let (num_nodes, features, of_node) = read_nodes(&nodes)?;
    let edges = Lines::open(&data.join("out1_graph_edges.txt"), KIND)?;
    let edges = read_edges(&edges, num_nodes)?;

    let mut splits = Vec::new();
    loop {
        let file = format!("{name}_split_0.6_0.2_{}.npz", splits.len());
        let path = folder.join("splits").join(file);
        if !splits.is_empty() && !path.exists() {
            break;
        }
        splits.push(read_split(&path, num_nodes)?);
    }
    let classes = of_node.iter().max().map_or(0, |&last| last as usize + 1);
    Ok(GraphData {
        num_nodes,
        edges,
        features,
        labels: Labels::Classes {
            classes,
            of_node: of_node.into_iter().map(Some).collect(),
        },
        splits,
    })
}

/// The number of nodes, their features and their classes.
fn read_nodes(file: &Lines) -> Result<(usize, Features, Vec<u32>), DataError> {
    let mut lines = file.iter();
    let Some((_, header)) = lines.next() else {
        return Err(file.broken("it is empty"));
    };
    let are_places = header.contains("feature_amount");
    let rows: Vec<(usize, &str)> = lines.collect();
    if rows.is_empty() {
        return Err(file.broken("it has a header and no node"));
    }
    let mut parsed: Vec<Option<(Vec<f32>, u32)>> = vec![None; rows.len()];
    let mut width = None;
    for &(line, text) in &rows {
        let fields: Vec<&str> = text.split('\t').collect();
        let &[node, features, label] = fields.as_slice() else {
            return Err(file.error(
                line,
                "a node, its features and its label, with tabs between, are needed",
            ));
        };
        let node: usize = file.number(line, node)?;
        let values = features
            .split(',')
            .map(|value| file.number(line, value))
            .collect::<Result<Vec<f32>, _>>()?;
        if are_places {
            if values
                .iter()
                .any(|&place| place < 0.0 || place.fract() != 0.0 || place > 1e6)
            {
                return Err(file.error(line, "a feature's place must be a whole number from 0"));
            }
        } else if *width.get_or_insert(values.len()) != values.len() {
            let first = width.unwrap_or_default();
            let reason = format!("{} features, but the first node has {first}", values.len());
            return Err(file.error(line, reason));
        }
        let label: u32 = file.number(line, label)?;
        if label as usize >= rows.len() {
            return Err(file.error(
                line,
                format!("label {label} is larger than there are nodes"),
            ));
        }
        match parsed.get_mut(node) {
            None => {
                let reason = format!("node {node}, but there are {} nodes", rows.len());
                return Err(file.error(line, reason));
            }
            Some(Some(_)) => return Err(file.error(line, format!("node {node} is listed twice"))),
            Some(slot) => *slot = Some((values, label)),
        }
    }
    // As many lines as nodes, none twice: all are there.
    let (values, labels): (Vec<Vec<f32>>, Vec<u32>) = parsed.into_iter().flatten().unzip();
    let features = if are_places {
        from_places(&values)
    } else {
        Features::Dense {
            width: width.unwrap_or_default(),
            values: values.concat(),
        }
    };
    Ok((labels.len(), features, labels))
}

/// Rows with ones at these places.
fn from_places(rows: &[Vec<f32>]) -> Features {
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for row in rows {
        let mut places: Vec<u32> = row.iter().map(|&place| place as u32).collect();
        places.sort_unstable();
        places.dedup();
        columns.extend(places);
        offsets.push(columns.len());
    }
    Features::Sparse {
        width: columns.iter().max().map_or(0, |&last| last as usize + 1),
        values: vec![1.0; columns.len()],
        offsets,
        columns,
    }
}

fn read_edges(file: &Lines, nodes: usize) -> Result<Vec<(u32, u32)>, DataError> {
    let mut edges = Vec::new();
    for (line, text) in file.iter().skip(1) {
        let (from, to): (u32, u32) = file.pair(line, text, '\t')?;
        if from.max(to) as usize >= nodes {
            let reason =
                format!("an edge from node {from} to node {to}, but there are {nodes} nodes");
            return Err(file.error(line, reason));
        }
        edges.push((from, to));
    }
    Ok(edges)
}

fn read_split(path: &Path, nodes: usize) -> Result<Split, DataError> {
    let mut npz = Npz::open(path)?;
    let mut mask = |name: &str| -> Result<Vec<u32>, DataError> {
        let values = npz.array(name)?.values;
        if values.len() != nodes {
            let reason = format!(
                "array `{name}` has {} values for {nodes} nodes",
                values.len()
            );
            return Err(DataError::format(path, "npz", reason));
        }
        let chosen = values.iter().zip(0..).filter(|&(&value, _)| value != 0.0);
        Ok(chosen.map(|(_, node)| node).collect())
    };
    Ok(Split {
        train: mask("train_mask")?,
        validation: mask("val_mask")?,
        test: mask("test_mask")?,
    })
}
