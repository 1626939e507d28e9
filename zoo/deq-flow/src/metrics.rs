use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::FlowError;
use crate::error::fits;

/// How errors of several frames become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The end-point error is the mean over all valid pixels of all frames.
    #[default]
    Sintel,
    /// The end-point error is the mean over frames of each frame's mean over its valid pixels.
    /// Shares of pixels are over all valid pixels of all frames.
    Kitti,
}

/// An outlier's end-point error is above this many pixels …
const OUTLIER_PIXELS: f64 = 3.0;
/// … and above this part of the true flow's length.
const OUTLIER_PART: f64 = 0.05;

/// Errors of flow, frame by frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowMetrics {
    convention: Convention,
    frames: usize,
    pixels: usize,
    /// The sum over pixels, and the sum over frames of their means.
    errors: [f64; 2],
    /// Pixels within 1, 3 and 5 pixels.
    within: [usize; 3],
    outliers: usize,
}

/// Errors of flow over some frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowScores {
    /// Frames with at least one valid pixel.
    pub frames: usize,
    /// Valid pixels.
    pub pixels: usize,
    /// The mean end-point error $\lVert u - u^\star \rVert_2$ in pixels.
    pub epe: f64,
    /// The part of pixels whose end-point error is below 1 pixel.
    pub within_1px: f64,
    /// The part below 3 pixels.
    pub within_3px: f64,
    /// The part below 5 pixels.
    pub within_5px: f64,
    /// The part of outliers: pixels whose end-point error is above 3 pixels and above 5 % of the
    /// true flow's length (KITTI's Fl-all).
    pub fl_all: f64,
}

impl FlowMetrics {
    /// No frame yet.
    pub fn new(convention: Convention) -> Self {
        Self {
            convention,
            frames: 0,
            pixels: 0,
            errors: [0.0; 2],
            within: [0; 3],
            outliers: 0,
        }
    }

    /// Adds one frame. Flows hold all x components, then all y components; `valid` one entry a
    /// pixel, all valid without it. A frame without a valid pixel counts for nothing. NaN is an
    /// outlier, and makes the end-point error NaN.
    ///
    /// # Errors
    /// [`FlowError::Shape`] when the lengths do not belong together.
    pub fn add_frame(
        &mut self,
        flow: &[f32],
        truth: &[f32],
        valid: Option<&[bool]>,
    ) -> Result<(), FlowError> {
        let pixels = truth.len() / 2;
        fits("the true flow", &[2 * pixels], &[truth.len()])?;
        fits("the predicted flow", &[2 * pixels], &[flow.len()])?;
        if let Some(valid) = valid {
            fits("the mask of valid flow", &[pixels], &[valid.len()])?;
        }
        let (mut sum, mut counted) = (0.0, 0);
        for pixel in 0..pixels {
            if valid.is_some_and(|valid| !valid[pixel]) {
                continue;
            }
            let [x, y] = [truth[pixel], truth[pixels + pixel]].map(f64::from);
            let [u, v] = [flow[pixel], flow[pixels + pixel]].map(f64::from);
            let (error, length) = ((u - x).hypot(v - y), x.hypot(y));
            sum += error;
            counted += 1;
            for (within, limit) in self.within.iter_mut().zip([1.0, 3.0, 5.0]) {
                *within += usize::from(error < limit);
            }
            // Written so that NaN is an outlier.
            let is_inlier = error <= OUTLIER_PIXELS || error <= OUTLIER_PART * length;
            self.outliers += usize::from(!is_inlier);
        }
        if counted > 0 {
            self.frames += 1;
            self.pixels += counted;
            self.errors[0] += sum;
            self.errors[1] += sum / counted as f64;
        }
        Ok(())
    }

    /// Adds every sample of a batch: flows `[samples, 2, height, width]`, and where the true one is
    /// valid (at least 0.5), `[samples, height, width]`.
    ///
    /// # Errors
    /// [`FlowError::Shape`] when the shapes do not belong together.
    pub fn add(
        &mut self,
        flow: Tensor<4>,
        truth: Tensor<4>,
        valid: Option<Tensor<3>>,
    ) -> Result<(), FlowError> {
        let [samples, _, height, width] = truth.dims();
        let expected = [samples, 2, height, width];
        fits("the true flow", &expected, &truth.dims())?;
        fits("the predicted flow", &expected, &flow.dims())?;
        if let Some(valid) = &valid {
            let expected = [samples, height, width];
            fits("the mask of valid flow", &expected, &valid.dims())?;
        }
        let pixels = height * width;
        let flow: Vec<f32> = flow.into_data().iter::<f32>().collect();
        let truth: Vec<f32> = truth.into_data().iter::<f32>().collect();
        let valid: Option<Vec<bool>> = valid.map(|valid| {
            let valid = valid.into_data();
            valid.iter::<f32>().map(|value| value >= 0.5).collect()
        });
        for sample in 0..samples {
            let both = 2 * pixels * sample..2 * pixels * (sample + 1);
            let valid = valid
                .as_ref()
                .map(|valid| &valid[pixels * sample..pixels * (sample + 1)]);
            self.add_frame(&flow[both.clone()], &truth[both], valid)?;
        }
        Ok(())
    }

    /// The scores so far; `None` without a valid pixel.
    pub fn scores(&self) -> Option<FlowScores> {
        if self.pixels == 0 {
            return None;
        }
        let part = |count: usize| count as f64 / self.pixels as f64;
        let [within_1px, within_3px, within_5px] = self.within.map(part);
        Some(FlowScores {
            frames: self.frames,
            pixels: self.pixels,
            epe: match self.convention {
                Convention::Sintel => self.errors[0] / self.pixels as f64,
                Convention::Kitti => self.errors[1] / self.frames as f64,
            },
            within_1px,
            within_3px,
            within_5px,
            fl_all: part(self.outliers),
        })
    }
}
