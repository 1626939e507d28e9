//! What the runs of each model measure.

use crate::commands::train::{ModelName, collapse, fusion};

const CLASSES: &[&str] = &[
    "test_accuracy",
    "test_micro_f1",
    "test_macro_f1",
    "test_loss",
    "validation_accuracy",
    "validation_micro_f1",
    "validation_macro_f1",
    "validation_loss",
];

const IMAGES: &[&str] = &[
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
];

const TEXT: &[&str] = &[
    "test_perplexity",
    "test_loss",
    "test_bits",
    "validation_perplexity",
    "validation_loss",
    "validation_bits",
];

/// Of a recipe whose test is named `test`.
const FLOW: &[&str] = &[
    "test_epe",
    "test_zero_epe",
    "test_1px",
    "test_3px",
    "test_5px",
    "test_fl_all",
    "validation_epe",
    "validation_zero_epe",
    "validation_1px",
    "validation_3px",
    "validation_5px",
    "validation_fl_all",
];

/// The inversion is measured where `evaluation.inversion` asks for it.
const DIFFUSION: &[&str] = &[
    "test_loss",
    "test_loss_per_pixel",
    "pixel_mean_error",
    "pixel_deviation_error",
    "generated_neighbour_distance",
    "unseen_neighbour_distance",
    "test_inversion_loss",
    "test_inversion_psnr",
    "validation_loss",
    "validation_loss_per_pixel",
];

/// What runs of a model measure.
pub(super) fn metrics(model: ModelName) -> &'static [&'static str] {
    match model {
        ModelName::Ignn => CLASSES,
        ModelName::Mdeq => IMAGES,
        ModelName::DeqLm => TEXT,
        ModelName::DeqFlow => FLOW,
        ModelName::DeqDdim => DIFFUSION,
        ModelName::DeqFusion => fusion::METRICS,
        ModelName::DeqCollapse => collapse::METRICS,
    }
}
