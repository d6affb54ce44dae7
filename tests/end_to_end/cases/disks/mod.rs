//! Disks that are missing, fill up or fail, and files that others modify: no request of the user is lost, no foreign
//! file is written, and no wrong file is reported as done.

pub(crate) mod full;
mod parts;
mod shares;
mod user_lists;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mtorrent::storage::Record;
use mtorrent::tracker::server::TrackerHandle;
use serde_json::Value;

use crate::support::scripted::Scripted;
use crate::support::wire::Wire;
use crate::support::{Content, Folder, Gate, Outcome, Running, finish, mtorrent, random_bytes, tracker};

const LOOPBACK: &str = "127.0.0.1:0";
pub(crate) const CHUNK: u32 = 256 << 10;

/// A folder with one content, its `.mtorrent` file, and a tracker.
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) content: Content,
    pub(crate) tracker: TrackerHandle,
}

impl Place {
    pub(crate) fn new(chunks: usize) -> Self {
        Self::of(|seed| random_bytes(seed, chunks * CHUNK as usize))
    }

    /// A place with a content of these bytes, which are made with a seed.
    pub(crate) fn of(bytes: impl FnOnce(u64) -> Vec<u8>) -> Self {
        let (folder, tracker) = (Folder::new(), tracker::start());
        let bytes = bytes(folder.seed());
        let content = Content::new("file", bytes, CHUNK, &[tracker.listen_addr()]);
        folder.file("file.mtorrent", &content.metainfo.to_bytes());
        Self { folder, content, tracker }
    }

    /// A seeder that sends `first` chunks at once, and the others once the gate is open.
    pub(crate) fn seeder(&self, first: u32) -> (Scripted, Gate) {
        let door = Gate::default();
        let (closed, sent) = (door.clone(), AtomicU32::new(0));
        let seeder = Scripted::honest(&self.content, move |_| {
            if sent.fetch_add(1, Ordering::SeqCst) >= first {
                closed.pass();
            }
        });
        Wire::connect(self.tracker.listen_addr()).announce(&self.content.metainfo, seeder.address);
        (seeder, door)
    }

    pub(crate) fn get_command(&self, dest: &str, flags: &[&str]) -> Command {
        let (metainfo, dest) = (self.folder.text("file.mtorrent"), self.folder.text(dest));
        let listen = format!("--listen={LOOPBACK}");
        mtorrent([&["get", &metainfo, &dest, &listen, "--cores=2", "--json"], flags].concat())
    }

    pub(crate) fn get(&self, dest: &str, flags: &[&str]) -> Outcome {
        finish(&mut self.get_command(dest, flags))
    }

    /// Gets the file, of which this many chunks must be downloaded.
    #[track_caller]
    pub(crate) fn get_fetching(&self, dest: &str, flags: &[&str], chunks: u64) {
        let outcome = self.get(dest, flags).expect(0);
        let ended: Value = serde_json::from_str(outcome.stdout.lines().last().expect("an object")).expect("JSON");
        assert_eq!(ended["fetched_bytes"], chunks * u64::from(CHUNK), "{dest}: {ended}");
        self.assert_right(dest);
    }

    /// Starts to get the file and waits until a chunk is recorded.
    pub(crate) fn begin(&self, dest: &str, flags: &[&str]) -> Running {
        let getter = Running::spawn(&mut self.get_command(dest, flags));
        self.wait_recorded(&format!("{dest}.part.mtorrent"), 1);
        getter
    }

    pub(crate) fn wait_recorded(&self, record: &str, chunks: u32) {
        let what = format!("{chunks} chunks are recorded");
        crate::support::eventually(crate::support::DEADLINE, &what, || self.recorded(record) >= chunks);
    }

    pub(crate) fn recorded(&self, record: &str) -> u32 {
        let bytes = std::fs::read(self.folder.path(record)).unwrap_or_default();
        let record = Record::decode(&bytes, self.content.metainfo.info_hash(), self.content.metainfo.geometry());
        record.map_or(0, |record| record.chunks.count())
    }

    #[track_caller]
    pub(crate) fn assert_right(&self, dest: &str) {
        let copy = std::fs::read(self.folder.path(dest)).expect("it is there");
        assert!(copy == *self.content.bytes, "{dest} differs from its source");
    }

    /// Starts a client with its state in the folder.
    pub(crate) fn client(&self) -> Running {
        self.client_at().0
    }

    /// Like [`Place::client`]; also returns the address at which it listens.
    pub(crate) fn client_at(&self) -> (Running, SocketAddr) {
        let (state, listen) = (self.folder.text("state"), format!("--listen={LOOPBACK}"));
        let tracker = format!("--tracker={}", self.tracker.listen_addr());
        let line = ["client", "--data-dir", &state, &listen, &tracker, "--cores=2"];
        let mut client = Running::spawn(mtorrent(line).stdin(Stdio::piped()));
        let ready = client.wait_ready();
        (client, ready.listen())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }
}

/// The file with one byte of a chunk inverted.
pub(crate) fn spoilt(content: &Content, chunk: u32) -> Vec<u8> {
    let mut bytes = Arc::unwrap_or_clone(content.bytes.clone());
    bytes[(chunk * CHUNK) as usize + 77] ^= 1;
    bytes
}
