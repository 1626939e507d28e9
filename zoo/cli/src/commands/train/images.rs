//! Where images come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use deq_datasets::{
    Augment, DIGITS, DataError, FASHION_CLASSES, Image, ImageBatch, LabelledImages, Split,
};
use deq_train::LearnerError;
use serde::{Deserialize, Serialize};

use super::Sample;

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

/// Random changes of training images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Augmentation {
    /// Crops at random from the image with so many black pixels around it.
    pub(super) crop_padding: usize,
    /// Mirrors every other image, at random.
    pub(super) flip: bool,
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
                let images = both(|split| Ok(LabelledImages::open_cifar10(&folder, split)?))?;
                // A part of the data set may be there instead of all of it.
                eprintln!(
                    "{} training and {} test images in {}",
                    images.train.labels().len(),
                    images.test.labels().len(),
                    folder.display()
                );
                Ok(images)
            }
            Self::Cifar10Jpeg {} => {
                let names = ["cifar10-jpeg.tar.gz", "cifar10-jpeg/cifar10-jpeg.tar.gz"];
                let archive = first_of(folder, &names)?;
                both(|split| Ok(LabelledImages::open_cifar10_jpeg(&archive, split, None)?))
            }
            Self::Cifar100 {} => {
                first_of(folder, &["cifar-100-binary", "train.bin"])?;
                both(|split| Ok(LabelledImages::open_cifar100(folder, split)?))
            }
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

impl Images {
    /// Refuses these images for a network of other channels or classes, and where none would be left
    /// to train on.
    pub(super) fn check(
        &self,
        title: &str,
        [in_channels, classes]: [usize; 2],
        validation: usize,
    ) -> Result<()> {
        let [channels, ..] = self.train.size();
        for (field, value, wanted) in [
            ("in_channels", in_channels, channels),
            ("classes", classes, self.train.classes().len()),
        ] {
            ensure!(
                value == wanted,
                "network.{field} is {value}, but {title} need {wanted}"
            );
        }
        let count = self.train.count();
        ensure!(
            validation < count,
            "validation is {validation}, but there are {count} training images, and some must be left to train on"
        );
        Ok(())
    }
}

impl Augmentation {
    /// These changes, drawn from `seed`, of images that are standardised like `images`.
    pub(super) fn of(&self, images: &LabelledImages, seed: u64) -> Augment {
        Augment {
            crop_padding: self.crop_padding,
            flip: self.flip,
            seed,
            ..Augment::normalize(images)
        }
    }
}

/// What `measure` makes of the images at these indices, unchanged, in batches of `size` that `make`
/// brings to their device. One batch at a time is in memory.
pub(super) fn measured<B, T, E: Into<LearnerError>>(
    images: &LabelledImages,
    indices: &[usize],
    size: usize,
    augment: &Augment,
    make: impl Fn(ImageBatch) -> Result<B, E>,
    measure: impl FnOnce(&mut dyn Iterator<Item = B>) -> Result<T, E>,
) -> Result<T, LearnerError> {
    let plain = augment.plain();
    let batch = |indices: &[usize]| -> Result<B, LearnerError> {
        make(images.batch(indices, &plain, 0)?).map_err(Into::into)
    };
    let mut failure = None;
    // The first that cannot be made is the last.
    let mut batches = indices.chunks(size).map_while(|indices| {
        let made = batch(indices);
        made.map_err(|error| failure = Some(error)).ok()
    });
    let found = measure(&mut batches);
    match failure {
        Some(error) => Err(error),
        None => found.map_err(Into::into),
    }
}

/// A picture of a test image with its class and a model's answer.
pub(super) fn answered(
    images: &LabelledImages,
    index: usize,
    answer: usize,
) -> Result<Sample, LearnerError> {
    let name = |class: usize| images.classes().get(class).map_or("?", String::as_str);
    let (truth, answer) = (name(usize::from(images.labels()[index])), name(answer));
    Ok(Sample::Picture {
        title: format!("{truth}, predicted {answer}"),
        png: picture_of(images, index)?.to_png()?,
    })
}

/// So many indices of `count`, from all over, since data may be in the order of their classes.
pub(super) fn spread(count: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(|i| i * count / wanted).collect()
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
