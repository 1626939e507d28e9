//! Linear algebra behind the solvers: small dense systems, and Krylov spaces.

pub(crate) mod dense;
pub(crate) mod krylov;
