//! The built-in solvers, a file each. To add one, see CONTRIBUTING.md.

pub(crate) mod anderson;
pub(crate) mod bicgstab;
pub(crate) mod broyden;
pub(crate) mod chebyshev;
pub(crate) mod gmres;
pub(crate) mod newton_krylov;
pub(crate) mod picard;
pub(crate) mod reversible;
pub(crate) mod robust;
pub(crate) mod sor;

use burn::tensor::Tensor;

/// What a limited memory does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The newest entry takes the place of the oldest.
    Overwrite,
    /// Everything is forgotten, and the memory fills anew.
    Restart,
}

/// $z_{k+1} = z_{k-1} + \omega (f(z_k) - z_{k-1})$: the recurrence that Chebyshev's method,
/// successive over-relaxation and the reversible iteration share.
fn two_term(previous: &Tensor<2>, image: &Tensor<2>, weight: f64) -> Tensor<2> {
    previous.clone() + (image.clone() - previous.clone()) * weight
}
