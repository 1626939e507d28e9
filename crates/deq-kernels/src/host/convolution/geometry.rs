use std::ops::Range;

/// The shapes of a convolution of pictures `[samples, channels, height, width]` with a kernel
/// `[outputs, channels, kernel height, kernel width]`; without dilation or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Input channels.
    pub channels: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and across; above 0.
    pub stride: [usize; 2],
    /// Zeros above and below, and to the left and right.
    pub padding: [usize; 2],
}

impl Geometry {
    /// Height and width of the output, $\lfloor (s + 2p - k) / t \rfloor + 1$ for size $s$,
    /// padding $p$, kernel $k$ and stride $t$; 0 where the kernel does not fit in.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let room = self.size[axis] + 2 * self.padding[axis];
            match room.checked_sub(self.kernel[axis]) {
                Some(rest) => rest / self.stride[axis] + 1,
                None => 0,
            }
        })
    }

    /// The numbers of one input.
    pub fn sample(&self) -> usize {
        self.channels * self.plane()
    }

    /// The numbers that each output is summed up from.
    pub fn taps(&self) -> usize {
        self.channels * self.window()
    }

    /// The numbers of one channel of an input.
    pub(super) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The numbers of one channel of the kernel.
    pub(super) fn window(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Positions of the output.
    pub(super) fn positions(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// A 1×1 kernel that steps by one: inputs are their own patches.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// The input's line that kernel line `y` reads for an output line; `None` in the padding.
    pub(super) fn source_line(&self, line: usize, y: usize) -> Option<usize> {
        let row = (line * self.stride[0] + y).checked_sub(self.padding[0])?;
        (row < self.size[0]).then_some(row)
    }

    /// Those of the first places in an output line for which kernel column `x` reads inside the
    /// input.
    pub(super) fn inside(&self, x: usize, places: usize) -> Range<usize> {
        let ([_, width], [_, stride], [_, padding]) = (self.size, self.stride, self.padding);
        let end = (width + padding).saturating_sub(x).div_ceil(stride);
        let end = end.min(places);
        let start = padding.saturating_sub(x).div_ceil(stride);
        start.min(end)..end
    }

    /// The place in the input's line that kernel column `x` reads for a place of the output.
    /// Right for places of [`Geometry::inside`] alone.
    pub(super) fn source_place(&self, place: usize, x: usize) -> usize {
        place * self.stride[1] + x - self.padding[1]
    }
}
