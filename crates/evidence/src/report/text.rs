//! Every text of a report, with its place.

use serde_json::Value;
use taggant_core::{Error, ErrorKind, Result};

use super::shape::Report;

/// The report as JSON.
pub(super) fn json(report: &Report) -> Result<Value> {
    serde_json::to_value(report).map_err(|error| {
        Error::new(
            ErrorKind::Format,
            format!("a report that JSON cannot hold: {error}"),
        )
    })
}

/// All strings in JSON, each under its JSON pointer. What is walked is what is written, so no field can be forgotten.
pub(super) fn strings(value: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    let mut left = vec![(String::new(), value)];
    while let Some((place, value)) = left.pop() {
        match value {
            Value::String(text) => found.push((place, text.as_str())),
            Value::Array(items) => {
                let items = items.iter().enumerate().rev();
                left.extend(items.map(|(index, item)| (format!("{place}/{index}"), item)));
            }
            Value::Object(fields) => {
                let fields = fields.iter().rev();
                left.extend(fields.map(|(name, item)| (format!("{place}/{name}"), item)));
            }
            _ => {}
        }
    }
    found
}

/// A moment as people write it. Nothing is lost: what is left out is a `.000`.
pub(super) fn when(time: &str) -> String {
    time.replace('T', " ")
        .replace(".000Z", "Z")
        .replace('Z', " UTC")
}
