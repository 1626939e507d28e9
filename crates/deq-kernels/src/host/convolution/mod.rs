//! Convolutions, as products of a kernel with what its taps see of a picture.
//!
//! A padded copy of some lines of each channel is small, and what one tap sees of it for
//! neighbouring places of the output is contiguous. So the product reads its right factor straight
//! from that copy ([`windows`]); there is no matrix of patches. Pictures too narrow for the
//! processor's vectors are the exception: of what their taps see there is a second copy, a part of
//! the sums at a time. A kernel that stays the same is packed once, as the left factor of all
//! products.

mod geometry;
mod input_gradient;
mod kernel_gradient;
mod patches;
mod pixels;
mod plan;
mod planes;
mod scatter;
mod task;
mod windows;

use super::Real;
use super::finish::{Addend, Finish};
use super::gemm::Panels;
use super::parallel::assert_length;
pub use geometry::Geometry;
pub use input_gradient::convolve_input_gradient;
pub use kernel_gradient::convolve_kernel_gradient;
use task::{Convolution, Packed};

/// `finish` of the convolution of every sample. `kernel` is the packed left factor
/// `[outputs, taps]`; the addend is one number an output channel ([`Addend::Rows`]) or one for
/// every number of the output ([`Addend::Matrix`]).
///
/// # Panics
/// When the lengths do not fit the geometry, and for an addend of columns.
pub fn convolve<T: Real>(
    geometry: &Geometry,
    input: &[T],
    kernel: &Panels<T>,
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    let outputs = kernel.count();
    let size = outputs * geometry.positions();
    assert_length("kernel's columns", kernel.depth(), geometry.taps());
    if output.is_empty() {
        return;
    }
    let samples = input.len() / geometry.sample().max(1);
    assert_length("input", input.len(), samples * geometry.sample());
    assert_length("output", output.len(), samples * size);
    match finish.addend {
        Addend::None => {}
        Addend::Rows(values) => assert_length("addend", values.len(), outputs),
        Addend::Matrix(values) => assert_length("addend", values.len(), output.len()),
        Addend::Columns(_) => panic!("a convolution has no columns to add numbers to"),
    }

    let kernel = Packed {
        values: kernel.values(),
        outputs,
    };
    Convolution::new(geometry, input, samples, kernel, finish).run(output);
}
