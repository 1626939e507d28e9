//! Cutting work into chunks, on rayon's threads where it is worth it.
//!
//! How work is cut depends on its size alone, never on the number of threads, so neither do
//! results.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

/// From this many numbers on a kernel runs on rayon's threads. Handing work to them and waiting for
/// it costs some tens of microseconds, more than one core takes for the cheapest kernels here below
/// this size.
pub const PARALLEL_FROM: usize = 64 * 1024;

/// The numbers in one task: 32 KiB of `f32`, so that the passes of a kernel after the first find
/// them in the first or second cache.
pub(crate) const CHUNK: usize = 8 * 1024;

/// Sums over rows are first taken over at most this many blocks of them.
const BLOCKS: usize = 64;

/// Whether work on this many numbers runs on several threads.
pub(crate) fn is_large(count: usize) -> bool {
    count >= PARALLEL_FROM
}

/// How many rows of this length make a chunk: at least one, since a row is never cut.
pub(crate) fn rows_in_chunk(row: usize) -> usize {
    (CHUNK / row.max(1)).max(1)
}

/// How many rows make a block when results are summed over rows: few blocks, for each has a row of
/// sums of its own, and none smaller than a chunk.
pub(crate) fn rows_in_block(rows: usize, row: usize) -> usize {
    rows.div_ceil(BLOCKS).max(rows_in_chunk(row))
}

/// `work(start, chunk)` for each chunk of `length` numbers; `start` is the place of its first.
pub(crate) fn for_each_chunk<T: Send>(
    values: &mut [T],
    length: usize,
    parallel: bool,
    work: impl Fn(usize, &mut [T]) + Send + Sync,
) {
    let work = |(index, chunk): (usize, &mut [T])| work(index * length, chunk);
    if parallel {
        values.par_chunks_mut(length).enumerate().for_each(work);
    } else {
        values.chunks_mut(length).enumerate().for_each(work);
    }
}

/// `work(index, first, second)` for each pair of chunks of two slices that are cut into equally
/// many.
pub(crate) fn for_each_pair<T: Send>(
    (first, first_length): (&mut [T], usize),
    (second, second_length): (&mut [T], usize),
    work: impl Fn(usize, &mut [T], &mut [T]) + Send + Sync,
) {
    let parallel = is_large(first.len());
    let work = |(index, (first, second)): (usize, (&mut [T], &mut [T]))| work(index, first, second);
    if parallel {
        let first = first.par_chunks_mut(first_length);
        let second = second.par_chunks_mut(second_length);
        first.zip(second).enumerate().for_each(work);
    } else {
        let first = first.chunks_mut(first_length);
        let second = second.chunks_mut(second_length);
        first.zip(second).enumerate().for_each(work);
    }
}

/// The part of `input` that belongs to a chunk.
pub(crate) fn part<T>(input: Option<&[T]>, start: usize, length: usize) -> Option<&[T]> {
    input.map(|input| &input[start..start + length])
}

/// Makes a message of what is wrong with the length of a slice.
///
/// # Panics
/// When the lengths differ.
pub(crate) fn assert_length(name: &str, found: usize, expected: usize) {
    assert!(
        found == expected,
        "`{name}` has {found} numbers, {expected} are needed"
    );
}
