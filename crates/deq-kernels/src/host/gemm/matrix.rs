use super::super::parallel::assert_length;

/// A matrix on a slice, row by row or with strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// When there are not as many numbers as the shape `[rows, columns]` says.
    pub fn new(values: &'a [T], shape: [usize; 2]) -> Self {
        assert_length("matrix", values.len(), shape[0] * shape[1]);
        Self {
            values,
            shape,
            strides: [shape[1], 1],
        }
    }

    /// A matrix with its numbers `strides` apart down and across.
    ///
    /// # Panics
    /// When the last of them lies behind the slice's end, or a stride is 0.
    pub fn strided(values: &'a [T], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(strides[0] > 0 && strides[1] > 0, "strides must be above 0");
        let [rows, columns] = shape;
        let last = |length: usize, stride: usize| (length - 1) * stride;
        let reaches = rows > 0 && columns > 0;
        let needed = if reaches {
            last(rows, strides[0]) + last(columns, strides[1]) + 1
        } else {
            0
        };
        assert!(
            needed <= values.len(),
            "the matrix needs {needed} numbers, the slice has {}",
            values.len()
        );
        Self {
            values,
            shape,
            strides,
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The same numbers with rows for columns.
    #[must_use]
    pub fn transposed(self) -> Self {
        let ([rows, columns], [down, across]) = (self.shape, self.strides);
        Self {
            shape: [columns, rows],
            strides: [across, down],
            ..self
        }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn rows(self, start: usize, count: usize) -> Self {
        let [rows, columns] = self.shape;
        assert!(start + count <= rows, "there are {rows} rows");
        let values = self.values.get(start * self.strides[0]..);
        Self {
            values: values.unwrap_or_default(),
            shape: [count, columns],
            ..self
        }
    }

    /// Some of the columns.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn columns(self, start: usize, count: usize) -> Self {
        self.transposed().rows(start, count).transposed()
    }

    pub(super) fn values(&self) -> &'a [T] {
        self.values
    }

    pub(super) fn strides(&self) -> [usize; 2] {
        self.strides
    }
}
