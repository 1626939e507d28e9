use super::super::Real;
use super::super::gemm::{Tile, is_large_product};
use super::Geometry;
use super::planes::Planes;
use super::windows::lanes;

/// What a task copies and computes is at most so many bytes, well within a second cache beside the
/// weights.
pub(super) const BLOCK: usize = 1 << 20;

/// Into about so many tasks a large convolution is cut.
pub(super) const TASKS: usize = 16;

/// A task does not take fewer output channels for the sake of more tasks: what it copies is copied
/// again for the others.
const OUTPUTS: usize = 96;

/// Small pictures are taken together until they fill so many vectors.
const VECTORS: usize = 4;

/// How a convolution is cut into tasks, and what these read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'g> {
    /// Samples of a task; more than one only of whole pictures.
    pub(super) samples: usize,
    /// Lines of a task.
    pub(super) lines: usize,
    /// Output channels of a task.
    pub(super) outputs: usize,
    pub(super) planes: Planes<'g>,
    /// Whether the planes are the input itself.
    pub(super) in_place: bool,
    /// Whether the planes' numbers are copied once more, without gaps between lines.
    pub(super) patches: bool,
    /// Whether tasks run side by side.
    pub(super) parallel: bool,
    /// Numbers in a line of the output.
    pub(super) width: usize,
    /// Numbers from one line to the next in a row of the product.
    pub(super) pitch: usize,
    /// Numbers in a vector.
    pub(super) lanes: usize,
}

impl<'g> Plan<'g> {
    /// For a geometry with places in its output.
    ///
    /// Windows are read from the planes as they are where few of the numbers computed are thrown
    /// away: vectors begin anew with each line, or run on through the padding between lines.
    /// Patches have no gaps, but a copy costs about as much as one more group of output channels.
    pub(super) fn new<T: Real>(geometry: &'g Geometry, samples: usize, outputs: usize) -> Self {
        let (tile, lanes) = (Tile::of::<T>(), lanes::<T>());
        let ([height, width], positions) = (geometry.output(), geometry.positions());
        let parallel = is_large_product(samples * positions, outputs, geometry.taps());
        let whole = Planes::new(geometry, height);

        let row = whole.row();
        let computed = |pitch: usize| {
            let length = (height - 1) * pitch + width;
            length.next_multiple_of(lanes)
        };
        let aligned = width.next_multiple_of(lanes);
        let runs_on = row == width || computed(row) < computed(aligned);
        let pitch = if runs_on { row } else { aligned };
        let lost = computed(pitch) - positions;
        let patches = lost * outputs.div_ceil(tile.rows) > positions;
        let pitch = if patches { width } else { pitch };

        let block = BLOCK / size_of::<T>();
        let in_block = |numbers: usize| (block / numbers.max(1)).max(1);
        let line = whole.sample().div_ceil(height) + outputs * width;
        let mut lines = in_block(line);
        if parallel {
            lines = lines.min(height.div_ceil(TASKS.div_ceil(samples)));
        }
        lines = height.div_ceil(height.div_ceil(lines));
        // A tile is two vectors.
        lines = lines
            .next_multiple_of((2 * lanes).div_ceil(width))
            .min(height);

        let places = if patches { positions } else { computed(pitch) };
        let together = if lines == height && places < VECTORS * lanes {
            (VECTORS * lanes / places)
                .min(in_block(whole.sample()))
                .min(samples)
        } else {
            1
        };

        let tasks = samples.div_ceil(together) * height.div_ceil(lines);
        let cuts = (TASKS / tasks).min(outputs / OUTPUTS).max(1);
        let cuts = if parallel { cuts } else { 1 };

        let fills_vectors = |lines: usize| (lines * width).is_multiple_of(lanes);
        let in_place = geometry.is_pointwise()
            && !patches
            && fills_vectors(height)
            && (lines == height || fills_vectors(lines));
        Self {
            samples: together,
            lines,
            outputs: outputs.div_ceil(cuts).next_multiple_of(tile.rows),
            planes: if in_place {
                Planes::in_place(geometry)
            } else {
                Planes::new(geometry, lines)
            },
            in_place,
            patches,
            parallel,
            width,
            pitch,
            lanes,
        }
    }

    /// The numbers in a row of the product that belong to some lines of one sample; without
    /// patches a multiple of a vector.
    pub(super) fn places(&self, lines: usize) -> usize {
        let length = (lines - 1) * self.pitch + self.width;
        if self.patches {
            length
        } else {
            length.next_multiple_of(self.lanes)
        }
    }

    /// Numbers from one row of patches, or of a product, of this length to the next: an odd number
    /// of tiles, so that a tile's part of many rows falls into all sets of the first cache.
    pub(super) fn row(&self, length: usize) -> usize {
        let tile = 2 * self.lanes;
        (length.div_ceil(tile) | 1) * tile
    }

    /// Where the vectors of a row of the product are read from the planes.
    pub(super) fn vectors(&self) -> Vec<usize> {
        let places = (0..self.places(self.lines)).step_by(self.lanes);
        let row = self.planes.row();
        let of_sample = |sample: usize| {
            let first = sample * self.planes.sample();
            let places = places.clone();
            places.map(move |place| first + place / self.pitch * row + place % self.pitch)
        };
        (0..self.samples).flat_map(of_sample).collect()
    }

    /// Whether the rows of the product are those of the output.
    pub(super) fn is_exact(&self) -> bool {
        self.samples == 1 && self.pitch == self.width
    }
}
