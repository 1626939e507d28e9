//! What a run trains on, chooses by and reports.

use anyhow::{Context, Result};
use burn::tensor::Device;
use deq_datasets::graphs::{GraphData, GraphSet};
use deq_train::{Batches, rng_for};
use ignn::{IgnnError, Normalisation, Task};
use rand::seq::SliceRandom;

use super::recipe::IgnnRecipe;
use super::source::{GraphSource, Graphs};
use crate::commands::train::Recipe;

/// Some nodes of a task, or some of its graphs.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) task: Task,
    pub(super) items: Vec<u32>,
}

/// The three parts.
pub(super) struct Parts {
    pub(super) training: Training,
    pub(super) validation: Part,
    pub(super) test: Part,
}

/// What each step sees.
pub(super) enum Training {
    /// The same nodes of one graph.
    Same(Box<Part>),
    /// One graph of several.
    Graphs { parts: Vec<Part>, order: Batches },
    /// Some graphs of a set, joined.
    Joined {
        set: GraphSet,
        /// Those for training.
        positions: Vec<usize>,
        order: Batches,
        normalisation: Normalisation,
        device: Device,
    },
}

/// One in so many training graphs of a fold is for validation.
const VALIDATION: usize = 10;

impl Parts {
    pub(super) fn new(recipe: &IgnnRecipe, data: &Graphs, device: &Device) -> Result<Self> {
        let split = recipe
            .data
            .split()
            .context("all splits were asked for: choose one by data.split")?;
        let normalisation = recipe.normalisation();
        let seed = recipe.train().seed;
        match data {
            Graphs::Nodes(graph) => {
                let count = graph.splits.len();
                let split = graph.splits.get(split).with_context(|| {
                    format!("there is no split {split}: the data have {count}, counted from 0")
                })?;
                let task = Task::nodes(std::slice::from_ref(graph), normalisation, device)?;
                let part = |items: &Vec<u32>| Part {
                    task: task.clone(),
                    items: items.clone(),
                };
                Ok(Self {
                    training: Training::Same(Box::new(part(&split.train))),
                    validation: part(&split.validation),
                    test: part(&split.test),
                })
            }
            Graphs::Ppi(ppi) => {
                let all = |graphs: &[GraphData]| -> Result<Part, IgnnError> {
                    let task = Task::nodes(graphs, normalisation, device)?;
                    let items = task.items();
                    Ok(Part { task, items })
                };
                let each = ppi.train.chunks(1).map(all);
                Ok(Self {
                    training: Training::Graphs {
                        order: Batches::new(seed, ppi.train.len(), 1)?,
                        parts: each.collect::<Result<_, _>>()?,
                    },
                    validation: all(&ppi.validation)?,
                    test: all(&ppi.test)?,
                })
            }
            Graphs::Whole(set) => Self::fold(recipe, set, split, device),
        }
    }

    fn fold(recipe: &IgnnRecipe, set: &GraphSet, split: usize, device: &Device) -> Result<Self> {
        let GraphSource::Tu {
            batch,
            folds,
            folds_seed,
            ..
        } = recipe.data
        else {
            anyhow::bail!("{} are no set of graphs", recipe.data.title());
        };
        let fold = set.folds(folds, folds_seed)?.into_iter().nth(split);
        let fold = fold.with_context(|| {
            format!(
                "there is no split {split}: the cross-validation has {folds} folds, counted from 0"
            )
        })?;
        let mut training = fold.train;
        training.shuffle(&mut rng_for(folds_seed, split as u64, "validation"));
        let validation = training.split_off(training.len() - (training.len() / VALIDATION).max(1));
        eprintln!(
            "fold {split}: {} graphs for training, {} of the training part for validation, {} for the test",
            training.len(),
            validation.len(),
            fold.test.len()
        );
        let normalisation = recipe.normalisation();
        let whole = |positions: &[usize]| -> Result<Part, IgnnError> {
            let task = Task::whole_graphs(set, positions, normalisation, device)?;
            let items = task.items();
            Ok(Part { task, items })
        };
        let samples = training.len();
        let order = Batches::new(recipe.train().seed, samples, batch).with_context(|| {
            format!("data.batch does not fit the {samples} training graphs of a fold")
        })?;
        Ok(Self {
            validation: whole(&validation)?,
            test: whole(&fold.test)?,
            training: Training::Joined {
                order,
                set: set.clone(),
                positions: training,
                normalisation,
                device: device.clone(),
            },
        })
    }
}

impl Training {
    /// What this step sees.
    pub(super) fn at(&mut self, step: u64) -> Result<Part, IgnnError> {
        match self {
            Self::Same(part) => Ok(Part::clone(part)),
            Self::Graphs { parts, order } => Ok(parts[order.at(step)[0]].clone()),
            Self::Joined {
                set,
                positions,
                order,
                normalisation,
                device,
            } => {
                let chosen: Vec<usize> = order.at(step).iter().map(|&i| positions[i]).collect();
                let task = Task::whole_graphs(set, &chosen, *normalisation, device)?;
                let items = task.items();
                Ok(Part { task, items })
            }
        }
    }
}
