//! The program's allocator.
//!
//! A solver frees and allocates large blocks at every step. C libraries give such memory back to
//! the system and get it again page by page, which can cost as much as the arithmetic; jemalloc is
//! told to keep it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use peakmem_alloc::{PeakMemAlloc, PeakMemAllocTrait};

use self::inner::Inner;
pub(crate) use self::inner::keep_freed_memory;

#[global_allocator]
static COUNTED: PeakMemAlloc<Inner> = PeakMemAlloc::new(Inner);

/// Held by the one who counts.
static COUNTING: Mutex<()> = Mutex::new(());

/// Counts what is allocated from its making on. There is one at a time; others wait.
pub(crate) struct Count {
    _only: MutexGuard<'static, ()>,
}

impl Count {
    pub(crate) fn start() -> Self {
        let only = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        COUNTED.reset_peak_memory();
        Self { _only: only }
    }

    /// The most that was held at a time beyond what was held at the start, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        COUNTED.get_peak_memory() as u64
    }
}

#[cfg(not(target_env = "msvc"))]
mod inner {
    use anyhow::{Result, anyhow};
    use tikv_jemalloc_ctl::{Access, AsName};
    pub(super) use tikv_jemallocator::Jemalloc as Inner;

    /// Has freed memory kept for what is allocated next: in the first arena, which is the only one
    /// before there are threads, and in those to come.
    pub(crate) fn keep_freed_memory() -> Result<()> {
        for setting in ["arenas.dirty_decay_ms\0", "arena.0.dirty_decay_ms\0"] {
            let never: isize = -1;
            let written = setting.name().write(never);
            written.map_err(|error| {
                anyhow!(
                    "jemalloc refused {}: {error}",
                    setting.trim_end_matches('\0')
                )
            })?;
        }
        Ok(())
    }
}

/// jemalloc does not build there.
#[cfg(target_env = "msvc")]
mod inner {
    use anyhow::Result;
    pub(super) use std::alloc::System as Inner;

    /// The system's allocator has no such setting.
    pub(crate) fn keep_freed_memory() -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_is_kept() {
        keep_freed_memory().expect("the allocator takes the setting");
    }

    #[test]
    fn the_most_that_was_held_is_counted() {
        let count = Count::start();
        let first = vec![1_u8; 1 << 24];
        let second = vec![1_u8; 1 << 24];
        drop(first);
        let peak = count.peak();
        drop(second);
        // Other tests of this process free memory meanwhile.
        assert!(peak >= 1 << 24, "{peak}");
    }
}
