use std::path::Path;

use super::header::Header;
use super::{data_length, read, write, wrong_length};
use crate::DataError;
use crate::flow::FlowField;

const KIND: &str = "PFM flow";

impl FlowField {
    /// Reads a colour PFM file as FlyingThings3D stores flow: `PF`, width, height and a scale in
    /// text, then three f32 a pixel, the bottom row first: u, v and one that is not used. The
    /// scale's sign is the byte order, negative for little-endian; its size is not used, as in the
    /// reference. Values that are not finite or beyond ±10⁹ mean unknown.
    /// Format: Debevec, <https://www.pauldebevec.com/Research/HDR/PFM/>.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for another magic, a header that is not
    /// complete, a scale of 0, and a length that does not fit the header.
    pub fn open_pfm(path: &Path) -> Result<Self, DataError> {
        let bytes = read(path)?;
        let broken = |reason: String| DataError::format(path, KIND, reason);
        let mut header = Header::new(&bytes);
        match header.word() {
            Some("PF") => {}
            Some("Pf") => {
                return Err(broken(
                    "it has one channel (`Pf`): a disparity, but flow needs `PF`".to_owned(),
                ));
            }
            _ => return Err(broken("it does not start with `PF`".to_owned())),
        }
        let width = header.number("width").map_err(broken)?;
        let height = header.number("height").map_err(broken)?;
        let scale = header.word().and_then(|word| word.parse::<f64>().ok());
        let scale = scale
            .filter(|scale| scale.is_finite() && *scale != 0.0)
            .ok_or_else(|| broken("its header has no scale other than 0".to_owned()))?;
        let data = header.data();
        if data_length(width, height, 12) != Some(data.len()) {
            return Err(wrong_length(path, KIND, [width, height], data.len()));
        }
        let number = |b: &[u8]| {
            let word = [b[0], b[1], b[2], b[3]];
            if scale < 0.0 {
                f32::from_le_bytes(word)
            } else {
                f32::from_be_bytes(word)
            }
        };
        let mut values = Vec::with_capacity(2 * width * height);
        for row in data.chunks_exact(12 * width).rev() {
            for pixel in row.chunks_exact(12) {
                values.extend([number(&pixel[..4]), number(&pixel[4..8])]);
            }
        }
        Self::from_stored(width, height, values)
    }

    /// Writes a little-endian PFM file, which [`open_pfm`](Self::open_pfm) describes; exact.
    /// Unknown flow is stored as infinity.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Request`] for known flow that is not finite or beyond
    /// ±10⁹.
    pub fn save_pfm(&self, path: &Path) -> Result<(), DataError> {
        self.check_stored(path)?;
        let (width, height) = (self.width(), self.height());
        let mut bytes = format!("PF\n{width} {height}\n-1.0\n").into_bytes();
        for row in (0..height).rev() {
            for column in 0..width {
                let [u, v] = if self.is_known(row * width + column) {
                    self.vector(column, row)
                } else {
                    [f32::INFINITY; 2]
                };
                for value in [u, v, 0.0] {
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
        write(path, &bytes)
    }
}
