//! GMRES on the equation of a Newton step, without a matrix.

use burn::tensor::Tensor;

use crate::inverse_jacobian::{combine, products};
use crate::mask::{column, norm};
use crate::{Evaluation, Halt, Map};

/// Solves $(I - J) d = g$ for each sample, where $g = f(z) - z$ and $J$ is the Jacobian of $f$ at
/// $z$, by GMRES from $d = 0$ (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 1986).
///
/// Each dimension of the Krylov space costs one evaluation and one read-back of its column of the
/// Hessenberg matrix. A sample stops growing its space once its linear residual has fallen by its
/// factor in `reduction`, whatever the rest of the batch does.
pub(crate) fn gmres(
    map: &mut Map<'_>,
    at: &Evaluation,
    relative_step: f64,
    dimensions: usize,
    reduction: &[f64],
) -> Result<Tensor<2>, Halt> {
    let [batch, features] = at.point.dims();
    let epsilon = crate::driver::epsilon(at.point.dtype());
    // What a difference quotient of this step resolves, against vectors of length one.
    let noise = epsilon / relative_step;
    // More vectors than features are never independent.
    let dimensions = dimensions.min(features);
    let lengths: Vec<f64> = norm(&at.residual).into_data().iter::<f64>().collect();
    let mut samples: Vec<Hessenberg> = lengths
        .iter()
        .zip(map.active())
        .map(|(&length, &active)| Hessenberg::new(length, active))
        .collect();

    let inverse = |samples: &[Hessenberg]| {
        column(samples.iter().map(Hessenberg::inverse).collect(), &at.point)
    };
    let row = |vector: Tensor<2>| vector.reshape([batch, 1, features]);
    let options = (&at.point.device(), at.point.dtype());
    let mut basis = Tensor::<3>::zeros([batch, dimensions, features], options);
    let mut vector = at.residual.clone() * inverse(&samples);
    let mut size = 0;
    while size < dimensions && samples.iter().any(|sample| !sample.done) {
        basis = basis.slice_assign([0..batch, size..size + 1, 0..features], row(vector.clone()));
        size += 1;
        let image = vector.clone() - map.jacobian_product(at, &vector, relative_step)?;
        // Twice is enough (Kahan and Parlett): classical Gram–Schmidt, repeated once.
        let known = basis.clone().narrow(1, 0, size);
        let first = products(&known, &image);
        let image = image - combine(&known, first.clone());
        let second = products(&known, &image);
        let image = image - combine(&known, second.clone());
        let length = norm(&image).reshape([batch, 1, 1]);
        let entries = Tensor::cat(vec![first + second, length], 1).into_data();
        let entries: Vec<f64> = entries.iter::<f64>().collect();
        for (sample, entries) in entries.chunks(size + 1).enumerate() {
            let state = &mut samples[sample];
            if !state.done {
                state.extend(entries, reduction[sample], epsilon);
                if state.broken {
                    map.fail(sample);
                }
            }
        }
        vector = image * inverse(&samples);
    }
    if size == 0 {
        return Ok(at.residual.zeros_like());
    }
    // Over the whole basis, unused vectors included: how many are used depends on the batch, and
    // the order of a sum on how many terms it has.
    let weights = samples
        .iter()
        .flat_map(|sample| sample.solve(dimensions, noise));
    let weights = column(weights.collect(), &at.point).reshape([batch, dimensions, 1]);
    Ok(combine(&basis, weights))
}

/// The least-squares problem of one sample, triangular at every moment by Givens rotations.
#[derive(Debug)]
struct Hessenberg {
    /// Columns of the triangular factor.
    columns: Vec<Vec<f64>>,
    rotations: Vec<(f64, f64)>,
    /// The right-hand side, rotated along; its last entry is the linear residual.
    rhs: Vec<f64>,
    start: f64,
    /// Length of the newest vector before it is scaled to one.
    length: f64,
    done: bool,
    broken: bool,
}

impl Hessenberg {
    fn new(length: f64, active: bool) -> Self {
        Self {
            columns: Vec::new(),
            rotations: Vec::new(),
            rhs: vec![length],
            start: length,
            length,
            done: !(active && length > 0.0 && length.is_finite()),
            broken: false,
        }
    }

    /// What scales the newest vector to length one; 0 leaves a finished sample out of the space.
    fn inverse(&self) -> f64 {
        if self.done { 0.0 } else { 1.0 / self.length }
    }

    /// Takes a column: products with the basis, then the length of what was left.
    fn extend(&mut self, entries: &[f64], reduction: f64, epsilon: f64) {
        let (&length, column) = entries.split_last().unwrap_or((&f64::NAN, &[]));
        if entries.iter().any(|entry| !entry.is_finite()) {
            self.done = true;
            self.broken = true;
            return;
        }
        let size = column.iter().fold(length, |size, entry| size.hypot(*entry));
        let mut column = column.to_vec();
        for (index, (cosine, sine)) in self.rotations.iter().enumerate() {
            let (upper, lower) = (column[index], column[index + 1]);
            column[index] = cosine * upper + sine * lower;
            column[index + 1] = cosine * lower - sine * upper;
        }
        let last = column.len() - 1;
        let radius = column[last].hypot(length);
        let (cosine, sine) = if radius > 0.0 {
            (column[last] / radius, length / radius)
        } else {
            (1.0, 0.0)
        };
        column[last] = radius;
        let residual = self.rhs[last];
        self.rhs[last] = cosine * residual;
        self.rhs.push(-sine * residual);
        self.rotations.push((cosine, sine));
        self.columns.push(column);
        self.length = length;
        // A vector that vanishes but for rounding ends the space: the solution lies in it.
        let exhausted = length <= 10.0 * epsilon * size;
        self.done = exhausted || (sine * residual).abs() <= reduction * self.start;
    }

    /// The weights of the basis vectors, padded with zeros to `size`. A direction that the
    /// operator hardly moves, as far as its products can tell, is left out: its weight would be
    /// noise without bound.
    fn solve(&self, size: usize, noise: f64) -> Vec<f64> {
        let mut weights = vec![0.0; size];
        let largest = self.columns.iter().enumerate();
        let largest = largest.fold(1.0, |most: f64, (i, column)| most.max(column[i].abs()));
        for i in (0..self.columns.len()).rev() {
            let known: f64 = (i + 1..self.columns.len())
                .map(|j| self.columns[j][i] * weights[j])
                .sum();
            let pivot = self.columns[i][i];
            if pivot.abs() > noise * largest {
                weights[i] = (self.rhs[i] - known) / pivot;
            }
        }
        weights
    }
}
