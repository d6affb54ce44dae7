//! A file's chunks hashed on plain threads: for create, share, verify and resume.
//!
//! Reads by file I/O, never by a memory map: a file that shrinks gives an error, not a signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Digest, sha1};
use crate::geometry::{ChunkIndex, Geometry};

/// Why a chunk, or all of them, could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The disk or the file system refused a read.
    #[error("cannot read the file at offset {offset}: {source}")]
    Read {
        /// Where in the file, bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file ends before the chunk does: it was cut, or is not the file that was meant.
    #[error("the file ends at offset {offset}, inside a chunk that should be there")]
    Short {
        /// Where the file ends, bytes.
        offset: u64,
    },
    /// The system gave no memory or no threads to hash with.
    #[error("cannot start hashing: {0}")]
    Start(#[source] io::Error),
}

/// Hashes the chunks of `file` that `wanted` names, on `threads` threads, and calls `each` (from any
/// thread, in any order) with every digest, or with what kept that chunk from being read.
///
/// Stops early when `stop` is set. An error is returned only when nothing could be started.
pub fn hash_chunks(
    file: &File,
    geometry: Geometry,
    wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
    threads: usize,
    stop: &AtomicBool,
    each: &(dyn Fn(ChunkIndex, Result<Digest, HashError>) + Sync),
) -> Result<(), HashError> {
    let next = AtomicU32::new(0);
    let work = || {
        while !stop.load(Ordering::Relaxed)
            && let Some(chunk) = geometry.chunk(next.fetch_add(1, Ordering::Relaxed))
        {
            if wanted(chunk) {
                each(chunk, hash_one(file, geometry, chunk));
            }
        }
    };
    std::thread::scope(|scope| {
        (0..threads.max(1)).for_each(|_| {
            scope.spawn(work);
        });
    });
    Ok(())
}

fn hash_one(file: &File, geometry: Geometry, chunk: ChunkIndex) -> Result<Digest, HashError> {
    let mut bytes = vec![0; geometry.chunk_len(chunk) as usize];
    let offset = geometry.offset(chunk);
    file.read_exact_at(&mut bytes, offset).map_err(|source| HashError::Read { offset, source })?;
    Ok(sha1(&bytes))
}
