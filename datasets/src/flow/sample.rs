/// The value of a channel at a point between pixels, bilinear; beyond the border the nearest
/// pixel of it. `values` is `[height, width, channels]`, row-major, and the point is finite.
pub(super) fn bilinear(
    values: &[f32],
    [height, width, channels]: [usize; 3],
    [x, y]: [f64; 2],
    channel: usize,
) -> f32 {
    let axis = |position: f64, length: usize| {
        let position = position.clamp(0.0, (length - 1) as f64);
        let low = position as usize;
        (
            low,
            (low + 1).min(length - 1),
            (position - low as f64) as f32,
        )
    };
    let (left, right, tx) = axis(x, width);
    let (top, bottom, ty) = axis(y, height);
    let at = |row: usize, column: usize| values[(row * width + column) * channels + channel];
    let upper = at(top, left) + tx * (at(top, right) - at(top, left));
    let lower = at(bottom, left) + tx * (at(bottom, right) - at(bottom, left));
    upper + ty * (lower - upper)
}
