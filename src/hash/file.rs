//! Hashes of a file's chunks, computed on plain threads: for create, share, verify and resume.
//!
//! A worker claims a group of chunks and hashes them side by side, a slice of each at a time. For chunks in the page
//! cache, slices are so small that copied bytes are still in the core's own cache when they are hashed. For other
//! chunks, slices are large, so that one read keeps the disk busy, and there are two workers a thread: one reads while
//! the other hashes.
//!
//! The file is read by file I/O, never through a memory map: a file that shrinks causes an error, not a signal. A chunk
//! that lies in a hole of a sparse file is not read at all: it is zeros, whose hash is known.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use memmap2::{Advice, MmapMut};

use super::chunk_compression::ChunkCompression;
use super::compression::{BLOCK, Compression, finish, padding};
use super::engine::Engine;
use super::plan::Plan;
use super::reader::Reader;
use super::zeros::{Holes, hash_of_zeros};
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::ChunkHash;
use crate::limits::{
    HASH_BUFFER_BYTES, HASH_CACHED_SLICE_BYTES, HASH_COLD_SLICE_BYTES, HASH_LANES_MAX, HASH_PROBE_STRIDE_BYTES,
};
use crate::metrics::{self, Counter};
use crate::storage::{Layout, Segment};

/// The reason why one chunk, or all of them, could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The disk or the file system failed a read.
    #[error("cannot read the file at offset {offset}: {source}")]
    Read {
        /// Start of the read, bytes.
        offset: u64,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file ends before the chunk does: it was truncated, or it is a different file.
    #[error("the file ends inside a chunk, somewhere after offset {offset}")]
    Short {
        /// Offset at which the read ended, bytes.
        offset: u64,
    },
    /// The system has no memory for the hash buffers.
    #[error("cannot get {HASH_BUFFER_BYTES} bytes to hash with: {0}")]
    Memory(#[source] io::Error),
}

/// Hashes the chunks of `file` in `wanted` on `threads` threads. Calls `each` once for each of them (from any thread,
/// in any order) with the hash, or with the read error.
///
/// Stops early when `stop` is set; chunks not reported by then were not hashed. An error is returned only when nothing
/// could be started. Blocks the caller, whose thread takes part. Memory: at most 2 x `HASH_BUFFER_BYTES` a thread.
pub fn hash_chunks(
    file: &File,
    geometry: Geometry,
    wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
    threads: usize,
    stop: &AtomicBool,
    each: &(dyn Fn(ChunkIndex, Result<ChunkHash, HashError>) + Sync),
) -> Result<(), HashError> {
    let threads = threads.max(1);
    let each = &|chunk, hashed: Result<ChunkHash, HashError>| {
        if hashed.is_ok() {
            metrics::add(Counter::FileHashBytes, geometry.chunk_len(chunk).into());
        }
        each(chunk, hashed);
    };
    let work = Work {
        geometry,
        layout: Layout::one_file(geometry),
        wanted,
        stop,
        each,
        reader: Reader::new(file),
        plan: Plan::new(Engine::detect()),
        group_max: group_max(geometry, threads),
        next: Mutex::new(Next { index: 0, holes: Holes::new(file) }),
        cores: Cores { free: Mutex::new(threads), freed: Condvar::new() },
    };
    std::thread::scope(|scope| {
        for _ in 1..2 * threads {
            // If the system refuses a thread, the other threads do its work.
            let _ = std::thread::Builder::new().name("hash".into()).spawn_scoped(scope, || Worker::run(&work));
        }
        Worker::run(&work)
    })
}

/// Chunks that a worker claims at once: enough for all lanes and for a full buffer, but few enough to leave every
/// thread its share.
fn group_max(geometry: Geometry, threads: usize) -> usize {
    let full = (HASH_BUFFER_BYTES / geometry.chunk_size() as usize).max(HASH_LANES_MAX);
    (geometry.chunk_count() as usize).div_ceil(threads).clamp(1, full)
}

/// State shared by the workers.
struct Work<'a> {
    geometry: Geometry,
    layout: Layout,
    wanted: &'a (dyn Fn(ChunkIndex) -> bool + Sync),
    stop: &'a AtomicBool,
    each: &'a (dyn Fn(ChunkIndex, Result<ChunkHash, HashError>) + Sync),
    reader: Reader<'a>,
    plan: Plan<ChunkCompression>,
    group_max: usize,
    next: Mutex<Next<'a>>,
    cores: Cores,
}

