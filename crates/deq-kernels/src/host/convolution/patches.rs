use super::super::Real;

/// Numbers that are copied at a time, at most.
pub(super) const STEP: usize = 16;

/// Writes what some taps read for each of some lines, `width` numbers a line: a row of `target`, as
/// long as `row`, a tap.
///
/// Copies are of fixed length: what is too much of one is overwritten by the next. So both slices
/// are [`STEP`] numbers longer than needed.
pub(super) fn gather<T: Real>(
    values: &[T],
    taps: &[usize],
    lines: &[usize],
    width: usize,
    (target, row): (&mut [T], usize),
) {
    match width {
        0..=4 => gather_by::<T, 4>(values, taps, lines, width, (target, row)),
        5..=8 => gather_by::<T, 8>(values, taps, lines, width, (target, row)),
        _ => gather_by::<T, STEP>(values, taps, lines, width, (target, row)),
    }
}

fn gather_by<T: Real, const N: usize>(
    values: &[T],
    taps: &[usize],
    lines: &[usize],
    width: usize,
    (target, row): (&mut [T], usize),
) {
    for (index, &tap) in taps.iter().enumerate() {
        let (values, target) = (&values[tap..], &mut target[index * row..]);
        for (index, &line) in lines.iter().enumerate() {
            for place in (0..width).step_by(N) {
                let target = &mut target[index * width + place..][..N];
                target.copy_from_slice(&values[line + place..][..N]);
            }
        }
    }
}
