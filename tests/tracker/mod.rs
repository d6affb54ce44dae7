//! A client of a tracker for tests: one request at a time over a real socket.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mtorrent::ids::{Endpoint, InfoHash, Version};
use mtorrent::limits::FRAME_CONTROL_BYTES_MAX;
use mtorrent::wire::{Message, Parsed, SeederChange, Status, parse};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: Status,
    pub text: String,
    pub version: Option<Version>,
    pub endpoints: Vec<Endpoint>,
}

impl Client {
    pub fn new(tracker: SocketAddr) -> Self {
        Self::on(TcpStream::connect(tracker).unwrap())
    }

    /// On a connection that is open.
    pub fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// `None` when the tracker is gone.
    pub fn try_ask(&mut self, message: &Message<'_>) -> Option<Reply> {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        self.stream.write_all(&frame).ok()?;
        loop {
            if let Parsed::Frame { frame, len } = parse(&self.buffer, FRAME_CONTROL_BYTES_MAX).unwrap() {
                let reply = Reply::from(Message::decode(frame).unwrap());
                self.buffer.drain(..len);
                return Some(reply);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                // The executors of a tracker in this process signal its threads.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer"),
                Err(_) => return None,
                Ok(len) => self.buffer.extend_from_slice(&bytes[..len]),
            }
        }
    }

    pub fn ask(&mut self, message: &Message<'_>) -> Reply {
        self.try_ask(message).expect("the tracker closed the connection")
    }

    pub fn add(&mut self, file: u16, port: u16, version: Option<Version>) -> Reply {
        self.ask(&add(file, port, version))
    }

    pub fn remove(&mut self, file: u16, port: u16, version: Option<Version>) -> Reply {
        self.ask(&Message::RemoveSeeder(SeederChange { info_hash: hash(file), endpoint: endpoint(port), version }))
    }

    pub fn ports(&mut self, file: u16) -> Vec<u16> {
        let reply = self.ask(&Message::SeederInfoRequest(hash(file)));
        let mut ports: Vec<u16> = reply.endpoints.iter().map(|endpoint| endpoint.port()).collect();
        ports.sort_unstable();
        ports
    }

    /// Asks until the file has these seeders; how long that took.
    pub fn wait_for(&mut self, file: u16, ports: &[u16]) -> Duration {
        let start = Instant::now();
        loop {
            let now = self.ports(file);
            if now == ports {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "file {file} has {now:?}, not {ports:?}");
        }
    }
}

impl From<Message<'_>> for Reply {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Response(response) => Self {
                status: response.status,
                text: response.text.to_owned(),
                version: response.version,
                endpoints: Vec::new(),
            },
            Message::SeederInfoResponse(info) => Self {
                status: info.status,
                text: String::new(),
                version: None,
                endpoints: info.endpoints.iter().collect(),
            },
            other => panic!("{other:?}"),
        }
    }
}

/// Files of all cores.
pub fn hash(file: u16) -> InfoHash {
    let mut hash = [7; 20];
    hash[..2].copy_from_slice(&file.wrapping_mul(40_503).to_be_bytes());
    hash[2..4].copy_from_slice(&file.to_be_bytes());
    InfoHash(hash)
}

pub fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(IpAddr::from([127, 0, 0, 1]), port).unwrap()
}

pub fn add(file: u16, port: u16, version: Option<Version>) -> Message<'static> {
    Message::AddSeeder(SeederChange { info_hash: hash(file), endpoint: endpoint(port), version })
}

/// Waits until something holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}
