//! Memory that a thread keeps from call to call, so that a loop of solver steps allocates nothing
//! for what is packed and thrown away.

use std::cell::Cell;

use super::vector::Lanes;

/// Parts begin on the boundary of a cache line: a vector across two lines is loaded twice.
const LINE_BYTES: usize = 64;

/// Number types with memory set aside on every thread.
pub trait Scratch: Lanes {
    /// Takes a vector out, an empty one when all are in use: work that lends memory may ask for
    /// more, and so may another task that rayon runs on a thread that waits.
    fn take() -> Vec<Self>;
    /// Puts a vector back.
    fn give(memory: Vec<Self>);
}

macro_rules! scratch {
    ($type:ty, $cell:ident) => {
        thread_local! {
            static $cell: Cell<Vec<Vec<$type>>> = const { Cell::new(Vec::new()) };
        }

        impl Scratch for $type {
            fn take() -> Vec<Self> {
                let mut all = $cell.take();
                let memory = all.pop().unwrap_or_default();
                $cell.set(all);
                memory
            }

            fn give(memory: Vec<Self>) {
                let mut all = $cell.take();
                all.push(memory);
                $cell.set(all);
            }
        }
    };
}

scratch!(f32, SINGLES);
scratch!(f64, DOUBLES);

/// Lends `work` slices of these lengths, filled with whatever was in them.
pub(crate) fn with<T: Scratch, R, const N: usize>(
    lengths: [usize; N],
    work: impl FnOnce([&mut [T]; N]) -> R,
) -> R {
    let line = LINE_BYTES / size_of::<T>();
    let total: usize = lengths
        .iter()
        .map(|length| length.next_multiple_of(line))
        .sum();
    let mut memory = T::take();
    if memory.len() < total + line {
        memory.resize(total + line, T::ZERO);
    }
    let start = memory.as_ptr().align_offset(LINE_BYTES).min(line);
    let mut rest = &mut memory[start..];
    let parts = lengths.map(|length| {
        let all = std::mem::take(&mut rest);
        let (part, others) = all.split_at_mut(length.next_multiple_of(line));
        rest = others;
        &mut part[..length]
    });
    let result = work(parts);
    T::give(memory);
    result
}
