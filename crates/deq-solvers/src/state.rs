use burn::tensor::{Shape, Tensor};

use crate::SolveError;

/// What a map takes to itself: a tensor, a tuple of tensors or a list of tensors.
///
/// Axis 0 of every part counts the samples; everything behind it is a feature. A rank-1 tensor is
/// a batch of single numbers. Solvers see the parts joined into one matrix of samples by features.
///
/// ```
/// use burn::tensor::Tensor;
/// use deq_solvers::State;
///
/// let device = burn::tensor::Device::flex();
/// let state = (Tensor::<2>::ones([3, 4], &device), Tensor::<3>::zeros([3, 2, 5], &device));
/// let shapes = state.shapes();
/// let matrix = state.into_matrix();
/// assert_eq!(matrix.dims(), [3, 14]);
/// let (a, b) = <(Tensor<2>, Tensor<3>)>::from_matrix(matrix, &shapes);
/// assert_eq!((a.dims(), b.dims()), ([3, 4], [3, 2, 5]));
/// ```
pub trait State: Clone + 'static {
    /// The shapes of the parts, in order.
    fn shapes(&self) -> Vec<Shape>;

    /// Joins the parts into a matrix of samples by features.
    fn into_matrix(self) -> Tensor<2>;

    /// Splits a matrix into parts of the given shapes: the inverse of [`State::into_matrix`].
    ///
    /// # Panics
    /// When the shapes are not those of a state of this type, or do not fit the matrix.
    fn from_matrix(matrix: Tensor<2>, shapes: &[Shape]) -> Self;

    /// The number of samples.
    ///
    /// # Errors
    /// [`SolveError::Empty`] without a part, a sample or a feature, and
    /// [`SolveError::BatchMismatch`] when the parts disagree about the samples.
    fn samples(&self) -> Result<usize, SolveError> {
        let shapes = self.shapes();
        if shapes.is_empty() || shapes.iter().any(|shape| shape.num_elements() == 0) {
            return Err(SolveError::Empty(shapes));
        }
        let samples = shapes[0][0];
        if shapes.iter().any(|shape| shape[0] != samples) {
            return Err(SolveError::BatchMismatch(shapes));
        }
        Ok(samples)
    }
}

impl<const D: usize> State for Tensor<D> {
    fn shapes(&self) -> Vec<Shape> {
        vec![self.shape()]
    }

    fn into_matrix(self) -> Tensor<2> {
        let shape = self.shape();
        self.reshape([shape[0], features(&shape)])
    }

    fn from_matrix(matrix: Tensor<2>, shapes: &[Shape]) -> Self {
        matrix.reshape(shapes[0].clone())
    }
}

impl<const D: usize> State for Vec<Tensor<D>> {
    fn shapes(&self) -> Vec<Shape> {
        self.iter().map(Tensor::shape).collect()
    }

    fn into_matrix(self) -> Tensor<2> {
        Tensor::cat(self.into_iter().map(State::into_matrix).collect(), 1)
    }

    fn from_matrix(matrix: Tensor<2>, shapes: &[Shape]) -> Self {
        let mut columns = Columns::new(matrix);
        shapes.iter().map(|shape| columns.take(shape)).collect()
    }
}

macro_rules! tuple_state {
    ($($rank:ident $part:ident $index:tt),+) => {
        impl<$(const $rank: usize),+> State for ($(Tensor<$rank>,)+) {
            fn shapes(&self) -> Vec<Shape> {
                vec![$(self.$index.shape()),+]
            }

            fn into_matrix(self) -> Tensor<2> {
                Tensor::cat(vec![$(self.$index.into_matrix()),+], 1)
            }

            fn from_matrix(matrix: Tensor<2>, shapes: &[Shape]) -> Self {
                let mut columns = Columns::new(matrix);
                $(let $part = columns.take(&shapes[$index]);)+
                ($($part,)+)
            }
        }
    };
}

tuple_state!(A a 0, B b 1);
tuple_state!(A a 0, B b 1, C c 2);
tuple_state!(A a 0, B b 1, C c 2, D d 3);

/// Hands out consecutive columns of a matrix as tensors.
struct Columns {
    matrix: Tensor<2>,
    next: usize,
}

impl Columns {
    fn new(matrix: Tensor<2>) -> Self {
        Self { matrix, next: 0 }
    }

    fn take<const D: usize>(&mut self, shape: &Shape) -> Tensor<D> {
        let width = features(shape);
        let part = self.matrix.clone().narrow(1, self.next, width);
        self.next += width;
        part.reshape(shape.clone())
    }
}

fn features(shape: &Shape) -> usize {
    shape.num_elements() / shape[0].max(1)
}
