//! The built-in scene: a sun over hills and water, by formula.

use crate::DataError;

pub(crate) fn check_size(width: usize, height: usize) -> Result<(), DataError> {
    if width >= 2 && height >= 2 {
        return Ok(());
    }
    Err(DataError::Request(format!(
        "a built-in picture needs at least 2x2 pixels, not {width}x{height}"
    )))
}

/// RGB pixels at a time in [0, 1): the sun moves and the water flows.
pub(crate) fn render(width: usize, height: usize, time: f64) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        for column in 0..width {
            let x = column as f64 / (width - 1) as f64;
            let y = row as f64 / (height - 1) as f64;
            pixels.extend(color(x, y, time).map(|value| value.clamp(0.0, 1.0) as f32));
        }
    }
    pixels
}

/// The colour at a point of the unit square, y pointing down.
fn color(x: f64, y: f64, time: f64) -> [f64; 3] {
    let (sun_x, sun_y) = (0.66 + 0.12 * time, 0.27);
    let sun = ((x - sun_x).powi(2) + (y - sun_y).powi(2)).sqrt();
    let far = 0.50 + 0.05 * (7.0 * x + 0.5).sin() + 0.025 * (19.0 * x).sin();
    let near = 0.60 + 0.06 * (4.5 * x + 2.0).sin() + 0.012 * (31.0 * x).sin();
    let shore = 0.70;

    if y > shore {
        // Ripples get finer towards the shore; the sun's reflection breaks up in them.
        let depth = (y - shore) / (1.0 - shore);
        let ripple = (2.0 * std::f64::consts::PI * (9.0 / (0.25 + depth) + 2.0 * time)
            + 6.0 * (11.0 * x).sin())
        .sin();
        let glint = (-((x - sun_x - 0.015 * ripple) / 0.07).powi(2)).exp() * (0.5 + 0.5 * ripple);
        return [
            0.10 + 0.05 * ripple + 0.85 * glint,
            0.24 + 0.06 * ripple + 0.62 * glint,
            0.40 + 0.08 * ripple - 0.10 * depth + 0.25 * glint,
        ];
    }
    if y > near {
        let shade = 0.5 + 0.5 * (46.0 * x + 30.0 * y).sin() * (38.0 * y).sin();
        return [
            0.12 + 0.05 * shade,
            0.26 + 0.14 * shade,
            0.14 + 0.04 * shade,
        ];
    }
    if y > far {
        let haze = (near - y) / 0.15;
        return [0.30 + 0.10 * haze, 0.34 + 0.10 * haze, 0.42 + 0.12 * haze];
    }
    if sun < 0.085 {
        return [1.0, 0.93, 0.70];
    }
    let halo = (-sun / 0.16).exp();
    let cloud = (8.0 * x + 2.0 * (9.0 * y).sin()).sin() * (26.0 * y + 3.0 * x).sin();
    let cloud = 0.10 * cloud.max(0.0) * (1.0 - y / far);
    [
        0.42 + 0.40 * y / far + 0.55 * halo + cloud,
        0.58 + 0.12 * y / far + 0.30 * halo + cloud,
        0.86 - 0.22 * y / far - 0.05 * halo + cloud,
    ]
}
