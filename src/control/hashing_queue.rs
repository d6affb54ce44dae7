//! The queue of files that `share` commands hash, each on a separate thread and a few at the same time.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::input::Input;
use super::listener::Origin;
use super::pending_shares::{PendingShare, PendingShares};
use crate::console::create_torrent::{CreateOptions, CreateTorrent};
use crate::console::exit::CommandError;
use crate::console::file_hasher::{FileHasher, Reports};
use crate::console::signals::Stop;
use crate::limits::REPL_HASHING_MAX;
use crate::text;

/// The arguments of a `share`, with absolute paths.
pub(super) struct NewShare {
    /// Who gave the command.
    pub origin: Origin,
    /// The files and the options.
    pub share: PendingShare,
}

/// The queue of shares whose files are hashed.
pub(super) struct HashingQueue {
    /// Number of threads that read and hash one file.
    threads_per_file: usize,
    /// Sender of the results.
    results: SyncSender<Input>,
    threads: Vec<JoinHandle<()>>,
    /// All shares without a result so far.
    shares: Vec<Hashing>,
    /// Shares whose hashing has not started, with their numbers.
    waiting: VecDeque<(u64, NewShare)>,
    next_id: u64,
    /// The list for a restart.
    kept: PendingShares,
}

/// A share whose file is being hashed or waits for that.
struct Hashing {
    id: u64,
    share: PendingShare,
    stop: Stop,
    /// Whether the share was removed meanwhile, so that its result is dropped.
    is_removed: bool,
}

impl HashingQueue {
    /// Creates an empty queue that sends its results to `results` as [`Input::Hashed`].
    pub(super) fn new(threads_per_file: usize, kept: PendingShares, results: SyncSender<Input>) -> Self {
        let (threads, shares, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { threads_per_file, results, threads, shares, waiting, next_id: 0, kept }
    }

    /// Number of shares without a result so far.
    pub(super) fn unfinished(&self) -> usize {
        self.shares.len()
    }

    /// Number of shares whose hashing has not started.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Queues the share and returns its number.
    pub(super) fn push(&mut self, share: NewShare) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.shares.push(Hashing { id, share: share.share.clone(), stop: Stop::default(), is_removed: false });
        self.waiting.push_back((id, share));
        self.keep();
        id
    }

    /// Starts as many shares as may be hashed at the same time; returns the numbers and
    /// origins of those that were dropped instead, with the reasons.
    pub(super) fn start_next(&mut self) -> Vec<(u64, Origin, CommandError)> {
        let mut refusals = Vec::new();
        self.threads.retain(|thread| !thread.is_finished());
        while self.shares.len() - self.waiting.len() < REPL_HASHING_MAX
            && let Some((id, share)) = self.waiting.pop_front()
        {
            let Some(index) = self.shares.iter().position(|hashing| hashing.id == id) else { continue };
            if self.shares[index].is_removed {
                self.shares.remove(index);
                continue;
            }
            let (stop, path, origin) =
                (self.shares[index].stop.clone(), text::path(&share.share.metainfo), share.origin);
            match hash_on_thread(id, share, self.threads_per_file, stop, self.results.clone()) {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    self.shares.remove(index);
                    self.keep();
                    refusals.push((id, origin, CommandError::failed(format!("share {path}: {error}"))));
                }
            }
        }
        refusals
    }

    /// Removes a share whose result has arrived from the queue; returns whether the user removed it meanwhile.
    pub(super) fn finish(&mut self, id: u64) -> bool {
        let index = self.shares.iter().position(|hashing| hashing.id == id);
        let is_removed = index.is_some_and(|index| self.shares.remove(index).is_removed);
        self.keep();
        is_removed
    }

    /// Removes the share of this `.mtorrent` path, or with `is_bare` of this file name; `false` if there is none.
    pub(super) fn remove(&mut self, path: &Path, is_bare: bool) -> bool {
        let is_named = |hashing: &Hashing| {
            let metainfo = &hashing.share.metainfo;
            metainfo == path || is_bare && metainfo.ends_with(path)
        };
        let Some(share) = self.shares.iter_mut().find(|share| !share.is_removed && is_named(share)) else {
            return false;
        };
        share.is_removed = true;
        share.stop.set();
        self.keep();
        true
    }

    /// Writes the list for a restart.
    fn keep(&self) {
        self.kept.save(self.shares.iter().filter(|hashing| !hashing.is_removed).map(|hashing| &hashing.share));
    }

    /// Stops all hashing, which ends within one chunk. The results still need room in the queue of inputs, which has no
    /// other reader any more, so that this call drains it.
    pub(super) fn stop_all(&mut self, inputs: &Receiver<Input>) {
        self.waiting.clear();
        self.shares.iter().for_each(|hashing| hashing.stop.set());
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            let _ = inputs.recv_timeout(Duration::from_millis(10));
        }
    }
}

fn hash_on_thread(
    id: u64,
    share: NewShare,
    threads: usize,
    stop: Stop,
    results: SyncSender<Input>,
) -> Result<JoinHandle<()>, CommandError> {
    let NewShare { origin, share } = share;
    let work = move || {
        let create_torrent = CreateTorrent {
            file: &share.file,
            metainfo: &share.metainfo,
            trackers: &share.trackers,
            options: CreateOptions { chunk_size: None, force: share.force },
            hasher: FileHasher { threads, stop: &stop, hide_bar: true, reports: Reports::default() },
        };
        let result = Box::new(create_torrent.verify_or_create());
        // Sending fails only when the client is closing.
        let PendingShare { file, metainfo: metainfo_path, .. } = share;
        let _ = results.send(Input::Hashed { id, origin, file, metainfo_path, result });
    };
    std::thread::Builder::new().name("share".into()).spawn(work).map_err(CommandError::no_thread)
}
