//! The samples of a run.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use anyhow::{Context, Result};
use deq_datasets::multimodal::{MultimodalData, MultimodalSplit};

use super::record::Settings;
use super::setup::DataSet;
use crate::commands::train::fusion::{check, scaled};

/// The data sets that were read so far.
pub(super) struct Pools<'a> {
    folder: Option<&'a Path>,
    read: BTreeMap<DataSet, MultimodalSplit>,
}

/// The samples of a run, scaled by all training samples.
pub(super) struct Data {
    /// What is trained on.
    pub(super) fit: MultimodalData,
    /// What models are selected by: training samples too.
    pub(super) validation: MultimodalData,
    pub(super) test: MultimodalData,
}

impl<'a> Pools<'a> {
    /// None yet; `folder` holds the data sets.
    pub(super) fn new(folder: Option<&'a Path>) -> Self {
        Self {
            folder,
            read: BTreeMap::new(),
        }
    }

    /// The samples of a run. Runs of one seed hold out the same ones.
    pub(super) fn data(&mut self, settings: &Settings) -> Result<Data> {
        let setup = &settings.setup;
        let data = match self.read.entry(settings.data) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let folder = match setup.source.is_built_in() {
                    true => Path::new(""),
                    false => self.folder.context(
                        "the data folder is missing: give --data-dir or set DEQ_ZOO_DATA",
                    )?,
                };
                let data = setup.source.load(folder)?;
                check(&setup.network, &data.train, &setup.source.title())?;
                entry.insert(scaled(data)?)
            }
        };
        let (fit, validation) = data.train.hold_out(setup.validation, settings.seed)?;
        Ok(Data {
            fit,
            validation,
            test: data.test.clone(),
        })
    }
}

impl Data {
    /// What the modalities are called.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.test
            .modalities()
            .iter()
            .map(|modality| modality.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::fusion::record::Kind;
    use crate::commands::study::scale::Scale;
    use crate::commands::study::settings::Head;
    use crate::commands::train::fusion::Method;

    fn settings(data: DataSet, method: Method, seed: u64) -> Settings {
        let device = "flex".parse().expect("a device");
        let scale = match data {
            DataSet::Generated => Scale::Smoke,
            _ => Scale::Small,
        };
        let head = Head::new(scale, device);
        Settings::new(&head, Kind { data, method }, seed)
    }

    #[test]
    fn runs_of_one_seed_share_their_samples() {
        let mut pools = Pools::new(None);
        let mut data = |method, seed| {
            let settings = settings(DataSet::Generated, method, seed);
            pools.data(&settings).expect("built-in data")
        };
        let first = data(Method::Equilibrium, 0);
        let same = data(Method::Tensor, 0);
        assert_eq!((&first.fit, &first.test), (&same.fit, &same.test));
        let other = data(Method::Equilibrium, 1);
        assert_ne!(first.validation, other.validation);
        assert_eq!(first.test, other.test);
        let samples = [&first.fit, &first.validation, &first.test];
        assert_eq!(samples.map(MultimodalData::samples), [40, 10, 20]);
        assert_eq!(first.names().collect::<Vec<_>>(), ["0", "1", "2"]);
    }

    #[test]
    fn data_that_are_not_there_or_do_not_fit_are_named() {
        let rosmap = settings(DataSet::Rosmap, Method::Tensor, 0);
        let error = |folder: Option<&Path>| {
            let data = Pools::new(folder).data(&rosmap);
            format!("{:#}", data.err().expect("must be refused"))
        };
        assert!(error(None).contains("--data-dir"));
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(error(Some(dir.path())).contains("ROSMAP/labels_tr.csv"));
        let folder = dir.path().join("ROSMAP");
        std::fs::create_dir(&folder).expect("a folder");
        for (name, content) in [
            ("labels_tr.csv", "0\n1\n"),
            ("labels_te.csv", "1\n"),
            ("1_tr.csv", "0,1\n1,0\n"),
            ("1_te.csv", "1,1\n"),
        ] {
            std::fs::write(folder.join(name), content).expect("written");
        }
        let message = error(Some(dir.path()));
        for words in ["[200, 200, 200]", "[2]"] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
