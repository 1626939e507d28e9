//! Cora, CiteSeer and PubMed in Planetoid's layout (Yang, Cohen and Salakhutdinov, ICML 2016).

use std::collections::BTreeSet;
use std::path::Path;

use super::lines::Lines;
use super::npy::{Array, Npz};
use super::pickle::{Csr, Pickle};
use super::{Features, GraphData, Labels, Split, undirected};
use crate::DataError;

const KIND: &str = "Planetoid";
/// Nodes after the training nodes that are for validation.
const VALIDATION: usize = 500;

/// Reads `ind.<name>.{x,y,tx,ty,allx,ally,graph,test.index}` in `folder`: the citation network of
/// that name (`cora`, `citeseer`, `pubmed`) with its standard split.
///
/// As usual, every edge goes in both directions, once, and loops are dropped; nodes that are
/// missing from CiteSeer's test file have no features and no class. Features are not normalised:
/// see [`Features::row_normalised`].
///
/// # Errors
/// [`DataError`] naming the file and what is wrong with it: missing, damaged or of another layout,
/// an edge to a node that does not exist, and files that do not fit together. Nothing but data is
/// read from the pickles.
pub fn open(folder: &Path, name: &str) -> Result<GraphData, DataError> {
    let path = |part: &str| folder.join(format!("ind.{name}.{part}"));
    let broken = |part: &str, reason: String| DataError::format(&path(part), KIND, reason);
    let pickle = |part: &str| {
        let path = path(part);
        let bytes = std::fs::read(&path).map_err(|source| DataError::read(&path, source))?;
        Pickle::parse(&bytes).map_err(|reason| broken(part, reason))
    };
    let matrix = |part: &str| pickle(part)?.csr().map_err(|reason| broken(part, reason));
    let table = |part: &str| pickle(part)?.array().map_err(|reason| broken(part, reason));
    let (x, tx, allx) = (matrix("x")?, matrix("tx")?, matrix("allx")?);
    let (y, ty, ally) = (table("y")?, table("ty")?, table("ally")?);
    for (part, other) in [("tx", &tx), ("x", &x)] {
        let reason = format!("it has {} features, but allx {}", other.width, allx.width);
        check(other.width == allx.width, || broken(part, reason))?;
    }
    let classes = ally.shape.get(1).copied().unwrap_or(0);
    for (part, labels, rows) in [
        ("y", &y, x.rows),
        ("ty", &ty, tx.rows),
        ("ally", &ally, allx.rows),
    ] {
        let reason = format!(
            "its shape is {:?}, but {rows} rows of {classes} classes are needed",
            labels.shape
        );
        check(labels.shape == [rows, classes] && classes > 0, || {
            broken(part, reason)
        })?;
    }

    // Row k of tx belongs to the node that line k of test.index names.
    let order = Lines::open(&path("test.index"), KIND)?;
    let test: Vec<u32> = order.column()?;
    let last = test
        .iter()
        .max()
        .map_or(allx.rows, |&last| last as usize + 1);
    let distinct: BTreeSet<u32> = test.iter().copied().collect();
    check(
        test.len() == tx.rows && distinct.len() == test.len(),
        || {
            order.broken(format!(
                "it lists {} different nodes in {} lines, but tx has {} rows",
                distinct.len(),
                test.len(),
                tx.rows
            ))
        },
    )?;
    check(test.iter().all(|&node| node as usize >= allx.rows), || {
        order.broken(format!(
            "it lists a node below {}, which is allx's",
            allx.rows
        ))
    })?;
    check(last - allx.rows <= 2 * test.len(), || {
        order.broken(format!(
            "it leaves more nodes up to {} out than it lists",
            last - 1
        ))
    })?;
    let num_nodes = last;

    let mut of_node = vec![None; num_nodes];
    let mut row_of_node = vec![None; num_nodes];
    for row in 0..allx.rows {
        of_node[row] = class(&ally, row);
        row_of_node[row] = Some((&allx, row));
    }
    for (row, &node) in test.iter().enumerate() {
        of_node[node as usize] = class(&ty, row);
        row_of_node[node as usize] = Some((&tx, row));
    }

    let graph = pickle("graph")?
        .lists()
        .map_err(|reason| broken("graph", reason))?;
    let mut edges = Vec::new();
    for (from, targets) in graph {
        for to in targets {
            match (node(from, num_nodes), node(to, num_nodes)) {
                (Some(from), Some(to)) => edges.push((from, to)),
                _ => {
                    let reason = format!(
                        "an edge goes from node {from} to node {to}, but there are {num_nodes} nodes"
                    );
                    return Err(broken("graph", reason));
                }
            }
        }
    }
    let labelled = y.shape[0];
    check(labelled + VALIDATION <= allx.rows, || {
        broken(
            "y",
            format!(
                "{labelled} training and {VALIDATION} validation nodes are more than allx's {}",
                allx.rows
            ),
        )
    })?;
    Ok(GraphData {
        num_nodes,
        edges: undirected(edges),
        features: gather(allx.width, &row_of_node),
        labels: Labels::Classes { classes, of_node },
        splits: vec![Split {
            train: (0..labelled as u32).collect(),
            validation: (labelled as u32..(labelled + VALIDATION) as u32).collect(),
            test: distinct.into_iter().collect(),
        }],
    })
}

