use burn::nn::GroupNorm;
use burn::tensor::Tensor;

/// What the transpose of a group norm's derivative needs.
#[derive(Clone, Debug)]
pub(super) struct NormTrace {
    /// $\hat x$, `[samples, positions, groups, features of a group]`.
    hat: Tensor<4>,
    /// $1 / \sigma$, `[samples, 1, groups, 1]`.
    inverse: Tensor<4>,
    /// $\gamma$, `[1, features]`.
    gains: Tensor<2>,
}

/// Group norm of rows `[samples · positions, features]`, each group over all positions of its
/// sample, as PyTorch's `GroupNorm` on `[samples, features, positions]`:
/// $y = \gamma \hat x + \beta$, $\hat x = (x - \mu) / \sigma$.
///
/// burn's own keeps no $\hat x$, which the hand-written transpose needs.
pub(super) fn group_norm(
    norm: &GroupNorm,
    x: Tensor<2>,
    positions: usize,
) -> (Tensor<2>, NormTrace) {
    let [rows, features] = x.dims();
    let groups = norm.num_groups;
    let x = x.reshape([rows / positions, positions, groups, features / groups]);
    let centred = x.clone() - average(x);
    let variance = average(centred.clone().square());
    let inverse = (variance + norm.epsilon).sqrt().recip();
    let hat = centred * inverse.clone();
    let affine = "the layer's norms have gains and shifts";
    let gains: Tensor<2> = norm.gamma.as_ref().expect(affine).val().unsqueeze();
    let shifts: Tensor<2> = norm.beta.as_ref().expect(affine).val().unsqueeze();
    let output = hat.clone().reshape([rows, features]) * gains.clone() + shifts;
    let trace = NormTrace {
        hat,
        inverse,
        gains,
    };
    (output, trace)
}

impl NormTrace {
    /// From the cotangent of $y$ to that of $x$: with $d = \gamma\, \bar y$,
    /// $\bar x = (d - \overline{d} - \hat x\, \overline{d \hat x}) / \sigma$, where a bar over a
    /// product is its mean over the group.
    pub(super) fn transposed(&self, cotangent: Tensor<2>) -> Tensor<2> {
        let [rows, features] = cotangent.dims();
        let d = (cotangent * self.gains.clone()).reshape(self.hat.dims());
        let along = average(d.clone() * self.hat.clone());
        let x = (d.clone() - average(d) - self.hat.clone() * along) * self.inverse.clone();
        x.reshape([rows, features])
    }
}

/// The mean over positions and the features of a group.
fn average(x: Tensor<4>) -> Tensor<4> {
    let x = x.mean_dim(3);
    match x.dims()[1] {
        1 => x,
        _ => x.mean_dim(1),
    }
}
