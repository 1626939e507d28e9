//! What is done to the rows of a product while they are still in the cache.

use std::marker::PhantomData;

use super::Real;
use super::elementwise::apply;
use super::layer_norm::add;
use super::pointwise::{Activation, Identity, Pointwise, with_pointwise};
use super::simd::{Arithmetic, Kernel, vectorised};

/// What is added to a product.
#[derive(Clone, Copy, Debug)]
pub enum Addend<'a, T> {
    /// Nothing.
    None,
    /// One number a row, as a bias after a convolution.
    Rows(&'a [T]),
    /// One number a column, as a bias after a linear layer.
    Columns(&'a [T]),
    /// A number for each of the product's, in row-major order: a residual, or an injection.
    Matrix(&'a [T]),
}

/// The end of a product: `activation(product + addend)`.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a, T> {
    /// What is added.
    pub addend: Addend<'a, T>,
    /// Applied to every number; `None` leaves it as it is.
    pub activation: Option<Activation>,
}

impl<T> Finish<'_, T> {
    /// The product as it is.
    pub const NOTHING: Self = Self {
        addend: Addend::None,
        activation: None,
    };
}

impl<T: Real> Finish<'_, T> {
    /// The end of one of several products whose addends lie one after the other.
    pub(crate) fn of_sample(self, sample: usize, length: usize) -> Self {
        let addend = match self.addend {
            Addend::Matrix(values) => {
                Addend::Matrix(&values[sample * length..(sample + 1) * length])
            }
            same => same,
        };
        Self { addend, ..self }
    }

    /// # Panics
    /// When the addend has another length than a product of this shape needs.
    pub(crate) fn check(&self, rows: usize, columns: usize) {
        let (found, needed) = match self.addend {
            Addend::None => return,
            Addend::Rows(values) => (values.len(), rows),
            Addend::Columns(values) => (values.len(), columns),
            Addend::Matrix(values) => (values.len(), rows * columns),
        };
        super::parallel::assert_length("addend", found, needed);
    }

    /// Finishes a part of a product `width` columns wide: rows from `first_row` on, each from
    /// `first_column` on.
    pub(crate) fn apply(&self, rows: &mut [&mut [T]], first: [usize; 2], width: usize) {
        let addend = self.addend;
        match self.activation {
            Some(activation) => with_pointwise!(activation, Function => {
                finish::<T, Function>(addend, rows, first, width);
            }),
            None if matches!(addend, Addend::None) => {}
            None => finish::<T, Identity>(addend, rows, first, width),
        }
    }
}

fn finish<T: Real, F: Pointwise>(
    addend: Addend<'_, T>,
    rows: &mut [&mut [T]],
    first: [usize; 2],
    width: usize,
) {
    vectorised(FinishRows::<T, F> {
        addend,
        rows,
        first,
        width,
        function: PhantomData,
    });
}

struct FinishRows<'a, 'r, T, F> {
    addend: Addend<'a, T>,
    rows: &'a mut [&'r mut [T]],
    first: [usize; 2],
    width: usize,
    function: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Kernel for FinishRows<'_, '_, T, F> {
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let [first_row, first_column] = self.first;
        for (index, row) in self.rows.iter_mut().enumerate() {
            let row: &mut [T] = row;
            let line = first_row + index;
            match self.addend {
                Addend::None => {}
                Addend::Rows(values) => {
                    let value = values[line];
                    for place in row.iter_mut() {
                        *place += value;
                    }
                }
                Addend::Columns(values) => add(row, &values[first_column..]),
                Addend::Matrix(values) => add(row, &values[line * self.width + first_column..]),
            }
            apply::<T, F, A>(row);
        }
    }
}
