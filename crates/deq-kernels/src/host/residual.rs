//! Residuals and their norms, in one pass.

use super::Real;
use super::parallel::{assert_length, for_each_pair, rows_in_chunk};
use super::reduce::{dot, maximum};
use super::scalar::Scalar;
use super::simd::{Arithmetic, Kernel, vectorised};

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

/// Numbers of a row that are gone through at a time, so that they are in the first cache when they
/// are read again.
const PART: usize = 1024;

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
    let rows = rows_in_chunk(row);
    for_each_pair(
        (residual, rows * row),
        (norms, rows * 2),
        |index, values, norms| {
            let range = index * rows * row..index * rows * row + values.len();
            vectorised(Residuals {
                image: &image[range.clone()],
                point: &point[range],
                row,
                norm,
                values,
                norms,
            });
        },
    );
}

struct Residuals<'a, T> {
    image: &'a [T],
    point: &'a [T],
    row: usize,
    norm: RowNorm,
    values: &'a mut [T],
    norms: &'a mut [T],
}

impl<T: Real> Kernel for Residuals<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let images = self.image.chunks_exact(self.row);
        let points = self.point.chunks_exact(self.row);
        let rows = self.values.chunks_exact_mut(self.row);
        let norms = self.norms.chunks_exact_mut(2);
        for (((image, point), values), norms) in images.zip(points).zip(rows).zip(norms) {
            let (mut of_residual, mut of_image) = (T::ZERO, T::ZERO);
            let parts = image.chunks(PART).zip(point.chunks(PART));
            for ((image, point), values) in parts.zip(values.chunks_mut(PART)) {
                for ((value, &image), &point) in values.iter_mut().zip(image).zip(point) {
                    *value = image - point;
                }
                if self.norm == RowNorm::Max {
                    of_residual = larger(of_residual, largest(values));
                    of_image = larger(of_image, largest(image));
                } else {
                    of_residual += dot(values, values);
                    of_image += dot(image, image);
                }
            }
            for (norm, found) in norms.iter_mut().zip([of_residual, of_image]) {
                *norm = match self.norm {
                    RowNorm::L2 => found.sqrt(),
                    RowNorm::Rms => (found / T::of(self.row as f64)).sqrt(),
                    RowNorm::Max => found,
                };
            }
        }
    }
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
