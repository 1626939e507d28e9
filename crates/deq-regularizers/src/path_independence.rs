use std::error::Error;

use burn::tensor::{Shape, Tensor, TensorCreationOptions, TensorData};
use deq_solvers::{SolveError, State};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Why an alignment could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum AlignmentError {
    /// A state is empty, or its parts disagree about the samples.
    #[error(transparent)]
    State(#[from] SolveError),
    /// Two states that are compared have different shapes.
    #[error("states are compared sample by sample, but their shapes are {left:?} and {right:?}")]
    ShapesDiffer {
        /// The shapes of the first.
        left: Vec<Shape>,
        /// The shapes of the second.
        right: Vec<Shape>,
    },
    /// There are not as many other inputs in the batch.
    #[error(
        "`others` is {others} for a batch of {samples}, but must be at least 1 and less than the batch: starts come from its other samples"
    )]
    Others {
        /// How many other inputs were asked for.
        others: usize,
        /// How many samples there are.
        samples: usize,
    },
    /// The solve failed, in its own words.
    #[error(transparent)]
    Solve(Box<dyn Error + Send + Sync>),
}

/// A start that is zero in about half of its elements and standard normal in the others:
/// $m \odot \varepsilon$ with $m_j \sim \mathrm{Bernoulli}(\tfrac12)$ and
/// $\varepsilon_j \sim \mathcal N(0, 1)$ for each element (TorchDEQ's `mixed_init`).
///
/// Trained from such starts, a model learns to reach the same equilibrium from everywhere (Anil
/// and others, *Path Independent Equilibrium Models Can Better Exploit Test-Time Computation*,
/// NeurIPS 2022, arXiv 2211.09961).
///
/// Drawn on the host: a seed gives the same start on every device. Each training step needs a seed
/// of its own. `options` is a device, or a device and a type.
pub fn mixed_init<const D: usize>(
    shape: [usize; D],
    seed: u64,
    options: impl Into<TensorCreationOptions>,
) -> Tensor<D> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| {
            let normal: f64 = StandardNormal.sample(&mut rng);
            let kept: bool = rng.random();
            if kept { normal } else { 0.0 }
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), options)
}

/// $\langle a_i, b_i \rangle / (\lVert a_i \rVert \lVert b_i \rVert)$ of each sample $i$: NaN where
/// either is zero or holds a NaN.
///
/// # Errors
/// [`AlignmentError::State`] and [`AlignmentError::ShapesDiffer`].
pub fn cosine_similarity<S: State>(a: &S, b: &S) -> Result<Vec<f64>, AlignmentError> {
    a.samples()?;
    same_shapes(a, b)?;
    let [a, b] = [a, b].map(|state| scaled(state.clone().into_matrix().inner()));
    let products = [(&a, &b), (&a, &a), (&b, &b)]
        .map(|(left, right)| (left.clone() * right.clone()).sum_dim(1));
    let products: Vec<f64> = Tensor::cat(products.to_vec(), 1)
        .into_data()
        .iter::<f64>()
        .collect();
    // Rounding may leave the range by a little. NaN passes through.
    let cosine = |row: &[f64]| (row[0] / (row[1] * row[2]).sqrt()).clamp(-1.0, 1.0);
    Ok(products.chunks_exact(3).map(cosine).collect())
}

/// The asymptotic alignment score of each sample (Anil and others, NeurIPS 2022, arXiv 2211.09961):
/// the cosine similarity between the state it converges to from zero and the state it converges to
/// from the equilibrium of another input, averaged over the `others` samples that follow it in the
/// batch, cyclically. 1 for a model whose equilibrium does not depend on the start.
///
/// `solve` runs the whole batch, whose inputs it holds, from the start it is given, and returns
/// where it converged; `like` is a state that gives the shapes and the device. `others` + 1 solves.
/// Public code that goes back to the authors averages over all pairs, those of an input with itself
/// included; here an input never meets its own equilibrium. Starts are plain.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_regularizers::asymptotic_alignment;
///
/// let x = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &Device::flex());
/// let solve = |mut z: Tensor<2>| {
///     for _ in 0..40 {
///         z = z * 0.5 + x.clone();
///     }
///     Ok::<_, std::convert::Infallible>(z)
/// };
/// let scores = asymptotic_alignment(&x, 2, solve)?;
/// assert!(scores.iter().all(|score| *score > 0.9999));
/// # Ok::<(), deq_regularizers::AlignmentError>(())
/// ```
///
/// # Errors
/// [`AlignmentError`]; a failure of `solve` comes back as [`AlignmentError::Solve`].
pub fn asymptotic_alignment<S, E>(
    like: &S,
    others: usize,
    mut solve: impl FnMut(S) -> Result<S, E>,
) -> Result<Vec<f64>, AlignmentError>
where
    S: State,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let samples = like.samples()?;
    if others == 0 || others >= samples {
        return Err(AlignmentError::Others { others, samples });
    }
    let reference = from_zero(like, &mut solve)?;
    let equilibria = reference.clone().into_matrix().inner();
    let mut scores = vec![0.0; samples];
    for shift in 1..=others {
        let behind = equilibria.clone().narrow(0, shift, samples - shift);
        let ahead = equilibria.clone().narrow(0, 0, shift);
        let start = S::from_matrix(Tensor::cat(vec![behind, ahead], 0), &like.shapes());
        let reached = solve(start).map_err(failed)?;
        for (score, cosine) in scores
            .iter_mut()
            .zip(cosine_similarity(&reference, &reached)?)
        {
            *score += cosine / others as f64;
        }
    }
    Ok(scores)
}

/// The alignment of each sample between zero and a start of one's own: the cosine similarity of the
/// states that `solve` reaches from them. Two solves; otherwise as [`asymptotic_alignment`].
///
/// # Errors
/// As [`asymptotic_alignment`].
pub fn asymptotic_alignment_from<S, E>(
    start: &S,
    mut solve: impl FnMut(S) -> Result<S, E>,
) -> Result<Vec<f64>, AlignmentError>
where
    S: State,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    start.samples()?;
    let reference = from_zero(start, &mut solve)?;
    let reached = solve(start.clone()).map_err(failed)?;
    cosine_similarity(&reference, &reached)
}

/// The state reached from zero.
fn from_zero<S, E>(like: &S, solve: &mut impl FnMut(S) -> Result<S, E>) -> Result<S, AlignmentError>
where
    S: State,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let zeros = like.clone().into_matrix().inner().zeros_like();
    let reached = solve(S::from_matrix(zeros, &like.shapes())).map_err(failed)?;
    same_shapes(like, &reached)?;
    Ok(reached)
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> AlignmentError {
    AlignmentError::Solve(error.into())
}

fn same_shapes<S: State>(left: &S, right: &S) -> Result<(), AlignmentError> {
    let (left, right) = (left.shapes(), right.shapes());
    if left == right {
        return Ok(());
    }
    Err(AlignmentError::ShapesDiffer { left, right })
}

/// Rows whose largest magnitude is one, so that their squares stay in the range of `f32`.
fn scaled(rows: Tensor<2>) -> Tensor<2> {
    let largest = rows.clone().abs().max_dim(1);
    let zero = largest.clone().equal_elem(0.0);
    rows / largest.mask_fill(zero, 1.0)
}
