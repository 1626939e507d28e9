/// Reads the words at the start of a netpbm file, between white space and comments (`# …` to the
/// end of the line).
pub(super) struct Header<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Header<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next word; none at the end of the file or where it is no text.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let mut in_comment = false;
        while let Some(&byte) = self.bytes.get(self.position) {
            match byte {
                b'\n' | b'\r' => in_comment = false,
                b'#' => in_comment = true,
                _ if in_comment || byte.is_ascii_whitespace() => {}
                _ => break,
            }
            self.position += 1;
        }
        let rest = self.bytes.get(self.position..)?;
        let length = rest
            .iter()
            .position(|byte| byte.is_ascii_whitespace())
            .unwrap_or(rest.len());
        self.position += length;
        std::str::from_utf8(&rest[..length])
            .ok()
            .filter(|word| !word.is_empty())
    }

    /// The next word as a whole number of at least 1.
    pub(super) fn number(&mut self, what: &str) -> Result<usize, String> {
        self.word()
            .and_then(|word| word.parse().ok())
            .filter(|&number| number > 0)
            .ok_or_else(|| format!("its header has no {what}, a whole number of at least 1"))
    }

    /// What follows the one white space after the header.
    pub(super) fn data(&self) -> &'a [u8] {
        self.bytes.get(self.position + 1..).unwrap_or(&[])
    }
}
