//! How values stand in the JSON of an event.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::geometry::ChunkIndex;
use crate::text;

pub(super) fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are precise enough.
    serializer.serialize_f64(time.as_millis() as f64 / 1e3)
}

pub(super) fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
pub(super) fn optional_text<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
pub(super) fn yes_or_no<S: Serializer>(value: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(yes).serialize(serializer)
}

pub(super) fn chunk_number<S: Serializer>(chunk: &ChunkIndex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(chunk.get())
}

/// The path, with bytes that are not UTF-8 replaced.
pub(super) fn lossy_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

/// The path for display, with control characters escaped.
pub(super) fn plain_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    text::path(path).serialize(serializer)
}

pub(super) fn optional_plain_path<S: Serializer>(path: &Option<&Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.map(text::path).serialize(serializer)
}
