//! Where a kernel writes.
//!
//! Zeros that a kernel overwrites are a pass over memory of their own, which one thread makes
//! before all can begin. Without them a kernel's chunks are made in the first cache, and rayon
//! collects them into memory that was never written to, as arrays of a few numbers.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::plumbing::{Consumer, Folder, Reducer, UnindexedConsumer};
use rayon::iter::{ParallelExtend, ParallelIterator};

use super::parallel::{for_each_chunk, is_large, rows_in_chunk};
use super::{Real, scratch};

/// As many numbers are collected at a time: a cache line of `f32`.
const ITEM: usize = 16;

/// The numbers of a chunk that is collected, where rows are not longer. While it is copied into
/// memory, the next is computed: no more than the processor remembers to store.
const PIECE: usize = 1024;

/// Longer chunks are not collected: they would have to leave the second cache.
const LONGEST_PIECE: usize = 128 * 1024;

/// The numbers in one task.
const TASK: usize = 16 * 1024;

/// Where a kernel writes.
#[derive(Debug)]
pub enum Output<'a, T> {
    /// Over these numbers.
    Over(&'a mut [T]),
    /// Into new memory: an empty vector, and how many numbers it gets.
    New(&'a mut Vec<T>, usize),
}

impl<'a, T> From<&'a mut [T]> for Output<'a, T> {
    fn from(values: &'a mut [T]) -> Self {
        Self::Over(values)
    }
}

impl<'a, T, const N: usize> From<&'a mut [T; N]> for Output<'a, T> {
    fn from(values: &'a mut [T; N]) -> Self {
        Self::Over(values)
    }
}

impl<'a, T> From<&'a mut Vec<T>> for Output<'a, T> {
    fn from(values: &'a mut Vec<T>) -> Self {
        Self::Over(values)
    }
}

impl<T: Real> Output<'_, T> {
    /// The numbers that are written.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Over(values) => values.len(),
            Self::New(_, length) => *length,
        }
    }

    /// Whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `work(start, chunk)` for chunks of whole rows; `start` is the place of the first number.
    /// A chunk of new memory holds whatever was in it.
    pub(crate) fn fill(self, row: usize, work: impl Fn(usize, &mut [T]) + Send + Sync) {
        match self {
            Self::Over(values) => overwrite(values, row, work),
            Self::New(vector, length) => {
                let piece = piece(row);
                *vector = if piece <= LONGEST_PIECE.min(length / 2) {
                    collect(length, piece, &work)
                } else {
                    let mut zeros = vec![T::ZERO; length];
                    overwrite(&mut zeros, row, work);
                    zeros
                };
            }
        }
    }
}

fn overwrite<T: Real>(values: &mut [T], row: usize, work: impl Fn(usize, &mut [T]) + Send + Sync) {
    let parallel = is_large(values.len());
    for_each_chunk(values, rows_in_chunk(row) * row, parallel, work);
}

/// The length of a chunk of whole rows and whole items.
fn piece(row: usize) -> usize {
    let common = 1 << row.trailing_zeros().min(ITEM.trailing_zeros());
    let step = row.saturating_mul(ITEM / common);
    step * (PIECE / step.max(1)).max(1)
}

fn collect<T: Real>(
    length: usize,
    piece: usize,
    work: &(impl Fn(usize, &mut [T]) + Send + Sync),
) -> Vec<T> {
    let whole = length - length % piece;
    let mut items = Vec::with_capacity(length.div_ceil(ITEM));
    items.par_extend(Pieces {
        range: 0..whole,
        piece,
        parallel: is_large(length),
        work,
        numbers: PhantomData,
    });
    let mut values = items.into_flattened();
    scratch::with::<T, _, 1>([length - whole], |[rest]| {
        work(whole, rest);
        values.extend_from_slice(rest);
    });
    values
}

/// The items of a range of whole chunks.
struct Pieces<'a, T, F> {
    range: Range<usize>,
    piece: usize,
    parallel: bool,
    work: &'a F,
    numbers: PhantomData<T>,
}

impl<T: Real, F: Fn(usize, &mut [T]) + Send + Sync> Pieces<'_, T, F> {
    /// Never cuts a chunk, as rayon's own ways of sharing items out would.
    fn drive<C: Consumer<[T; ITEM]>>(self, consumer: C) -> C::Result {
        let Self { range, piece, .. } = self;
        let half = range.len() / piece / 2 * piece;
        if self.parallel && half >= TASK / 2 {
            let middle = range.start + half;
            let (first, second, reducer) = consumer.split_at(half / ITEM);
            let part = |range| Self { range, ..self };
            let (first, second) = rayon::join(
                || part(range.start..middle).drive(first),
                || part(middle..range.end).drive(second),
            );
            return reducer.reduce(first, second);
        }
        scratch::with::<T, _, 1>([piece], |[memory]| {
            let mut folder = consumer.into_folder();
            for start in range.step_by(piece) {
                (self.work)(start, memory);
                let (items, _) = memory.as_chunks();
                folder = Arch::new().dispatch(Copied { items, folder });
            }
            folder.complete()
        })
    }
}

impl<T: Real, F: Fn(usize, &mut [T]) + Send + Sync> ParallelIterator for Pieces<'_, T, F> {
    type Item = [T; ITEM];

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        self.drive(consumer)
    }

    fn opt_len(&self) -> Option<usize> {
        Some(self.range.len() / ITEM)
    }
}

/// Items on their way to a folder, in the widest registers.
struct Copied<'a, T, F> {
    items: &'a [[T; ITEM]],
    folder: F,
}

impl<T: Real, F: Folder<[T; ITEM]>> WithSimd for Copied<'_, T, F> {
    type Output = F;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _instructions: S) -> F {
        let mut folder = self.folder;
        for item in self.items {
            folder = folder.consume(*item);
        }
        folder
    }
}
