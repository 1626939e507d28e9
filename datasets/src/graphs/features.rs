/// One row of numbers a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// All numbers.
    Dense {
        /// Numbers a node.
        width: usize,
        /// `[nodes, width]`, row-major.
        values: Vec<f32>,
    },
    /// The numbers that are not zero (compressed sparse rows).
    Sparse {
        /// Numbers a node, zeros included.
        width: usize,
        /// Where each node's entries start, and where the last node's end, `[nodes + 1]`.
        offsets: Vec<usize>,
        /// The column of each entry, smaller than `width`.
        columns: Vec<u32>,
        /// The entries.
        values: Vec<f32>,
    },
}

impl Features {
    /// Numbers a node.
    pub fn width(&self) -> usize {
        match self {
            Self::Dense { width, .. } | Self::Sparse { width, .. } => *width,
        }
    }

    /// The number of nodes.
    pub fn rows(&self) -> usize {
        match self {
            Self::Dense { width, values } => values.len() / (*width).max(1),
            Self::Sparse { offsets, .. } => offsets.len() - 1,
        }
    }

    /// All numbers, `[nodes, width]`, row-major. An entry that is stored several times counts as
    /// their sum.
    pub fn to_dense(&self) -> Vec<f32> {
        match self {
            Self::Dense { values, .. } => values.clone(),
            Self::Sparse {
                width,
                offsets,
                columns,
                values,
            } => {
                let mut dense = vec![0.0; (offsets.len() - 1) * width];
                for (row, ends) in offsets.windows(2).enumerate() {
                    for entry in ends[0]..ends[1] {
                        dense[row * width + columns[entry] as usize] += values[entry];
                    }
                }
                dense
            }
        }
    }

    /// Each row divided by its sum, as the citation networks are prepared. Rows whose sum is zero
    /// stay as they are.
    #[must_use]
    pub fn row_normalised(mut self) -> Self {
        let divide = |row: &mut [f32]| {
            let sum: f32 = row.iter().sum();
            if sum != 0.0 {
                row.iter_mut().for_each(|value| *value /= sum);
            }
        };
        match &mut self {
            Self::Dense { width, values } => values.chunks_mut((*width).max(1)).for_each(divide),
            Self::Sparse {
                offsets, values, ..
            } => offsets
                .windows(2)
                .for_each(|ends| divide(&mut values[ends[0]..ends[1]])),
        }
        self
    }
}
