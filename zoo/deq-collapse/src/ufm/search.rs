use burn::tensor::{DType, Device, Tensor, TensorData};
use deq::prelude::*;
use deq::solvers::{DriveOptions, NewtonKrylovConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{LanczosConfig, Point, Ufm};
use crate::CollapseError;
use crate::error::require;

/// How many starts are solved together: the solver goes on until the slowest of them is done. A
/// start's path does not depend on it.
const TOGETHER: usize = 16;

/// Further steps downhill before another try, at least.
const FURTHER: usize = 50;

/// How critical points are looked for.
///
/// From a random start, some steps of the gradient map $f(z) = z - \eta \nabla F(z)$ lead downhill,
/// past saddles and eventually to a minimum; then a solver finds the fixed point of $f$ nearby, of
/// whatever kind it is. Few steps downhill leave saddles, many leave minima. Where the solver does
/// not arrive, the start goes on downhill as far as it has come, and at least 50 steps, and the
/// solver tries again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// How many random starts, at least 1; 200 by default.
    pub starts: usize,
    /// The standard deviation of a start's numbers, above 0; 0.5 by default.
    pub scale: f64,
    /// Seeds the starts. A start is the same however many follow it.
    pub seed: u64,
    /// $\eta$, above 0; 0.5 by default. Newton's method does not depend on it.
    pub step: f64,
    /// Steps downhill: start $i$ takes entry $i$ modulo the length, which is at least 1. By default
    /// 0, 10, 30, 100 and 300.
    pub descent: Vec<usize>,
    /// The solver that finds the critical point: by default Newton's method with at most 60
    /// dimensions of the Krylov space, and exact products.
    pub solver: SolverConfig,
    /// Its steps, at least 1; 200 by default.
    pub max_iter: usize,
    /// How often it tries again where it did not arrive; 4 by default.
    pub retries: usize,
    /// The norm of the gradient at which a point counts as critical, above 0; 1e-10 by default.
    pub gradient_tolerance: f64,
    /// How the smallest eigenvalue of the Hessian is found.
    pub lanczos: LanczosConfig,
}

/// Where the search from a start ended, critical or not.
pub(super) struct End {
    pub(super) point: Point,
    /// Steps downhill, those before further tries included.
    pub(super) descent: usize,
}

/// A start on its way.
struct Walk {
    start: usize,
    at: Vec<f64>,
    /// Steps downhill so far …
    taken: usize,
    /// … and those before the next try.
    next: usize,
}

/// Where the steps downhill ended and where the solver did.
type Ends = (Vec<f64>, Vec<f64>);

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            starts: 200,
            scale: 0.5,
            seed: 0,
            step: 0.5,
            descent: vec![0, 10, 30, 100, 300],
            solver: SolverConfig::NewtonKrylov(NewtonKrylovConfig {
                dimensions: 60,
                ..NewtonKrylovConfig::default()
            }),
            max_iter: 200,
            retries: 4,
            gradient_tolerance: 1e-10,
            lanczos: LanczosConfig::default(),
        }
    }
}

