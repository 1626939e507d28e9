//! Where images come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use deq_datasets::{DIGITS, DataError, FASHION_CLASSES, Image, LabelledImages, Split};
use serde::{Deserialize, Serialize};

/// The data of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ImageSource {
    /// Built-in shapes and textures.
    Shapes {
        /// How many images for training …
        train: usize,
        /// … and for the test.
        test: usize,
        /// Pixels of a side.
        side: usize,
        /// 1 or 3.
        channels: usize,
    },
    /// `fashion-mnist`.
    FashionMnist {},
    /// `mnist`.
    Mnist {},
    /// CIFAR-10's binary version, or a part of it: `cifar-10-batches-bin`, or else
    /// `cifar10-lossless-5k`.
    Cifar10 {},
    /// CIFAR-10 as JPEG files in `cifar10-jpeg.tar.gz`, whose accuracies compare with no published
    /// ones.
    Cifar10Jpeg {},
    /// CIFAR-100's binary version: `cifar-100-binary`.
    Cifar100 {},
    /// Pictures in `train` and `test` (or `val`), in one folder a class.
    Folder {},
}

/// Sources by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Name {
    Shapes,
    FashionMnist,
    Mnist,
    Cifar10,
    Cifar10Jpeg,
    Cifar100,
    Folder,
}

/// Training and test images.
#[derive(Clone)]
pub(crate) struct Images {
    pub(super) train: LabelledImages,
    pub(crate) test: LabelledImages,
}

impl Name {
    /// The source. Built-in images are made with so many pixels a side and so many channels.
    pub(super) fn source(self, side: usize, channels: usize) -> ImageSource {
        match self {
            Self::Shapes => ImageSource::Shapes {
                train: 2_000,
                test: 500,
                side,
                channels,
            },
            Self::FashionMnist => ImageSource::FashionMnist {},
            Self::Mnist => ImageSource::Mnist {},
            Self::Cifar10 => ImageSource::Cifar10 {},
            Self::Cifar10Jpeg => ImageSource::Cifar10Jpeg {},
            Self::Cifar100 => ImageSource::Cifar100 {},
            Self::Folder => ImageSource::Folder {},
        }
    }
}

impl ImageSource {
    /// Its name in folders.
    pub(super) fn short_name(&self) -> &'static str {
        match self {
            Self::Shapes { .. } => "shapes",
            Self::FashionMnist {} => "fashion-mnist",
            Self::Mnist {} => "mnist",
            Self::Cifar10 {} => "cifar10",
            Self::Cifar10Jpeg {} => "cifar10-jpeg",
            Self::Cifar100 {} => "cifar100",
            Self::Folder {} => "folder",
        }
    }

    /// Its name in sentences, in the plural.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Shapes { .. } => "built-in shapes",
            Self::FashionMnist {} => "the images of Fashion-MNIST",
            Self::Mnist {} => "the images of MNIST",
            Self::Cifar10 {} => "the images of CIFAR-10",
            Self::Cifar10Jpeg {} => "the JPEG images of CIFAR-10",
            Self::Cifar100 {} => "the images of CIFAR-100",
            Self::Folder {} => "the pictures of a folder",
        }
    }

    /// Whether it is made and not read.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self, Self::Shapes { .. })
    }

    /// Reads or makes the images.
    pub(super) fn load(&self, folder: &Path) -> Result<Images> {
        match self {
            &Self::Shapes {
                train,
                test,
                side,
                channels,
            } => Ok(Images {
                train: LabelledImages::shapes(train, side, channels, 1)?,
                test: LabelledImages::shapes(test, side, channels, 2)?,
            }),
            Self::FashionMnist {} => both(|split| {
                let folder = folder.join("fashion-mnist");
                Ok(LabelledImages::open_idx(&folder, split, &FASHION_CLASSES)?)
            }),
            Self::Mnist {} => both(|split| {
                let folder = folder.join("mnist");
                Ok(LabelledImages::open_idx(&folder, split, &DIGITS)?)
            }),
            Self::Cifar10 {} => {
                let names = [
                    "cifar-10-batches-bin",
                    "cifar10-lossless-5k/cifar-10-batches-bin",
                ];
                let folder = first_of(folder, &names)?;
                both(|split| Ok(LabelledImages::open_cifar10(&folder, split)?))
            }
            Self::Cifar10Jpeg {} => {
                let names = ["cifar10-jpeg.tar.gz", "cifar10-jpeg/cifar10-jpeg.tar.gz"];
                let archive = first_of(folder, &names)?;
                both(|split| Ok(LabelledImages::open_cifar10_jpeg(&archive, split, None)?))
            }
            Self::Cifar100 {} => both(|split| Ok(LabelledImages::open_cifar100(folder, split)?)),
            Self::Folder {} => {
                let train = LabelledImages::open_folder(&folder.join("train"))?;
                let test = LabelledImages::open_folder(&first_of(folder, &["test", "val"])?)?;
                if train.classes() != test.classes() || train.size() != test.size() {
                    bail!(
                        "the pictures for training and for the test in {} differ in their classes or sizes",
                        folder.display()
                    );
                }
                Ok(Images { train, test })
            }
        }
    }
}

/// The image of this number, which must be there, as a picture.
pub(crate) fn picture_of(images: &LabelledImages, index: usize) -> Result<Image, DataError> {
    let [channels, height, width] = images.size();
    let planes = images.image(index);
    let value = |place: usize| {
        let (pixel, channel) = (place / channels, place % channels);
        f32::from(planes[channel * height * width + pixel]) / 255.0
    };
    let pixels = (0..planes.len()).map(value).collect();
    Image::new(width, height, channels, pixels)
}

fn both(open: impl Fn(Split) -> Result<LabelledImages>) -> Result<Images> {
    Ok(Images {
        train: open(Split::Train)?,
        test: open(Split::Test)?,
    })
}

/// The first of these that is there.
fn first_of(folder: &Path, names: &[&str]) -> Result<PathBuf> {
    let mut candidates = names.iter().map(|name| folder.join(name));
    match candidates.find(|path| path.exists()) {
        Some(path) => Ok(path),
        None => bail!(
            "{} holds no {}: put it there, or give another --data-dir",
            folder.display(),
            names.join(", and no ")
        ),
    }
}
