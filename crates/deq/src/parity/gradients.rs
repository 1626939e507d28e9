use burn::tensor::{Device, Tensor};
use deq_implicit::{CallOptions, Core, DeqConfig, Emit, Gradient, Phantom, ReuseInverse, States};
use deq_parity::{Fixture, FixtureError, Results};
use deq_solvers::{BroydenConfig, Finish, SolveConfig, SolverConfig};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    gradient: Method,
    #[serde(default, rename = "ift")]
    _ift: bool,
    f_solver: Option<Solver>,
    f_max_iter: Option<usize>,
    f_tol: Option<f64>,
    core: Option<CoreName>,
    n_states: Option<usize>,
    grad: Option<[usize; 1]>,
    tau: Option<f64>,
    sup_gap: Option<usize>,
    sup_loc: Option<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    IftDense,
    Phantom,
    BroydenReuse,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Solver {
    FixedPointIter,
    Broyden,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CoreName {
    Sliced,
    Indexing,
}

/// The layer z = tanh(z Wᵀ + x Uᵀ + b) with leaves that collect gradients.
struct Layer {
    w: Tensor<2>,
    u: Tensor<2>,
    b: Tensor<1>,
    x: Tensor<2>,
    start: Tensor<2>,
    cotangent: Tensor<2>,
}

impl Layer {
    fn read(fixture: &Fixture, device: &Device) -> Result<Self, FixtureError> {
        let device = &device.clone().autodiff();
        Ok(Self {
            w: fixture.tensor::<2>("param.W", device)?.require_grad(),
            u: fixture.tensor::<2>("param.U", device)?.require_grad(),
            b: fixture.tensor::<1>("param.b", device)?.require_grad(),
            x: fixture.tensor::<2>("input.x", device)?.require_grad(),
            start: fixture.tensor("input.z0", device)?,
            cotangent: fixture.tensor("input.cotangent", device)?,
        })
    }

    /// What the map takes beside the state.
    fn args(&self) -> (Tensor<2>, Tensor<2>) {
        let injection = self.x.clone().matmul(self.u.clone().transpose());
        (self.w.clone(), injection + self.b.clone().unsqueeze())
    }

    fn backward(&self, results: &mut Results, loss: Tensor<1>) -> Result<(), FixtureError> {
        let gradients = loss.backward();
        let missing = || FixtureError::replay("a gradient is missing");
        let mut insert = |name: &str, leaf: &Tensor<2>| {
            let gradient = leaf.grad(&gradients).ok_or_else(missing)?;
            results.insert(format!("grad.{name}"), gradient);
            Ok::<(), FixtureError>(())
        };
        insert("W", &self.w)?;
        insert("U", &self.u)?;
        insert("input.x", &self.x)?;
        results.insert("grad.b", self.b.grad(&gradients).ok_or_else(missing)?);
        Ok(())
    }
}

fn map((w, injection): &(Tensor<2>, Tensor<2>), z: Tensor<2>) -> Tensor<2> {
    (z.matmul(w.clone().transpose()) + injection.clone()).tanh()
}

pub(super) fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    let settings: Settings = fixture.solver()?;
    let layer = Layer::read(fixture, device)?;
    match settings.gradient {
        Method::BroydenReuse => reuse(&settings, &layer),
        Method::IftDense | Method::Phantom => through_layer(&settings, &layer),
    }
}

