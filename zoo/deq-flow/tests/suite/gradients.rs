//! Gradients against differences in `f64`, and where they flow.

use crate::common::{close, frames, small, values};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use deq::implicit::Unrolled;
use deq::prelude::*;
use deq_flow::{DeqFlow, FlowConfig};
use deq_parity::without_gradient;

/// Numbers without structure of size about one.
fn direction(parameter: usize, element: usize) -> f64 {
    1.4 * (2.3 * element as f64 + 1.1 * parameter as f64 + 0.7).sin()
}

fn to_double<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let data = tensor.into_data().convert_dtype(DType::F64);
    Tensor::from_data(data, (device, DType::F64))
}

/// Changes every trained parameter of one part of the model, in `f64`.
struct Move<'a> {
    part: &'a str,
    by: f64,
    parameter: usize,
    path: Vec<String>,
}

impl ModuleMapper for Move<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (device, trained) = (param.lazy_device(), param.is_require_grad());
        let is_part = self.path.first().is_some_and(|first| first == self.part);
        let by = if is_part && trained { self.by } else { 0.0 };
        let parameter = self.parameter;
        self.parameter += 1;
        param.map(|tensor| {
            let shape = tensor.dims();
            let data = tensor.into_data();
            let moved: Vec<f64> = data
                .iter::<f64>()
                .enumerate()
                .map(|(element, value)| value + by * direction(parameter, element))
                .collect();
            let moved = TensorData::new(moved, shape);
            Tensor::<D>::from_data(moved, (&device, DType::F64)).set_require_grad(trained)
        })
    }
}

/// The derivative along the direction, summed over the parameters of one part.
struct Along<'a> {
    gradients: &'a Gradients,
    part: &'a str,
    sum: f64,
    parameter: usize,
    path: Vec<String>,
}

impl ModuleVisitor for Along<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = self.parameter;
        self.parameter += 1;
        let is_part = self.path.first().is_some_and(|first| first == self.part);
        if let Some(gradient) = param.base().grad(self.gradients).filter(|_| is_part) {
            let data = gradient.into_data();
            let terms = data.iter::<f64>().enumerate();
            let terms = terms.map(|(element, g)| g * direction(parameter, element));
            self.sum += terms.sum::<f64>();
        }
    }
}

fn moved(model: &DeqFlow, part: &str, by: f64) -> DeqFlow {
    model.clone().map(&mut Move {
        part,
        by,
        parameter: 0,
        path: Vec::new(),
    })
}

#[test]
fn gradients_agree_with_differences() {
    let mut deq = DeqConfig::default()
        .with_max_iter(3)
        .with_tolerance(0.0)
        .with_gradient(Gradient::Unrolled(Unrolled::default()));
    deq.forward.termination.finish = Finish::Final;
    let config = FlowConfig {
        gma: true,
        all_grad: true,
        weight_norm: None,
        deq,
        ..small()
    };
    for device in deq::devices::double_precision() {
        let device = device.autodiff();
        let mut model = config.init(&device, 0).expect("a valid model");
        let gma = model.update_block.gma.as_mut().expect("a model with gma");
        gma.gamma = Param::from_data(TensorData::from([0.5f32]), &device);
        let model = moved(&model, "", 0.0);
        let [first, second] =
            frames(1, [16, 16], 1.0, &device).map(|frame| to_double(frame, &device));
        let loss = |model: &DeqFlow| -> Tensor<1> {
            let output = model.forward(first.clone(), second.clone(), None);
            let flow = output.expect("a valid call").last().clone();
            let weights: Vec<f64> = (0..2 * 16 * 16).map(|i| direction(99, i)).collect();
            let weights = TensorData::new(weights, [1, 2, 16, 16]);
            let weights = Tensor::<4>::from_data(weights, (&device, DType::F64));
            (flow * weights).sum()
        };
        let gradients = loss(&model).backward();
        for part in ["fnet", "cnet", "update_block", "mask", "attn"] {
            let mut along = Along {
                gradients: &gradients,
                part,
                sum: 0.0,
                parameter: 0,
                path: Vec::new(),
            };
            model.visit(&mut along);
            let step = 1e-6;
            let value = |by: f64| loss(&moved(&model, part, by)).into_scalar::<f64>();
            let numeric = (value(step) - value(-step)) / (2.0 * step);
            let size = along.sum.abs().max(numeric.abs());
            assert!(size > 1e-6, "{part} has no effect");
            let is_close = (along.sum - numeric).abs() <= 1e-3 * size;
            assert!(is_close, "{part}: {} and {numeric}", along.sum);
        }
    }
}

/// The gradient that a solve's coordinates get from one evaluation that follows them.
#[test]
fn coordinates_are_constants_unless_all_gradients_are_asked_for() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let [first, second] = frames(1, [16, 16], 1.0, &device);
        let gradient = |all_grad: bool, ask_later: bool| {
            let config = FlowConfig {
                all_grad,
                ..small()
            };
            let model = config.init(&device, 0).expect("a valid model");
            let mut arguments = model.prepare(first.clone(), second.clone()).expect("fits");
            if ask_later {
                arguments = arguments.with_all_gradients();
            }
            let coords = (arguments.origin() + 0.3).detach().require_grad();
            let hidden = Tensor::zeros([1, 4, 2, 2], &device);
            let (_, moved) = arguments.evaluate((hidden, coords.clone()));
            let backward = moved.square().sum().backward();
            coords.grad(&backward).map(values)
        };
        let all = gradient(true, false).expect("a gradient");
        assert!(all.iter().any(|g| g.abs() > 1e-3));
        let later = gradient(false, true).expect("a gradient");
        close(&later, &all, 1e-5);
        let constant = gradient(false, false);
        assert!(constant.is_none_or(|g| g.iter().all(|&g| g == 0.0)));
    }
}

#[test]
fn every_parameter_gets_a_finite_gradient_in_every_gradient_mode() {
    let phantom = small().deq.with_gradient(Gradient::phantom(2, 1.0));
    let two = small().deq.with_states(States::Count(2));
    let few = SolveConfig::default().with_max_iter(3);
    let implicit = small().deq.with_gradient(Gradient::implicit_with(few));
    for device in deq::devices::all() {
        let device = device.autodiff();
        let [first, second] = frames(2, [16, 16], 1.0, &device);
        for deq in [&phantom, &two, &implicit] {
            let config = FlowConfig {
                gma: true,
                all_grad: true,
                deq: deq.clone(),
                ..small()
            };
            let model = config.init(&device, 0).expect("a valid model");
            let output = model.forward(first.clone(), second.clone(), None);
            let output = output.expect("a valid call");
            let losses = output.flows.iter().map(|flow| flow.clone().square().mean());
            let loss = losses.reduce(|a, b| a + b).expect("a flow");
            let gradients = loss.backward();
            assert_eq!(without_gradient(&model, &gradients), Vec::<String>::new());
        }
    }
}
