//! What is at the destination before a download begins. Calls block: run them on a blocking thread.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::outcome::Failure;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::hash::hash_chunks;
use crate::metainfo::Metainfo;
use crate::storage::{Claim, DestError, DiskFiles, Ledger, Opened};

/// Whether the finished file is at the destination, and right. What is there and different is an error unless
/// `force` allows to replace it.
pub fn is_finished(
    metainfo: &Metainfo,
    dest: &Path,
    force: bool,
    threads: usize,
    stop: &AtomicBool,
) -> Result<bool, Failure> {
    let Ok(found) = std::fs::metadata(dest) else {
        // A link to nothing would be in the way when everything has arrived.
        let is_link = !force && dest.symlink_metadata().is_ok();
        return if is_link { Err(Failure::local(DestError::Different(dest.to_owned()))) } else { Ok(false) };
    };
    if found.is_dir() {
        return Err(Failure::local(format!("{} is a folder: name a file in it", dest.display())));
    }
    // Opening a pipe would wait for its other end, and nobody means to replace a device.
    if !found.is_file() {
        return Err(Failure::local(DestError::NotAFile(dest.to_owned())));
    }
    if is_right(metainfo, dest, threads, stop)? {
        if let Err(error) = claim(metainfo).tidy(dest) {
            log::warn!("the record that an earlier download left could not be removed: {error}");
        }
        return Ok(true);
    }
    if force { Ok(false) } else { Err(Failure::local(DestError::Different(dest.to_owned()))) }
}

/// Opens the `.part` with its record, and hashes what an earlier download left there. The bitfield says which
/// chunks are there and right.
pub fn open(
    metainfo: &Metainfo,
    dest: &Path,
    force: bool,
    threads: usize,
    stop: &AtomicBool,
) -> Result<(Ledger, DiskFiles, Bitfield), Failure> {
    match claim(metainfo).open(dest, force).map_err(Failure::local)? {
        Opened::Fresh(files, _) if stop.load(Ordering::Relaxed) => {
            if let Err(error) = files.discard() {
                log::warn!("the .part of a cancelled download could not be removed: {error}");
            }
            Err(Failure::cancelled())
        }
        Opened::Fresh(files, ledger) => Ok((ledger, files, Bitfield::empty(metainfo.geometry()))),
        Opened::Unfinished(files, record) => {
            let claimed = record.chunks.clone();
            let part = files.part().ok_or_else(|| Failure::local("the .part file is not open"))?;
            let have = verified(metainfo, part, &|chunk| claimed.contains(chunk), threads, stop)?;
            Ok((Ledger::resume(record, have.clone()), files, have))
        }
    }
}

fn claim(metainfo: &Metainfo) -> Claim {
    Claim { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() }
}

fn is_right(metainfo: &Metainfo, dest: &Path, threads: usize, stop: &AtomicBool) -> Result<bool, Failure> {
    let geometry = metainfo.geometry();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::local(DestError::Unreadable(dest.to_owned())),
        _ => Failure::local(format!("cannot read {}: {error}", dest.display())),
    };
    let file = File::open(dest).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() != geometry.length() {
        return Ok(false);
    }
    Ok(verified(metainfo, &file, &|_| true, threads, stop)?.is_full())
}

/// Which of the wanted chunks of `file` match their hash. What was not hashed because of `stop` must not be taken
/// for wrong: then nothing is said.
fn verified(
    metainfo: &Metainfo,
    file: &File,
    wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
    threads: usize,
    stop: &AtomicBool,
) -> Result<Bitfield, Failure> {
    let right = Mutex::new(Bitfield::empty(metainfo.geometry()));
    hash_chunks(file, metainfo.geometry(), wanted, threads, stop, &|chunk, digest| {
        if digest.is_ok_and(|digest| digest == *metainfo.chunk_hash(chunk)) {
            right.lock().unwrap_or_else(PoisonError::into_inner).insert(chunk);
        }
    })
    .map_err(Failure::local)?;
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::cancelled());
    }
    Ok(right.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::FailureKind;
    use crate::geometry::Geometry;

    #[test]
    fn what_was_not_hashed_is_not_called_different() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(&dest, [1; 100]).unwrap();
        let geometry = Geometry::new(100, 1 << 14).unwrap();
        let metainfo = Metainfo::new("file", geometry, crate::hash::sha1(&[1; 100]).to_vec(), Vec::new()).unwrap();
        for force in [false, true] {
            let failure = is_finished(&metainfo, &dest, force, 1, &AtomicBool::new(true)).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Cancelled, "{}", failure.message);
            assert_eq!(is_finished(&metainfo, &dest, force, 1, &AtomicBool::new(false)), Ok(true));
        }
    }
}
