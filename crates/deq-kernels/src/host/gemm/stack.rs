use super::Matrix;

/// Matrices of one shape on a slice, counted by two axes: samples and heads, say.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a, T> {
    values: &'a [T],
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a, T> Stack<'a, T> {
    /// The matrices one after the other, each row by row.
    ///
    /// # Panics
    /// When there are not as many numbers as the shape says.
    pub fn new(values: &'a [T], shape: [usize; 4]) -> Self {
        let [_, heads, rows, columns] = shape;
        let count: usize = shape.iter().product();
        super::super::parallel::assert_length("stack", values.len(), count);
        Self {
            values,
            shape,
            strides: [heads * rows * columns, rows * columns, columns.max(1), 1],
        }
    }

    /// Numbers `strides` apart along each axis; the last two strides are above 0.
    pub fn strided(values: &'a [T], shape: [usize; 4], strides: [usize; 4]) -> Self {
        Self {
            values,
            shape,
            strides,
        }
    }

    /// Samples, heads, rows and columns.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// One of the matrices; they are counted head by head, then sample by sample.
    ///
    /// # Panics
    /// When there are not so many, or they reach behind the slice's end.
    pub fn matrix(&self, index: usize) -> Matrix<'a, T> {
        let [samples, heads, rows, columns] = self.shape;
        assert!(index < samples * heads, "there is no matrix {index}");
        let [by_sample, by_head, down, across] = self.strides;
        let start = index / heads * by_sample + index % heads * by_head;
        Matrix::strided(
            self.values.get(start..).unwrap_or_default(),
            [rows, columns],
            [down, across],
        )
    }
}
