use crate::States;

/// The steps of each slice, for a trajectory of `max_iter` steps: TorchDEQ's `DEQSliced`. An
/// evenly spaced choice drops the remainder. A call's cap may end it before the last slices.
pub(crate) fn slices(states: &States, max_iter: usize) -> Vec<usize> {
    match states {
        States::Count(count) => vec![max_iter / count; *count],
        States::At(steps) => {
            let ends = steps.iter().copied().chain([max_iter]);
            let starts = [0].into_iter().chain(steps.iter().copied());
            starts
                .zip(ends)
                .map(|(start, end)| end.min(max_iter).saturating_sub(start))
                .collect()
        }
    }
}

/// The steps after which states are read off one trajectory: TorchDEQ's `DEQIndexing`. An evenly
/// spaced choice is aligned with the end.
pub(crate) fn steps(states: &States, max_iter: usize) -> Vec<usize> {
    match states {
        States::Count(count) => {
            let count = (*count).min(max_iter).max(1);
            let gap = max_iter / count;
            (1..=count).map(|k| max_iter - (count - k) * gap).collect()
        }
        States::At(steps) => {
            let ends = steps.iter().copied().chain([max_iter]);
            ends.map(|end| end.min(max_iter)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_drop_the_remainder() {
        assert_eq!(slices(&States::Count(3), 10), [3, 3, 3]);
        assert_eq!(slices(&States::At(vec![2, 7]), 10), [2, 5, 3]);
        assert_eq!(slices(&States::At(vec![2, 7]), 5), [2, 3, 0]);
        assert_eq!(slices(&States::At(vec![2, 7]), 0), [0, 0, 0]);
    }

    #[test]
    fn steps_end_at_the_cap() {
        assert_eq!(steps(&States::Count(3), 10), [4, 7, 10]);
        assert_eq!(steps(&States::Count(2), 10), [5, 10]);
        assert_eq!(steps(&States::At(vec![2, 7]), 10), [2, 7, 10]);
        assert_eq!(steps(&States::At(vec![2, 7]), 5), [2, 5, 5]);
        assert_eq!(steps(&States::Count(1), 0), [0]);
    }
}
