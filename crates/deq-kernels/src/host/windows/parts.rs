//! Cutting `[samples, rows, positions]` along the positions.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Some positions of one sample.
pub(super) struct Part<'a, T> {
    pub(super) sample: usize,
    /// The first of the positions.
    pub(super) first: usize,
    /// The numbers at these positions in each of the rows.
    pub(super) rows: Vec<&'a mut [T]>,
}

/// The parts of at most `length` positions of every sample.
pub(super) fn parts<T>(
    values: &mut [T],
    rows: usize,
    positions: usize,
    length: usize,
) -> Vec<Part<'_, T>> {
    if values.is_empty() {
        return Vec::new();
    }
    let samples = values.chunks_exact_mut(rows * positions).enumerate();
    samples
        .flat_map(|(sample, values)| {
            let mut parts: Vec<Part<'_, T>> = (0..positions)
                .step_by(length)
                .map(|first| Part {
                    sample,
                    first,
                    rows: Vec::with_capacity(rows),
                })
                .collect();
            for row in values.chunks_exact_mut(positions) {
                for (part, piece) in parts.iter_mut().zip(row.chunks_mut(length)) {
                    part.rows.push(piece);
                }
            }
            parts
        })
        .collect()
}

/// `work` on each of the parts.
pub(super) fn for_each_part<T: Send>(
    parts: Vec<Part<'_, T>>,
    parallel: bool,
    work: impl Fn(Part<'_, T>) + Send + Sync,
) {
    if parallel {
        parts.into_par_iter().for_each(work);
    } else {
        parts.into_iter().for_each(work);
    }
}