fn config(settings: &Settings) -> DeqConfig {
    let mut config = if settings.gradient == Method::IftDense {
        let mut tight = SolveConfig::default()
            .with_tolerance(0.0)
            .with_max_iter(600);
        tight.termination.finish = Finish::Best;
        DeqConfig::default()
            .with_solver(SolverConfig::broyden())
            .with_tolerance(1e-6)
            .with_max_iter(60)
            .with_gradient(Gradient::implicit_with(tight))
    } else {
        let emit = match (&settings.sup_gap, &settings.sup_loc) {
            (Some(gap), _) => Emit::Every(*gap),
            (_, Some(steps)) => Emit::At(steps.clone()),
            _ => Emit::Last,
        };
        let [steps] = settings.grad.unwrap_or([1]);
        DeqConfig::default().with_gradient(Gradient::Phantom(Phantom {
            steps,
            damping: settings.tau.unwrap_or(1.0),
            emit,
        }))
    };
    config.forward.termination.finish = Finish::Best;
    if let Some(Solver::Broyden) = settings.f_solver {
        config = config.with_solver(SolverConfig::broyden());
    }
    if let Some(tolerance) = settings.f_tol {
        config = config.with_tolerance(tolerance);
    }
    config.states = States::Count(settings.n_states.unwrap_or(1));
    if let Some(CoreName::Indexing) = settings.core {
        config.core = Core::Indexing;
    }
    config
}

fn through_layer(settings: &Settings, layer: &Layer) -> Result<Results, FixtureError> {
    let deq = config(settings).init().map_err(FixtureError::replay)?;
    let options = CallOptions {
        max_iter: settings.f_max_iter,
        ..CallOptions::default()
    };
    let solved = deq
        .solve_with(options, &layer.args(), layer.start.clone(), map)
        .map_err(FixtureError::replay)?;
    let states = solved.states();
    let count = states.len();
    let mut results = Results::new();
    results.insert("expect.z", solved.last().clone());
    let counted = Tensor::<1>::full([1], count as f32, &layer.start.device());
    results.insert("expect.n_outputs", counted);
    let mut loss = Tensor::zeros([1], &layer.start.device());
    for (index, state) in states.iter().enumerate() {
        results.insert(format!("expect.z.{index}"), state.clone());
        let weight = 0.8f64.powi((count - 1 - index) as i32);
        loss = loss + (state.clone() * layer.cotangent.clone()).sum() * weight;
    }
    layer.backward(&mut results, loss)?;
    Ok(results)
}

/// The backward pass by the forward solve's inverse Jacobian: the row from a plain solve, the
/// gradients through the layer.
fn reuse(settings: &Settings, layer: &Layer) -> Result<Results, FixtureError> {
    let steps = settings.f_max_iter.unwrap_or(40);
    let mut config = SolveConfig::new(SolverConfig::Broyden(BroydenConfig {
        memory: steps,
        ..BroydenConfig::default()
    }))
    .with_tolerance(settings.f_tol.unwrap_or(0.0))
    .with_max_iter(steps);
    config.termination.finish = Finish::Best;
    let args = layer.args();
    let plain = (args.0.clone().inner(), args.1.clone().inner());
    let solution = config
        .solve(|z| map(&plain, z), layer.start.clone().inner())
        .map_err(FixtureError::replay)?;
    let inverse = solution.inverse_jacobian;
    let inverse = inverse.ok_or_else(|| FixtureError::replay("no inverse Jacobian"))?;
    let (us, vs) = inverse
        .factors()
        .ok_or_else(|| FixtureError::replay("no update was made"))?;

    let mut results = Results::new();
    results.insert("expect.U", us.clone().swap_dims(1, 2));
    results.insert("expect.VT", vs.clone());
    let row = -inverse.apply_transposed(&layer.cotangent.clone().inner());
    results.insert("expect.w", row);
    results.insert("expect.z", solution.state);

    let deq = DeqConfig {
        forward: config,
        gradient: Gradient::ReuseInverse(ReuseInverse {
            fallback: None,
            refine: 0,
        }),
        ..DeqConfig::default()
    };
    let solved = deq
        .init()
        .and_then(|deq| deq.solve(&args, layer.start.clone(), map))
        .map_err(FixtureError::replay)?;
    let loss = (solved.into_last() * layer.cotangent.clone()).sum();
    layer.backward(&mut results, loss)?;
    Ok(results)
}
