//! Where a study's images come from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use deq_datasets::{FASHION_CLASSES, LabelledImages, Split};
use serde::{Deserialize, Serialize};

use super::scale::Scale;
use crate::commands::train::given;

/// A data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Source {
    /// The built-in shapes.
    Shapes { side: usize, channels: usize },
    /// `fashion-mnist` in the data folder.
    FashionMnist {},
    /// `cifar-10-batches-bin` or `cifar10-lossless-5k` in the data folder.
    Cifar10 {},
}

impl Source {
    /// Its name in sentences.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Shapes { .. } => "built-in shapes",
            Self::FashionMnist {} => "Fashion-MNIST",
            Self::Cifar10 {} => "CIFAR-10",
        }
    }

    /// The first so many images for training and for the test; `folder` holds the data sets.
    pub(super) fn load(
        self,
        [train, test]: [usize; 2],
        folder: Option<&Path>,
    ) -> Result<[LabelledImages; 2]> {
        let [first, second] = match self {
            Self::Shapes { side, channels } => [
                LabelledImages::shapes(train, side, channels, 1)?,
                LabelledImages::shapes(test, side, channels, 2)?,
            ],
            Self::FashionMnist {} => {
                let folder = required(folder)?.join("fashion-mnist");
                let open = |split| LabelledImages::open_idx(&folder, split, &FASHION_CLASSES);
                [open(Split::Train)?, open(Split::Test)?]
            }
            Self::Cifar10 {} => {
                let folder = cifar(required(folder)?)?;
                let open = |split| LabelledImages::open_cifar10(&folder, split);
                [open(Split::Train)?, open(Split::Test)?]
            }
        };
        let cut = |images: LabelledImages, count: usize, part: &str| {
            ensure!(
                images.count() >= count,
                "this scale needs {count} {part} images of {}, but the data folder has {}: choose a smaller --scale, or a folder with all of them",
                self.title(),
                images.count()
            );
            Ok(images.take(count)?)
        };
        Ok([cut(first, train, "training")?, cut(second, test, "test")?])
    }
}

/// The data folder of a study that reads Fashion-MNIST and CIFAR-10, where the scale needs one.
pub(super) fn data_dir(scale: Scale, option: Option<&Path>) -> Result<Option<PathBuf>> {
    let name = scale.name();
    if scale == Scale::Smoke {
        ensure!(
            option.is_none(),
            "--scale {name} trains on built-in images: leave --data-dir out, or choose --scale small"
        );
        return Ok(None);
    }
    let folder = given(option).with_context(|| {
        format!("--scale {name} trains on Fashion-MNIST and CIFAR-10: say where they are with --data-dir or DEQ_ZOO_DATA, or choose --scale smoke")
    })?;
    ensure!(
        folder.is_dir(),
        "the data folder {} does not exist",
        folder.display()
    );
    Ok(Some(folder))
}

fn required(folder: Option<&Path>) -> Result<&Path> {
    folder.context("the data folder is missing: give --data-dir or set DEQ_ZOO_DATA")
}

/// The whole CIFAR-10 if it is there, else the lossless part of it.
fn cifar(folder: &Path) -> Result<PathBuf> {
    let names = [
        "cifar-10-batches-bin",
        "cifar10-lossless-5k/cifar-10-batches-bin",
    ];
    let mut candidates = names.into_iter().map(|name| folder.join(name));
    match candidates.find(|path| path.is_dir()) {
        Some(path) => Ok(path),
        None => bail!(
            "{} holds neither {} nor {}: put CIFAR-10's binary version there, or give another --data-dir",
            folder.display(),
            names[0],
            names[1]
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_images_are_made_in_any_number() {
        let source = Source::Shapes {
            side: 12,
            channels: 1,
        };
        let [train, test] = source.load([30, 20], None).expect("built-in shapes");
        assert_eq!((train.count(), test.count()), (30, 20));
        assert_eq!(train.size(), [1, 12, 12]);
        assert_ne!(train.image(0), test.image(0));
    }

    #[test]
    fn data_that_are_not_there_are_named() {
        let error = |folder| match (Source::Cifar10 {}).load([10, 10], folder) {
            Ok(_) => panic!("must be refused"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error(None).contains("--data-dir"));
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(error(Some(empty.path())).contains("cifar-10-batches-bin"));
    }
}
