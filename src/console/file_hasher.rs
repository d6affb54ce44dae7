//! Hashes a whole file under a progress bar, for `create`, `share` and `verify`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exit::CommandError;
use super::output::Output;
use super::output_event::{HashProgress, OutputEvent};
use super::progress::{self, BarSettings, Snapshot};
use super::signals::Stop;
use super::source::Source;
use super::units::Rate;
use crate::geometry::{ChunkIndex, Geometry};
use crate::hash::{HashError, hash_chunks};
use crate::ids::ChunkHash;
use crate::metainfo::Metainfo;
use crate::text;

/// Hashes whole files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileHasher<'a> {
    /// Number of threads that read and hash.
    pub threads: usize,
    /// Flag that ends the hashing early.
    pub stop: &'a Stop,
    /// Whether the bar is hidden because another part of the program draws on the terminal.
    pub hide_bar: bool,
    /// Reports of progress.
    pub reports: Reports,
}

/// Reports of a long hashing, for those who see no bar.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reports {
    /// Interval of the reports; `None` is no report.
    pub every: Option<Duration>,
    /// Output of the reports if they are objects; otherwise they are lines on stderr.
    pub json: Option<Output>,
}

impl Reports {
    /// Reports at the interval that the user wants, or at a default if no terminal shows a bar.
    pub(crate) fn new(wanted: Option<Duration>, output: &Output) -> Self {
        Self { every: progress::report_interval(wanted), json: output.is_json().then_some(*output) }
    }

    fn report(self, source: &Source, progress: HashProgress) {
        let event = OutputEvent::HashProgress { file: source.path(), progress };
        // A closed stdout is reported by the answer.
        let _ = self.json.unwrap_or(Output::new(false)).talk(&event);
    }
}

/// A chunk that does not match its `.mtorrent` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk {
    /// Index of the chunk.
    pub chunk: ChunkIndex,
    /// The fault of the chunk.
    pub fault: Fault,
}

/// The fault of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The hash of the chunk differs.
    Different,
    /// The file ends before the end of the chunk.
    Missing,
    /// The disk cannot read the chunk, so that its hash is unknown.
    Unreadable,
}

impl FileHasher<'_> {
    /// The digests of all chunks, concatenated: the `pieces` of a new `.mtorrent` file.
    pub(crate) fn digests(self, source: &Source, geometry: Geometry) -> Result<Vec<u8>, CommandError> {
        let pieces = Mutex::new(vec![0; geometry.chunk_count() as usize * ChunkHash::LEN]);
        self.hash(source, geometry, &|_| true, &|chunk, digest| {
            let digest = digest?;
            let at = chunk.as_usize() * ChunkHash::LEN;
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces[at..at + ChunkHash::LEN].copy_from_slice(&digest.0);
            Ok(())
        })?;
        source.check_unchanged()?;
        Ok(pieces.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The chunks that do not match `metainfo`, in order.
    pub(crate) fn bad_chunks(self, source: &Source, metainfo: &Metainfo) -> Result<Vec<BadChunk>, CommandError> {
        let geometry = metainfo.geometry();
        let is_there = |chunk| geometry.offset(chunk) + u64::from(geometry.chunk_len(chunk)) <= source.length();
        let found = Mutex::new(Vec::new());
        self.hash(source, geometry, &is_there, &|chunk, digest| {
            let fault = match digest {
                Ok(digest) if digest == metainfo.chunk_hash(chunk) => return Ok(()),
                Ok(_) => Fault::Different,
                // The file was truncated while it was read.
                Err(error @ (HashError::Short { .. } | HashError::Memory(_))) => return Err(error),
                Err(error @ HashError::Read { .. }) => {
                    log::warn!("{}: {error}", text::path(source.path()));
                    Fault::Unreadable
                }
            };
            found.lock().unwrap_or_else(PoisonError::into_inner).push(BadChunk { chunk, fault });
            Ok(())
        })?;
        source.check_unchanged()?;
        let mut bad = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = geometry.chunks().filter(|chunk| !is_there(*chunk));
        bad.extend(missing.map(|chunk| BadChunk { chunk, fault: Fault::Missing }));
        bad.sort_by_key(|bad| bad.chunk);
        Ok(bad)
    }

    fn hash(
        self,
        source: &Source,
        geometry: Geometry,
        wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
        each: &(dyn Fn(ChunkIndex, Result<ChunkHash, HashError>) -> Result<(), HashError> + Sync),
    ) -> Result<(), CommandError> {
        let done_bytes = AtomicU64::new(0);
        let (failure, has_failed) = (Mutex::new(None), AtomicBool::new(false));
        // The stop flag may be shared with other work; after a failure no further chunk is hashed.
        let wanted = |chunk| !has_failed.load(Ordering::Relaxed) && wanted(chunk);
        let take = |chunk, digest: Result<ChunkHash, HashError>| match each(chunk, digest) {
            Ok(()) => {
                done_bytes.fetch_add(geometry.chunk_len(chunk).into(), Ordering::Relaxed);
            }
            Err(error) => {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                has_failed.store(true, Ordering::Relaxed);
            }
        };
        let bar = BarSettings { verb: "hashing", total_bytes: geometry.length(), hidden: self.hide_bar };
        let snapshot = || Snapshot { done_bytes: done_bytes.load(Ordering::Relaxed), ..Snapshot::default() };
        let started = Instant::now();
        let report = || {
            let done_bytes = done_bytes.load(Ordering::Relaxed);
            let rate_bytes_s = Rate::mean(done_bytes, started.elapsed()).0;
            self.reports.report(source, HashProgress { done_bytes, bytes: geometry.length(), rate_bytes_s });
        };
        let hash = || hash_chunks(&source.file, geometry, &wanted, self.threads, self.stop.flag(), &take);
        let result = progress::watch(bar, snapshot, || progress::reporting(self.reports.every, report, hash));
        let failed = |error: HashError| CommandError::failed(format!("{}: {error}", text::path(source.path())));
        if let Some(signal) = self.stop.signal() {
            return Err(signal.interruption("interrupted while hashing: nothing was changed"));
        }
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // A file that was truncated meanwhile is reported as changed.
            source.check_unchanged()?;
            return Err(failed(error));
        }
        result.map_err(failed)?;
        if self.stop.is_set() {
            return Err(CommandError::failed("stopped while hashing: nothing was changed"));
        }
        Ok(())
    }
}
