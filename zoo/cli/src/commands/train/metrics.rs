//! Measurements as text and as JSON.

use deq_train::Metrics;
use serde_json::{Map, Value};

/// `name value`, two spaces between.
pub(crate) fn as_text(metrics: &Metrics) -> String {
    let each = metrics
        .iter()
        .map(|(name, value)| format!("{name} {}", number(value)));
    each.collect::<Vec<_>>().join("  ")
}

/// Four decimals, or an exponent where these would show nothing.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&size) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// An object; what is not finite becomes null.
pub(crate) fn as_json(metrics: &Metrics) -> Map<String, Value> {
    metrics
        .iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}