/// The rest of the work.
struct Next<'a> {
    /// Index of the first chunk that no worker has claimed.
    index: u32,
    holes: Holes<'a>,
}

impl Work<'_> {
    /// Moves the next wanted chunks into `group`; returns whether there are any. Chunks in holes are reported at once.
    fn claim(&self, group: &mut Vec<ChunkIndex>) -> bool {
        group.clear();
        let mut in_holes = Vec::new();
        let mut next = lock(&self.next);
        while group.len() < self.group_max
            && !self.stop.load(Ordering::Relaxed)
            && let Some(chunk) = self.geometry.chunk(next.index)
        {
            next.index += 1;
            if !(self.wanted)(chunk) {
                continue;
            }
            let is_in_hole = next.holes.contains(&self.layout.segment(chunk).range());
            if is_in_hole { in_holes.push(chunk) } else { group.push(chunk) }
        }
        drop(next);
        for chunk in in_holes {
            (self.each)(chunk, Ok(hash_of_zeros(self.geometry.chunk_len(chunk))));
        }
        !group.is_empty()
    }

    /// Whether the page cache has the group, estimated from some of its pages.
    fn is_cached(&self, group: &[ChunkIndex]) -> bool {
        let stride = (HASH_PROBE_STRIDE_BYTES / self.geometry.chunk_size() as usize).max(1);
        group.iter().step_by(stride).all(|chunk| self.reader.is_cached(self.layout.segment(*chunk).offset))
    }
}

/// A semaphore for cores: twice as many workers as threads use no more cores than threads.
struct Cores {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Permission to use one core, until it is dropped.
struct CorePermit<'a>(&'a Cores);

impl Cores {
    fn take(&self) -> CorePermit<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        CorePermit(self)
    }
}

impl Drop for CorePermit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

/// Locks the value: plain numbers, which stay valid even if a thread panicked while holding the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// State of one thread: its buffer and the hash states of its chunks.
struct Worker<'a> {
    work: &'a Work<'a>,
    buffer: MmapMut,
    states: Vec<<ChunkCompression as Compression>::State>,
}

/// The way in which a group is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Cached,
    Cold,
}

impl<'a> Worker<'a> {
    fn run(work: &'a Work<'a>) -> Result<(), HashError> {
        let mut worker = Self { work, buffer: buffer().map_err(HashError::Memory)?, states: Vec::new() };
        let mut group = Vec::new();
        while work.claim(&mut group) {
            worker.group(&group);
        }
        Ok(())
    }

    fn group(&mut self, mut group: &[ChunkIndex]) {
        let Work { geometry, .. } = *self.work;
        if let Some((last, rest)) = group.split_last()
            && geometry.chunk_len(*last) < geometry.chunk_size()
        {
            self.alone(*last);
            group = rest;
        }
        let source = if self.work.is_cached(group) { Source::Cached } else { Source::Cold };
        let slice_max = match source {
            Source::Cached => HASH_CACHED_SLICE_BYTES,
            Source::Cold => HASH_COLD_SLICE_BYTES,
        };
        let chunk_size = geometry.chunk_size() as usize;
        let slice_len = slice_max.min(chunk_size);
        // Lanes advance together over equal slices of whole blocks; chunk sizes of other programs may not divide into
        // those.
        if !chunk_size.is_multiple_of(slice_len) || !chunk_size.is_multiple_of(BLOCK) {
            return group.iter().for_each(|chunk| self.alone(*chunk));
        }
        let span_max = match source {
            Source::Cached => HASH_LANES_MAX,
            Source::Cold => HASH_BUFFER_BYTES / slice_len,
        };
        for span in group.chunks(span_max) {
            if self.span(span, slice_len, source).is_err() {
                span.iter().for_each(|chunk| self.alone(*chunk));
            }
        }
    }

