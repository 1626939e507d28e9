use std::collections::BTreeSet;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

use crate::TrainError;
use crate::error::require;
use crate::path::{ModulePath, follow_path};
use crate::store::{load_module, save_module, settle};

/// An exponential moving average of a model's weights, which often evaluates better than the
/// weights themselves (Polyak and Juditsky, SIAM J. Control Optim. 1992).
///
/// After each update, $\bar\theta \leftarrow \beta \bar\theta + (1 - \beta) \theta$ for the trained
/// parameters. Frozen ones and running statistics are copied. $\bar\theta$ starts at the weights
/// it is made from.
#[derive(Clone, Debug)]
pub struct Ema<M> {
    decay: f64,
    average: M,
}

impl<M: Module> Ema<M> {
    /// The average of `model` alone. `decay` is $\beta$, from 0 to below 1.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] when `decay` is out of its range.
    pub fn new(decay: f64, model: &M) -> Result<Self, TrainError> {
        let holds = (0.0..1.0).contains(&decay);
        require(holds, "decay", decay, "from 0 to below 1")?;
        Ok(Self {
            decay,
            average: model.valid(),
        })
    }

    /// Takes in the weights of `model`, which must be on an autodiff device: that is how trained
    /// parameters are told from others.
    pub fn update(&mut self, model: &M) {
        settle(model);
        let mut latest = Latest {
            values: TensorContainer::new(),
            trained: BTreeSet::new(),
            path: ModulePath::default(),
        };
        model.visit(&mut latest);
        self.average = self.average.clone().map(&mut Mix {
            latest,
            decay: self.decay,
            path: ModulePath::default(),
        });
    }

    /// The averaged model, for inference.
    pub fn model(&self) -> &M {
        &self.average
    }

    /// Writes the average as [`save_module`] does.
    ///
    /// # Errors
    /// As [`save_module`].
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        save_module(path, &self.average)
    }

    /// Replaces the average by one that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn load(&mut self, path: &Path) -> Result<(), TrainError> {
        self.average = load_module(path, self.average.clone())?;
        Ok(())
    }
}

/// The model's floats by path, without autodiff.
struct Latest {
    values: TensorContainer<String>,
    trained: BTreeSet<String>,
    path: ModulePath,
}

impl ModuleVisitor for Latest {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.name();
        let value = param.val();
        if value.is_require_grad() {
            self.trained.insert(path.clone());
        }
        self.values.register::<Tensor<D>>(path, value.inner());
    }
}

struct Mix {
    latest: Latest,
    decay: f64,
    path: ModulePath,
}

impl ModuleMapper for Mix {
    follow_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.name();
        let Some(value) = self.latest.values.remove::<Tensor<D>>(&path) else {
            return param;
        };
        if !self.latest.trained.contains(&path) {
            return param.map(|_| value);
        }
        let decay = self.decay;
        param.map(|average| average.mul_scalar(decay) + value.mul_scalar(1.0 - decay))
    }
}
