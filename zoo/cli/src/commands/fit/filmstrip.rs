use anyhow::Result;
use deq_datasets::Image;

/// White pixels between two pictures.
const GAP: usize = 4;

/// Pictures of one size side by side: up to four of `renderings`, evenly chosen and ending with
/// the last, and then the original.
pub(crate) fn compose(renderings: &[Image], original: &Image) -> Result<Image> {
    let count = renderings.len().min(4);
    let mut strip: Vec<&Image> = (1..=count)
        .map(|k| &renderings[k * renderings.len() / count - 1])
        .collect();
    strip.push(original);

    let (height, channels) = (original.height(), original.channels());
    let width = strip.len() * (original.width() + GAP) - GAP;
    let mut pixels = Vec::with_capacity(width * height * channels);
    for row in 0..height {
        for (index, image) in strip.iter().enumerate() {
            if index > 0 {
                pixels.extend(std::iter::repeat_n(1.0, GAP * channels));
            }
            let length = image.width() * channels;
            pixels.extend(&image.pixels()[row * length..(row + 1) * length]);
        }
    }
    Ok(Image::new(width, height, channels, pixels)?)
}
