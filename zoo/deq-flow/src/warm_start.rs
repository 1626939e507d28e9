use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::FlowState;

/// How the equilibrium of one pair of frames becomes the start of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmStart {
    /// As it is: what moves now, moves on from the same pixel. Best where motion is small or the
    /// frames stand still.
    Reuse,
    /// The flow is carried along itself ([`forward_interpolate`]), since what moved is elsewhere by
    /// now; the hidden state stays where it is. The reference's `fixed_point_reuse`.
    #[default]
    Forward,
    /// The flow is carried along itself and the hidden state starts at zero, as in RAFT: the
    /// reference's `warm_start`.
    FlowOnly,
}

impl WarmStart {
    /// The start of the next pair.
    #[must_use]
    pub fn next(self, state: &FlowState) -> FlowState {
        let state = state.constant();
        match self {
            Self::Reuse => state,
            Self::Forward => FlowState {
                flow: carried(&state.flow),
                hidden: state.hidden,
            },
            Self::FlowOnly => {
                let [_, hidden_dim, _, _] = state.hidden.dims();
                FlowState::from_flow(carried(&state.flow), hidden_dim)
            }
        }
    }
}

/// [`forward_interpolate`] for every sample of a flow `[samples, 2, height, width]`.
fn carried(flow: &Tensor<4>) -> Tensor<4> {
    let [samples, channels, height, width] = flow.dims();
    let values: Vec<f32> = flow.clone().into_data().iter::<f32>().collect();
    let carried: Vec<f32> = values
        .chunks(channels * height * width)
        .flat_map(|flow| forward_interpolate(flow, [height, width]))
        .collect();
    let data = TensorData::new(carried, [samples, channels, height, width]);
    let data = data.convert_dtype(flow.dtype());
    Tensor::from_data(data, (&flow.device(), flow.dtype()))
}

/// Where the flow will be: each vector is moved to where it points, and every pixel takes the
/// vector that came to lie nearest to it (RAFT's `forward_interpolate`).
///
/// `flow` holds all x components, then all y components, row by row, in pixels of its own grid of
/// `[height, width]`. Vectors that leave the frame are dropped, and so are those that end on its
/// very left or upper border, as in the reference. Of vectors at the same distance the first counts.
/// If none stays, the result is zero.
///
/// # Panics
/// When `flow` does not have `2 · height · width` numbers.
pub fn forward_interpolate(flow: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let pixels = height * width;
    assert_eq!(flow.len(), 2 * pixels, "a flow has two numbers a pixel");
    let (along_x, along_y) = flow.split_at(pixels);
    let mut ends = Ends::new([height, width]);
    for pixel in 0..pixels {
        let x = (pixel % width) as f64 + f64::from(along_x[pixel]);
        let y = (pixel / width) as f64 + f64::from(along_y[pixel]);
        // NaN is in no frame.
        if x > 0.0 && x < width as f64 && y > 0.0 && y < height as f64 {
            ends.add(pixel, [x, y]);
        }
    }
    let mut carried = vec![0.0; 2 * pixels];
    for pixel in 0..pixels {
        let here = [(pixel % width) as f64, (pixel / width) as f64];
        if let Some(source) = ends.nearest(here) {
            carried[pixel] = along_x[source];
            carried[pixels + pixel] = along_y[source];
        }
    }
    carried
}

/// Where vectors end, in cells of one pixel.
struct Ends {
    size: [usize; 2],
    /// Pixel of origin and end.
    cells: Vec<Vec<(usize, [f64; 2])>>,
    count: usize,
}

impl Ends {
    fn new(size: [usize; 2]) -> Self {
        Self {
            size,
            cells: vec![Vec::new(); size[0] * size[1]],
            count: 0,
        }
    }

    fn add(&mut self, pixel: usize, end: [f64; 2]) {
        let cell = end[1] as usize * self.size[1] + end[0] as usize;
        self.cells[cell].push((pixel, end));
        self.count += 1;
    }

    /// The origin of the end nearest to a pixel. Cells are searched in growing squares around it:
    /// what lies outside the square of radius r is more than r away.
    fn nearest(&self, here: [f64; 2]) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let [height, width] = self.size;
        let (column, row) = (here[0] as usize, here[1] as usize);
        let mut best: Option<(f64, usize)> = None;
        for radius in 0..=height.max(width) {
            if let Some((distance, _)) = best
                && radius >= 1
                && distance <= (radius - 1) as f64
            {
                break;
            }
            for (y, x) in ring([row, column], radius, self.size) {
                for &(pixel, end) in &self.cells[y * width + x] {
                    let distance = (end[0] - here[0]).hypot(end[1] - here[1]);
                    let is_nearer = best.is_none_or(|(least, first)| {
                        distance < least || distance == least && pixel < first
                    });
                    if is_nearer {
                        best = Some((distance, pixel));
                    }
                }
            }
        }
        best.map(|(_, pixel)| pixel)
    }
}

/// The cells `(row, column)` at this distance (the larger of rows and columns) from the centre.
fn ring(
    [row, column]: [usize; 2],
    radius: usize,
    [height, width]: [usize; 2],
) -> impl Iterator<Item = (usize, usize)> {
    let rows = row.saturating_sub(radius)..(row + radius + 1).min(height);
    rows.flat_map(move |y| {
        let columns = column.saturating_sub(radius)..(column + radius + 1).min(width);
        columns.filter_map(move |x| {
            let distance = y.abs_diff(row).max(x.abs_diff(column));
            (distance == radius).then_some((y, x))
        })
    })
}
