use super::grid::Grid;
use crate::flow::{FlowField, FramePair};
use crate::{DataError, Image};

/// A resized mask is true where all that it was made of was, but for rounding.
const WHOLLY: f32 = 1.0 - 1e-4;

/// A pair on its way through the spatial changes.
pub(super) struct Window {
    pub(super) frames: [Grid; 2],
    flow: Option<Grid>,
    /// 1 where flow is known, 0 elsewhere; none means known everywhere.
    valid: Option<Grid>,
}

impl Window {
    pub(super) fn new(pair: &FramePair) -> Self {
        let (height, width) = (pair.height(), pair.width());
        let frame = |image: &Image| Grid {
            shape: [height, width, image.channels()],
            values: image.pixels().to_vec(),
        };
        Self {
            frames: [frame(pair.first()), frame(pair.second())],
            flow: pair.flow().map(|flow| Grid {
                shape: [height, width, 2],
                values: flow.data().to_vec(),
            }),
            valid: pair.flow().and_then(FlowField::valid).map(|mask| Grid {
                shape: [height, width, 1],
                values: mask
                    .iter()
                    .map(|&known| f32::from(u8::from(known)))
                    .collect(),
            }),
        }
    }

    pub(super) fn into_pair(self) -> Result<FramePair, DataError> {
        let [first, second] = self.frames.map(|grid| {
            let [height, width, channels] = grid.shape;
            Image::new(width, height, channels, grid.values)
        });
        let valid = self.valid.map(|grid| {
            let known = grid.values.iter().map(|&value| value >= WHOLLY);
            known.collect()
        });
        let flow = self.flow.map(|grid| {
            let [height, width, _] = grid.shape;
            FlowField::new(width, height, grid.values, valid)
        });
        FramePair::new(first?, second?, flow.transpose()?)
    }

    /// Height and width.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.frames[0].shape[0], self.frames[0].shape[1]]
    }

    /// Resizes everything, bilinear; (u, v) is multiplied by the scale (x, y). A pixel's flow is
    /// known where all that it was made of was.
    pub(super) fn resize(&mut self, scale: [f64; 2]) {
        self.resize_frames(scale);
        if let Some(flow) = &mut self.flow {
            *flow = flow.resize(scale);
            flow.scale_channels(&scale.map(|factor| factor as f32));
        }
        if let Some(valid) = &mut self.valid {
            *valid = valid.resize(scale);
        }
    }

    /// Resizes frames as [`resize`](Self::resize) does, and moves each known vector to the pixel
    /// nearest to its new place, mixing none.
    pub(super) fn resize_sparse(&mut self, scale: [f64; 2]) {
        self.resize_frames(scale);
        let Some(flow) = &mut self.flow else {
            return;
        };
        let [height, width, _] = flow.shape;
        let [new_height, new_width] = [self.frames[0].shape[0], self.frames[0].shape[1]];
        let mut moved = vec![0.0; new_height * new_width * 2];
        let mut known = vec![0.0; new_height * new_width];
        let target = |position: usize, scale: f64| ((position as f64 + 0.5) * scale - 0.5).round();
        for row in 0..height {
            for column in 0..width {
                let pixel = row * width + column;
                let (x, y) = (target(column, scale[0]), target(row, scale[1]));
                let inside =
                    (0.0..new_width as f64).contains(&x) && (0.0..new_height as f64).contains(&y);
                let is_known = self
                    .valid
                    .as_ref()
                    .is_none_or(|mask| mask.values[pixel] > 0.0);
                if inside && is_known {
                    let place = y as usize * new_width + x as usize;
                    known[place] = 1.0;
                    for (component, &factor) in scale.iter().enumerate() {
                        moved[2 * place + component] =
                            flow.values[2 * pixel + component] * factor as f32;
                    }
                }
            }
        }
        *flow = Grid {
            shape: [new_height, new_width, 2],
            values: moved,
        };
        self.valid = Some(Grid {
            shape: [new_height, new_width, 1],
            values: known,
        });
    }

    fn resize_frames(&mut self, scale: [f64; 2]) {
        for frame in &mut self.frames {
            *frame = frame.resize(scale);
        }
    }

    /// Mirrors left and right; u changes its sign.
    pub(super) fn flip_horizontally(&mut self) {
        let [height, width] = self.size();
        self.gather([height, width], |row, column| (row, width - 1 - column));
        if let Some(flow) = &mut self.flow {
            flow.scale_channels(&[-1.0, 1.0]);
        }
    }

    /// Mirrors top and bottom; v changes its sign.
    pub(super) fn flip_vertically(&mut self) {
        let [height, width] = self.size();
        self.gather([height, width], |row, column| (height - 1 - row, column));
        if let Some(flow) = &mut self.flow {
            flow.scale_channels(&[1.0, -1.0]);
        }
    }

    /// Keeps a window of that size (height, width).
    pub(super) fn crop(&mut self, top: usize, left: usize, size: [usize; 2]) {
        self.gather(size, |row, column| (top + row, left + column));
    }

    fn gather(&mut self, size: [usize; 2], source: impl Fn(usize, usize) -> (usize, usize)) {
        let grids = self
            .frames
            .iter_mut()
            .chain(&mut self.flow)
            .chain(&mut self.valid);
        for grid in grids {
            *grid = grid.gather(size, &source);
        }
    }
}
