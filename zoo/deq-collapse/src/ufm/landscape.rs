use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::search::End;
use super::{Point, SearchConfig, Ufm, smallest_eigenvalue};
use crate::CollapseError;

/// How near to the closed form the value of a global minimum is.
pub const MINIMUM: f64 = 1e-8;

/// Below minus this an eigenvalue makes a strict saddle.
pub const SADDLE: f64 = 1e-6;

/// How far above 1 the [certificate](Ufm::certificate) of a global minimum may be.
const CERTIFIED: f64 = 1e-6;

/// What a critical point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its value is the closed form's to [`MINIMUM`], or, without a closed form, it has the
    /// [certificate](Ufm::certificate); and it is no strict saddle.
    GlobalMinimum,
    /// Its Hessian has an eigenvalue below −[`SADDLE`].
    StrictSaddle,
    /// Neither is shown. With $d \ge K$ there is none (arXiv 2407.10702). With fewer features, and
    /// without a closed form, a global minimum may be among these: the certificate is sufficient,
    /// and necessary only where $d$ does not bind.
    Neither,
    /// The search ended at a point that is not critical.
    NotReached,
}

/// Where the search from one start ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CriticalPoint {
    /// The steps downhill before the solver, those before further tries included.
    pub descent: usize,
    /// The point.
    pub point: Point,
    /// $F$ there.
    pub value: f64,
    /// $\lVert \nabla F \rVert$ there.
    pub gradient_norm: f64,
    /// The smallest eigenvalue of the Hessian; `None` where the point is not critical.
    pub smallest_eigenvalue: Option<f64>,
    /// [`Ufm::certificate`].
    pub certificate: f64,
    /// What it is.
    pub kind: Kind,
}

/// The critical points of a model, as reached from random starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Landscape {
    /// One for each start, in order.
    pub points: Vec<CriticalPoint>,
    /// The value of the global minimum, where it has a closed form.
    pub global_value: Option<f64>,
}

impl Landscape {
    /// How many points are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        let points = self.points.iter();
        points.filter(|point| point.kind == kind).count()
    }

    /// Whether every critical point that was reached is a global minimum or a strict saddle. False
    /// when none was reached.
    pub fn is_benign(&self) -> bool {
        self.count(Kind::NotReached) < self.points.len() && self.count(Kind::Neither) == 0
    }
}

/// Looks for critical points from random starts and says what each is: its value against the
/// closed form, and the smallest eigenvalue of its Hessian by Lanczos's method on exact products.
///
/// The device runs the solver's vector algebra, and must do so in `f64` (see
/// `deq::devices::double_precision`). Objective, gradient and Hessian are computed on the host.
///
/// ```
/// use deq_collapse::ufm::{Kind, SearchConfig, UfmConfig, UfmLoss, landscape};
///
/// let ufm = UfmConfig::balanced(UfmLoss::Mse, [2, 2, 2], [0.02, 0.01]).init()?;
/// let search = SearchConfig { starts: 8, ..SearchConfig::default() };
/// let found = landscape(&ufm, &search, &burn::tensor::Device::flex())?;
/// assert!(found.is_benign());
/// assert!(found.count(Kind::GlobalMinimum) > 0);
/// # Ok::<(), deq_collapse::CollapseError>(())
/// ```
///
/// # Errors
/// [`CollapseError::InvalidConfig`] for options out of range, [`CollapseError::NoDouble`], and
/// [`CollapseError::Solve`] for options that the solver refuses.
pub fn landscape(
    ufm: &Ufm,
    search: &SearchConfig,
    device: &Device,
) -> Result<Landscape, CollapseError> {
    let global_value = ufm.minimiser().ok().map(|minimiser| minimiser.value);
    let ends = search.run(ufm, device)?.into_iter();
    let points = ends.map(|end| classify(ufm, search, global_value, end));
    Ok(Landscape {
        points: points.collect::<Result<_, _>>()?,
        global_value,
    })
}

fn classify(
    ufm: &Ufm,
    search: &SearchConfig,
    global_value: Option<f64>,
    End { point, descent }: End,
) -> Result<CriticalPoint, CollapseError> {
    let value = ufm.value_at(&point);
    let gradient_norm = ufm.gradient_at(&point).norm();
    let certificate = ufm.certificate_at(&point);
    let mut found = CriticalPoint {
        descent,
        point,
        value,
        gradient_norm,
        smallest_eigenvalue: None,
        certificate,
        kind: Kind::NotReached,
    };
    if !(gradient_norm <= search.gradient_tolerance) {
        return Ok(found);
    }
    let mut direction = Point::zeros(ufm);
    let product = |values: &[f64]| {
        direction.read(values);
        ufm.hessian_product_at(&found.point, &direction).to_values()
    };
    let lowest = smallest_eigenvalue(ufm.dimension(), product, &search.lanczos)?.value;
    let is_minimum = match global_value {
        Some(global) => (value - global).abs() <= MINIMUM,
        None => certificate <= 1.0 + CERTIFIED,
    };
    found.smallest_eigenvalue = Some(lowest);
    found.kind = if lowest < -SADDLE {
        Kind::StrictSaddle
    } else if is_minimum {
        Kind::GlobalMinimum
    } else {
        Kind::Neither
    };
    Ok(found)
}
