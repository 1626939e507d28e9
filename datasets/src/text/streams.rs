use crate::DataError;

/// A long text as parallel streams, cut into segments: Transformer-XL's ordered iterator.
///
/// The tokens are cut into `batch` pieces of equal length, dropping the rest; segment `i` holds the
/// same `bptt` positions of every piece, and continues where segment `i - 1` ended, so that a model
/// can carry its memory along. The last segment may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// `[batch, steps]`, row-major.
    tokens: Vec<u32>,
    batch: usize,
    steps: usize,
    bptt: usize,
}

/// Some positions of every stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What is read, `[batch, length]`, row-major.
    pub data: Vec<u32>,
    /// What comes next after each of them, `[batch, length]`, row-major.
    pub targets: Vec<u32>,
    /// How many streams there are.
    pub batch: usize,
    /// How many positions.
    pub length: usize,
}

impl Streams {
    /// Cuts `tokens` into `batch` streams and segments of `bptt` positions.
    ///
    /// # Errors
    /// [`DataError::Request`] for a `batch` or `bptt` of 0, and when a stream would have fewer than
    /// two tokens.
    pub fn new(tokens: &[u32], batch: usize, bptt: usize) -> Result<Self, DataError> {
        if batch == 0 || bptt == 0 {
            return Err(DataError::Request(format!(
                "`batch` is {batch} and `bptt` is {bptt}, but both must be at least 1"
            )));
        }
        let steps = tokens.len() / batch;
        if steps < 2 {
            return Err(DataError::Request(format!(
                "{} tokens are too few for {batch} streams of at least 2: take a smaller batch or a longer text",
                tokens.len()
            )));
        }
        Ok(Self {
            tokens: tokens[..batch * steps].to_vec(),
            batch,
            steps,
            bptt,
        })
    }

    /// How many streams there are.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The largest number of positions of a segment.
    pub fn bptt(&self) -> usize {
        self.bptt
    }

    /// How many segments there are; at least one.
    pub fn segments(&self) -> usize {
        (self.steps - 1).div_ceil(self.bptt)
    }

    /// A segment; `None` past the last.
    pub fn segment(&self, index: usize) -> Option<Segment> {
        let start = index.checked_mul(self.bptt)?;
        let length = self.bptt.min((self.steps - 1).checked_sub(start)?);
        if length == 0 {
            return None;
        }
        let rows = |offset: usize| {
            let row = |stream: usize| {
                let from = stream * self.steps + start + offset;
                &self.tokens[from..from + length]
            };
            (0..self.batch).flat_map(row).copied().collect::<Vec<u32>>()
        };
        Some(Segment {
            data: rows(0),
            targets: rows(1),
            batch: self.batch,
            length,
        })
    }

    /// All segments, in order.
    pub fn iter(&self) -> impl Iterator<Item = Segment> + '_ {
        (0..self.segments()).filter_map(|index| self.segment(index))
    }
}
