//! TorchDEQ's states and gradients for the layer z = tanh(z Wᵀ + x Uᵀ + b).

use std::path::Path;

use burn::tensor::{Device, Tensor};
use deq_implicit::{Core, Deq, DeqConfig, Emit, Gradient, Phantom, States};
use deq_parity::{Fixture, Results, compare_folder};
use deq_solvers::{SolveConfig, SolverConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Solver {
    #[serde(default)]
    ift: bool,
    core: Option<String>,
    n_states: Option<usize>,
    grad: Option<[usize; 1]>,
    tau: Option<f64>,
    sup_gap: Option<usize>,
    sup_loc: Option<Vec<usize>>,
    f_max_iter: Option<usize>,
    f_tol: Option<f64>,
}

fn layer(solver: &Solver) -> Deq {
    let mut config = if solver.ift {
        let tight = SolveConfig::default()
            .with_tolerance(0.0)
            .with_max_iter(600);
        DeqConfig::default()
            .with_solver(SolverConfig::broyden())
            .with_tolerance(1e-6)
            .with_max_iter(60)
            .with_gradient(Gradient::implicit_with(tight))
    } else {
        let emit = match (&solver.sup_gap, &solver.sup_loc) {
            (Some(gap), _) => Emit::Every(*gap),
            (_, Some(steps)) => Emit::At(steps.clone()),
            _ => Emit::Last,
        };
        DeqConfig::default()
            .with_tolerance(solver.f_tol.expect("f_tol"))
            .with_max_iter(solver.f_max_iter.expect("f_max_iter"))
            .with_gradient(Gradient::Phantom(Phantom {
                steps: solver.grad.expect("grad")[0],
                damping: solver.tau.expect("tau"),
                emit,
            }))
    };
    config.states = States::Count(solver.n_states.unwrap_or(1));
    if solver.core.as_deref() == Some("indexing") {
        config.core = Core::Indexing;
    }
    config.init().expect("a valid layer")
}

fn replay(fixture: &Fixture, device: &Device) -> Results {
    let device = device.clone().autodiff();
    let solver: Solver = fixture.solver().expect("solver");
    let leaf = |name: &str| -> Tensor<2> {
        let tensor = fixture.tensor::<2>(name, &device).expect("tensor");
        tensor.require_grad()
    };
    let (w, u, x) = (leaf("param.W"), leaf("param.U"), leaf("input.x"));
    let b: Tensor<1> = fixture.tensor("param.b", &device).expect("b");
    let b = b.require_grad();
    let start: Tensor<2> = fixture.tensor("input.z0", &device).expect("z0");
    let cotangent: Tensor<2> = fixture
        .tensor("input.cotangent", &device)
        .expect("cotangent");

    let injection = x.clone().matmul(u.clone().transpose()) + b.clone().unsqueeze();
    let solved = layer(&solver)
        .solve(
            &(w.clone(), injection),
            start,
            |(w, injection): &(Tensor<2>, Tensor<2>), z: Tensor<2>| {
                (z.matmul(w.clone().transpose()) + injection.clone()).tanh()
            },
        )
        .expect("a valid solve");

    let mut results = Results::new();
    let states = solved.states();
    results.insert("expect.z", solved.last().clone());
    results.insert(
        "expect.n_outputs",
        Tensor::<1>::full([1], states.len() as f32, &device),
    );
    let count = states.len();
    let loss = states.iter().enumerate().map(|(index, state)| {
        results.insert(format!("expect.z.{index}"), state.clone());
        let weight = 0.8f64.powi((count - 1 - index) as i32);
        (state.clone() * cotangent.clone()).sum() * weight
    });
    let loss = loss.reduce(|a, b| a + b).expect("a state");
    let gradients = loss.backward();
    let mut insert = |name: &str, gradient: Option<Tensor<2>>| {
        results.insert(format!("grad.{name}"), gradient.expect("a gradient"));
    };
    insert("W", w.grad(&gradients));
    insert("U", u.grad(&gradients));
    insert("input.x", x.grad(&gradients));
    insert("b", b.grad(&gradients).map(|g| g.unsqueeze()));
    results
}

#[test]
fn gradients_reproduce_torchdeq() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq_devices::all() {
        let replay = |fixture: &Fixture, device: &Device| Ok(replay(fixture, device));
        let reports = compare_folder(&folder, &device, 10.0, replay).expect("replays");
        assert_eq!(reports.len(), 9);
        for report in reports {
            assert!(report.pass(), "on {device:?}: {report:#?}");
        }
    }
}
