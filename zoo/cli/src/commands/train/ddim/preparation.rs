//! Pictures in the size that a model learns.

use anyhow::{Result, ensure};
use deq_datasets::{Image, LabelledImages};
use serde::{Deserialize, Serialize};

/// What becomes of every picture, of the training and of the test. As they are by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Preparation {
    /// Takes a square of so many pixels a side from the middle.
    pub(super) crop: Option<usize>,
    /// Then shrinks to so many pixels a side, each the mean of the area that it covers.
    pub(super) side: Option<usize>,
}

impl Preparation {
    /// The pictures, which must be squares in the end.
    pub(super) fn apply(&self, images: &LabelledImages) -> Result<LabelledImages> {
        let [channels, height, width] = images.size();
        if let Some(crop) = self.crop {
            ensure!(
                (1..=height.min(width)).contains(&crop),
                "preparation.crop is {crop}, but must be at least 1 and at most the shorter side of the pictures, which have {width}x{height} pixels"
            );
        }
        let (rows, columns) = self.crop.map_or((height, width), |crop| (crop, crop));
        ensure!(
            rows == columns,
            "the pictures have {width}x{height} pixels, but a diffusion model takes squares: cut them by preparation.crop"
        );
        let side = self.side.unwrap_or(rows);
        ensure!(
            (1..=rows).contains(&side),
            "preparation.side is {side}, but must be at least 1 and at most {rows}, the sides of the pictures: they are not enlarged"
        );
        if (side, side) == (height, width) {
            return Ok(images.clone());
        }
        let (top, left) = ((height - rows) / 2, (width - columns) / 2);
        let mut bytes = Vec::with_capacity(images.count() * channels * side * side);
        for index in 0..images.count() {
            let planes = images.image(index);
            let mut pixels = Vec::with_capacity(rows * columns * channels);
            for row in top..top + rows {
                for column in left..left + columns {
                    for channel in 0..channels {
                        let value = planes[(channel * height + row) * width + column];
                        pixels.push(f32::from(value) / 255.0);
                    }
                }
            }
            let small = Image::new(columns, rows, channels, pixels)?.shrink(side, side)?;
            for channel in 0..channels {
                let plane = small.pixels().iter().skip(channel).step_by(channels);
                bytes.extend(plane.map(|value| (value * 255.0).round() as u8));
            }
        }
        Ok(LabelledImages::new(
            [channels, side, side],
            bytes,
            images.labels().to_vec(),
            images.classes().to_vec(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pictures of this size, whose bytes are 0, 2, 4 and so on.
    fn pictures([channels, height, width]: [usize; 3]) -> LabelledImages {
        let count = 2 * channels * height * width;
        let bytes = (0..count).map(|value| (2 * value % 251) as u8).collect();
        let classes = vec!["one".to_owned(), "two".to_owned()];
        LabelledImages::new([channels, height, width], bytes, vec![0, 1], classes)
            .expect("pictures")
    }

    fn prepared(crop: Option<usize>, side: Option<usize>, size: [usize; 3]) -> LabelledImages {
        let preparation = Preparation { crop, side };
        let found = preparation.apply(&pictures(size)).expect("it fits");
        assert_eq!(found.labels(), [0, 1]);
        found
    }

    #[test]
    fn pictures_are_cut_from_the_middle_and_shrunk_by_their_means() {
        let size = [1, 4, 4];
        assert_eq!(prepared(None, None, size), pictures(size));
        let cut = prepared(Some(2), None, size);
        assert_eq!(cut.size(), [1, 2, 2]);
        assert_eq!(cut.image(0), [10, 12, 18, 20]);
        assert_eq!(cut.image(1), [42, 44, 50, 52]);
        let shrunk = prepared(None, Some(2), size);
        // (0 + 2 + 8 + 10) / 4 = 5 and so on.
        assert_eq!(shrunk.image(0), [5, 9, 21, 25]);
        let both = prepared(Some(2), Some(1), size);
        // (10 + 12 + 18 + 20) / 4 = 15.
        assert_eq!((both.image(0), both.image(1)), (&[15][..], &[47][..]));
    }

    #[test]
    fn colours_stay_apart() {
        let shrunk = prepared(None, Some(1), [3, 2, 2]);
        // The means of 0 to 6, 8 to 14 and 16 to 22.
        assert_eq!(shrunk.image(0), [3, 11, 19]);
        let cut = prepared(Some(2), None, [3, 2, 4]);
        let expected = [2, 4, 10, 12, 18, 20, 26, 28, 34, 36, 42, 44];
        assert_eq!(cut.image(0), expected);
    }

    #[test]
    fn what_makes_no_square_is_refused() {
        for (crop, side, size, words) in [
            (None, None, [1, 4, 6], "6x4 pixels"),
            (Some(5), None, [1, 4, 6], "preparation.crop is 5"),
            (Some(0), None, [1, 4, 4], "preparation.crop is 0"),
            (None, Some(5), [1, 4, 4], "preparation.side is 5"),
            (Some(2), Some(3), [1, 4, 4], "at most 2"),
            (None, Some(0), [1, 4, 4], "preparation.side is 0"),
        ] {
            let error = Preparation { crop, side }.apply(&pictures(size));
            let error = error.expect_err("must be refused").to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
