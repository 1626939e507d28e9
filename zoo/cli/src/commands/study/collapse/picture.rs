//! What features look like: a Gram matrix as a picture, and points of a plane.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deq_collapse::{Center, ClassStatistics, FeatureSample, Matrix};
use deq_datasets::Image;

use super::record::Pictures;

/// Pixels of a side, about.
const SIDE: usize = 200;

/// Pictures of these features; `None` if they are not finite.
pub(super) fn draw(
    sample: &FeatureSample,
    statistics: &ClassStatistics,
    center: Center,
) -> Result<Option<Pictures>> {
    let plane = sample.plane(statistics, center)?;
    let is_finite = |matrix: &Matrix| matrix.values().iter().all(|value| value.is_finite());
    if !is_finite(&plane.points) || !plane.explained.is_finite() {
        return Ok(None);
    }
    let gram = sample.gram(statistics, center)?;
    let points = plane.labels.iter().enumerate();
    let points = points.map(|(row, &label)| {
        let (x, y) = (plane.points[(row, 0)], plane.points[(row, 1)]);
        (rounded(x), rounded(y), label)
    });
    Ok(Some(Pictures {
        gram: STANDARD.encode(cosines_png(&gram.cosines)?),
        plane: points.collect(),
        explained: plane.explained,
    }))
}

/// To four digits: files need no more.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The bytes of a PNG file of a matrix of cosines: red above 0, blue below it, white at 0 and where
/// there is none.
pub(crate) fn cosines_png(cosines: &Matrix) -> Result<Vec<u8>> {
    let rows = cosines.rows();
    let scale = (SIDE / rows.max(1)).max(1);
    let side = scale * rows;
    let mut pixels = Vec::with_capacity(3 * side * side);
    for y in 0..side {
        for x in 0..side {
            let value = cosines[(y / scale, x / scale)] as f32;
            let value = if value.is_nan() { 0.0 } else { value };
            let faded = 1.0 - value.abs();
            pixels.extend(match value > 0.0 {
                true => [1.0, faded, faded],
                false => [faded, faded, 1.0],
            });
        }
    }
    Ok(Image::new(side, side, 3, pixels)?.to_png()?)
}

/// The bytes of the PNG file.
pub(super) fn gram_png(pictures: &Pictures) -> Result<Vec<u8>> {
    Ok(STANDARD.decode(&pictures.gram)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_have_colours() {
        let cosines = Matrix::new(2, 2, vec![1.0, -1.0, f64::NAN, 0.5]).expect("fits");
        let png = cosines_png(&cosines).expect("a picture");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("gram.png");
        std::fs::write(&path, png).expect("a file");
        let image = Image::open(&path).expect("a picture");
        assert_eq!((image.width(), image.height()), (200, 200));
        let pixel = |x: usize, y: usize| {
            let first = 3 * (y * 200 + x);
            let bytes = image.pixels()[first..first + 3].iter();
            bytes
                .map(|value| (value * 255.0).round() as u8)
                .collect::<Vec<u8>>()
        };
        assert_eq!(pixel(0, 0), [255, 0, 0]);
        assert_eq!(pixel(199, 0), [0, 0, 255]);
        assert_eq!(pixel(0, 199), [255, 255, 255]);
        assert_eq!(pixel(199, 199), [255, 128, 128]);
    }

    #[test]
    fn digits_are_few() {
        assert_eq!(rounded(1.0 / 3.0), 0.3333);
        assert_eq!(rounded(-12345.6), -12350.0);
        assert!(rounded(f64::NAN).is_nan());
    }
}
