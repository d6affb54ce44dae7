//! What is at the destination before a download begins. Blocks: run it on a blocking thread.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use super::outcome::Failure;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::hash::hash_chunks;
use crate::metainfo::Metainfo;
use crate::storage::{Claim, DestError, DiskFiles, Ledger, Opened};

/// A destination ready for work.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one value a download
pub enum Prepared {
    /// The finished file is there and right.
    UpToDate,
    /// To be filled; `have` is there and verified.
    Open {
        /// The files.
        files: DiskFiles,
        /// What their record says.
        ledger: Ledger,
        /// Verified chunks.
        have: Bitfield,
        /// Nothing was there before, so there is nothing to keep.
        is_fresh: bool,
    },
}

/// Looks at the destination, hashes what is there, and opens the `.part`.
pub fn prepare(
    metainfo: &Metainfo,
    dest: &Path,
    force: bool,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Prepared, Failure> {
    let claim = Claim { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() };
    if let Ok(found) = std::fs::metadata(dest) {
        if found.is_dir() {
            return Err(Failure::local(format!("{} is a folder: name a file in it", dest.display())));
        }
        // Opening a pipe would wait for its other end, and nobody means to replace a device.
        if !found.is_file() {
            return Err(Failure::local(DestError::NotAFile(dest.to_owned())));
        }
        if is_right(metainfo, dest, threads, stop)? {
            if let Err(error) = claim.tidy(dest) {
                log::warn!("the record that an earlier download left could not be removed: {error}");
            }
            return Ok(Prepared::UpToDate);
        }
        if !force {
            return Err(Failure::local(DestError::Different(dest.to_owned())));
        }
    } else if !force && dest.symlink_metadata().is_ok() {
        // A link to nothing would be in the way when everything has arrived.
        return Err(Failure::local(DestError::Different(dest.to_owned())));
    }
    match claim.open(dest, force).map_err(Failure::local)? {
        Opened::Fresh(files, ledger) => {
            Ok(Prepared::Open { files, ledger, have: Bitfield::empty(claim.geometry), is_fresh: true })
        }
        Opened::Unfinished(files, record) => {
            let claimed = record.chunks.clone();
            let part = files.part().ok_or_else(|| Failure::local("the .part file is not open"))?;
            let have = verified(metainfo, part, &|chunk| claimed.contains(chunk), threads, stop)?;
            Ok(Prepared::Open { ledger: Ledger::resume(record, have.clone()), files, have, is_fresh: false })
        }
    }
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

/// Which of the wanted chunks of `file` match their hash.
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
    Ok(right.into_inner().unwrap_or_else(PoisonError::into_inner))
}
