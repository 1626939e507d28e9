//! Exact gradients: against differences in `f64`, and the ways to them against each other.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use deq::prelude::*;
use deq_fusion::{
    BatchMode, BatchStop, BatchWideConfig, Call, DeqFusion, EquilibriumConfig, FusionState,
    SolveMethod,
};

use crate::common::{
    WIDTH, batch_wide, difference, exact, features, fused, gradients_of, solved_layer, state_of,
    tied_layer, views, with_solve,
};

/// Numbers without structure of size about one.
fn direction(parameter: usize, element: usize) -> f64 {
    1.4 * (2.3 * element as f64 + 1.1 * parameter as f64 + 0.7).sin()
}

fn to_double<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let data = tensor.into_data().convert_dtype(DType::F64);
    Tensor::from_data(data, (device, DType::F64))
}

/// Changes every parameter, in `f64`.
struct Move {
    by: f64,
    parameter: usize,
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let device = param.lazy_device();
        let (by, parameter) = (self.by, self.parameter);
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
            Tensor::<D>::from_data(moved, (&device, DType::F64)).set_require_grad(true)
        })
    }
}

/// The derivative along the direction.
struct Along<'a> {
    gradients: &'a Gradients,
    sum: f64,
    parameter: usize,
}

impl ModuleVisitor for Along<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = self.parameter;
        self.parameter += 1;
        if let Some(gradient) = param.base().grad(self.gradients) {
            let data = gradient.into_data();
            let terms = data.iter::<f64>().enumerate();
            let terms = terms.map(|(element, g)| g * direction(parameter, element));
            self.sum += terms.sum::<f64>();
        }
    }
}

fn moved(layer: &DeqFusion, by: f64) -> DeqFusion {
    layer.clone().map(&mut Move { by, parameter: 0 })
}

/// Compares autodiff's derivative along a direction in all parameters with that of differences.
fn check(layer: &DeqFusion, what: &str, loss: impl Fn(&DeqFusion) -> Tensor<1>) {
    let layer = moved(layer, 0.0);
    let gradients = loss(&layer).backward();
    let mut along = Along {
        gradients: &gradients,
        sum: 0.0,
        parameter: 0,
    };
    layer.visit(&mut along);
    let step = 1e-6;
    let value = |by: f64| loss(&moved(&layer, by)).into_scalar::<f64>();
    let numeric = (value(step) - value(-step)) / (2.0 * step);
    let size = along.sum.abs().max(numeric.abs());
    assert!(size > 1e-4, "{what}: the parameters have no effect");
    let is_close = (along.sum - numeric).abs() <= 1e-4 * size;
    assert!(is_close, "{what}: {} and {numeric}", along.sum);
}

/// A per-sample and a batch-wide equilibrium as exact as `f64` is.
fn in_double() -> [(&'static str, EquilibriumConfig); 2] {
    let mut solve = SolveConfig::default()
        .with_tolerance(1e-12)
        .with_max_iter(400);
    solve.termination.mode = StopMode::Relative;
    let deq = DeqConfig {
        forward: solve.clone(),
        gradient: Gradient::implicit_with(solve),
        ..DeqConfig::default()
    };
    let stop = |mode| BatchStop {
        threshold: 400,
        tolerance: 1e-12,
        mode,
    };
    let by_batch = BatchWideConfig {
        solver: SolverConfig::picard(),
        forward: stop(BatchMode::Absolute),
        backward: stop(BatchMode::Relative),
    };
    [
        ("per sample", with_solve(SolveMethod::PerSample(deq))),
        ("batch-wide", with_solve(SolveMethod::BatchWide(by_batch))),
    ]
}

#[test]
fn the_gradient_of_the_fixed_point_agrees_with_differences() {
    for device in deq::devices::double_precision() {
        let device = device.autodiff();
        let x = views(&device).into_iter().map(|x| to_double(x, &device));
        let x: Vec<Tensor<3>> = x.collect();
        let cotangent = to_double(features(9, [3, 1, WIDTH], &device), &device);
        for (name, config) in in_double() {
            let layer = solved_layer(&config, &device);
            check(&layer, name, |layer| {
                (fused(layer, x.clone()).features * cotangent.clone()).sum()
            });
        }
    }
}

#[test]
fn the_gradient_of_the_penalty_agrees_with_differences() {
    for device in deq::devices::double_precision() {
        let device = device.autodiff();
        let double = |seed| to_double(features(seed, [2, 2, WIDTH], &device), &device);
        let (x, point): (Vec<_>, FusionState) = (
            (1..3).map(double).collect(),
            (3..6).map(|seed| double(seed).inner()).collect(),
        );
        let probes: Vec<FusionState> =
            vec![(6..9).map(double).collect(), (9..12).map(double).collect()];
        let layer = tied_layer(1, &device);
        check(&layer, "penalty", |layer| {
            // Without a step the state is none of the parameters'; the point is set by hand.
            let call = Call {
                max_iter: Some(0),
                ..Call::default()
            };
            let found = layer.forward(x.clone(), call).expect("a valid call");
            let mut state = found.equilibrium.expect("a state");
            state.point = point.clone();
            state.jacobian_penalty(&probes)
        });
    }
}

/// The gradients of all parameters, and of the first modality's alone.
fn gradient(layer: &DeqFusion, device: &Device) -> [Vec<f64>; 2] {
    let cotangent = features(9, [3, 1, WIDTH], device);
    let found = fused(layer, views(device));
    let backward = (found.features * cotangent).sum().backward();
    let of_first = gradients_of(&layer.func_.branches[0], &backward);
    [gradients_of(layer, &backward), of_first]
}

#[test]
fn implicit_batch_wide_phantom_and_unrolled_gradients_agree() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let expected = gradient(&tied_layer(50, &device), &device);
        let by_batch = with_solve(SolveMethod::BatchWide(batch_wide()));
        let SolveMethod::PerSample(deq) = exact().solve else {
            panic!("it solves each sample");
        };
        let phantom = deq.with_gradient(Gradient::phantom(50, 1.0));
        let phantom = with_solve(SolveMethod::PerSample(phantom));
        for config in [exact(), by_batch, phantom] {
            let found = gradient(&solved_layer(&config, &device), &device);
            for (found, expected) in found.iter().zip(&expected) {
                assert!(difference(found, expected) < 2e-3, "{config:?}");
            }
        }
        // One step is another gradient, so the comparison can fail.
        let SolveMethod::PerSample(deq) = exact().solve else {
            panic!("it solves each sample");
        };
        let short = with_solve(SolveMethod::PerSample(
            deq.with_gradient(Gradient::JacobianFree),
        ));
        let found = gradient(&solved_layer(&short, &device), &device);
        assert!(difference(&found[1], &expected[1]) > 5e-2);
    }
}

#[test]
fn features_get_gradients_too() {
    for device in deq::devices::all() {
        let device = device.autodiff();
        let by_batch = with_solve(SolveMethod::BatchWide(batch_wide()));
        let mut found = Vec::new();
        for config in [exact(), by_batch] {
            let layer = solved_layer(&config, &device);
            let x: Vec<Tensor<3>> = views(&device)
                .into_iter()
                .map(Tensor::require_grad)
                .collect();
            let answer = fused(&layer, x.clone());
            let weighted = answer.features.clone() * features(9, [3, 1, WIDTH], &device);
            let backward = weighted.sum().backward();
            let of_first = x[0].grad(&backward).expect("a gradient");
            found.push(crate::common::values(of_first));
            assert!(state_of(&answer).arguments.is_autodiff());
        }
        assert!(difference(&found[1], &found[0]) < 2e-3);
    }
}