impl SearchConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] names the field, [`CollapseError::Solve`] the solver's.
    pub fn validate(&self) -> Result<(), CollapseError> {
        require(self.starts >= 1, "starts", self.starts, "at least 1")?;
        require(self.max_iter >= 1, "max_iter", self.max_iter, "at least 1")?;
        for (field, value) in [
            ("scale", self.scale),
            ("step", self.step),
            ("gradient_tolerance", self.gradient_tolerance),
        ] {
            let valid = value > 0.0 && value.is_finite();
            require(valid, field, value, "a finite number above 0")?;
        }
        require(
            !self.descent.is_empty(),
            "descent",
            "[]",
            "a list of one number or more",
        )?;
        self.lanczos.validate()?;
        Ok(self.solver.validate()?)
    }

    /// Where the search from each start ends, in the order of the starts.
    pub(super) fn run(&self, ufm: &Ufm, device: &Device) -> Result<Vec<End>, CollapseError> {
        self.validate()?;
        if !device.supports_dtype(DType::F64) {
            return Err(CollapseError::NoDouble(format!("{device:?}")));
        }
        let mut ends: Vec<Option<End>> = (0..self.starts).map(|_| None).collect();
        let mut walks = self.walks(ufm);
        for attempt in 0..=self.retries {
            let mut missed = Vec::new();
            // Those with as many steps ahead go together.
            walks.sort_by_key(|walk| walk.next);
            let alike = walks.chunk_by(|a, b| a.next == b.next);
            for group in alike.flat_map(|alike| alike.chunks(TOGETHER)) {
                let rows = self.solve_group(ufm, device, group)?;
                for (walk, (below, found)) in group.iter().zip(rows) {
                    let point = Point::from_values(ufm, &found)?;
                    let arrived = ufm.gradient_at(&point).norm() <= self.gradient_tolerance;
                    let descent = walk.taken + walk.next;
                    if arrived || attempt == self.retries {
                        ends[walk.start] = Some(End { point, descent });
                    } else {
                        missed.push(Walk {
                            start: walk.start,
                            at: below,
                            taken: descent,
                            next: descent.max(FURTHER),
                        });
                    }
                }
            }
            walks = missed;
        }
        Ok(ends.into_iter().flatten().collect())
    }

    /// All starts, before their first step.
    fn walks(&self, ufm: &Ufm) -> Vec<Walk> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut number = || -> f64 { StandardNormal.sample(&mut rng) };
        let walk = |start: usize| {
            let at = (0..ufm.dimension()).map(|_| self.scale * number());
            Walk {
                start,
                at: at.collect(),
                taken: 0,
                next: self.descent[start % self.descent.len()],
            }
        };
        (0..self.starts).map(walk).collect()
    }

    /// So many steps downhill, then the solver: of each walk, where the steps ended and where the
    /// solver did.
    fn solve_group(
        &self,
        ufm: &Ufm,
        device: &Device,
        group: &[Walk],
    ) -> Result<Vec<Ends>, CollapseError> {
        let width = ufm.dimension();
        let values: Vec<f64> = group.iter().flat_map(|walk| walk.at.clone()).collect();
        let data = TensorData::new(values, [group.len(), width]);
        let start = Tensor::<2>::from_data(data, (device, DType::F64));
        let mut scratch = Point::zeros(ufm);
        let mut map = |z: Tensor<2>| {
            move_rows(&z, |row| {
                scratch.read(row);
                let gradient = ufm.gradient_at(&scratch).to_values();
                minus(row, self.step, &gradient)
            })
        };
        let steps = group.first().map_or(0, |walk| walk.next);
        let mut downhill = self.solve_config(SolverConfig::picard(), 0.0, steps);
        downhill.termination.finish = Finish::Final;
        let below = downhill.solve(&mut map, start)?.state;
        let before = numbers(&below);

        let (mut at, mut along) = (Point::zeros(ufm), Point::zeros(ufm));
        let mut jvp = |z: &Tensor<2>, v: &Tensor<2>| {
            let directions = numbers(v);
            let mut directions = directions.chunks(width);
            move_rows(z, |row| {
                let direction = directions.next().unwrap_or(&[]);
                // Those that are done are given the direction 0.
                if direction.iter().all(|&value| value == 0.0) {
                    return vec![0.0; row.len()];
                }
                at.read(row);
                along.read(direction);
                let product = ufm.hessian_product_at(&at, &along).to_values();
                minus(direction, self.step, &product)
            })
        };
        // Half, so that rounding does not put a point on the wrong side.
        let tolerance = 0.5 * self.step * self.gradient_tolerance;
        let config = self.solve_config(self.solver.clone(), tolerance, self.max_iter);
        let mut options = DriveOptions::default();
        if matches!(self.solver, SolverConfig::NewtonKrylov(_)) {
            options.jvp = Some(&mut jvp);
        }
        let solution = config.solve_with(options, &mut map, below)?;
        // The residual was measured at the point, not at its image.
        let after = numbers(&solution.point);
        let rows = before.chunks(width).zip(after.chunks(width));
        Ok(rows.map(|(a, b)| (a.to_vec(), b.to_vec())).collect())
    }

    /// A solver that stops at its tolerance or its cap and for nothing else.
    fn solve_config(&self, solver: SolverConfig, tolerance: f64, max_iter: usize) -> SolveConfig {
        SolveConfig {
            solver,
            termination: Termination {
                tolerance,
                max_iter,
                stall: None,
                divergence: None,
                ..Termination::default()
            },
        }
    }
}

/// Each row through a function on the host.
fn move_rows(z: &Tensor<2>, of_row: impl FnMut(&[f64]) -> Vec<f64>) -> Tensor<2> {
    let [rows, width] = z.dims();
    let values = numbers(z);
    let moved: Vec<f64> = values.chunks(width).flat_map(of_row).collect();
    let data = TensorData::new(moved, [rows, width]);
    Tensor::from_data(data, (&z.device(), z.dtype()))
}

fn numbers(tensor: &Tensor<2>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

fn minus(row: &[f64], factor: f64, other: &[f64]) -> Vec<f64> {
    let pairs = row.iter().zip(other);
    pairs.map(|(value, other)| value - factor * other).collect()
}