    /// Hashes whole chunks side by side, a slice of each at a time. After an error nothing is reported.
    fn span(&mut self, span: &[ChunkIndex], slice_len: usize, source: Source) -> io::Result<()> {
        // Copying from the page cache uses a core; waiting for the disk does not.
        let _core = (source == Source::Cached).then(|| self.work.cores.take());
        self.states.clear();
        self.states.resize(span.len(), ChunkCompression::START);
        for start in (0..self.work.geometry.chunk_size() as usize).step_by(slice_len) {
            if self.work.stop.load(Ordering::Relaxed) {
                // The rest of large chunks would take too long; nothing of the span is reported.
                return Ok(());
            }
            self.fill(span, start, slice_len, source)?;
            let _core = (source == Source::Cold).then(|| self.work.cores.take());
            self.compress(slice_len);
        }
        self.report(span);
        Ok(())
    }

    /// Reads the slice at `start` of every chunk into consecutive parts of the buffer; adjacent slices in one read.
    fn fill(&mut self, span: &[ChunkIndex], start: usize, slice_len: usize, source: Source) -> io::Result<()> {
        let Work { geometry, layout, ref reader, .. } = *self.work;
        let whole = slice_len == geometry.chunk_size() as usize;
        let mut rest = &mut self.buffer[..];
        for run in span.chunk_by(|a, b| whole && a.get() + 1 == b.get()) {
            let bytes = rest.split_off_mut(..run.len() * slice_len).ok_or(io::ErrorKind::OutOfMemory)?;
            let offset = layout.segment(run[0]).offset + start as u64;
            match source {
                Source::Cached => reader.read(bytes, offset)?,
                Source::Cold => reader.read_cold(bytes, offset)?,
            }
        }
        Ok(())
    }

    /// Updates every state with its slice in the buffer.
    fn compress(&mut self, slice_len: usize) {
        let mut slices = self.buffer.chunks_exact(slice_len);
        for states in self.states.chunks_mut(HASH_LANES_MAX) {
            let mut runs = [&[][..]; HASH_LANES_MAX];
            runs.iter_mut().zip(slices.by_ref().take(states.len())).for_each(|(run, slice)| *run = slice);
            let count = states.len();
            self.work.plan.compress(states, &runs[..count]);
        }
    }

    /// Finishes the states, all with the same padding, and reports the hashes.
    fn report(&mut self, span: &[ChunkIndex]) {
        let padding = padding(self.work.geometry.chunk_size().into());
        for (states, chunks) in self.states.chunks_mut(HASH_LANES_MAX).zip(span.chunks(HASH_LANES_MAX)) {
            self.work.plan.compress(states, &[&padding[..]; HASH_LANES_MAX]);
            for (state, chunk) in states.iter().zip(chunks) {
                (self.work.each)(*chunk, Ok(ChunkCompression::chunk_hash(*state)));
            }
        }
    }

    /// Hashes one chunk by itself: a short one, or one near a read error.
    fn alone(&mut self, chunk: ChunkIndex) {
        let core = self.work.cores.take();
        let hash = self.hash_alone(chunk);
        drop(core);
        (self.work.each)(chunk, hash);
    }

    fn hash_alone(&mut self, chunk: ChunkIndex) -> Result<ChunkHash, HashError> {
        let Work { layout, ref reader, plan, .. } = *self.work;
        let Segment { offset: start, len } = layout.segment(chunk);
        let len = len as usize;
        let mut state = ChunkCompression::START;
        for at in (0..len).step_by(HASH_CACHED_SLICE_BYTES) {
            let bytes = &mut self.buffer[..HASH_CACHED_SLICE_BYTES.min(len - at)];
            let offset = start + at as u64;
            reader.read(bytes, offset).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => HashError::Short { offset },
                _ => HashError::Read { offset, source },
            })?;
            plan.compress(std::slice::from_mut(&mut state), &[bytes]);
        }
        // The last slice may have bytes beyond whole blocks.
        let last = len % HASH_CACHED_SLICE_BYTES;
        Ok(finish::<ChunkCompression>(state, &self.buffer[last / BLOCK * BLOCK..last], len as u64))
    }
}

/// Memory for a worker: anonymous, aligned for O_DIRECT, in huge pages where the system has them (they are allocated on
/// first use and kept to the end).
fn buffer() -> io::Result<MmapMut> {
    let buffer = MmapMut::map_anon(HASH_BUFFER_BYTES)?;
    // Huge pages only save page faults and allow larger requests, so a failure is harmless.
    let _ = buffer.advise(Advice::HugePage);
    Ok(buffer)
}
