//! Waits until every chunk is on some getter, by polling them, so that the seeder can be killed at that moment.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mtorrent::bitfield::Bitfield;
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::Message;

use super::connection::Connection;

/// Pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);
/// Time limit of one reply.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The peers to poll, and the file.
#[derive(Debug, Clone, Args)]
pub struct ChunksOptions {
    /// The file's .mtorrent
    #[arg(long)]
    pub metainfo: PathBuf,
    /// A getter
    #[arg(long = "peer")]
    pub peers: Vec<SocketAddr>,
}

/// Returns, and prints `complete`, once each chunk is on one of the peers.
pub fn run(options: &ChunksOptions) -> Result<()> {
    let metainfo = read_metainfo(&options.metainfo)?;
    let mut union = Bitfield::empty(metainfo.geometry());
    let mut connections: Vec<Option<Connection>> = options.peers.iter().map(|_| None).collect();
    while !union.is_full() {
        for (peer, connection) in options.peers.iter().zip(&mut connections) {
            // The peer may not listen yet; it is polled again.
            if ask(*peer, connection, &metainfo, &mut union).is_err() {
                *connection = None;
            }
        }
        std::thread::sleep(PAUSE);
    }
    println!("complete");
    Ok(())
}

/// Reads a .mtorrent file.
pub fn read_metainfo(path: &std::path::Path) -> Result<Metainfo> {
    Metainfo::parse(&std::fs::read(path)?).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn ask(peer: SocketAddr, connection: &mut Option<Connection>, metainfo: &Metainfo, union: &mut Bitfield) -> Result<()> {
    if connection.is_none() {
        *connection = Some(Connection::connect(peer, ANSWER_TIMEOUT)?);
    }
    let Some(connection) = connection else { return Ok(()) };
    connection.send(&Message::ChunkInfoRequest(metainfo.info_hash()))?;
    connection.next(|message| {
        let Message::ChunkInfoResponse(info) = message else { return };
        if let Ok(chunks) = Bitfield::from_wire(info.bitfield, metainfo.geometry()) {
            chunks.iter().for_each(|chunk| union.insert(chunk));
        }
    })?;
    Ok(())
}
