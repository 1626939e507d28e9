use crate::DataError;

/// A displacement in pixels for every pixel of a frame, and where it is known.
///
/// A mask that is true everywhere is kept as none, and the displacement of an unknown pixel is
/// (0, 0), so that fields that say the same are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowField {
    width: usize,
    height: usize,
    /// `[height, width, 2]`, row-major: u, v of one pixel after the other.
    data: Vec<f32>,
    valid: Option<Vec<bool>>,
}

impl FlowField {
    /// A field from its displacements, `[height, width, 2]`, row-major: u to the right, v
    /// downwards. `valid` says for each pixel whether its displacement is known; none means all.
    ///
    /// # Errors
    /// [`DataError::Request`] when a side is 0, or the numbers of values do not fit the sides.
    pub fn new(
        width: usize,
        height: usize,
        mut data: Vec<f32>,
        valid: Option<Vec<bool>>,
    ) -> Result<Self, DataError> {
        let pixels = width.checked_mul(height).filter(|&pixels| pixels > 0);
        let values = pixels.and_then(|pixels| pixels.checked_mul(2));
        if values != Some(data.len()) {
            return Err(DataError::Request(format!(
                "{} values do not make a flow field of {width}x{height} pixels with 2 values each",
                data.len()
            )));
        }
        if let Some(mask) = &valid
            && Some(mask.len()) != pixels
        {
            return Err(unfit(mask.len(), width, height));
        }
        let valid = valid.filter(|mask| mask.contains(&false));
        if let Some(mask) = &valid {
            for (vector, &known) in data.chunks_exact_mut(2).zip(mask) {
                if !known {
                    vector.fill(0.0);
                }
            }
        }
        Ok(Self {
            width,
            height,
            data,
            valid,
        })
    }

    /// A field from its displacements, `[2, height, width]`, row-major: all u, then all v.
    ///
    /// # Errors
    /// As [`FlowField::new`].
    pub fn from_planar(
        width: usize,
        height: usize,
        data: &[f32],
        valid: Option<Vec<bool>>,
    ) -> Result<Self, DataError> {
        let (u, v) = data.split_at(data.len() / 2);
        let mut vectors: Vec<f32> = u.iter().zip(v).flat_map(|(&u, &v)| [u, v]).collect();
        // An odd number of values is refused with its true count.
        vectors.resize(data.len(), 0.0);
        Self::new(width, height, vectors, valid)
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The displacements, `[height, width, 2]`, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The displacements, `[2, height, width]`, row-major: all u, then all v.
    pub fn planar(&self) -> Vec<f32> {
        let component = |c: usize| self.data.iter().skip(c).step_by(2).copied();
        component(0).chain(component(1)).collect()
    }

    /// Where the displacement is known, `[height, width]`, row-major; none when it is everywhere.
    pub fn valid(&self) -> Option<&[bool]> {
        self.valid.as_deref()
    }

    /// Where the displacement is known, `[height, width]`, row-major.
    pub fn mask(&self) -> Vec<bool> {
        let all = || vec![true; self.width * self.height];
        self.valid.clone().unwrap_or_else(all)
    }

    /// The displacement at a pixel, (0, 0) where it is unknown.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn vector(&self, x: usize, y: usize) -> [f32; 2] {
        assert!(x < self.width && y < self.height, "no pixel ({x}, {y})");
        let start = 2 * (y * self.width + x);
        [self.data[start], self.data[start + 1]]
    }

    /// The same field, known only where `keep` is true too: without occluded pixels, say.
    ///
    /// # Errors
    /// [`DataError::Request`] when `keep` has not one value a pixel.
    pub fn restrict(&self, keep: &[bool]) -> Result<Self, DataError> {
        if keep.len() != self.width * self.height {
            return Err(unfit(keep.len(), self.width, self.height));
        }
        let mut mask = self.mask();
        for (known, &keep) in mask.iter_mut().zip(keep) {
            *known &= keep;
        }
        Self::new(self.width, self.height, self.data.clone(), Some(mask))
    }

    /// The end-point error of this estimate at each pixel,
    ///
    /// $$e = \lVert (u, v) - (u^\*, v^\*) \rVert_2,$$
    ///
    /// 0 where the truth is unknown. A pixel that the estimate does not know counts as still.
    ///
    /// # Errors
    /// [`DataError::Request`] when the fields differ in size.
    pub fn end_point_errors(&self, truth: &Self) -> Result<Vec<f32>, DataError> {
        if (self.width, self.height) != (truth.width, truth.height) {
            return Err(DataError::Request(format!(
                "a flow field of {}x{} pixels cannot be compared with a truth of {}x{}",
                self.width, self.height, truth.width, truth.height
            )));
        }
        let vectors = self.data.chunks_exact(2).zip(truth.data.chunks_exact(2));
        let errors = vectors.enumerate().map(|(pixel, (a, b))| {
            if truth.is_known(pixel) {
                (a[0] - b[0]).hypot(a[1] - b[1])
            } else {
                0.0
            }
        });
        Ok(errors.collect())
    }

    /// The mean end-point error over the pixels where the truth is known.
    ///
    /// # Errors
    /// [`DataError::Request`] when the fields differ in size, or the truth is known nowhere.
    pub fn end_point_error(&self, truth: &Self) -> Result<f64, DataError> {
        let errors = self.end_point_errors(truth)?;
        let known = truth.mask().iter().filter(|&&known| known).count();
        if known == 0 {
            return Err(DataError::Request(
                "the true flow is known at no pixel".to_owned(),
            ));
        }
        Ok(errors.iter().map(|&e| f64::from(e)).sum::<f64>() / known as f64)
    }

    pub(super) fn is_known(&self, pixel: usize) -> bool {
        self.valid.as_ref().is_none_or(|mask| mask[pixel])
    }
}

fn unfit(mask: usize, width: usize, height: usize) -> DataError {
    DataError::Request(format!(
        "a mask of {mask} pixels does not fit a flow field of {width}x{height} pixels"
    ))
}
