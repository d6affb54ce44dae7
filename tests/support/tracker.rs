//! A tracker in this process, and a client that sends any tracker one request at a time over a real socket.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mtorrent::ids::{Endpoint, InfoHash, Version};
use mtorrent::tracker::server::{TrackerConfig, TrackerHandle};
use mtorrent::wire::{Message, SeederChange, Status};

use super::DEADLINE;
use super::wire::Wire;

/// Starts a tracker on a free port of loopback, without a data folder.
pub fn start() -> TrackerHandle {
    mtorrent::tracker::server::start(TrackerConfig::new(([127, 0, 0, 1], 0).into())).expect("it starts")
}

/// A client of a tracker, which panics on any reply that a tracker may not send.
pub struct TrackerClient {
    wire: Wire,
}

/// A tracker's reply: a Response, or the seeders of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: Status,
    /// Text of a Response; empty in a list of seeders.
    pub text: String,
    pub version: Option<Version>,
    /// Seeders of the file; empty in a Response.
    pub endpoints: Vec<Endpoint>,
}

impl TrackerClient {
    pub fn new(tracker: SocketAddr) -> Self {
        Self::on(TcpStream::connect(tracker).expect("it listens"))
    }

    /// Creates a client on an open connection.
    pub fn on(stream: TcpStream) -> Self {
        Self { wire: Wire::new(stream) }
    }

    /// Sends a request; returns `None` if the tracker is gone.
    #[track_caller]
    pub fn try_ask(&mut self, message: &Message<'_>) -> Option<Reply> {
        self.wire.send(message).ok()?;
        match self.wire.receive() {
            Ok(message) => message.map(Reply::from),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer to {}", message.kind()),
            Err(error) if error.kind() == ErrorKind::Other => panic!("{error}"),
            Err(_) => None,
        }
    }

    #[track_caller]
    pub fn ask(&mut self, message: &Message<'_>) -> Reply {
        self.try_ask(message).expect("the tracker closed the connection")
    }

    #[track_caller]
    pub fn add(&mut self, file: u16, port: u16, version: Option<Version>) -> Reply {
        self.ask(&add(file, port, version))
    }

    #[track_caller]
    pub fn remove(&mut self, file: u16, port: u16, version: Option<Version>) -> Reply {
        self.ask(&Message::RemoveSeeder(SeederChange { info_hash: hash(file), endpoint: endpoint(port), version }))
    }

    /// The ports of a file's seeders, sorted.
    #[track_caller]
    pub fn ports(&mut self, file: u16) -> Vec<u16> {
        let reply = self.ask(&Message::SeederInfoRequest(hash(file)));
        let mut ports: Vec<u16> = reply.endpoints.iter().map(|endpoint| endpoint.port()).collect();
        ports.sort_unstable();
        ports
    }

    /// Polls until the file has these seeders; returns the time that it took.
    #[track_caller]
    pub fn wait_for(&mut self, file: u16, ports: &[u16]) -> Duration {
        let start = Instant::now();
        loop {
            let now = self.ports(file);
            if now == ports {
                return start.elapsed();
            }
            assert!(start.elapsed() < DEADLINE, "file {file} has {now:?}, not {ports:?}");
        }
    }
}

/// Waits until a seeder announced to each tracker is known to all of them; uses file `file` and the ports from 1.
#[track_caller]
pub fn wait_for_links(clients: &mut [TrackerClient], file: u16, endpoint: impl Fn(u16) -> Endpoint) {
    for at in 0..clients.len() {
        let port = 1 + at as u16;
        let change = SeederChange { info_hash: hash(file), endpoint: endpoint(port), version: None };
        assert_eq!(clients[at].ask(&Message::AddSeeder(change)).status, Status::Ok);
        let ports: Vec<u16> = (1..=port).collect();
        clients.iter_mut().for_each(|client| _ = client.wait_for(file, &ports));
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

/// The info hash of file `file`; consecutive files are distributed over all shards.
pub fn hash(file: u16) -> InfoHash {
    let mut hash = [7; 20];
    hash[..2].copy_from_slice(&file.wrapping_mul(40_503).to_be_bytes());
    hash[2..4].copy_from_slice(&file.to_be_bytes());
    InfoHash(hash)
}

/// An endpoint on loopback.
pub fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(IpAddr::from([127, 0, 0, 1]), port).unwrap()
}

/// AddSeeder of the file with a port on loopback.
pub fn add(file: u16, port: u16, version: Option<Version>) -> Message<'static> {
    Message::AddSeeder(SeederChange { info_hash: hash(file), endpoint: endpoint(port), version })
}
