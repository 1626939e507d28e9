//! One code for every instruction set, the best of which is chosen at run time.
//!
//! A kernel is a plain loop over slices that the compiler can vectorise: no branch that depends on
//! a number, no call that is not inlined. `pulp` compiles it once for each instruction set. For
//! that everything in it must be inlined, which a closure does not promise and
//! `#[inline(always)]` on every function below [`Kernel::run`] does: a fused multiply-add outside
//! would be a call of the C library.

use pulp::{Arch, Simd, WithSimd};

use super::scalar::Scalar;

/// How $ab + c$ is computed.
pub trait Arithmetic {
    /// $ab + c$.
    fn mul_add<T: Scalar>(a: T, b: T, c: T) -> T;
}

/// With one rounding, by an instruction of the processor.
pub(crate) struct Fused;

/// With two roundings, where there is no such instruction.
pub(crate) struct Separate;

impl Arithmetic for Fused {
    #[inline(always)]
    fn mul_add<T: Scalar>(a: T, b: T, c: T) -> T {
        a.fused(b, c)
    }
}

impl Arithmetic for Separate {
    #[inline(always)]
    fn mul_add<T: Scalar>(a: T, b: T, c: T) -> T {
        a * b + c
    }
}

/// Work on slices. Implementations mark `run` and all it calls `#[inline(always)]`.
pub(crate) trait Kernel {
    /// Does the work.
    fn run<A: Arithmetic>(self);
}

/// Work on slices that names some of its vectors, for sums. As [`Kernel`] otherwise.
pub(crate) trait SumKernel {
    /// Does the work.
    fn run<S: Simd, A: Arithmetic>(self, simd: S);
}

/// Runs a kernel with the best instructions of this processor.
pub(crate) fn vectorised_sums(kernel: impl SumKernel) {
    Arch::new().dispatch(VectorisedSums(kernel));
}

struct VectorisedSums<K>(K);

impl<K: SumKernel> WithSimd for VectorisedSums<K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if is_fused::<S>() {
            self.0.run::<S, Fused>(simd);
        } else {
            self.0.run::<S, Separate>(simd);
        }
    }
}

/// Runs a kernel with the best instructions of this processor.
pub(crate) fn vectorised(kernel: impl Kernel) {
    Arch::new().dispatch(Vectorised(kernel));
}

struct Vectorised<K>(K);

impl<K: Kernel> WithSimd for Vectorised<K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _instructions: S) {
        if is_fused::<S>() {
            self.0.run::<Fused>();
        } else {
            self.0.run::<Separate>();
        }
    }
}

/// AVX2, AVX-512 and NEON come with fused multiply-add, WebAssembly and plain SSE2 do not.
#[inline(always)]
fn is_fused<S: Simd>() -> bool {
    !S::IS_SCALAR && !cfg!(target_family = "wasm")
}