/// Reads the same data from one `npz` file without pickles: `x_indptr`, `x_indices`, `x_data`
/// (compressed rows), `num_nodes`, `num_features`, `edges` `[2, edges]` in both directions,
/// `labels` (−1 for none), `idx_train`, `idx_val` and `idx_test`.
///
/// # Errors
/// [`DataError`] naming the file, the array and what is wrong with it.
pub fn open_npz(path: &Path) -> Result<GraphData, DataError> {
    let broken = |reason: String| DataError::format(path, "npz", reason);
    let mut npz = Npz::open(path)?;
    let mut number = |name: &str| -> Result<usize, DataError> {
        match npz.indices(name)?.as_slice() {
            [value] => Ok(*value as usize),
            other => Err(broken(format!(
                "array `{name}` has {} numbers",
                other.len()
            ))),
        }
    };
    let (num_nodes, width) = (number("num_nodes")?, number("num_features")?);

    let offsets = npz.indices("x_indptr")?;
    let offsets: Vec<usize> = offsets.into_iter().map(|offset| offset as usize).collect();
    let columns = npz.indices("x_indices")?;
    let values: Vec<f32> = npz
        .array("x_data")?
        .values
        .into_iter()
        .map(|value| value as f32)
        .collect();
    let rising = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    let ends = offsets.first() == Some(&0) && offsets.last() == Some(&columns.len());
    let fits = offsets.len() == num_nodes + 1 && values.len() == columns.len();
    let within = columns.iter().all(|&column| (column as usize) < width);
    check(rising && ends && fits && within, || {
        broken("the parts of the features do not fit together".to_owned())
    })?;

    let edges = npz.indices("edges")?;
    let (from, to) = edges.split_at(edges.len() / 2);
    let edges: Vec<(u32, u32)> = from.iter().copied().zip(to.iter().copied()).collect();
    if let Some((from, to)) = edges
        .iter()
        .find(|(from, to)| (*from).max(*to) as usize >= num_nodes)
    {
        return Err(broken(format!(
            "an edge goes from node {from} to node {to}, but there are {num_nodes} nodes"
        )));
    }

    let labels = npz.array("labels")?.values;
    check(labels.len() == num_nodes, || {
        broken(format!("{} labels for {num_nodes} nodes", labels.len()))
    })?;
    let of_node: Vec<Option<u32>> = labels
        .iter()
        .map(|&label| (label >= 0.0).then_some(label as u32))
        .collect();
    let classes = of_node
        .iter()
        .flatten()
        .max()
        .map_or(0, |&last| last as usize + 1);
    let mut nodes = |name: &str| -> Result<Vec<u32>, DataError> {
        let nodes = npz.indices(name)?;
        match nodes.iter().find(|&&node| node as usize >= num_nodes) {
            Some(node) => Err(broken(format!(
                "array `{name}` lists node {node} of {num_nodes}"
            ))),
            None => Ok(nodes),
        }
    };
    let split = Split {
        train: nodes("idx_train")?,
        validation: nodes("idx_val")?,
        test: nodes("idx_test")?,
    };
    Ok(GraphData {
        num_nodes,
        edges,
        features: Features::Sparse {
            width,
            offsets,
            columns,
            values,
        },
        labels: Labels::Classes { classes, of_node },
        splits: vec![split],
    })
}

fn check(holds: bool, error: impl FnOnce() -> DataError) -> Result<(), DataError> {
    if holds { Ok(()) } else { Err(error()) }
}

fn node(value: i64, nodes: usize) -> Option<u32> {
    let value = u32::try_from(value).ok()?;
    ((value as usize) < nodes).then_some(value)
}

/// The class of a one-hot row; none when the row is zero.
fn class(one_hot: &Array, row: usize) -> Option<u32> {
    let width = one_hot.shape[1];
    let row = &one_hot.values[row * width..(row + 1) * width];
    row.iter().position(|&value| value > 0.0).map(|i| i as u32)
}

/// The rows of several matrices, one after the other; a missing row is zero.
fn gather(width: usize, rows: &[Option<(&Csr, usize)>]) -> Features {
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        if let Some((matrix, row)) = row {
            let entries = matrix.offsets[*row]..matrix.offsets[row + 1];
            columns.extend_from_slice(&matrix.columns[entries.clone()]);
            values.extend_from_slice(&matrix.values[entries]);
        }
        offsets.push(columns.len());
    }
    Features::Sparse {
        width,
        offsets,
        columns,
        values,
    }
}
