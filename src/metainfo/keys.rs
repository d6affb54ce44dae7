//! The keys that are read, and access to their values.

use super::bencode::{Dictionary, Value};
use super::error::MetainfoError;

pub(super) const INFO: &str = "info";
pub(super) const LENGTH: &str = "length";
pub(super) const NAME: &str = "name";
pub(super) const PIECE_LENGTH: &str = "piece length";
pub(super) const PIECES: &str = "pieces";
pub(super) const TRACKERS: &str = "mtorrent trackers";

pub(super) fn required<'d, 'a>(
    dictionary: &'d Dictionary<'a>,
    key: &'static str,
) -> Result<&'d Value<'a>, MetainfoError> {
    dictionary.get(key).ok_or(MetainfoError::Missing(key))
}

pub(super) fn wrong_type(key: &'static str, expected: &'static str) -> MetainfoError {
    MetainfoError::WrongType { key, expected }
}

pub(super) fn number(dictionary: &Dictionary<'_>, key: &'static str) -> Result<u64, MetainfoError> {
    required(dictionary, key)?.as_u64().ok_or(wrong_type(key, "a number of bytes"))
}
