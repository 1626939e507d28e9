use std::path::Path;

use crate::{DataError, Image, scene};

/// The frames of a video, all of one size and number of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    frames: Vec<Image>,
}

impl Frames {
    /// Frames of one size.
    ///
    /// # Errors
    /// [`DataError::Request`] when there are none, or one differs from the first in size or
    /// channels.
    pub fn new(frames: Vec<Image>) -> Result<Self, DataError> {
        let shape = |image: &Image| (image.width(), image.height(), image.channels());
        let Some(first) = frames.first() else {
            return Err(DataError::Request("a video needs a frame".to_owned()));
        };
        if let Some(odd) = frames.iter().position(|frame| shape(frame) != shape(first)) {
            return Err(DataError::Request(format!(
                "frame {odd} is {:?} (width, height, channels), but frame 0 is {:?}",
                shape(&frames[odd]),
                shape(first)
            )));
        }
        Ok(Self { frames })
    }

    /// Reads all PNG and JPEG files of a folder, in the order of their names.
    ///
    /// # Errors
    /// [`DataError`] when the folder or a file cannot be read, when there is no picture in it, or
    /// when the pictures differ in size.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let unreadable = |error| DataError::read(folder, error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if ["png", "jpg", "jpeg"].contains(&extension.to_ascii_lowercase().as_str()) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(DataError::format(
                folder,
                "frame folder",
                "it holds no .png, .jpg or .jpeg file",
            ));
        }
        let frames = paths.iter().map(|path| Image::open(path));
        Self::new(frames.collect::<Result<_, _>>()?)
    }

    /// A test video by formula: the built-in picture's scene in motion.
    ///
    /// # Errors
    /// [`DataError::Request`] when there are no frames or a side is below 2.
    pub fn built_in(count: usize, width: usize, height: usize) -> Result<Self, DataError> {
        scene::check_size(width, height)?;
        let frame = |index: usize| {
            let time = index as f64 / count as f64;
            Image::new(width, height, 3, scene::render(width, height, time))
        };
        Self::new((0..count).map(frame).collect::<Result<_, _>>()?)
    }

    /// Shrinks every frame as [`Image::shrink_to_side`] does.
    ///
    /// # Errors
    /// As [`Image::shrink_to_side`].
    pub fn shrink_to_side(&self, side: usize) -> Result<Self, DataError> {
        let frames = self.frames.iter().map(|frame| frame.shrink_to_side(side));
        Self::new(frames.collect::<Result<_, _>>()?)
    }

    /// Writes the frames as `000.png`, `001.png`, … into a folder, which is made if need be.
    ///
    /// # Errors
    /// [`DataError::Io`] when a file cannot be written.
    pub fn save_png(&self, folder: &Path) -> Result<(), DataError> {
        std::fs::create_dir_all(folder).map_err(|reason| DataError::Io {
            action: "write",
            path: folder.to_owned(),
            reason,
        })?;
        for (index, frame) in self.frames.iter().enumerate() {
            frame.save_png(&folder.join(format!("{index:03}.png")))?;
        }
        Ok(())
    }

    /// The frames, at least one.
    pub fn frames(&self) -> &[Image] {
        &self.frames
    }
}
