//! burn's optimisers, one parameter at a time, with states kept by the parameter's path.
//!
//! burn's `ModuleOptimizer` keeps them by random ids and restores them on the default device in
//! its default type; a resumed run needs them bit for bit where the parameter is.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::momentum::MomentumState;
use burn::optim::{
    Adam, AdamState, AdamW, AdamWState, AdaptiveMomentumState, DynOptimizer, DynState,
    GradientsParams, Optimizer, Sgd, SgdState, StateSink,
};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};

use crate::path::{ModulePath, follow_path};
use crate::store::{Tensors, owned, take};

/// Each parameter's state, by the parameter's path.
pub(crate) type States = BTreeMap<String, DynState>;

/// Names in a file: `state.` and the parameter's path, then the part of the state.
const STATE: &str = "state";

/// An optimiser of burn whose state can be put together from its parts.
pub(crate) trait Rule: Optimizer {
    /// `None` when a part is missing or wrong; `parts` has noted which.
    fn assemble<const D: usize>(parts: &mut Parts<'_>) -> Option<Self::State<D>>;
}

impl Rule for Adam {
    fn assemble<const D: usize>(parts: &mut Parts<'_>) -> Option<AdamState<D>> {
        adaptive(parts).map(AdamState::new)
    }
}

impl Rule for AdamW {
    fn assemble<const D: usize>(parts: &mut Parts<'_>) -> Option<AdamWState<D>> {
        adaptive(parts).map(AdamWState::new)
    }
}

impl Rule for Sgd {
    fn assemble<const D: usize>(parts: &mut Parts<'_>) -> Option<SgdState<D>> {
        let velocity = parts.tensor("momentum.velocity")?;
        Some(SgdState::new(Some(MomentumState::new(velocity))))
    }
}

fn adaptive<const D: usize>(parts: &mut Parts<'_>) -> Option<AdaptiveMomentumState<D>> {
    let time = parts.count("momentum.time");
    let first = parts.tensor("momentum.moment_1");
    let second = parts.tensor("momentum.moment_2");
    Some(AdaptiveMomentumState::new(time?, first?, second?))
}

/// Updates every parameter that has a gradient.
pub(crate) fn update<R: Rule, M: Module>(
    rule: &R,
    states: &mut States,
    rate: f64,
    module: M,
    gradients: GradientsParams,
) -> M {
    module.map(&mut Update {
        rule,
        states,
        rate,
        gradients,
        path: ModulePath::default(),
    })
}

struct Update<'a, R> {
    rule: &'a R,
    states: &'a mut States,
    rate: f64,
    gradients: GradientsParams,
    path: ModulePath,
}

impl<R: Rule> ModuleMapper for Update<'_, R> {
    follow_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let path = self.path.name();
        let state = self.states.remove(&path);
        let state = state.map(|state| state.downcast::<R::State<D>>());
        let (id, tensor, mapper) = param.consume();
        let trained = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let (tensor, state) = self.rule.step(self.rate, tensor.inner(), gradient, state);
        if let Some(state) = state {
            self.states.insert(path, DynState::create(state, D));
        }
        // A parameter must come back with the strategy of its device, or the next forward pass
        // meets inputs of another one.
        let mut tensor = Tensor::from_inner(tensor);
        if let Some(strategy) = checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, tensor.set_require_grad(trained), mapper)
    }
}

/// Every state's parts.
pub(crate) fn take_apart<R: Rule>(rule: &R, states: &States) -> Tensors {
    let mut tensors = Tensors::new();
    for (path, state) in states {
        let mut sink = StateSink::default();
        rule.state_flatten(&prefix(path), state, &mut sink);
        for (name, data) in sink.tensors {
            tensors.insert(name, owned(&data));
        }
        for (name, value) in sink.scalars {
            let count = i64::try_from(value).expect("the only scalar of these states is a count");
            tensors.insert(name, TensorData::from([count]));
        }
    }
    tensors
}

/// Takes the parts of every parameter's state out of `tensors`. Parameters without any have no
/// state yet.
pub(crate) fn put_together<R: Rule, M: Module>(
    module: &M,
    tensors: &mut Tensors,
    problems: &mut Vec<String>,
) -> States {
    let mut restore = Restore::<R> {
        tensors,
        problems,
        states: States::new(),
        path: ModulePath::default(),
        rule: std::marker::PhantomData,
    };
    module.visit(&mut restore);
    restore.states
}

struct Restore<'a, R> {
    tensors: &'a mut Tensors,
    problems: &'a mut Vec<String>,
    states: States,
    path: ModulePath,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule> ModuleVisitor for Restore<'_, R> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.name();
        let prefix = prefix(&path) + ".";
        let is_part = |name: &String| {
            let part = name.strip_prefix(&prefix);
            part.is_some_and(|part| PARTS.contains(&part))
        };
        if !self.tensors.keys().any(is_part) {
            return;
        }
        let value = param.val();
        let mut parts = Parts {
            tensors: self.tensors,
            problems: self.problems,
            prefix,
            shape: value.shape(),
            dtype: value.dtype(),
            device: value.device().inner(),
        };
        if let Some(state) = R::assemble::<D>(&mut parts) {
            self.states.insert(path, DynState::create(state, D));
        }
    }
}

/// What any rule's state consists of.
const PARTS: [&str; 4] = [
    "momentum.time",
    "momentum.moment_1",
    "momentum.moment_2",
    "momentum.velocity",
];

fn prefix(path: &str) -> String {
    match path {
        "" => STATE.to_owned(),
        path => format!("{STATE}.{path}"),
    }
}

/// The stored parts of one parameter's state.
pub(crate) struct Parts<'a> {
    tensors: &'a mut Tensors,
    problems: &'a mut Vec<String>,
    prefix: String,
    shape: Shape,
    dtype: DType,
    device: Device,
}

impl Parts<'_> {
    fn tensor<const D: usize>(&mut self, part: &str) -> Option<Tensor<D>> {
        let name = format!("{}{part}", self.prefix);
        let data = take(self.tensors, &name, &self.shape, self.dtype, self.problems)?;
        Some(Tensor::from_data(data, (&self.device, self.dtype)))
    }

    fn count(&mut self, part: &str) -> Option<usize> {
        let name = format!("{}{part}", self.prefix);
        let shape = Shape::new([1]);
        let data = take(self.tensors, &name, &shape, DType::I64, self.problems)?;
        let count = data.iter::<i64>().next().and_then(|n| n.try_into().ok());
        if count.is_none() {
            self.problems.push(format!("`{name}` is not a count"));
        }
        count
    }
}
