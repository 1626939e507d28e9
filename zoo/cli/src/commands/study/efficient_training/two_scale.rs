//! The convolutional model: an equilibrium on two scales.

use anyhow::Result;
use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::{Deq, input};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::classifier::{Classifier, Output};

/// The read-out sees each scale averaged to so many rows and columns.
const GRID: usize = 4;

/// Feature maps on two scales at one equilibrium, like those of an MDEQ with two branches:
///
/// $$z_1 = \tanh(A_{11} * z_1 + \text{up}(A_{12} * z_2) + u_1), \qquad
///   z_2 = \tanh(A_{22} * z_2 + A_{21} *_2 z_1 + u_2),$$
///
/// where $*_2$ has stride 2, up repeats pixels, and $u_1$, $u_2$ are strided convolutions of the
/// image. An MDEQ normalises after every convolution, and as initialised its map does not
/// contract: solves then end at their cap, and no gradient is that of a fixed point. This one
/// contracts, so that what is compared is defined.
#[derive(Module, Debug)]
pub(super) struct TwoScale {
    cell: Cell,
    read_out: Linear,
}

/// The map and its injection.
#[derive(Module, Debug)]
pub(super) struct Cell {
    mixing: Mixing,
    fine: Conv2d,
    coarse: Conv2d,
}

/// $A_{11}$, $A_{12}$, $A_{21}$, $A_{22}$.
#[derive(Module, Debug)]
struct Mixing {
    fine: Conv2d,
    up: Conv2d,
    down: Conv2d,
    coarse: Conv2d,
}

type State = (Tensor<4>, Tensor<4>);

/// Draws weights on the host, so that a seed gives the same model on every device.
struct Init<'a> {
    rng: StdRng,
    device: &'a Device,
}

impl Init<'_> {
    /// Uniform within `1 / sqrt(inputs)`, as PyTorch initialises its layers.
    fn uniform<const D: usize>(&mut self, inputs: usize, shape: [usize; D]) -> Param<Tensor<D>> {
        let bound = (1.0 / inputs as f64).sqrt();
        let draw = |_| self.rng.random_range(-bound..bound) as f32;
        let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A convolution that sees `inputs` numbers together with others that are added to it.
    fn conv(
        &mut self,
        [from, to]: [usize; 2],
        [kernel, stride]: [usize; 2],
        inputs: usize,
        bias: bool,
    ) -> Conv2d {
        let padding = kernel / 2;
        Conv2d {
            weight: self.uniform(inputs, [to, from, kernel, kernel]),
            bias: bias.then(|| self.uniform(inputs, [to])),
            stride: [stride; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(padding, padding, padding, padding),
        }
    }
}

impl TwoScale {
    /// A model for images of so many channels. Fine and coarse maps have half and a quarter of
    /// their resolution.
    pub(super) fn new(
        in_channels: usize,
        [fine, coarse]: [usize; 2],
        classes: usize,
        device: &Device,
        seed: u64,
    ) -> Self {
        let mut init = Init {
            rng: StdRng::seed_from_u64(seed),
            device,
        };
        // What is added up at a pixel of each scale.
        let to_fine = 9 * fine + coarse;
        let to_coarse = 9 * (fine + coarse);
        let mixing = Mixing {
            fine: init.conv([fine, fine], [3, 1], to_fine, false),
            up: init.conv([coarse, fine], [1, 1], to_fine, false),
            down: init.conv([fine, coarse], [3, 2], to_coarse, false),
            coarse: init.conv([coarse, coarse], [3, 1], to_coarse, false),
        };
        let cell = Cell {
            mixing,
            fine: init.conv([in_channels, fine], [3, 2], 9 * in_channels, true),
            coarse: init.conv([fine, coarse], [3, 2], 9 * fine, true),
        };
        let features = (fine + coarse) * GRID * GRID;
        let read_out = Linear {
            weight: init.uniform(features, [features, classes]),
            bias: Some(init.uniform(features, [classes])),
        };
        Self { cell, read_out }
    }
}

impl Cell {
    fn inject(&self, images: Tensor<4>) -> State {
        let fine = self.fine.forward(images);
        let coarse = self.coarse.forward(relu(fine.clone()));
        (fine, coarse)
    }
}

impl Mixing {
    fn forward(&self, (fine, coarse): State, (u, v): State) -> State {
        let up = repeat(self.up.forward(coarse.clone()), &fine);
        let down = self.down.forward(fine.clone());
        (
            (self.fine.forward(fine) + up + u).tanh(),
            (self.coarse.forward(coarse) + down + v).tanh(),
        )
    }
}

/// Each pixel four times, cut to the size of another map.
fn repeat(coarse: Tensor<4>, like: &Tensor<4>) -> Tensor<4> {
    let [samples, channels, rows, columns] = coarse.dims();
    let [_, _, height, width] = like.dims();
    coarse
        .reshape([samples, channels, rows, 1, columns, 1])
        .expand([samples, channels, rows, 2, columns, 2])
        .reshape([samples, channels, 2 * rows, 2 * columns])
        .narrow(2, 0, height)
        .narrow(3, 0, width)
}

impl Classifier for TwoScale {
    type Implicit = Cell;

    fn forward(&self, images: Tensor<4>, deq: &Deq) -> Result<Output> {
        let (u, v) = self.cell.inject(images);
        let start = (
            Tensor::zeros(u.dims(), (&u.device().inner(), u.dtype())),
            Tensor::zeros(v.dims(), (&v.device().inner(), v.dtype())),
        );
        type Args = (Mixing, Param<Tensor<4>>, Param<Tensor<4>>);
        let args: Args = (self.cell.mixing.clone(), input(u), input(v));
        let map = |(mixing, u, v): &Args, z: State| mixing.forward(z, (u.val(), v.val()));
        let solved = deq.solve(&args, start, map)?;
        let (fine, coarse) = solved.last().clone();
        let pooled = [fine, coarse].map(|map| adaptive_avg_pool2d(map, [GRID; 2]).flatten(1, 3));
        let logits = self.read_out.forward(Tensor::cat(pooled.to_vec(), 1));
        Ok(Output::new(logits, solved))
    }

    fn implicit(&self) -> &Cell {
        &self.cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq::implicit::{DeqConfig, Gradient};

    #[test]
    fn the_map_contracts_as_initialised() {
        for device in deq::devices::all() {
            let model = TwoScale::new(3, [4, 8], 10, &device, 0);
            let images = Tensor::<4>::ones([2, 3, 18, 16], &device);
            let config = DeqConfig::default()
                .with_tolerance(1e-4)
                .with_gradient(Gradient::JacobianFree);
            let deq = config.init().expect("a valid layer");
            let output = model.forward(images, &deq).expect("a solve");
            assert!(output.stats.all_converged());
            assert_eq!(output.logits.dims(), [2, 10]);
        }
    }

    #[test]
    fn pixels_are_repeated_in_place() {
        for device in deq::devices::all() {
            let coarse = Tensor::<4>::from_data([[[[1.0, 2.0]]]], &device);
            let like = Tensor::<4>::zeros([1, 1, 2, 3], &device);
            let fine: Vec<f32> = repeat(coarse, &like).into_data().iter::<f32>().collect();
            assert_eq!(fine, [1.0, 1.0, 2.0, 1.0, 1.0, 2.0]);
        }
    }
}
