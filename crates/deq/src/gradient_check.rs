use std::fmt;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use deq_implicit::Deq;
use deq_solvers::{SolveError, State};

/// How [`check_gradients`] compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientCheck {
    /// The step of the central difference, against a parameter's root mean square (or 1 where that
    /// is smaller). In `f32` steps much below 1e-2 drown in rounding.
    pub step: f64,
    /// How far the two derivatives may differ, against the larger of them.
    pub tolerance: f64,
}

impl Default for GradientCheck {
    fn default() -> Self {
        Self {
            step: 1e-2,
            tolerance: 2e-2,
        }
    }
}

/// What [`check_gradients`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientReport {
    /// One entry for each float parameter.
    pub parameters: Vec<ParameterCheck>,
}

/// The two derivatives along one direction of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterCheck {
    /// Where the parameter is in `args`, such as `0.linear.weight`.
    pub name: String,
    /// By the layer's gradient. 0 where it gives none.
    pub analytic: f64,
    /// By the central difference.
    pub numeric: f64,
    /// Whether they agree.
    pub pass: bool,
}

impl GradientReport {
    /// Whether all parameters agree, and there is one.
    pub fn pass(&self) -> bool {
        let mut parameters = self.parameters.iter();
        !self.parameters.is_empty() && parameters.all(|parameter| parameter.pass)
    }
}

impl fmt::Display for GradientReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for parameter in &self.parameters {
            let ParameterCheck {
                name,
                analytic,
                numeric,
                pass,
            } = parameter;
            let verdict = if *pass { "ok " } else { "OFF" };
            writeln!(
                f,
                "{verdict} {name}: gradient {analytic:.6e}, difference {numeric:.6e}"
            )?;
        }
        Ok(())
    }
}

/// Compares a layer's gradient with finite differences, parameter by parameter.
///
/// The loss is a fixed weighted sum of the layer's output. Of each parameter one direction without
/// structure is tried: its derivative by the gradient against
/// $(\ell(\theta + h d) - \ell(\theta - h d)) / 2h$. That needs no second derivative and two solves
/// per parameter. Solve the layer tightly, since differences see the solver's error. Parameters that
/// require no gradient are passed over, and so are plain tensors in `args`: wrap them with
/// [`input`](deq_implicit::input).
///
/// An approximate gradient (Jacobian-free, phantom, …) is reported as off where it is: that is
/// what the check is for.
///
/// # Errors
/// As [`Deq::solve`].
pub fn check_gradients<A, S, F>(
    deq: &Deq,
    args: &A,
    start: &S,
    map: F,
    check: GradientCheck,
) -> Result<GradientReport, SolveError>
where
    A: Module + 'static,
    S: State,
    F: Fn(&A, S) -> S + Clone + Send + Sync + 'static,
{
    let loss = |args: &A| -> Result<Tensor<1>, SolveError> {
        let solved = deq.solve(args, start.clone(), map.clone())?;
        let output = solved.into_last().into_matrix();
        let weights = direction(output.shape().num_elements());
        let weights = TensorData::new(weights, output.shape()).convert_dtype(output.dtype());
        let weights = Tensor::<2>::from_data(weights, (&output.device(), output.dtype()));
        Ok((output * weights).sum())
    };
    let mut analytic = Analytic {
        gradients: &loss(args)?.backward(),
        path: Vec::new(),
        found: Vec::new(),
    };
    args.visit(&mut analytic);

    let mut parameters = Vec::new();
    for (index, found) in analytic.found.iter().enumerate() {
        let Some((name, analytic, step)) = found else {
            continue;
        };
        let step = step * check.step;
        let value = |by: f64| -> Result<f64, SolveError> {
            let mut mover = Mover { index, next: 0, by };
            let moved = args.clone().map(&mut mover);
            Ok(loss(&moved)?.into_scalar())
        };
        let numeric = (value(step)? - value(-step)?) / (2.0 * step);
        let size = analytic.abs().max(numeric.abs());
        // Written so that NaN does not pass.
        let pass = (analytic - numeric).abs() <= check.tolerance * size;
        parameters.push(ParameterCheck {
            name: name.clone(),
            analytic: *analytic,
            numeric,
            pass,
        });
    }
    Ok(GradientReport { parameters })
}

/// Numbers without structure of size about one.
fn direction(count: usize) -> Vec<f64> {
    (0..count)
        .map(|i| 1.4 * (2.3 * i as f64 + 0.7).sin())
        .collect()
}

/// Collects each parameter's name, derivative along its direction, and size.
struct Analytic<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    /// `None` for parameters that require no gradient, such as a spectral norm's vectors.
    found: Vec<Option<(String, f64, f64)>>,
}

impl ModuleVisitor for Analytic<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if !tensor.is_require_grad() {
            self.found.push(None);
            return;
        }
        let values: Vec<f64> = tensor.clone().inner().into_data().iter::<f64>().collect();
        let squares: f64 = values.iter().map(|x| x * x).sum();
        let size = (squares / values.len().max(1) as f64).sqrt().max(1.0);
        let derivative = tensor.grad(self.gradients).map_or(0.0, |gradient| {
            let gradient = gradient.into_data();
            let along = gradient.iter::<f64>().zip(direction(values.len()));
            along
                .map(|(gradient, direction)| gradient * direction)
                .sum()
        });
        self.found
            .push(Some((self.path.join("."), derivative, size)));
    }
}

/// Moves one parameter, counted in the order of a visit, along its direction.
struct Mover {
    index: usize,
    next: usize,
    by: f64,
}

impl ModuleMapper for Mover {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.next;
        self.next += 1;
        if index != self.index {
            return param;
        }
        let (by, trained) = (self.by, param.is_require_grad());
        param.map(|tensor| {
            let (device, dtype) = (tensor.device(), tensor.dtype());
            let data = tensor.into_data();
            let moved = data.iter::<f64>().zip(direction(data.num_elements()));
            let moved: Vec<f64> = moved.map(|(x, direction)| x + by * direction).collect();
            let moved = TensorData::new(moved, data.shape().clone()).convert_dtype(dtype);
            Tensor::<D>::from_data(moved, (&device, dtype)).set_require_grad(trained)
        })
    }
}
