//! Paths of a download's files: `DEST`, `DEST.part` and `DEST.part.mtorrent`.
//!
//! A symbolic link at `DEST` is followed to its end, even if nothing exists there: the file behind it is the
//! destination, and the other two are in the same folder as that file, on its file system.
//!
//! If a name is too long for the suffix `.part.mtorrent`, it is shortened for these two (not for `DEST`): its first
//! bytes, a dot, and the first 16 hexadecimal digits of the SHA-1 of the whole name.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::hash::sha1;
use crate::limits::{LINKS_FOLLOWED_MAX, NAME_BYTES_MAX};

const PART: &str = ".part";
const RECORD: &str = ".part.mtorrent";
/// Length of the suffix that marks a shortened name, bytes: a dot and 16 digits.
const MARK_BYTES: usize = 17;

/// Paths of `DEST`, `DEST.part` and `DEST.part.mtorrent`.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Path of the finished file.
    pub dest: PathBuf,
    /// Path of the unfinished file.
    pub part: PathBuf,
    /// Path of its record.
    pub record: PathBuf,
    /// Path of the folder of all three.
    pub folder: PathBuf,
}

impl Paths {
    /// The paths that belong to `dest`, or to the target of a link there. Blocks for a moment.
    pub fn new(dest: &Path) -> Self {
        let dest = follow_links(dest);
        let folder = folder_of(&dest).to_owned();
        let base = base_name(dest.file_name().unwrap_or_default(), name_bytes_max(&folder));
        let with = |suffix: &str| {
            let mut name = base.clone();
            name.push(suffix);
            dest.with_file_name(name)
        };
        Self { part: with(PART), record: with(RECORD), folder, dest }
    }

    /// The same for a file that is repaired in place: the file itself takes the place of its `.part`.
    pub fn in_place(dest: &Path) -> Self {
        let paths = Self::new(dest);
        Self { part: paths.dest.clone(), ..paths }
    }
}

/// Folder of a path's last component.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The target of a path that is a symbolic link, even if nothing exists there. Links that lead in a circle are left as
/// they are: opening them reports it.
pub(crate) fn follow_links(path: &Path) -> PathBuf {
    let mut followed = path.to_owned();
    for _ in 0..LINKS_FOLLOWED_MAX {
        match std::fs::read_link(&followed) {
            Ok(target) => followed = folder_of(&followed).join(target),
            Err(_) => return followed,
        }
    }
    path.to_owned()
}

/// Longest name in the folder, bytes.
fn name_bytes_max(folder: &Path) -> usize {
    let stat = rustix::fs::statvfs(folder).ok();
    // Some network file systems report 0, or more than a name can have.
    let bytes = stat.and_then(|stat| usize::try_from(stat.f_namemax).ok()).filter(|bytes| *bytes > 0);
    bytes.unwrap_or(NAME_BYTES_MAX).clamp(2 * (RECORD.len() + MARK_BYTES), NAME_BYTES_MAX)
}

/// The name to which the suffixes are added.
fn base_name(name: &OsStr, name_bytes_max: usize) -> OsString {
    let room = name_bytes_max - RECORD.len();
    if name.len() <= room {
        return name.to_owned();
    }
    let bytes = name.as_bytes();
    let mut end = room - MARK_BYTES;
    // A character is not split: some file systems refuse names that are not UTF-8.
    while end > 0 && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    let mut base = bytes[..end].to_vec();
    let digits = sha1(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    base.push(b'.');
    base.extend_from_slice(digits.as_bytes());
    OsString::from_vec(base)
}

/// Whether an error means that the path does not exist.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_two_stand_beside_the_destination() {
        for (dest, folder) in [("a/b", "a"), ("b", "."), ("/b", "/")] {
            let paths = Paths::new(Path::new(dest));
            assert_eq!(paths.part, Path::new(&format!("{dest}.part")));
            assert_eq!(paths.record, Path::new(&format!("{dest}.part.mtorrent")));
            assert_eq!(paths.folder, Path::new(folder));
        }
    }

    #[test]
    fn names_up_to_the_longest_fit() {
        for (name, is_kept) in [("x".repeat(241), true), ("x".repeat(242), false), ("ü".repeat(127), false)] {
            let paths = Paths::new(Path::new(&name));
            let lengths = [&paths.part, &paths.record].map(|path| path.file_name().unwrap().len());
            assert!(lengths.iter().all(|bytes| *bytes <= 255), "{} bytes give {lengths:?}", name.len());
            assert_eq!(paths.part == Path::new(&format!("{name}.part")), is_kept, "{} bytes", name.len());
            assert!(paths.record.to_str().is_some(), "cut within a character");
            assert_eq!(paths.dest, Path::new(&name));
        }
        let [one, other] = ["1", "2"].map(|end| Paths::new(Path::new(&format!("{}{end}", "x".repeat(250)))));
        assert_ne!(one.part, other.part);
    }

    #[test]
    fn links_are_followed_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("disk")).unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        link("disk/file", "one");
        link("one", "two");
        link("round", "round");
        for name in ["one", "two"] {
            let paths = Paths::new(&root.join(name));
            assert_eq!(paths.dest, root.join("disk/file"), "{name}");
            assert_eq!(paths.part, root.join("disk/file.part"), "{name}");
        }
        assert_eq!(follow_links(&root.join("round")), root.join("round"));
    }
}
