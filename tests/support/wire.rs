//! A connection to a tracker or a peer on a plain socket, with whole messages.
//!
//! Apart from the codec, this shares no code with the client or the tracker.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::{Message, Parsed, Response, SeederChange, SendChunk, SendChunkRequest, Share, Status, parse};

use super::DEADLINE;

/// Largest frame that these ends read: a chunk of the largest size with its overhead.
const FRAME_MAX: usize = (16 << 20) + 65536;

/// A connection with whole frames.
pub struct Wire {
    /// The open socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
    handed_out: usize,
}

impl Wire {
    /// Opens a connection.
    pub fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).expect("it listens"))
    }

    /// Wraps an open connection.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, buffer: Vec::new(), handed_out: 0 }
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.stream.write_all(&encoded(message))
    }

    /// Sends a request and returns the next message.
    #[track_caller]
    pub fn ask(&mut self, message: &Message<'_>) -> Message<'_> {
        self.send(message).expect("it takes requests");
        self.receive().expect("it answers").expect("it stays")
    }

    /// Returns the next message; `None` if the remote end has closed.
    pub fn receive(&mut self) -> io::Result<Option<Message<'_>>> {
        self.buffer.drain(..std::mem::take(&mut self.handed_out));
        while !self.holds_frame()? {
            let mut part = [0; 65536];
            match self.stream.read(&mut part) {
                Ok(0) => return Ok(None),
                Ok(len) => self.buffer.extend_from_slice(&part[..len]),
                // Executors in this process use signals.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let Ok(Parsed::Frame { frame, len }) = parse(&self.buffer, FRAME_MAX) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.handed_out = len;
        Message::decode(frame).map(Some).map_err(|error| io::Error::other(format!("{error:?}")))
    }

    fn holds_frame(&self) -> io::Result<bool> {
        match parse(&self.buffer, FRAME_MAX) {
            Ok(Parsed::Frame { .. }) => Ok(true),
            Ok(Parsed::Partial { .. }) => Ok(false),
            Err(error) => Err(io::Error::other(format!("{error:?}"))),
        }
    }

    /// Requests the seeders of the file from a tracker.
    pub fn seeders(&mut self, info_hash: InfoHash) -> Vec<Endpoint> {
        match self.ask(&Message::SeederInfoRequest(info_hash)) {
            Message::SeederInfoResponse(info) => info.endpoints.iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Announces a seeder of the file to a tracker.
    pub fn announce(&mut self, metainfo: &Metainfo, seeder: SocketAddr) {
        let (info_hash, geometry) = (metainfo.info_hash(), metainfo.geometry());
        let share = Share {
            info_hash,
            name: metainfo.name(),
            length: geometry.length(),
            chunk_size: geometry.chunk_size(),
            endpoint: endpoint(seeder),
            version: None,
        };
        let answer = self.ask(&Message::Share(share));
        assert!(matches!(answer, Message::Response(Response { status: Status::Ok, .. })), "{answer:?}");
    }

    /// Withdraws a seeder of the file at a tracker.
    pub fn withdraw(&mut self, metainfo: &Metainfo, seeder: SocketAddr) {
        let change = SeederChange { info_hash: metainfo.info_hash(), endpoint: endpoint(seeder), version: None };
        let answer = self.ask(&Message::RemoveSeeder(change));
        assert!(matches!(answer, Message::Response(_)), "{answer:?}");
    }

    /// Requests a chunk from a peer; returns its bytes or the status.
    pub fn chunk(&mut self, info_hash: InfoHash, index: u32) -> io::Result<Result<Vec<u8>, Status>> {
        self.send(&Message::SendChunkRequest(SendChunkRequest::one(info_hash, index)))?;
        match self.receive()? {
            Some(Message::SendChunkResponse(chunk)) if chunk.status.is_ok() => Ok(Ok(chunk.data.to_vec())),
            Some(Message::SendChunkResponse(SendChunk { status, .. }) | Message::Response(Response { status, .. })) => {
                Ok(Err(status))
            }
            Some(other) => panic!("{other:?}"),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The encoded message.
pub fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len());
    message.encode(&mut bytes);
    bytes
}

/// The endpoint of an address.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_socket(address).expect("a port")
}
