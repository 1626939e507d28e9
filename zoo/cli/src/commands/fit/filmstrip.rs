use std::path::PathBuf;

use anyhow::{Result, ensure};
use deq_datasets::Image;

/// White pixels between two pictures.
const GAP: usize = 4;

/// Pictures of one size side by side: up to four of the files `renderings`, evenly chosen and
/// ending with the last, and then the original.
pub(super) fn compose(renderings: &[PathBuf], original: Image) -> Result<Image> {
    let (width, height, channels) = (original.width(), original.height(), original.channels());
    let count = renderings.len().min(4);
    let mut strip = Vec::with_capacity(count + 1);
    for k in 1..=count {
        let path = &renderings[k * renderings.len() / count - 1];
        let image = Image::open(path)?;
        ensure!(
            (image.width(), image.height(), image.channels()) == (width, height, channels),
            "{} is of another picture: remove it",
            path.display()
        );
        strip.push(image);
    }
    strip.push(original);

    let whole = strip.len() * (width + GAP) - GAP;
    let mut pixels = Vec::with_capacity(whole * height * channels);
    for row in 0..height {
        for (index, image) in strip.iter().enumerate() {
            if index > 0 {
                pixels.extend(std::iter::repeat_n(1.0, GAP * channels));
            }
            let length = width * channels;
            pixels.extend(&image.pixels()[row * length..(row + 1) * length]);
        }
    }
    Ok(Image::new(whole, height, channels, pixels)?)
}
