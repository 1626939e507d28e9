//! The images of a run, and batches of them on a device.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use deq_collapse::{Batch, subset};
use deq_datasets::{Augment, LabelledImages};

use super::record::Settings;
use super::setup::{CLASSES, DataSet};

/// Seeds which images of the pool are trained on, in all runs.
const DRAW: u64 = 0;

/// The data sets that were read so far.
pub(super) struct Pools<'a> {
    folder: Option<&'a Path>,
    read: BTreeMap<DataSet, [LabelledImages; 2]>,
}

/// The images of a run, normalised alike.
pub(super) struct Data {
    pub(super) train: LabelledImages,
    pub(super) test: LabelledImages,
    normalize: Augment,
}

impl<'a> Pools<'a> {
    /// None yet; `folder` holds the data sets.
    pub(super) fn new(folder: Option<&'a Path>) -> Self {
        Self {
            folder,
            read: BTreeMap::new(),
        }
    }

    /// The images of a run. A data set's pool is the same for all runs of a scale.
    pub(super) fn data(&mut self, settings: &Settings) -> Result<Data> {
        let setup = &settings.setup;
        let [pool, test] = match self.read.entry(settings.data) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let counts = [setup.pool, setup.test_images];
                entry.insert(setup.source.load(counts, self.folder)?)
            }
        };
        let chosen = setup.imbalance.sample(pool.labels(), CLASSES, DRAW)?;
        Ok(Data {
            train: subset(pool, &chosen)?,
            test: test.clone(),
            normalize: Augment::normalize(pool),
        })
    }
}

impl Data {
    /// These images of one part.
    pub(super) fn batch(
        &self,
        from: &LabelledImages,
        indices: &[usize],
        device: &Device,
    ) -> Result<Batch> {
        let batch = from.batch(indices, &self.normalize, 0)?;
        Ok(Batch::new(batch, device)?)
    }

    /// All images of one part, in batches of this size.
    pub(super) fn batches(
        &self,
        from: &LabelledImages,
        size: usize,
        device: &Device,
    ) -> impl Iterator<Item = Result<Batch>> {
        let count = from.count();
        (0..count).step_by(size).map(move |first| {
            let indices: Vec<usize> = (first..count.min(first + size)).collect();
            self.batch(from, &indices, device)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::record::Kind;
    use crate::commands::study::collapse::setup::Model;
    use crate::commands::study::settings::Head;

    fn settings(classes: &str, model: Model, seed: u64) -> Settings {
        let classes = classes.parse().expect("a setting");
        let kind = Kind {
            data: DataSet::Shapes,
            classes,
            model,
        };
        Settings::new(&Head::example(), kind, seed)
    }

    #[test]
    fn all_runs_of_a_setting_have_the_same_images() {
        let mut pools = Pools::new(None);
        let mut train = |classes, model, seed| {
            let data = pools.data(&settings(classes, model, seed));
            data.expect("built-in shapes").train
        };
        let images = train("k3-r10", Model::Explicit, 0);
        assert_eq!(images.count(), 3 * 8 + 7);
        assert_eq!(images, train("k3-r10", Model::Deq, 5));
        assert_eq!(train("balanced", Model::Explicit, 0).count(), 40);
    }

    #[test]
    fn batches_hold_every_image_once() {
        let mut pools = Pools::new(None);
        let data = pools.data(&settings("balanced", Model::Explicit, 0));
        let data = data.expect("built-in shapes");
        for device in deq::devices::all() {
            let labels = data.batches(&data.train, 15, &device).flat_map(|batch| {
                let batch = batch.expect("a batch");
                batch.labels().to_vec()
            });
            let mut labels: Vec<usize> = labels.collect();
            labels.sort_unstable();
            assert_eq!(labels.len(), 40);
            assert_eq!(labels[4 * 3], 3);
        }
    }
}
