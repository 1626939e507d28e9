//! The Perron eigenvalue of a sparse non-negative matrix.

/// Relative distance of the bounds at which the iteration stops.
const ACCURACY: f64 = 1e-10;
/// When it stops without having got there.
const STEPS: usize = 20_000;
/// Plain steps that estimate the eigenvalue, for the shift.
const WARM_UP: usize = 10;

/// The spectral radius of the matrix of absolute weights.
///
/// It is the largest over the strongly connected components, each of which is irreducible, so
/// that its power iteration, shifted to be aperiodic, converges, and the ratios of one step
/// bound the eigenvalue from both sides.
pub(crate) fn spectral_radius(nodes: usize, edges: &[(u32, u32)], weights: &[f32]) -> f64 {
    let entries: Vec<(usize, usize, f64)> = edges
        .iter()
        .zip(weights)
        .filter(|&(_, &weight)| weight != 0.0)
        .map(|(&(from, to), &weight)| (from as usize, to as usize, f64::from(weight.abs())))
        .collect();
    let component = components(nodes, &entries);
    let count = component.iter().max().map_or(0, |last| last + 1);

    // Each node's number within its component.
    let mut sizes = vec![0; count];
    let local: Vec<usize> = component
        .iter()
        .map(|&c| {
            sizes[c] += 1;
            sizes[c] - 1
        })
        .collect();
    let mut inner: Vec<Vec<(usize, usize, f64)>> = vec![Vec::new(); count];
    for &(from, to, weight) in &entries {
        if component[from] == component[to] {
            inner[component[from]].push((local[from], local[to], weight));
        }
    }
    sizes
        .iter()
        .zip(&inner)
        .map(|(&size, entries)| match size {
            1 => entries.iter().map(|&(_, _, weight)| weight).sum(),
            _ => perron(size, entries),
        })
        .fold(0.0, f64::max)
}

/// The Perron eigenvalue of an irreducible matrix of at least two rows.
fn perron(size: usize, entries: &[(usize, usize, f64)]) -> f64 {
    let apply = |x: &[f64]| {
        let mut y = vec![0.0; size];
        for &(from, to, weight) in entries {
            y[to] += weight * x[from];
        }
        y
    };
    let normalise = |x: &mut Vec<f64>| {
        let sum: f64 = x.iter().sum();
        x.iter_mut().for_each(|value| *value /= sum);
        sum
    };
    let mut x = vec![1.0 / size as f64; size];
    let mut logarithm = 0.0;
    for _ in 0..WARM_UP {
        x = apply(&x);
        logarithm += normalise(&mut x).ln();
    }
    // Without a shift the iteration oscillates on bipartite graphs.
    let shift = 0.25 * (logarithm / WARM_UP as f64).exp();
    let mut bound = f64::INFINITY;
    for _ in 0..STEPS {
        let mut y = apply(&x);
        for (value, old) in y.iter_mut().zip(&x) {
            *value += shift * old;
        }
        let ratios = || {
            let pairs = y.iter().zip(&x).filter(|&(_, &old)| old > 0.0);
            pairs.map(|(new, old)| new / old)
        };
        let lower = ratios().fold(f64::INFINITY, f64::min);
        let upper = ratios().fold(0.0, f64::max);
        if upper - lower <= ACCURACY * upper {
            return (lower + upper) / 2.0 - shift;
        }
        bound = upper;
        normalise(&mut y);
        x = y;
    }
    bound - shift
}

/// The strongly connected component of each node, by Tarjan's algorithm without recursion.
fn components(nodes: usize, entries: &[(usize, usize, f64)]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    // Outgoing edges, row by row.
    let mut starts = vec![0; nodes + 1];
    for &(from, _, _) in entries {
        starts[from + 1] += 1;
    }
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut next = starts.clone();
    let mut targets = vec![0; entries.len()];
    for &(from, to, _) in entries {
        targets[next[from]] = to;
        next[from] += 1;
    }

    let mut component = vec![NONE; nodes];
    let mut order = vec![NONE; nodes];
    let mut low = vec![NONE; nodes];
    let mut stack = Vec::new();
    let (mut visited, mut found) = (0, 0);
    for root in 0..nodes {
        if order[root] != NONE {
            continue;
        }
        // The path from the root, each node with its next outgoing edge.
        let mut path = vec![(root, starts[root])];
        while let Some((node, edge)) = path.pop() {
            if order[node] == NONE {
                order[node] = visited;
                low[node] = visited;
                visited += 1;
                stack.push(node);
            }
            if edge < starts[node + 1] {
                path.push((node, edge + 1));
                let target = targets[edge];
                if order[target] == NONE {
                    path.push((target, starts[target]));
                } else if component[target] == NONE {
                    low[node] = low[node].min(order[target]);
                }
                continue;
            }
            if low[node] == order[node] {
                while let Some(member) = stack.pop() {
                    component[member] = found;
                    if member == node {
                        break;
                    }
                }
                found += 1;
            }
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
        }
    }
    component
}
