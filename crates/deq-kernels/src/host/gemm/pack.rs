//! Copies of matrices in the order in which products read them.
//!
//! A matrix of `depth` rows is cut into groups of neighbouring columns, as many as a tile of the
//! product has, and each group is stored row by row; the last one is filled up with zeros. The
//! left factor of a product is packed transposed.

use super::super::Real;
use super::super::parallel::for_each_chunk;
use super::super::simd::{Arithmetic, Kernel, vectorised};
use super::{Matrix, Tile};

/// One factor of a product, packed once for many products.
#[derive(Clone, Debug)]
pub struct Panels<T> {
    values: Vec<T>,
    depth: usize,
    count: usize,
}

impl<T: Real> Panels<T> {
    /// The right factor, `[depth, columns]`.
    pub fn right(matrix: Matrix<'_, T>) -> Self {
        let [depth, count] = matrix.shape();
        Self::packed(Factor::Right, matrix, depth, count)
    }

    /// The left factor, `[rows, depth]`.
    pub fn left(matrix: Matrix<'_, T>) -> Self {
        let [count, depth] = matrix.shape();
        Self::packed(Factor::Left, matrix, depth, count)
    }

    fn packed(factor: Factor, matrix: Matrix<'_, T>, depth: usize, count: usize) -> Self {
        let mut values = vec![T::ZERO; factor.length::<T>(count, depth)];
        factor.pack(matrix, &mut values, true);
        Self {
            values,
            depth,
            count,
        }
    }

    /// The length of the sums in a product.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The columns of a right factor, or the rows of a left one.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }
}

/// Which factor of a product is packed, and so how wide its groups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// `[rows, depth]`, in groups of a tile's rows.
    Left,
    /// `[depth, columns]`, in groups of a tile's columns.
    Right,
}

impl Factor {
    /// The numbers in a packed factor of `count` rows, if it is the left one, or columns.
    pub(crate) fn length<T: Real>(self, count: usize, depth: usize) -> usize {
        depth * count.next_multiple_of(self.width::<T>())
    }

    pub(crate) fn pack<T: Real>(self, matrix: Matrix<'_, T>, packed: &mut [T], parallel: bool) {
        let matrix = match self {
            Self::Left => matrix.transposed(),
            Self::Right => matrix,
        };
        pack_columns(matrix, self.width::<T>(), packed, parallel);
    }

    fn width<T: Real>(self) -> usize {
        let tile = Tile::of::<T>();
        match self {
            Self::Left => tile.rows,
            Self::Right => tile.columns,
        }
    }
}

/// Packs the columns in groups as wide as a tile has rows or columns.
fn pack_columns<T: Real>(matrix: Matrix<'_, T>, width: usize, packed: &mut [T], parallel: bool) {
    let [depth, columns] = matrix.shape();
    if packed.is_empty() {
        return;
    }
    let task = if parallel {
        depth * width
    } else {
        packed.len()
    };
    for_each_chunk(packed, task, parallel, |start, groups| {
        let first = start / depth;
        let count = columns.min(first + groups.len() / depth) - first;
        let groups = Groups {
            matrix: matrix.columns(first, count),
            groups,
        };
        // The widths of tiles as constants, so that a row of a group is copied by a few moves.
        match width {
            32 => groups.pack::<32>(),
            16 => groups.pack::<16>(),
            12 => groups.pack::<12>(),
            8 => groups.pack::<8>(),
            6 => groups.pack::<6>(),
            4 => groups.pack::<4>(),
            2 => groups.pack::<2>(),
            _ => unreachable!("no tile is {width} wide"),
        }
    });
}

/// Some columns of a matrix and the groups to put them into.
struct Groups<'a, 'p, T> {
    matrix: Matrix<'a, T>,
    groups: &'p mut [T],
}

impl<T: Real> Groups<'_, '_, T> {
    fn pack<const WIDTH: usize>(self) {
        if self.matrix.strides()[1] == 1 {
            vectorised(CopiedRows::<T, WIDTH>(self));
        } else {
            self.transpose::<WIDTH>();
        }
    }

    /// Rows with strides: four numbers of four columns at a time where a column's are next to each
    /// other. Not a [`Kernel`]: of these loops the compiler makes scattered stores of vectors,
    /// which are slower than single ones.
    fn transpose<const WIDTH: usize>(self) {
        let (values, [down, across]) = (self.matrix.values(), self.matrix.strides());
        let [depth, columns] = self.matrix.shape();
        let groups = self.groups.chunks_exact_mut(depth * WIDTH);
        for (index, group) in groups.enumerate() {
            let first = index * WIDTH;
            let count = WIDTH.min(columns - first);
            let (places, _) = group.as_chunks_mut::<WIDTH>();
            if count < WIDTH {
                places.fill([T::ZERO; WIDTH]);
            }
            let fours = if down == 1 { count / 4 * 4 } else { 0 };
            for column in (0..fours).step_by(4) {
                let start = (first + column) * across;
                transpose_four(&values[start..], across, places, column);
            }
            for column in fours..count {
                let values = values[(first + column) * across..].iter().step_by(down);
                for (places, &value) in places.iter_mut().zip(values) {
                    places[column] = value;
                }
            }
        }
    }
}

/// Packs four columns that are `across` apart.
fn transpose_four<T: Real, const WIDTH: usize>(
    values: &[T],
    across: usize,
    places: &mut [[T; WIDTH]],
    first: usize,
) {
    let depth = places.len();
    let mut columns: [&[[T; 4]]; 4] = [&[]; 4];
    let mut rests: [&[T]; 4] = [&[]; 4];
    for (index, (column, rest)) in columns.iter_mut().zip(&mut rests).enumerate() {
        (*column, *rest) = values[index * across..][..depth].as_chunks();
    }
    let [a, b, c, d] = columns;
    let (fours, rest) = places.as_chunks_mut::<4>();
    for ((((places, a), b), c), d) in fours.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        for (term, places) in places.iter_mut().enumerate() {
            places[first..first + 4].copy_from_slice(&[a[term], b[term], c[term], d[term]]);
        }
    }
    for (term, places) in rest.iter_mut().enumerate() {
        places[first..first + 4].copy_from_slice(&rests.map(|rest| rest[term]));
    }
}

/// Groups of a matrix with the numbers of a row next to each other.
struct CopiedRows<'a, 'p, T, const WIDTH: usize>(Groups<'a, 'p, T>);

impl<T: Real, const WIDTH: usize> Kernel for CopiedRows<'_, '_, T, WIDTH> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Groups { matrix, groups } = self.0;
        let (values, [down, _]) = (matrix.values(), matrix.strides());
        let [depth, columns] = matrix.shape();
        let groups = groups.chunks_exact_mut(depth * WIDTH);
        for (index, group) in groups.enumerate() {
            let first = index * WIDTH;
            let count = WIDTH.min(columns - first);
            let (places, _) = group.as_chunks_mut::<WIDTH>();
            for (row, places) in places.iter_mut().enumerate() {
                let start = row * down + first;
                if count == WIDTH {
                    places.copy_from_slice(&values[start..start + WIDTH]);
                } else {
                    *places = [T::ZERO; WIDTH];
                    for (place, &value) in places.iter_mut().zip(&values[start..start + count]) {
                        *place = value;
                    }
                }
            }
        }
    }
}
