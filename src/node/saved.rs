//! The lists of shares and downloads in the format of `state.json`. Only a command of the user removes an entry; a
//! share or download whose file is not available stays listed.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::folder_mark::FolderMark;
use super::status::DownloadId;
use crate::direction::Direction;
use crate::storage::Identity;

/// The saved state of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    /// The shares.
    pub shares: Vec<SavedShare>,
    /// The unfinished downloads.
    pub downloads: Vec<SavedDownload>,
    /// Number of the last download, so that no later one gets the number of another.
    pub last_id: DownloadId,
    /// The limits that were set while the client ran; those of its start are not saved.
    pub limits: SavedLimits,
}

/// Rate limits, bytes a second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedLimits {
    /// Limit of the send rate.
    pub up_bytes_s: Option<NonZeroU64>,
    /// Limit of the receive rate.
    pub down_bytes_s: Option<NonZeroU64>,
}

impl SavedLimits {
    /// The limit of one direction.
    pub(crate) fn of(&mut self, direction: Direction) -> &mut Option<NonZeroU64> {
        match direction {
            Direction::Up => &mut self.up_bytes_s,
            Direction::Down => &mut self.down_bytes_s,
        }
    }
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedShare {
    /// Path of the `.mtorrent` file.
    pub metainfo: SavedPath,
    /// Path of the shared file.
    pub file: SavedPath,
    /// Info hash of the `.mtorrent` file; earlier versions did not save it.
    #[serde(default)]
    pub info_hash: Option<String>,
    /// Identity of the file when it was verified; a file that still has it is not hashed again.
    pub identity: Option<SavedIdentity>,
}

/// Size, inode and times of change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedIdentity {
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
    /// Earlier versions did not save these fields; such a file is hashed once.
    #[serde(default)]
    changed: Option<(i64, i64)>,
    #[serde(default)]
    device: Option<u64>,
}

/// One unfinished download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDownload {
    /// Path of the `.mtorrent` file.
    pub metainfo: SavedPath,
    /// Path of the finished file.
    pub dest: SavedPath,
    /// Whether a different file at `dest` may be replaced.
    pub force: bool,
    /// Whether a different file at `dest` is repaired where it is; earlier versions had no such downloads.
    #[serde(default)]
    pub in_place: bool,
    /// Mark of the destination's folder at the first start; earlier versions did not save it.
    #[serde(default)]
    pub folder: Option<FolderMark>,
    /// Number of the download; earlier versions did not save it.
    #[serde(default)]
    pub id: Option<DownloadId>,
    /// Whether the user has paused it.
    #[serde(default)]
    pub paused: bool,
}

/// A path in the state: a string if it is UTF-8, else `{"bytes_hex": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SavedPath(pub PathBuf);

impl SavedPath {
    /// The path, made absolute: another run may have another working directory.
    pub(crate) fn absolute(path: &Path) -> Self {
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Bytes { bytes_hex: String },
}

impl SavedIdentity {
    /// The identity, if all of its fields were saved.
    pub(crate) fn identity(self) -> Option<Identity> {
        let Self { bytes, inode, modified, changed, device } = self;
        Some(Identity { device: device?, inode, bytes, modified, changed: changed? })
    }
}

impl From<Identity> for SavedIdentity {
    fn from(Identity { bytes, inode, modified, changed, device }: Identity) -> Self {
        Self { bytes, inode, modified, changed: Some(changed), device: Some(device) }
    }
}

impl Serialize for SavedPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let form = match self.0.to_str() {
            Some(text) => PathForm::Text(text.to_owned()),
            None => PathForm::Bytes { bytes_hex: hex(self.0.as_os_str().as_bytes()) },
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SavedPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match PathForm::deserialize(deserializer)? {
            PathForm::Text(text) => return Ok(Self(text.into())),
            PathForm::Bytes { bytes_hex } => from_hex(&bytes_hex),
        };
        let bytes = bytes.ok_or_else(|| serde::de::Error::custom("bytes_hex is not hexadecimal"))?;
        Ok(Self(OsString::from_vec(bytes).into()))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let text = r#"{"shares": [{"metainfo": "/m", "file": "/f",
            "identity": {"bytes": 1, "inode": 2, "modified": [3, 4]}}],
            "downloads": [{"metainfo": "/m", "dest": "/d", "force": true}]}"#;
        let saved: Saved = serde_json::from_str(text).unwrap();
        assert_eq!(saved.shares[0].file, SavedPath("/f".into()));
        assert_eq!(saved.shares[0].identity.unwrap().identity(), None, "hashed once");
        assert!(saved.downloads[0].folder.is_none() && saved.downloads[0].force);
    }
}
