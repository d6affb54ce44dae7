//! The other end of the wire on plain sockets: somebody who asks, and peers that answer by a script.
//!
//! Nothing here shares code with the client or the tracker but the codec.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mtorrent::bitfield::Bitfield;
use mtorrent::geometry::Geometry;
use mtorrent::hash::sha1;
use mtorrent::ids::{Endpoint, InfoHash, PeerId};
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::{
    ChunkInfo, Message, Parsed, Response, SeederChange, SendChunk, SendChunkRequest, Share, Status, parse,
};

use super::DEADLINE;

/// Largest frame that these ends read: a chunk of the largest size with all around it.
const FRAME_MAX: usize = (16 << 20) + 65536;

/// A connection with whole frames.
pub struct Wire {
    /// The socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
    handed_out: usize,
}

impl Wire {
    /// Connects.
    pub fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).expect("it listens"))
    }

    /// Takes a connection.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, buffer: Vec::new(), handed_out: 0 }
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.stream.write_all(&encoded(message))
    }

    /// Sends a request and takes the next message.
    #[track_caller]
    pub fn ask(&mut self, message: &Message<'_>) -> Message<'_> {
        self.send(message).expect("it takes requests");
        self.receive().expect("it answers").expect("it stays")
    }

    /// The next message; `None` when the other side has closed.
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

    /// Asks a tracker who seeds the file.
    pub fn seeders(&mut self, info_hash: InfoHash) -> Vec<Endpoint> {
        match self.ask(&Message::SeederInfoRequest(info_hash)) {
            Message::SeederInfoResponse(info) => info.endpoints.iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Tells a tracker of a seeder of the file.
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

    /// Tells a tracker that a seeder is gone.
    pub fn withdraw(&mut self, metainfo: &Metainfo, seeder: SocketAddr) {
        let change = SeederChange { info_hash: metainfo.info_hash(), endpoint: endpoint(seeder), version: None };
        let answer = self.ask(&Message::RemoveSeeder(change));
        assert!(matches!(answer, Message::Response(_)), "{answer:?}");
    }

    /// Asks a peer for a chunk: its bytes or the status.
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

/// A message's bytes.
pub fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len());
    message.encode(&mut bytes);
    bytes
}

/// The endpoint of an address.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_socket(address).expect("a port")
}

/// A file in memory with its metainfo.
#[derive(Clone)]
pub struct Content {
    /// What it is.
    pub metainfo: Arc<Metainfo>,
    /// What is in it.
    pub bytes: Arc<Vec<u8>>,
}

impl Content {
    /// The metainfo of these bytes, naming these trackers.
    pub fn new(name: &str, bytes: Vec<u8>, chunk_size: u32, trackers: &[SocketAddr]) -> Self {
        let geometry = Geometry::new(bytes.len() as u64, chunk_size).expect("a geometry");
        let pieces = bytes.chunks(chunk_size as usize).flat_map(sha1).collect();
        let trackers = trackers.iter().map(SocketAddr::to_string).collect();
        let metainfo = Metainfo::new(name, geometry, pieces, trackers).expect("a metainfo");
        Self { metainfo: Arc::new(metainfo), bytes: Arc::new(bytes) }
    }

    /// The chunk's bytes.
    pub fn chunk(&self, index: u32) -> &[u8] {
        let geometry = self.metainfo.geometry();
        let chunk = geometry.chunk(index).expect("such a chunk");
        let start = geometry.offset(chunk) as usize;
        &self.bytes[start..start + geometry.chunk_len(chunk) as usize]
    }

    /// The chunk as it should be sent.
    pub fn chunk_frame(&self, index: u32) -> Vec<u8> {
        self.frame_of(index, self.chunk(index))
    }

    /// The head of chunk `index` with any data.
    pub fn frame_of(&self, index: u32, data: &[u8]) -> Vec<u8> {
        let info_hash = self.metainfo.info_hash();
        encoded(&Message::SendChunkResponse(SendChunk { info_hash, index, status: Status::Ok, data }))
    }

    /// The chunk with one bit turned.
    pub fn wrong_frame(&self, index: u32) -> Vec<u8> {
        let mut data = self.chunk(index).to_vec();
        let at = data.len() / 2;
        data[at] ^= 1;
        self.frame_of(index, &data)
    }
}

/// A peer of a few lines that answers by a script.
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    /// What happened there.
    pub seen: Arc<Seen>,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

