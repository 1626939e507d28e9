use super::FlowField;
use crate::{DataError, Image};

/// Colours from red to yellow, green, cyan, blue, magenta and back to red: Middlebury's numbers of
/// steps, by how well the eye tells them apart.
const STEPS: [usize; 6] = [15, 6, 4, 11, 13, 6];

impl FlowField {
    /// The flow in Middlebury's colours: the hue is the direction, the saturation the length
    /// relative to `max_radius`, darker beyond it. Without one it is the longest known vector's
    /// length. Unknown flow is black.
    /// Source: Baker et al., A Database and Evaluation Methodology for Optical Flow, IJCV 2011.
    ///
    /// # Errors
    /// [`DataError::Request`] for a `max_radius` that is not above 0.
    pub fn picture(&self, max_radius: Option<f32>) -> Result<Image, DataError> {
        let lengths = self.data().chunks_exact(2).map(|v| v[0].hypot(v[1]));
        let radius = scale(max_radius, lengths)?;
        let wheel = wheel();
        let mut pixels = Vec::with_capacity(self.width() * self.height() * 3);
        for (pixel, vector) in self.data().chunks_exact(2).enumerate() {
            let is_known = self.is_known(pixel) && vector.iter().all(|value| value.is_finite());
            pixels.extend(if is_known {
                color(&wheel, [vector[0] / radius, vector[1] / radius])
            } else {
                [0.0; 3]
            });
        }
        Image::new(self.width(), self.height(), 3, pixels)
    }

    /// The [end-point error](Self::end_point_errors) of this estimate as a heat map from black (0)
    /// over red and yellow to white (`max` pixels and above; the largest error without one); grey
    /// where the truth is unknown.
    ///
    /// # Errors
    /// [`DataError::Request`] when the fields differ in size, and for a `max` that is not above 0.
    pub fn error_picture(&self, truth: &Self, max: Option<f32>) -> Result<Image, DataError> {
        let errors = self.end_point_errors(truth)?;
        let size = [self.width(), self.height()];
        heat(size, &errors, |pixel| truth.is_known(pixel), max)
    }
}

/// Values as colours from black over red and yellow to white; grey where they are not known.
pub(super) fn heat(
    [width, height]: [usize; 2],
    values: &[f32],
    is_known: impl Fn(usize) -> bool,
    max: Option<f32>,
) -> Result<Image, DataError> {
    let known = values.iter().enumerate();
    let known = known.filter(|&(pixel, _)| is_known(pixel));
    let scale = scale(max, known.map(|(_, &value)| value))?;
    let mut pixels = Vec::with_capacity(3 * values.len());
    for (pixel, &value) in values.iter().enumerate() {
        pixels.extend(if is_known(pixel) && !value.is_nan() {
            let level = 3.0 * value / scale;
            [0.0, 1.0, 2.0].map(|start| (level - start).clamp(0.0, 1.0))
        } else {
            [0.5; 3]
        });
    }
    Image::new(width, height, 3, pixels)
}

/// What full scale is: the given number, or the largest finite value, 1 if that is 0.
fn scale(given: Option<f32>, values: impl Iterator<Item = f32>) -> Result<f32, DataError> {
    match given {
        Some(given) if given > 0.0 && given.is_finite() => Ok(given),
        Some(given) => Err(DataError::Request(format!(
            "a picture's full scale is {given}, but must be above 0"
        ))),
        None => {
            let finite = values.filter(|value| value.is_finite());
            let largest = finite.fold(0.0, f32::max);
            Ok(if largest > 0.0 { largest } else { 1.0 })
        }
    }
}

/// The colours of the wheel, in steps from one corner of the RGB cube to the next: one channel
/// rises to the full in the first, third and fifth part, another falls in the others.
fn wheel() -> Vec<[f32; 3]> {
    let mut colors = Vec::new();
    for (part, &steps) in STEPS.iter().enumerate() {
        for step in 0..steps {
            let level = (255.0 * step as f32 / steps as f32).floor() / 255.0;
            colors.push(match part {
                0 => [1.0, level, 0.0],
                1 => [1.0 - level, 1.0, 0.0],
                2 => [0.0, 1.0, level],
                3 => [0.0, 1.0 - level, 1.0],
                4 => [level, 0.0, 1.0],
                _ => [1.0, 0.0, 1.0 - level],
            });
        }
    }
    colors
}

/// The colour of a vector whose length is 1 at full scale.
fn color(wheel: &[[f32; 3]], [u, v]: [f32; 2]) -> [f32; 3] {
    let radius = u.hypot(v);
    let angle = (-v).atan2(-u) / std::f32::consts::PI;
    let position = (angle + 1.0) / 2.0 * (wheel.len() - 1) as f32;
    let low = (position as usize).min(wheel.len() - 1);
    let (from, to) = (wheel[low], wheel[(low + 1) % wheel.len()]);
    let part = position - low as f32;
    [0, 1, 2].map(|channel| {
        let full = from[channel] + part * (to[channel] - from[channel]);
        if radius <= 1.0 {
            1.0 - radius * (1.0 - full)
        } else {
            0.75 * full
        }
    })
}
