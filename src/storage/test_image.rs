//! A test double of one file: its current content, and the content that a power failure would leave.

use rand::RngExt;
use rand::rngs::StdRng;

/// Size of the pieces in which unsynced writes are lost or kept, bytes.
const SECTOR: usize = 512;

/// A file with its current and its durable content.
#[derive(Debug, Default)]
pub(crate) struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes and cuts since the last sync, in order.
    pending: Vec<Change>,
}

/// A change to a file by a program.
#[derive(Debug)]
pub(crate) enum Change {
    /// Bytes at an offset.
    Write(usize, Vec<u8>),
    /// A new length.
    Cut(usize),
}

impl Image {
    /// An existing, durable file.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    /// Content that a reader sees.
    pub(crate) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(crate) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Makes all changes durable.
    pub(crate) fn sync(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&mut self.durable));
    }

    /// Simulates a failed sync: any part of the changes is on the disk, and no later sync writes the rest.
    pub(crate) fn fail_to_sync(&mut self, rng: &mut StdRng) {
        self.durable = self.after_crash(rng);
    }

    /// The durable image plus, of every change since, a random selection of its sectors. If an extension of the file
    /// was lost, there is nothing behind its old end: its length is metadata, and never torn.
    pub(crate) fn after_crash(&mut self, rng: &mut StdRng) -> Vec<u8> {
        let mut image = std::mem::take(&mut self.durable);
        let mut end = usize::MAX;
        for change in self.pending.drain(..) {
            match change {
                Change::Write(offset, bytes) => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| rng.random()) {
                        let start = offset + n * SECTOR;
                        if start + sector.len() <= end {
                            Change::Write(start, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
                Change::Cut(len) => {
                    if rng.random() {
                        Change::Cut(len).apply(&mut image);
                        end = usize::MAX;
                    } else if len > image.len() {
                        end = image.len();
                    }
                }
            }
        }
        image
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write(offset, bytes) => {
                image.resize(image.len().max(offset + bytes.len()), 0);
                image[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Cut(len) => image.resize(*len, 0),
        }
    }
}
