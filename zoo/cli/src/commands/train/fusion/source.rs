//! Where samples in several modalities come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use deq_datasets::DataError;
use deq_datasets::multimodal::{GeneratedViews, MinMax, MultimodalSplit, features, mogonet};
use deq_fusion::Preset;
use serde::{Deserialize, Serialize};

/// The data of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum FusionSource {
    /// Built-in correlated modalities.
    Generated {
        /// Seeds the data; a run's own seed does not.
        #[serde(default)]
        seed: u64,
        #[serde(default)]
        views: GeneratedViews,
    },
    /// `ROSMAP`, in MOGONET's layout.
    Rosmap {},
    /// `BRCA`, in MOGONET's layout.
    Brca {},
    /// A file of features.
    Features {
        /// Its path in the data folder.
        file: PathBuf,
    },
}

/// Sources by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Generated,
    Rosmap,
    Brca,
    Features,
}

/// What a preset is made for.
pub(super) fn of_preset(preset: Preset) -> Name {
    match preset {
        Preset::Brca => Name::Brca,
        Preset::Rosmap => Name::Rosmap,
        Preset::MmImdb | Preset::CmuMosi => Name::Features,
        Preset::Tiny => Name::Generated,
    }
}

/// The preset that is made for this.
pub(super) fn of_data(data: Name) -> Preset {
    match data {
        Name::Generated => Preset::Tiny,
        Name::Rosmap => Preset::Rosmap,
        Name::Brca => Preset::Brca,
        Name::Features => Preset::MmImdb,
    }
}

impl Name {
    /// The source. A file of features is named after the preset.
    pub(super) fn source(self, preset: Preset) -> FusionSource {
        match self {
            Self::Generated => FusionSource::Generated {
                seed: 0,
                views: GeneratedViews::default(),
            },
            Self::Rosmap => FusionSource::Rosmap {},
            Self::Brca => FusionSource::Brca {},
            Self::Features => FusionSource::Features {
                file: format!("{}.safetensors", preset.name()).into(),
            },
        }
    }

    /// Its name in folders.
    pub(super) fn short_name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Rosmap => "rosmap",
            Self::Brca => "brca",
            Self::Features => "features",
        }
    }
}

impl FusionSource {
    /// Its name in sentences, in the plural.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Generated { .. } => "built-in correlated modalities".to_owned(),
            Self::Rosmap {} => "the samples of ROSMAP".to_owned(),
            Self::Brca {} => "the samples of BRCA".to_owned(),
            Self::Features { file } => format!("the features of {}", file.display()),
        }
    }

    /// Whether it is made and not read.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self, Self::Generated { .. })
    }

    /// Reads or makes the data as they are; `folder` holds the data sets.
    pub(crate) fn load(&self, folder: &Path) -> Result<MultimodalSplit> {
        Ok(match self {
            Self::Generated { seed, views } => views.generate(*seed)?,
            Self::Rosmap {} => mogonet::open(&layout(folder, "ROSMAP")?)?,
            Self::Brca {} => mogonet::open(&layout(folder, "BRCA")?)?,
            Self::Features { file } => features::open(&folder.join(file))?,
        })
    }
}

/// Where a data set in MOGONET's layout is: in the data folder, in a folder of its own there, or in
/// that of MOGONET's repository.
fn layout(folder: &Path, name: &str) -> Result<PathBuf> {
    let own = name.to_lowercase();
    let candidates = [
        folder.join(name),
        folder.join(&own).join(name),
        folder.join(&own),
        folder.join("MOGONET").join(name),
    ];
    let mut there = candidates.into_iter();
    match there.find(|path| path.join("labels_tr.csv").is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{} holds no {name}/labels_tr.csv, and no {own}/{name}: put the folder {name} of MOGONET's repository there, or give another --data-dir",
            folder.display()
        ),
    }
}

/// Every feature brought to [0, 1] by its range in the training part.
pub(crate) fn scaled(data: MultimodalSplit) -> Result<MultimodalSplit, DataError> {
    let scale = MinMax::fit(&data.train);
    let apply = |part| scale.apply(part);
    Ok(MultimodalSplit {
        train: apply(data.train)?,
        validation: data.validation.map(apply).transpose()?,
        test: apply(data.test)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder");
        for (name, content) in [
            ("labels_tr.csv", "0\n1\n0\n1\n"),
            ("labels_te.csv", "1\n0\n"),
            ("1_tr.csv", "2,0\n4,1\n3,0\n2,1\n"),
            ("1_te.csv", "6,0\n2,1\n"),
        ] {
            std::fs::write(folder.join(name), content).expect("written");
        }
    }

    #[test]
    fn a_data_set_is_found_where_users_have_it() {
        for place in ["ROSMAP", "rosmap/ROSMAP", "rosmap", "MOGONET/ROSMAP"] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            write(&dir.path().join(place));
            let data = FusionSource::Rosmap {}.load(dir.path()).expect(place);
            assert_eq!((data.train.samples(), data.test.samples()), (4, 2));
            let missing = FusionSource::Brca {}.load(dir.path());
            let error = missing.expect_err("it is not there").to_string();
            assert!(error.contains("BRCA/labels_tr.csv"), "{error}");
        }
    }

    #[test]
    fn features_are_scaled_by_the_training_part() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write(&dir.path().join("ROSMAP"));
        let data = FusionSource::Rosmap {}.load(dir.path()).expect("data");
        let data = scaled(data).expect("it fits itself");
        assert_eq!(data.train.values(0)[..4], [0.0, 0.0, 1.0, 1.0]);
        // 6 is as far above the largest as that above the smallest.
        assert_eq!(data.test.values(0)[0], 2.0);
    }

    #[test]
    fn presets_and_data_name_each_other() {
        for preset in Preset::ALL {
            let name = of_preset(preset);
            if name != Name::Features {
                assert_eq!(of_data(name), preset);
            }
        }
        let source = Name::Features.source(Preset::CmuMosi);
        assert!(source.title().ends_with("cmu-mosi.safetensors"));
        assert!(!source.is_built_in());
    }
}
