use super::picture::heat;
use super::sample::bilinear;
use super::{FlowField, FramePair};
use crate::{DataError, Image};

/// A frame drawn where another one shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Warped {
    /// The picture, black where nothing is known.
    pub image: Image,
    /// Where the flow is known and ends within the frame, `[height, width]`, row-major.
    pub inside: Vec<bool>,
}

/// Warps the second frame back by the flow from the first: the pixel at $x$ shows the second frame
/// at $x + f(x)$, bilinear. With true flow it looks like the first frame, but for what is occluded.
///
/// # Errors
/// [`DataError::Request`] when frame and flow differ in size.
pub fn warp(second: &Image, flow: &FlowField) -> Result<Warped, DataError> {
    let (width, height, channels) = (second.width(), second.height(), second.channels());
    if (width, height) != (flow.width(), flow.height()) {
        return Err(DataError::Request(format!(
            "a frame of {width}x{height} pixels cannot be warped by a flow of {}x{}",
            flow.width(),
            flow.height()
        )));
    }
    let mut pixels = Vec::with_capacity(width * height * channels);
    let mut inside = Vec::with_capacity(width * height);
    for pixel in 0..width * height {
        let vector = flow.vector(pixel % width, pixel / width);
        let x = (pixel % width) as f64 + f64::from(vector[0]);
        let y = (pixel / width) as f64 + f64::from(vector[1]);
        let is_inside = flow.is_known(pixel)
            && (0.0..=(width - 1) as f64).contains(&x)
            && (0.0..=(height - 1) as f64).contains(&y);
        for channel in 0..channels {
            pixels.push(if is_inside {
                bilinear(second.pixels(), [height, width, channels], [x, y], channel)
            } else {
                0.0
            });
        }
        inside.push(is_inside);
    }
    Ok(Warped {
        image: Image::new(width, height, channels, pixels)?,
        inside,
    })
}

/// How much the warped second frame differs from the first: the mean absolute difference of a
/// pixel's channels as a heat map from black (0) over red and yellow to white (`max` and above;
/// the largest difference without one); grey where nothing is known.
///
/// # Errors
/// [`DataError::Request`] when the flow has another size, and for a `max` that is not above 0.
pub fn warp_error_picture(
    pair: &FramePair,
    flow: &FlowField,
    max: Option<f32>,
) -> Result<Image, DataError> {
    let warped = warp(pair.second(), flow)?;
    let channels = pair.first().channels();
    let first = pair.first().pixels().chunks_exact(channels);
    let second = warped.image.pixels().chunks_exact(channels);
    let difference = |(a, b): (&[f32], &[f32])| {
        let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        sum / channels as f32
    };
    let errors: Vec<f32> = first.zip(second).map(difference).collect();
    let size = [pair.width(), pair.height()];
    heat(size, &errors, |pixel| warped.inside[pixel], max)
}
