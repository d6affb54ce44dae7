//! The path of a chunk on one core, from its last byte to its bit. The whole path is in this file, in order:
//!
//! ```text
//! DataConnection --received--> Verifier --VerifiedChunk--> Writer --> cache, bit, figures
//! ```
//!
//! A chunk belongs to the core on whose data connection it arrives: that core receives, hashes, writes and keeps it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::job::{Job, Report, Target};
use super::source::Source;
use crate::geometry::ChunkIndex;
use crate::metrics::{self, Counter};
use crate::runtime::{Blocking, Core, Signal};
use crate::storage::{ChunkBuffer, Layout, Memory, ReceivedChunk, VerifiedChunk, Verifier, Writer, WrongChunk};
use crate::swarm::ConnectionSlot;

/// The path from socket to disk on one core, for one download.
pub(crate) struct Pipeline {
    core: Core,
    memory: Memory,
    job: Arc<Job>,
    verifier: Verifier<Origin>,
    /// Writes the chunks; `None` when the download is discarded.
    writer: Option<Writer>,
    /// Chunks whose writes have begun and not ended.
    writing: Cell<usize>,
    stopped: Cell<bool>,
    drained: Signal,
}

/// Origin of a chunk. The connection and the source may be gone when the chunk is verified.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Slot of the connection.
    pub connection: ConnectionSlot,
    /// The source that sent it.
    pub source: Source,
}

impl Pipeline {
    /// Opens the file on this core, and starts the verifier.
    pub(crate) async fn open(core: Core, memory: Memory, writes: Blocking, job: Arc<Job>) -> Rc<Self> {
        let writer = match &job.target {
            Some(Target { part, record, file }) => {
                let layout = Layout::one_file(job.torrent.metainfo.geometry());
                Some(Writer::open(layout, part, record, file.clone(), writes).await)
            }
            None => None,
        };
        if writer.as_ref().is_some_and(|writer| !writer.is_direct()) {
            job.report(Report::NotDirect);
        }
        let pipeline = Rc::new(Self {
            core,
            memory,
            verifier: Verifier::new(job.torrent.metainfo.clone()),
            writer,
            writing: Cell::new(0),
            stopped: Cell::new(false),
            drained: Signal::default(),
            job,
        });
        pipeline.job.spawn_part("verifier", pipeline.clone().verify(), || ());
        pipeline
    }

    /// The download's shared state.
    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    /// Allocates memory for a chunk that is about to be received.
    pub(crate) async fn buffer(&self, len: usize, is_limited: bool) -> ChunkBuffer {
        let waits = &self.job.progress.memory_waits;
        waits.fetch_add(1, Ordering::Relaxed);
        let _waiting = Deferred(|| {
            waits.fetch_sub(1, Ordering::Relaxed);
        });
        self.memory.chunk(len, is_limited).await
    }

    /// Step 1: a chunk has arrived completely.
    pub(crate) fn received(&self, index: ChunkIndex, buffer: ChunkBuffer, origin: Origin) {
        self.job.progress.hashing_bytes.fetch_add(self.len_of(index), Ordering::Relaxed);
        self.verifier.push(ReceivedChunk { index, buffer, origin });
    }

    /// Step 2: every chunk that has arrived is hashed.
    async fn verify(self: Rc<Self>) {
        let hashing = async { match self.verifier.run(|origin, outcome| self.verified(origin, outcome)).await {} };
        let stopped = self.drained.until(|| self.stopped.get().then_some(()));
        futures_lite::future::or(hashing, stopped).await;
    }

    /// Step 3: the result of the hash is known. A right chunk is written while the next ones are hashed.
    fn verified(self: &Rc<Self>, origin: Origin, outcome: Result<VerifiedChunk, WrongChunk>) {
        let index = outcome.as_ref().map_or_else(|WrongChunk(index)| *index, VerifiedChunk::index);
        let bytes = self.len_of(index);
        self.job.progress.hashing_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.stopped.get() {
            return;
        }
        let Origin { connection, source } = origin;
        let slot = source.slot;
        let chunk = match outcome {
            Ok(chunk) => chunk,
            Err(WrongChunk(chunk)) => {
                metrics::add(Counter::ChunksWrong, 1);
                self.job.progress.bad_chunks.fetch_add(1, Ordering::Relaxed);
                return self.job.report(Report::Wrong { slot, connection, chunk });
            }
        };
        metrics::add(Counter::ChunksVerified, 1);
        self.job.report(Report::Verified { slot, chunk: chunk.index() });
        // Another peer may have delivered the chunk first.
        if self.job.torrent.contains(chunk.index()) {
            metrics::add(Counter::ChunksDuplicate, 1);
        } else {
            self.writing.set(self.writing.get() + 1);
            self.job.progress.writing_bytes.fetch_add(bytes, Ordering::Relaxed);
            let this = self.clone();
            self.job.spawn_part("chunk write", self.clone().store(chunk, source), move || this.write_ended(bytes));
        }
    }

    /// Step 4: the chunk is written and cached for other peers; then it counts and is served.
    async fn store(self: Rc<Self>, chunk: VerifiedChunk, source: Source) {
        match self.write(&chunk).await {
            Ok(()) => {
                if self.job.torrent.is_awaited() {
                    chunk.keep_in(&self.memory);
                    self.job.torrent.set_keeper(&chunk, self.core.index);
                }
                self.job.chunk_done(&chunk, &source.progress);
            }
            Err(error) => self.job.fail(error),
        }
        self.write_ended(self.len_of(chunk.index()));
    }

    async fn write(&self, chunk: &VerifiedChunk) -> std::io::Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let was_direct = writer.is_direct();
        let began = Instant::now();
        let written = writer.write(chunk).await;
        if written.is_ok() {
            let bytes = self.job.torrent.metainfo.geometry().chunk_len(chunk.index());
            metrics::add(Counter::DiskWriteBytes, bytes.into());
            metrics::add(Counter::DiskWriteNanos, began.elapsed().as_nanos() as u64);
        }
        if was_direct && !writer.is_direct() {
            self.job.report(Report::NotDirect);
        }
        written
    }

    fn len_of(&self, chunk: ChunkIndex) -> u64 {
        self.job.torrent.metainfo.geometry().chunk_len(chunk).into()
    }

    fn write_ended(&self, bytes: u64) {
        self.job.progress.writing_bytes.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(self.writing.get() > 0, "a write ended twice");
        self.writing.set(self.writing.get().saturating_sub(1));
        self.drained.notify();
    }

    /// Stops verifying, and returns when every write has ended.
    pub(crate) async fn drain(&self) {
        self.stopped.set(true);
        self.drained.notify();
        self.drained.until(|| (self.writing.get() == 0).then_some(())).await;
    }
}

/// Runs a closure when dropped: a wait may end by being dropped.
struct Deferred<F: Fn()>(F);

impl<F: Fn()> Drop for Deferred<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
