//! Checks and hashes a shared file against its `.mtorrent` file. Calls block: run them on a blocking thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::geometry::ChunkIndex;
use crate::hash::{HashError, hash_chunks};
use crate::limits::METAINFO_BYTES_MAX;
use crate::metainfo::Metainfo;
use crate::storage::Identity;

/// The result of a check.
#[derive(Debug)]
pub(super) enum Checked {
    /// The file matches, except for chunks that the disk cannot read.
    Right {
        /// Identity of the file, the same before and after it was read.
        identity: Identity,
        /// Chunks that cannot be read.
        unreadable: Vec<ChunkIndex>,
    },
    /// The file does not match.
    Different {
        /// The difference, for the user.
        why: String,
        /// Identity of the file before it was read.
        identity: Identity,
    },
    /// The file changed while it was read, so that there is no result.
    Changing,
    /// The file cannot be read now.
    Away(io::Error),
    /// The check was stopped.
    Stopped,
}

/// Identity of the file at the path; a folder or a pipe is an error.
pub(super) fn stat(path: &Path) -> io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(Identity::of(&metadata))
}

/// Hashes the whole file.
pub(super) fn check(metainfo: &Metainfo, path: &Path, threads: usize, stop: &AtomicBool) -> Checked {
    hash(metainfo, path, threads, stop).unwrap_or_else(Checked::Away)
}

fn hash(metainfo: &Metainfo, path: &Path, threads: usize, stop: &AtomicBool) -> io::Result<Checked> {
    // Without O_NONBLOCK, opening a named pipe would block until it has a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let identity = Identity::of(&file.metadata()?);
    let geometry = metainfo.geometry();
    if identity.bytes != geometry.length() {
        return Ok(Checked::Different { why: format!("its size is now {} bytes", identity.bytes), identity });
    }
    let (wrong, unreadable) = (Mutex::new(None), Mutex::new(Vec::new()));
    let is_decided = AtomicBool::new(false);
    let wanted = |_| !is_decided.load(Ordering::Relaxed);
    let lock = PoisonError::into_inner;
    let each = |chunk, digest| match digest {
        Ok(digest) if digest == metainfo.chunk_hash(chunk) => {}
        Err(HashError::Read { source, .. }) => unreadable.lock().unwrap_or_else(lock).push((chunk, source)),
        Ok(_) | Err(_) => {
            is_decided.store(true, Ordering::Relaxed);
            *wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(chunk);
        }
    };
    hash_chunks(&file, geometry, &wanted, threads, stop, &each).map_err(io::Error::other)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(Checked::Stopped);
    }
    if stat(path).map(|now| now != identity)? {
        return Ok(Checked::Changing);
    }
    if let Some(chunk) = wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Ok(Checked::Different { why: format!("its content is different (chunk {chunk})"), identity });
    }
    let mut unreadable = unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
    match unreadable.pop() {
        // A disk from which no chunk can be read counts as not available.
        Some((_, error)) if unreadable.len() + 1 == geometry.chunk_count() as usize => Err(error),
        Some((last, _)) => {
            let unreadable = unreadable.into_iter().map(|(chunk, _)| chunk).chain([last]).collect();
            Ok(Checked::Right { identity, unreadable })
        }
        None => Ok(Checked::Right { identity, unreadable: Vec::new() }),
    }
}

/// Reads a `.mtorrent` file whose chunks can be transferred.
pub(super) fn read_metainfo(path: &Path) -> Result<Metainfo, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    file.take(METAINFO_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let metainfo = Metainfo::parse(&bytes).map_err(|error| failed(&error))?;
    metainfo.geometry().transferable().map_err(|error| failed(&error))?;
    Ok(metainfo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::hash::sha1;

    #[test]
    fn only_other_content_is_different() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [1; 100]).unwrap();
        let geometry = Geometry::new(100, 1 << 14).unwrap();
        let metainfo = Metainfo::new("file", geometry, sha1(&[1; 100]).to_vec(), Vec::new()).unwrap();
        let check = |path: &Path, stop| super::check(&metainfo, path, 1, &AtomicBool::new(stop));
        assert!(matches!(check(&path, false), Checked::Right { unreadable, .. } if unreadable.is_empty()));
        assert!(matches!(check(&path, true), Checked::Stopped));
        assert!(matches!(check(&folder.path().join("none"), false), Checked::Away(_)));
        for wrong in [[2; 100].as_slice(), &[1; 99]] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(check(&path, false), Checked::Different { .. }), "{} bytes", wrong.len());
        }
        assert!(stat(folder.path()).is_err());
    }
}
