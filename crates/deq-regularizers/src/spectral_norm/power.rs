use burn::tensor::Tensor;

/// Lengths below this are not divided by, as in TorchDEQ.
const EPSILON: f64 = 1e-12;

/// Power iterations for the largest singular value of `matrix`, from the left vector `u`:
///
/// $$v \leftarrow \frac{M^\top u}{\lVert M^\top u \rVert}, \qquad
///   u \leftarrow \frac{M v}{\lVert M v \rVert}.$$
///
/// At least one is done. Returns `u` and `v`.
pub(super) fn power_iterations(
    matrix: &Tensor<2>,
    u: Tensor<1>,
    iterations: usize,
) -> (Tensor<1>, Tensor<1>) {
    let [rows, columns] = matrix.dims();
    let transposed = matrix.clone().transpose();
    let once = |u: Tensor<2>| {
        let v = unit(transposed.clone().matmul(u));
        let u = unit(matrix.clone().matmul(v.clone()));
        (u, v)
    };
    let (mut u, mut v) = once(u.reshape([rows, 1]));
    for _ in 1..iterations {
        (u, v) = once(u);
    }
    (u.reshape([rows]), v.reshape([columns]))
}

/// A column of length 1.
fn unit(column: Tensor<2>) -> Tensor<2> {
    let length = column.clone().square().sum_dim(0).sqrt();
    column / length.clamp_min(EPSILON)
}
