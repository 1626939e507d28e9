//! The gradient check finds what is off, and nothing else.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq::{GradientCheck, GradientReport, check_gradients};

#[derive(Module, Debug)]
struct Cell {
    hidden: Linear,
    offset: Param<Tensor<1>>,
}

fn check(gradient: Gradient, device: &Device) -> GradientReport {
    let device = device.clone().autodiff();
    device.seed(5);
    let cell = Cell {
        hidden: LinearConfig::new(4, 4).init(&device),
        offset: Param::from_tensor(Tensor::from_floats([0.3, -0.2, 0.5, 0.1], &device)),
    };
    let deq = DeqConfig::default()
        .with_solver(SolverConfig::broyden())
        .with_tolerance(1e-6)
        .with_gradient(gradient)
        .init()
        .expect("a valid layer");
    let start = Tensor::<2>::zeros([3, 4], &device);
    let map =
        |cell: &Cell, z: Tensor<2>| (cell.hidden.forward(z) + cell.offset.val().unsqueeze()).tanh();
    check_gradients(&deq, &cell, &start, map, GradientCheck::default()).expect("a valid solve")
}

#[test]
fn the_implicit_gradient_passes_and_a_crude_one_does_not() {
    for device in deq_devices::all() {
        let implicit = check(Gradient::implicit(), &device);
        assert!(implicit.pass(), "{implicit}");
        let names: Vec<&str> = implicit
            .parameters
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(names, ["hidden.weight", "hidden.bias", "offset"]);
        let crude = check(Gradient::JacobianFree, &device);
        assert!(!crude.pass());
        assert!(crude.to_string().contains("OFF hidden.weight"), "{crude}");
    }
}

#[test]
fn a_check_of_nothing_does_not_pass() {
    for device in deq_devices::all() {
        let device = device.autodiff();
        let deq = DeqConfig::default().with_gradient(Gradient::JacobianFree);
        let deq = deq.init().expect("a valid layer");
        let z = Tensor::<2>::zeros([2, 3], &device);
        // A plain tensor is no parameter, though it carries a gradient.
        let x = Tensor::<2>::ones([2, 3], &device).require_grad();
        let map = |x: &Tensor<2>, z: Tensor<2>| z * 0.5 + x.clone();
        let check = |x: Tensor<2>| check_gradients(&deq, &x, &z, map, GradientCheck::default());
        let report = check(x).expect("a valid solve");
        assert!(report.parameters.is_empty() && !report.pass());
    }
}
