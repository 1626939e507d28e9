use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use deq::prelude::input;

use crate::error::fits;
use crate::prepared::PreparedUpdate;
use crate::update::UpdateBlock;
use crate::{Correlation, FlowError};

/// What the map takes to itself: the hidden state `[samples, hidden_dim, h, w]`, and where each
/// pixel of the first frame is in the second, `[samples, 2, h, w]`, x first, in coarse pixels.
pub type MatcherState = (Tensor<4>, Tensor<4>);

/// Everything the map needs beside its state: weights, correlation, context and attention. The
/// whole of it travels through the equilibrium layer, so that the map captures no tensor.
#[derive(Module, Debug)]
pub struct FlowArguments {
    update_block: UpdateBlock,
    correlation: Correlation,
    context: Param<Tensor<4>>,
    attention: Option<Param<Tensor<3>>>,
    origin: Tensor<4>,
    #[module(skip)]
    all_grad: bool,
}

impl FlowArguments {
    pub(crate) fn new(
        update_block: UpdateBlock,
        correlation: Correlation,
        context: Tensor<4>,
        attention: Option<Tensor<3>>,
        all_grad: bool,
    ) -> Self {
        Self {
            update_block,
            correlation,
            origin: grid_like(&context),
            context: input(context),
            attention: attention.map(input),
            all_grad,
        }
    }

    /// One evaluation of the map. With the coordinates $c$ that enter, the hidden state $h$ and the
    /// pixel grid $c_0$,
    ///
    /// $$h' = \mathrm{GRU}(h, [x;\, m]), \quad m = \mathrm{motion}(C(c), c - c_0), \quad
    ///   c' = c + \mathrm{head}(h').$$
    ///
    /// Unless all gradients were asked for, $c$ is a constant here: gradients reach $c'$ through
    /// the head alone.
    pub fn evaluate(&self, state: MatcherState) -> MatcherState {
        self.prepare()(state)
    }

    /// [`FlowArguments::evaluate`] for many evaluations: kernels are laid out once, and the
    /// context is convolved once.
    pub fn prepare(&self) -> impl Fn(MatcherState) -> MatcherState + use<'_> {
        let block = self.prepared_block();
        move |(hidden, coords): MatcherState| {
            let coords = if self.all_grad {
                coords
            } else {
                coords.detach()
            };
            let [hidden, delta] = self.step(&block, hidden, coords.clone());
            (hidden, coords + delta)
        }
    }

    /// These arguments with gradients through the coordinates, whatever the model was configured
    /// for: the Jacobian is that of the map as it is solved.
    #[must_use]
    pub fn with_all_gradients(mut self) -> Self {
        self.all_grad = true;
        self
    }

    /// The next hidden state, and what is added to the coordinates.
    pub(crate) fn update(&self, hidden: Tensor<4>, coords: Tensor<4>) -> [Tensor<4>; 2] {
        self.step(&self.prepared_block(), hidden, coords)
    }

    fn prepared_block(&self) -> PreparedUpdate {
        self.update_block
            .prepare(self.context.val(), self.attention())
    }

    fn step(&self, block: &PreparedUpdate, hidden: Tensor<4>, coords: Tensor<4>) -> [Tensor<4>; 2] {
        let flow = coords.clone() - self.origin.clone();
        block.forward(hidden, flow, self.correlation.lookup(coords))
    }

    /// The context features $x$, `[samples, context_dim, h, w]`.
    pub fn context(&self) -> Tensor<4> {
        self.context.val()
    }

    /// The attention of global motion aggregation, in models that have it.
    pub fn attention(&self) -> Option<Tensor<3>> {
        self.attention.as_ref().map(Param::val)
    }

    /// The correlation of the two frames.
    pub fn correlation(&self) -> &Correlation {
        &self.correlation
    }

    /// The pixel grid $c_0$, `[samples, 2, h, w]`.
    pub fn origin(&self) -> Tensor<4> {
        self.origin.clone()
    }

    /// Motion features at `coords`, before any aggregation.
    ///
    /// # Errors
    /// [`FlowError::Shape`] for coordinates of another shape than the pixel grid's.
    pub fn motion_features(&self, coords: Tensor<4>) -> Result<Tensor<4>, FlowError> {
        fits("the coordinates", &self.origin.dims(), &coords.dims())?;
        let flow = coords.clone() - self.origin.clone();
        let correlation = self.correlation.lookup(coords);
        Ok(self.update_block.encoder.forward(flow, correlation))
    }
}

/// The coordinates of every pixel of a feature map, on its device and of its type.
fn grid_like(features: &Tensor<4>) -> Tensor<4> {
    let [samples, _, height, width] = features.dims();
    let pixels = height * width;
    let mut values = Vec::with_capacity(samples * 2 * pixels);
    for _ in 0..samples {
        values.extend((0..pixels).map(|pixel| (pixel % width) as f32));
        values.extend((0..pixels).map(|pixel| (pixel / width) as f32));
    }
    let data = TensorData::new(values, [samples, 2, height, width]);
    let data = data.convert_dtype(features.dtype());
    Tensor::from_data(data, (&features.device(), features.dtype()))
}
