//! Residuals and their norms, in one pass.

use pulp::{Arch, Simd, WithSimd};

use super::parallel::{CHUNK, assert_length, for_each_pair, is_large, rows_in_chunk};
use super::reduce::{dot, maximum, sum};
use super::scalar::Scalar;
use super::{Real, scratch};

/// How the norm of a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowNorm {
    /// $\lVert x \rVert_2$.
    L2,
    /// $\lVert x \rVert_2 / \sqrt n$ for $n$ numbers.
    Rms,
    /// $\max_i \lvert x_i \rvert$, NaN if there is one.
    Max,
}

/// Numbers of a row whose sum is taken alone, and then added to that of the numbers before them.
const PART: usize = 1024;

/// Lanes of a sum, as in [`reduce`](super::reduce).
const LANES: usize = 32;

// Long rows are cut between parts.
const _: () = assert!(CHUNK.is_multiple_of(PART));

/// Writes `image - point` to `residual`, and for each row of `row` numbers the norm of the
/// residual and that of the image to `norms`.
///
/// # Panics
/// When the lengths do not fit.
pub fn residual_norms<T: Real>(
    image: &[T],
    point: &[T],
    row: usize,
    norm: RowNorm,
    residual: &mut [T],
    norms: &mut [T],
) {
    assert_length("image", image.len(), residual.len());
    assert_length("point", point.len(), residual.len());
    if residual.is_empty() {
        norms.fill(T::ZERO);
        return;
    }
    assert!(
        row > 0 && residual.len().is_multiple_of(row),
        "{} numbers are no rows of {row}",
        residual.len()
    );
    assert_length("norms", norms.len(), residual.len() / row * 2);
    let is_max = norm == RowNorm::Max;
    if is_large(row) {
        measure_long(image, point, row, is_max, residual, norms);
    } else {
        let rows = rows_in_chunk(row);
        for_each_pair(
            (residual, rows * row),
            (norms, rows * 2),
            |index, values, found| {
                let start = index * rows * row;
                measure(image, point, start, row, is_max, values, found);
            },
        );
    }
    for norms in norms.iter_mut() {
        *norms = match norm {
            RowNorm::L2 => norms.sqrt(),
            RowNorm::Rms => (*norms / T::of(row as f64)).sqrt(),
            RowNorm::Max => *norms,
        };
    }
}

/// Shares out the parts of each row too. What is found in them is joined in their order, as on one
/// thread.
fn measure_long<T: Real>(
    image: &[T],
    point: &[T],
    row: usize,
    is_max: bool,
    residual: &mut [T],
    norms: &mut [T],
) {
    let parts = row.div_ceil(PART);
    scratch::with::<T, _, 1>([parts * norms.len()], |[found]| {
        for_each_pair(
            (residual, row),
            (&mut *found, parts * 2),
            |index, values, found| {
                let start = index * row;
                for_each_pair(
                    (values, CHUNK),
                    (found, CHUNK / PART * 2),
                    |index, values, found| {
                        let start = start + index * CHUNK;
                        measure(image, point, start, PART, is_max, values, found);
                    },
                );
            },
        );
        for (norms, found) in norms.chunks_exact_mut(2).zip(found.chunks_exact(parts * 2)) {
            let parts = found.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
            let joined = parts.fold([T::ZERO; 2], |all, part| join(is_max, all, part));
            norms.copy_from_slice(&joined);
        }
    });
}

/// The residual from `start` on as far as `values` goes, and for each `row` numbers of it, of which
/// the last may be fewer, two sums of squares or two largest absolute values.
fn measure<T: Real>(
    image: &[T],
    point: &[T],
    start: usize,
    row: usize,
    is_max: bool,
    values: &mut [T],
    found: &mut [T],
) {
    let range = start..start + values.len();
    Arch::new().dispatch(Measure {
        image: &image[range.clone()],
        point: &point[range],
        row,
        is_max,
        values,
        found,
    });
}

struct Measure<'a, T> {
    image: &'a [T],
    point: &'a [T],
    row: usize,
    is_max: bool,
    values: &'a mut [T],
    found: &'a mut [T],
}

impl<T: Real> WithSimd for Measure<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (row, is_max) = (self.row, self.is_max);
        let rows = self.image.chunks(row).zip(self.point.chunks(row));
        let places = self
            .values
            .chunks_mut(row)
            .zip(self.found.chunks_exact_mut(2));
        for ((image, point), (values, found)) in rows.zip(places) {
            let mut joined = [T::ZERO; 2];
            let parts = image.chunks(PART).zip(point.chunks(PART));
            for ((image, point), values) in parts.zip(values.chunks_mut(PART)) {
                let part = if is_max {
                    subtract(image, point, values);
                    [largest(values), largest(image)]
                } else {
                    squares::<S, T>(simd, image, point, values)
                };
                joined = join(is_max, joined, part);
            }
            found.copy_from_slice(&joined);
        }
    }
}