/// What happened at a scripted peer.
#[derive(Default)]
pub struct Seen {
    /// Connections.
    pub connections: AtomicUsize,
    /// Requests for chunks.
    pub chunk_requests: AtomicUsize,
    /// When each request of another kind came, with its name.
    pub asked: Mutex<Vec<(Instant, &'static str)>>,
}

impl Seen {
    /// When messages of a kind came.
    pub fn times(&self, kind: &str) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().filter(|(_, known)| *known == kind).map(|(at, _)| *at).collect()
    }
}

impl Scripted {
    /// Starts a peer; `script` answers each message on a connection, and an error closes it.
    pub fn start(script: impl Fn(&mut TcpStream, Message<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (seen, ended) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let open = Arc::new(Mutex::new(Vec::new()));
        let peer = Self { address, seen: seen.clone(), ended: ended.clone(), open: open.clone() };
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                seen.connections.fetch_add(1, Ordering::SeqCst);
                open.lock().unwrap().push(stream.try_clone().expect("a descriptor"));
                let (script, seen) = (script.clone(), seen.clone());
                std::thread::spawn(move || converse(stream, &*script, &seen));
            }
        });
        peer
    }

    /// A peer that serves all of the file, after `before` agreed to the request.
    pub fn honest(content: &Content, before: impl Fn(u32) + Send + Sync + 'static) -> Self {
        let content = content.clone();
        Self::start(move |stream, message| {
            if let Message::SendChunkRequest(request) = message {
                before(request.index);
            }
            answer(stream, &content, message)
        })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.open.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(
    stream: TcpStream,
    script: &(impl Fn(&mut TcpStream, Message<'_>) -> io::Result<()> + ?Sized),
    seen: &Seen,
) {
    let mut out = stream.try_clone().expect("a descriptor");
    let mut wire = Wire::new(stream);
    while let Ok(Some(message)) = wire.receive() {
        match message {
            Message::SendChunkRequest(_) => drop(seen.chunk_requests.fetch_add(1, Ordering::SeqCst)),
            other => seen.asked.lock().unwrap().push((Instant::now(), other.kind())),
        }
        if script(&mut out, message).is_err() {
            break;
        }
    }
    // The other clone keeps the socket open: only this closes it.
    drop(out.shutdown(std::net::Shutdown::Both));
}

/// What an honest seeder of all chunks answers.
pub fn answer(stream: &mut TcpStream, content: &Content, message: Message<'_>) -> io::Result<()> {
    let geometry = content.metainfo.geometry();
    answer_having(stream, content, &Bitfield::full(geometry), message)
}

/// What an honest seeder of these chunks answers.
pub fn answer_having(
    stream: &mut TcpStream,
    content: &Content,
    chunks: &Bitfield,
    message: Message<'_>,
) -> io::Result<()> {
    match message {
        Message::PeerIdRequest => stream.write_all(&encoded(&Message::PeerIdResponse(PeerId(rand::random())))),
        Message::ChunkInfoRequest(info_hash) | Message::ChunkSubscribeRequest(info_hash) => {
            let chunk_count = chunks.geometry().chunk_count();
            let info = ChunkInfo { info_hash, status: Status::Ok, chunk_count, bitfield: chunks.as_wire() };
            stream.write_all(&encoded(&Message::ChunkInfoResponse(info)))
        }
        Message::SendChunkRequest(request) => stream.write_all(&content.chunk_frame(request.index)),
        other => stream.write_all(&refusal(Status::BadRequest, other.kind())),
    }
}

/// A Response that refuses.
pub fn refusal(status: Status, text: &str) -> Vec<u8> {
    encoded(&Message::Response(Response { status, text, version: None }))
}

/// A door that is opened once; who waits in front of it goes on then.
#[derive(Clone, Default)]
pub struct Gate {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// Opens it.
    pub fn open(&self) {
        *self.shared.0.lock().unwrap() = true;
        self.shared.1.notify_all();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.shared.0.lock().unwrap()
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let open = self.shared.0.lock().unwrap();
        let (open, waited) = self.shared.1.wait_timeout_while(open, DEADLINE, |open| !*open).unwrap();
        assert!(*open && !waited.timed_out(), "the gate was never opened");
    }
}

/// Waits until something holds, looking again and again.
#[track_caller]
pub fn eventually(within: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}
