//! The images that presets are made for.

use mdeq::Preset;

use crate::commands::train::images::{ImageSource, Name};

/// What a preset is made for.
pub(super) fn of_preset(preset: Preset) -> Name {
    match preset {
        Preset::FashionTiny => Name::FashionMnist,
        Preset::CifarSmall | Preset::CifarLarge => Name::Cifar10,
        Preset::ImagenetSmall => Name::Folder,
    }
}

/// The source. Built-in images have the size of those that the preset is made for, or an eighth of
/// ImageNet's sides.
pub(super) fn source(name: Name, preset: Preset) -> ImageSource {
    match preset {
        Preset::FashionTiny => name.source(28, 1),
        Preset::CifarSmall | Preset::CifarLarge | Preset::ImagenetSmall => name.source(32, 3),
    }
}
