//! The tracker of the BitTorrent clients, and the torrent that refers to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::files::make_folder;
use crate::harness::program;
use crate::harness::torrent;

/// Port of the tracker.
const PORT: u16 = 7650;
/// Time limit of one query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two queries.
const PAUSE: Duration = Duration::from_millis(50);
/// Target number of pieces of a torrent, as in common torrent creators.
const PIECES: u64 = 1024;
/// Smallest and largest piece, bytes.
const PIECE_BYTES: (u64, u64) = (64 << 10, 1 << 20);

/// A running tracker, and the torrent of the stage's source.
#[derive(Debug)]
pub struct Opentracker {
    /// The process.
    pub child: Child,
    /// Path of the torrent.
    pub torrent: PathBuf,
    info_hash: [u8; 20],
}

impl Opentracker {
    /// Starts the tracker on its node.
    pub fn start(stage: &Stage) -> Result<Self, Error> {
        let address = stage.tracker().address();
        let torrent = stage.folder.join("source.torrent");
        let announce = format!("http://{address}:{PORT}/announce");
        let piece_bytes = stage.options.piece_size.unwrap_or_else(|| piece_bytes(stage.source.length));
        let pieces = stage.source.piece_hashes(piece_bytes as usize)?;
        let bytes = torrent::metainfo_of(stage.source, piece_bytes, &pieces, &announce);
        let info_hash = torrent::info_hash(&bytes);
        std::fs::write(&torrent, bytes).map_err(|source| Error::io(format!("write {}", torrent.display()), source))?;
        // opentracker changes its root to its folder.
        let folder = make_folder(&stage.folder.join("opentracker"))?;
        let hex: String = info_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        stage.file("opentracker/whitelist", &format!("{hex}\n"))?;
        let own = program::find("opentracker").unwrap_or_else(|| "opentracker".into());
        let mut command = stage.tracker().command(own);
        command.args(["-i", &address.to_string(), "-p", &PORT.to_string(), "-w", "/whitelist", "-d"]).arg(&folder);
        let child = Child::spawn(command, "opentracker", &stage.folder)?;
        let mut tracker = Self { child, torrent, info_hash };
        tracker.wait(stage, 0, None)?;
        Ok(tracker)
    }

    /// Waits until the tracker lists `seeder`.
    pub fn wait_seeder(&mut self, stage: &Stage, seeder: &mut Child) -> Result<(), Error> {
        self.wait(stage, 1, Some(seeder))
    }

    /// Waits until the tracker replies and lists `count` seeders.
    fn wait(&mut self, stage: &Stage, count: u64, mut seeder: Option<&mut Child>) -> Result<(), Error> {
        let deadline = ready_deadline();
        loop {
            let asked = self.seeders(stage)?;
            if asked.is_some_and(|known| known >= count) {
                return Ok(());
            }
            for child in seeder.iter_mut().map(|seeder| &mut **seeder).chain([&mut self.child]) {
                if let Some(ended) = child.wait_for(PAUSE)? {
                    return Err(child.complaint(&format!("ended with {}", ended.status)));
                }
            }
            crate::harness::interrupt::check()?;
            if Instant::now() > deadline {
                return Err(self.child.complaint("never knew the seeder"));
            }
        }
    }

    /// Number of seeders; `None` if the tracker does not reply. For an unknown torrent it is 0.
    fn seeders(&self, stage: &Stage) -> Result<Option<u64>, Error> {
        let hash: String = self.info_hash.iter().map(|byte| format!("%{byte:02x}")).collect();
        let address = stage.tracker().address();
        let ask = move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&(address, PORT).into(), ANSWER_TIMEOUT)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            write!(stream, "GET /scrape?info_hash={hash} HTTP/1.0\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        Ok(stage.tracker().inside(ask)?.ok().map(|answer| complete(&answer)))
    }
}

/// The number after `complete` in a scrape's reply.
fn complete(answer: &str) -> u64 {
    let value = answer.split("8:completei").nth(1).and_then(|rest| rest.split('e').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A power of two that divides `length` bytes into about [`PIECES`].
fn piece_bytes(length: u64) -> u64 {
    (length / PIECES).next_power_of_two().clamp(PIECE_BYTES.0, PIECE_BYTES.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read() {
        assert_eq!(complete("d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei3e10:downloadedi0e10:incompletei1eeee"), 3);
        assert_eq!(complete("d5:filesdee"), 0);
    }

    #[test]
    fn pieces_are_as_many_as_usual() {
        assert_eq!(piece_bytes(64 << 20), 64 << 10);
        assert_eq!(piece_bytes(256 << 20), 256 << 10);
        assert_eq!(piece_bytes(4 << 30), 1 << 20);
    }
}
