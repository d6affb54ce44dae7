//! A scripted peer or tracker, on plain sockets with one thread per connection.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mtorrent::bitfield::Bitfield;
use mtorrent::ids::PeerId;
use mtorrent::wire::{ChunkInfo, Message, Response, Status};

use super::content::Content;
use super::wire::{Wire, encoded};

/// A minimal peer that replies by a script.
pub struct Scripted {
    /// Address at which it listens.
    pub address: SocketAddr,
    /// Messages that it received.
    pub seen: Arc<Seen>,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

/// Messages that a scripted peer received.
#[derive(Default)]
pub struct Seen {
    /// Number of accepted connections.
    pub connections: AtomicUsize,
    /// Number of requests for chunks.
    pub chunk_requests: AtomicUsize,
    /// Time and type of each other message.
    pub asked: Mutex<Vec<(Instant, &'static str)>>,
}

impl Seen {
    /// Arrival times of the messages of a type.
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

    /// Closes all connections and the listener: new connections are refused.
    pub fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.open.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }

    /// Starts a peer that serves the whole file; `before` runs before each reply.
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
        self.close();
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
    // The other clone keeps the socket open, so only a shutdown closes the connection.
    drop(out.shutdown(std::net::Shutdown::Both));
}

/// Sends the replies of an honest seeder of all chunks.
pub fn answer(stream: &mut TcpStream, content: &Content, message: Message<'_>) -> io::Result<()> {
    let geometry = content.metainfo.geometry();
    answer_having(stream, content, &Bitfield::full(geometry), message)
}

/// Sends the replies of an honest seeder of these chunks.
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
        other => stream.write_all(&response(Status::BadRequest, other.kind())),
    }
}

/// The bytes of a Response.
pub fn response(status: Status, text: &str) -> Vec<u8> {
    encoded(&Message::Response(Response { status, text, version: None }))
}
