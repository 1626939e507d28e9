use std::path::Path;

use super::folder::{files, require};
use super::{FlowDataset, PairFiles};
use crate::{DataError, Split};

const KIND: &str = "FlyingChairs";
/// The official name of the list of parts, and RAFT's.
const LISTS: [&str; 2] = ["FlyingChairs_train_val.txt", "chairs_split.txt"];

impl FlowDataset {
    /// FlyingChairs (Dosovitskiy et al., FlowNet, ICCV 2015): `00001_img1.ppm`, `00001_img2.ppm`
    /// and `00001_flow.flo`, … in the folder or in `data` in it. A list, in the folder or beside
    /// the files, `FlyingChairs_train_val.txt` or `chairs_split.txt`, has one line a pair, in the
    /// order of their numbers from 1: 1 for training, 2 for validation, which is
    /// [`Split::Test`]. Not all pairs of the list need be there.
    ///
    /// # Errors
    /// [`DataError`] when the folder, the list or a frame is missing, when the list is damaged or
    /// too short, and when no pair is of that part.
    pub fn flying_chairs(folder: &Path, split: Split) -> Result<Self, DataError> {
        let data = folder.join("data");
        let data = if data.is_dir() {
            data
        } else {
            folder.to_owned()
        };
        let parts = read_parts(folder, &data)?;
        let wanted = match split {
            Split::Train => 1,
            Split::Test => 2,
        };
        let mut pairs = Vec::new();
        for (name, flow) in files(&data, "_flow.flo")? {
            let number = name.parse::<usize>().ok();
            let part = number
                .and_then(|number| parts.get(number.checked_sub(1)?))
                .ok_or_else(|| {
                    let reason = format!(
                        "its number is not one of the {} lines of the list of parts",
                        parts.len()
                    );
                    DataError::format(&flow, KIND, reason)
                })?;
            if *part == wanted {
                let first = require(data.join(format!("{name}_img1.ppm")))?;
                let second = require(data.join(format!("{name}_img2.ppm")))?;
                pairs.push(PairFiles {
                    flow: Some(flow),
                    ..PairFiles::new(name, first, second)
                });
            }
        }
        Self::found(pairs, &data, KIND)
    }
}

/// The part of each pair, 1 or 2.
fn read_parts(folder: &Path, data: &Path) -> Result<Vec<u8>, DataError> {
    let places = [folder, data].into_iter();
    let path = places
        .flat_map(|place| LISTS.map(|name| place.join(name)))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let reason = format!(
                "there is no list of its parts, {} or {}",
                LISTS[0], LISTS[1]
            );
            DataError::format(folder, KIND, reason)
        })?;
    let text = std::fs::read_to_string(&path).map_err(|error| DataError::read(&path, error))?;
    let part = |(line, text): (usize, &str)| match text.trim() {
        "1" => Ok(1),
        "2" => Ok(2),
        _ => {
            let reason = format!("line {} is neither 1 nor 2", line + 1);
            Err(DataError::format(&path, KIND, reason))
        }
    };
    text.trim_end().lines().enumerate().map(part).collect()
}
