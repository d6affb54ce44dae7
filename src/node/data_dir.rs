//! What a client keeps over restarts: its data folder, locked, with the user's wishes: what to share and what
//! to download. Only a command changes the list; what is absent for a while stays in it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::storage::Identity;

/// A data folder, held by this process alone.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The lists as they are kept, in `state.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// What is shared.
    pub shares: Vec<SavedShare>,
    /// What was being downloaded.
    pub downloads: Vec<SavedDownload>,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedShare {
    /// The `.mtorrent` file.
    pub metainfo: SavedPath,
    /// The file.
    pub file: SavedPath,
    /// What the `.mtorrent` file described; not known to earlier versions.
    #[serde(default)]
    pub info_hash: Option<String>,
    /// The file as it was when it was verified; if it is the same it need not be hashed again.
    pub identity: Option<SavedIdentity>,
}

/// Size, inode and times of change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedIdentity {
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
    /// Earlier versions did not keep these: such a file is hashed once.
    #[serde(default)]
    changed: Option<(i64, i64)>,
    #[serde(default)]
    device: Option<u64>,
}

/// One unfinished download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDownload {
    /// The `.mtorrent` file.
    pub metainfo: SavedPath,
    /// Where it goes.
    pub dest: SavedPath,
    /// Whether what is there may be replaced.
    pub force: bool,
    /// The folder that it goes to, as it was found at first; not known to earlier versions.
    #[serde(default)]
    pub folder: Option<FolderMark>,
}

/// A path in the state: text where it is UTF-8, else `{"bytes_hex": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SavedPath(pub PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Bytes { bytes_hex: String },
}

/// What tells a folder from another one under its path, such as an empty mount point from the disk that belongs
/// there. A disk may have another number after a restart of the machine; then its file system's id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderMark {
    device: u64,
    inode: u64,
    /// 0 where the file system has none.
    file_system: u64,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{0} is used by another mtorrent: end that one, or give --data-dir another folder")]
    Locked(PathBuf),
    /// Anything else.
    #[error("cannot use the data folder {0}: {1}; give --data-dir another folder")]
    Io(PathBuf, io::Error),
}

impl SavedIdentity {
    /// The same, if all of it was kept.
    pub fn identity(self) -> Option<Identity> {
        let Self { bytes, inode, modified, changed, device } = self;
        Some(Identity { device: device?, inode, bytes, modified, changed: changed? })
    }
}

impl From<Identity> for SavedIdentity {
    fn from(Identity { bytes, inode, modified, changed, device }: Identity) -> Self {
        Self { bytes, inode, modified, changed: Some(changed), device: Some(device) }
    }
}

impl FolderMark {
    /// The folder at the path. Blocks for a moment.
    pub fn at(folder: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let file_system = rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_fsid);
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), file_system })
    }

    /// The device that it was on.
    pub fn device(self) -> u64 {
        self.device
    }

    /// Whether the two are one folder, as far as can be known.
    pub fn is_same(self, other: Self) -> bool {
        let is_one_system = match (self.file_system, other.file_system) {
            (0, _) | (_, 0) => self.device == other.device,
            (one, two) => one == two,
        };
        is_one_system && self.inode == other.inode
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

/// How the names begin of state files that are being written.
const UNFINISHED_PREFIX: &str = ".state.json.";

impl DataDir {
    /// Makes the folder if it is missing (rights 0700) and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |error| DataDirError::Io(path.to_owned(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let data = Self { path: path.to_owned(), _lock: lock };
                data.tidy();
                Ok(data)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::Locked(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Removes what a run that was killed while it saved has left.
    fn tidy(&self) {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let left = entries.filter(|entry| entry.file_name().as_bytes().starts_with(UNFINISHED_PREFIX.as_bytes()));
        // One that stays costs its few bytes.
        left.for_each(|entry| _ = std::fs::remove_file(entry.path()));
    }

    /// What was kept; empty when nothing was. A file that cannot be read is moved aside, not lost.
    pub fn load(&self) -> Result<Saved, DataDirError> {
        let path = self.path.join("state.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(DataDirError::Io(self.path.clone(), error)),
        };
        serde_json::from_slice(&bytes).or_else(|error| {
            let aside = self.path.join("state.json.unreadable");
            log::warn!("{} is damaged ({error}); it is kept as {}", path.display(), aside.display());
            std::fs::rename(&path, &aside).map_err(|error| DataDirError::Io(self.path.clone(), error))?;
            Ok(Saved::default())
        })
    }

    /// Keeps the lists: written beside, synced, renamed.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED_PREFIX).tempfile_in(&self.path)?;
        serde_json::to_writer_pretty(&mut file, saved)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(self.path.join("state.json"))?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved_path(path: &str) -> SavedPath {
        SavedPath(path.into())
    }

    #[test]
    fn what_is_saved_is_loaded_and_the_folder_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        let identity = Some(Identity::of(&std::fs::metadata(&path).unwrap()).into());
        let odd = SavedPath(OsString::from_vec(b"/a/\xff\x00b".to_vec()).into());
        let share = |file| SavedShare { metainfo: saved_path("x.mtorrent"), file, info_hash: None, identity };
        let folder = Some(FolderMark::at(&path).unwrap());
        let download = SavedDownload { metainfo: saved_path("y"), dest: saved_path("z"), force: false, folder };
        let saved = Saved { shares: vec![share(saved_path("ü")), share(odd)], downloads: vec![download] };
        data.save(&saved).unwrap();
        assert_eq!(data.load().unwrap(), saved);
        assert!(std::fs::read_to_string(path.join("state.json")).unwrap().contains("\"file\": \"ü\""));
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked(_))));
        std::fs::write(path.join(".state.json.x1"), "{").unwrap();
        std::fs::write(path.join(".other"), "").unwrap();
        drop(data);
        let data = DataDir::open(&path).unwrap();
        assert!(!path.join(".state.json.x1").exists() && path.join(".other").exists(), "killed while it saved");
        assert_eq!(data.load().unwrap(), saved);
        std::fs::write(path.join("state.json"), "{ torn").unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        assert!(path.join("state.json.unreadable").exists());
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let text = r#"{"shares": [{"metainfo": "/m", "file": "/f",
            "identity": {"bytes": 1, "inode": 2, "modified": [3, 4]}}],
            "downloads": [{"metainfo": "/m", "dest": "/d", "force": true}]}"#;
        let saved: Saved = serde_json::from_str(text).unwrap();
        assert_eq!(saved.shares[0].file, saved_path("/f"));
        assert_eq!(saved.shares[0].identity.unwrap().identity(), None, "hashed once");
        assert!(saved.downloads[0].folder.is_none() && saved.downloads[0].force);
    }

    #[test]
    fn a_folder_is_told_from_another_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (place, away) = (folder.path().join("disk"), folder.path().join("away"));
        std::fs::create_dir(&place).unwrap();
        let mark = FolderMark::at(&place).unwrap();
        assert!(mark.is_same(FolderMark::at(&place).unwrap()));
        std::fs::rename(&place, &away).unwrap();
        assert!(FolderMark::at(&place).is_err());
        std::fs::create_dir(&place).unwrap();
        assert!(!mark.is_same(FolderMark::at(&place).unwrap()));
        let renumbered = FolderMark { device: mark.device + 1, file_system: 7, ..mark };
        assert!(renumbered.is_same(FolderMark { device: mark.device, ..renumbered }));
        assert!(!renumbered.is_same(FolderMark { file_system: 8, ..renumbered }));
    }
}
