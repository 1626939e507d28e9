use deq_datasets::DataError;
use deq_datasets::flow::FlowField;

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The error's text; it must name the file.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, DataError>, file: &str) -> String {
    let error = result.expect_err("must be refused").to_string();
    assert!(error.contains(file), "{error}");
    error
}

/// A field of 3x2 pixels that every format holds exactly.
pub(crate) fn field(valid: Option<Vec<bool>>) -> FlowField {
    let data = (0..12).map(|i| (i * i) as f32 / 64.0 - 0.5).collect();
    FlowField::new(3, 2, data, valid).expect("a field")
}

pub(crate) fn partly_known() -> FlowField {
    field(Some(vec![true, false, true, true, true, false]))
}

pub(crate) fn dense(width: usize, height: usize, data: Vec<f32>) -> FlowField {
    FlowField::new(width, height, data, None).expect("a field")
}
