//! The picture that is inverted.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, ensure};
use deq_datasets::Image;

use crate::commands::diffusion::Opened;
use crate::commands::train::{Recipe, data_folder, picture_of};

/// Where the picture comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A picture of the run's test part, counted from 0.
    Test(usize),
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("test:") {
            Some(index) => {
                let number = index.parse::<usize>().map(Self::Test);
                number.map_err(|_| {
                    "after test: there must be a picture's number, counted from 0, such as test:17"
                        .to_owned()
                })
            }
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl Source {
    /// The picture, which must have the size and the channels of the model's.
    pub(super) fn load(&self, opened: &Opened, data_dir: Option<&Path>) -> Result<Image> {
        match self {
            Self::Test(index) => of_test(*index, opened, data_dir),
            Self::File(path) => {
                ensure!(
                    data_dir.is_none(),
                    "--data-dir is for pictures of the test part, and {} is a file: leave it out",
                    path.display()
                );
                let picture = Image::open(path)?;
                check(&picture, path, opened)?;
                Ok(picture)
            }
        }
    }
}

fn of_test(index: usize, opened: &Opened, data_dir: Option<&Path>) -> Result<Image> {
    let recipe = &opened.recipe;
    let folder = data_folder(recipe, data_dir)?;
    let pictures = recipe.load(&folder)?.test;
    ensure!(
        index < pictures.count(),
        "there is no test picture {index}: {} have {}, counted from 0",
        recipe.data_title(),
        pictures.count()
    );
    Ok(picture_of(&pictures, index)?)
}

fn check(picture: &Image, path: &Path, opened: &Opened) -> Result<()> {
    let network = &opened.model.config().network;
    let (side, wanted) = (network.image_size, network.channels);
    let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
    ensure!(
        (width, height) == (side, side),
        "{} has {width}x{height} pixels, but the model makes pictures of {side}x{side}: crop or resize it",
        path.display()
    );
    ensure!(
        channels == wanted,
        "{} has {}, but the model's pictures have {}: convert it",
        path.display(),
        colours(channels),
        colours(wanted)
    );
    Ok(())
}

fn colours(channels: usize) -> &'static str {
    match channels {
        1 => "1 channel (grey)",
        _ => "3 channels (colour)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_pictures_have_numbers_and_files_have_names() {
        let parse = |text: &str| text.parse::<Source>();
        assert_eq!(parse("test:17"), Ok(Source::Test(17)));
        for path in ["./test:17", "boot.png"] {
            assert_eq!(parse(path), Ok(Source::File(PathBuf::from(path))));
        }
        for text in ["test:", "test:-1", "test:boot"] {
            let error = parse(text).expect_err("no number");
            assert!(error.contains("test:17"), "{error}");
        }
    }
}
