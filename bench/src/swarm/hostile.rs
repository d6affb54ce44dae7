//! Peers that register as seeders but are not: they claim to have every chunk, and then fail in different ways.

use std::io::{Error, Result};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mtorrent::bitfield::Bitfield;
use mtorrent::ids::{Endpoint, PeerId};
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::{ChunkInfo, Message, SeederChange, SendChunk, Status};

use super::chunks::read_metainfo;
use super::connection::Connection;

/// Way in which a hostile peer fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Failing {
    /// Sends data that is not the chunk's.
    Wrong,
    /// Takes requests and never answers.
    Silent,
    /// Sends the right data, at a hundredth of the rate.
    Slow,
    /// Sends half of its first chunk and is gone.
    Vanishing,
    /// Has none of the chunks that it claims to have.
    Lying,
}

/// Options of a hostile peer.
#[derive(Debug, Clone, Args)]
pub struct HostileOptions {
    /// Way in which it fails
    pub failing: Failing,
    /// Address at which it listens
    #[arg(long)]
    pub listen: SocketAddr,
    /// The tracker at which it registers
    #[arg(long)]
    pub tracker: SocketAddr,
    /// The file's .mtorrent
    #[arg(long)]
    pub metainfo: PathBuf,
    /// The file, for those that send what is right
    #[arg(long)]
    pub source: PathBuf,
    /// Bytes a second of the slow one
    #[arg(long)]
    pub slow_bytes: u64,
}

/// Time limit of a tracker's reply.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two pieces of a slow reply.
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// Registers and serves until it is ended.
pub fn run(options: &HostileOptions) -> Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    let metainfo = Arc::new(read_metainfo(&options.metainfo)?);
    let endpoint = Endpoint::from_socket(options.listen).ok_or_else(|| Error::other("it needs a port"))?;
    let mut tracker = Connection::connect(options.tracker, ANSWER_TIMEOUT)?;
    tracker.send(&Message::AddSeeder(SeederChange { info_hash: metainfo.info_hash(), endpoint, version: None }))?;
    let is_taken = tracker.next(|message| matches!(message, Message::Response(response) if response.status.is_ok()))?;
    if is_taken != Some(true) {
        return Err(Error::other("the tracker refused it"));
    }
    println!("ready");
    for stream in listener.incoming() {
        let (stream, options, metainfo) = (stream?, options.clone(), Arc::clone(&metainfo));
        std::thread::spawn(move || {
            // A contestant may disconnect from a hostile peer at any time.
            let _ = Connection::new(stream).and_then(|connection| serve(connection, &options, &metainfo));
        });
    }
    Ok(())
}

/// A received request.
enum Asked {
    Chunks,
    Chunk(u32),
    Name,
    Other,
}

fn serve(mut connection: Connection, options: &HostileOptions, metainfo: &Metainfo) -> Result<()> {
    let full = Bitfield::full(metainfo.geometry());
    loop {
        let asked = connection.next(|message| match message {
            Message::ChunkInfoRequest(_) | Message::ChunkSubscribeRequest(_) => Asked::Chunks,
            Message::SendChunkRequest(request) => Asked::Chunk(request.index),
            Message::PeerIdRequest => Asked::Name,
            _ => Asked::Other,
        })?;
        match asked {
            Some(Asked::Chunks) => connection.send(&Message::ChunkInfoResponse(ChunkInfo {
                info_hash: metainfo.info_hash(),
                status: Status::Ok,
                chunk_count: metainfo.geometry().chunk_count(),
                bitfield: full.as_wire(),
            }))?,
            Some(Asked::Chunk(index)) => fail(&mut connection, options, metainfo, index)?,
            Some(Asked::Name) => connection.send(&Message::PeerIdResponse(PeerId(rand::random())))?,
            Some(Asked::Other) | None => {}
        }
    }
}

fn fail(connection: &mut Connection, options: &HostileOptions, metainfo: &Metainfo, index: u32) -> Result<()> {
    let geometry = metainfo.geometry();
    let Some(chunk) = geometry.chunk(index) else { return Ok(()) };
    let mut data = vec![0; geometry.chunk_len(chunk) as usize];
    let mut status = Status::Ok;
    match options.failing {
        Failing::Silent => return Ok(()),
        Failing::Wrong => {}
        Failing::Slow | Failing::Vanishing => {
            std::fs::File::open(&options.source)?.read_exact_at(&mut data, geometry.offset(chunk))?;
        }
        Failing::Lying => {
            data.clear();
            status = Status::ChunkAbsent;
        }
    }
    let answer = SendChunk { info_hash: metainfo.info_hash(), index, status, data: &data };
    let answer = Message::SendChunkResponse(answer);
    let mut bytes = Vec::with_capacity(answer.encoded_len());
    answer.encode(&mut bytes);
    match options.failing {
        Failing::Slow => {
            let step = (options.slow_bytes as f64 * SLOW_PAUSE.as_secs_f64()) as usize;
            for piece in bytes.chunks(step.max(1)) {
                connection.send_bytes(piece)?;
                std::thread::sleep(SLOW_PAUSE);
            }
            Ok(())
        }
        Failing::Vanishing => {
            connection.send_bytes(&bytes[..bytes.len() / 2])?;
            // A machine that has failed: nothing listens there any more.
            std::process::exit(0);
        }
        Failing::Wrong | Failing::Silent | Failing::Lying => connection.send_bytes(&bytes),
    }
}