/// What is known of a row and of its next part together.
#[inline(always)]
fn join<T: Scalar>(is_max: bool, [a, b]: [T; 2], [c, d]: [T; 2]) -> [T; 2] {
    if is_max {
        [larger(a, c), larger(b, d)]
    } else {
        [a + c, b + d]
    }
}

#[inline(always)]
fn subtract<T: Scalar>(image: &[T], point: &[T], values: &mut [T]) {
    for ((value, &image), &point) in values.iter_mut().zip(image).zip(point) {
        *value = image - point;
    }
}

/// The residual of a part, with the sum of its squares and that of the image's. The compiler does
/// not find vectors in sums of so many lanes; here they are by name.
#[inline(always)]
fn squares<S: Simd, T: Real>(simd: S, image: &[T], point: &[T], values: &mut [T]) -> [T; 2] {
    match LANES * size_of::<T>() / size_of::<T::Vector<S>>() {
        2 => squares_of::<S, T, 2>(simd, image, point, values),
        4 => squares_of::<S, T, 4>(simd, image, point, values),
        8 => squares_of::<S, T, 8>(simd, image, point, values),
        16 => squares_of::<S, T, 16>(simd, image, point, values),
        _ => {
            subtract(image, point, values);
            [dot(values, values), dot(image, image)]
        }
    }
}

/// The same with lanes in `V` vectors. A product is one with zero added, so that it is rounded as
/// on processors that cannot do both at once; and less `b` is plus $-1 \cdot b$, which is exact.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "iterators over the sums would keep them out of registers"
)]
fn squares_of<S: Simd, T: Real, const V: usize>(
    simd: S,
    image: &[T],
    point: &[T],
    values: &mut [T],
) -> [T; 2] {
    let zero = T::splat(simd, T::ZERO);
    let minus = T::splat(simd, -T::ONE);
    let whole = values.len() / LANES * LANES;
    let (head, tail) = values.split_at_mut(whole);
    let (places, _) = T::vectors_mut::<S>(head).as_chunks_mut::<V>();
    let (images, _) = T::vectors::<S>(&image[..whole]).as_chunks::<V>();
    let (points, _) = T::vectors::<S>(&point[..whole]).as_chunks::<V>();
    let (mut of_residual, mut of_image) = ([zero; V], [zero; V]);
    for ((place, image), point) in places.iter_mut().zip(images).zip(points) {
        for lane in 0..V {
            let change = T::times_plus(simd, minus, point[lane], image[lane]);
            place[lane] = change;
            let square = T::times_plus(simd, change, change, zero);
            of_residual[lane] = T::plus(simd, of_residual[lane], square);
            let square = T::times_plus(simd, image[lane], image[lane], zero);
            of_image[lane] = T::plus(simd, of_image[lane], square);
        }
    }
    let mut lanes = [[T::ZERO; LANES]; 2];
    T::vectors_mut::<S>(&mut lanes[0]).copy_from_slice(&of_residual);
    T::vectors_mut::<S>(&mut lanes[1]).copy_from_slice(&of_image);
    subtract(&image[whole..], &point[whole..], tail);
    for (lane, (&change, &image)) in tail.iter().zip(&image[whole..]).enumerate() {
        lanes[0][lane] += change * change;
        lanes[1][lane] += image * image;
    }
    [sum(&lanes[0]), sum(&lanes[1])]
}

/// The largest absolute value of at most [`PART`] numbers, or NaN, which [`maximum`] passes over.
#[inline(always)]
fn largest<T: Scalar>(values: &[T]) -> T {
    let mut sizes = [T::ZERO; PART];
    let sizes = &mut sizes[..values.len()];
    let mut broken = false;
    for (size, &value) in sizes.iter_mut().zip(values) {
        *size = value.abs();
        broken |= is_nan(value);
    }
    if broken {
        T::of(f64::NAN)
    } else {
        maximum(sizes)
    }
}

/// The larger of two, or NaN when one of them is.
#[inline(always)]
fn larger<T: Scalar>(a: T, b: T) -> T {
    if b > a || is_nan(b) { b } else { a }
}

#[inline(always)]
fn is_nan<T: Scalar>(value: T) -> bool {
    !(value <= T::of(f64::INFINITY))
}
