//! A BitTorrent HTTP tracker: it returns the seeders, and knows from their own announces when all of them are ready.
//!
//! It replaces a tracker program so that each client gets its peer at once and from the same source; it must never be
//! in the path of the data.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::Error;

/// Longest request that is read, bytes.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Longest wait for a client's request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A running tracker; it ends when it is dropped.
#[derive(Debug)]
pub struct PeerList {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    seeders: Vec<SocketAddrV4>,
    /// The ports of the seeders that have announced every byte.
    ready: Mutex<BTreeSet<u16>>,
    is_ending: AtomicBool,
}

impl PeerList {
    /// Starts a tracker that returns `seeders`, each with its own port, to all other clients.
    pub fn start(seeders: Vec<SocketAddrV4>) -> Result<Self, Error> {
        let fail = |source| Error::io("start the peer list", source);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let state = Arc::new(State { seeders, ready: Mutex::default(), is_ending: AtomicBool::new(false) });
        let theirs = Arc::clone(&state);
        let thread = std::thread::spawn(move || serve(&listener, &theirs));
        Ok(Self { address, state, thread: Some(thread) })
    }

    /// The announce URL for a torrent.
    pub fn announce(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// True once every seeder has announced that it has every byte.
    pub fn seeders_are_ready(&self) -> bool {
        self.state.ready.lock().unwrap_or_else(PoisonError::into_inner).len() == self.state.seeders.len()
    }
}

impl Drop for PeerList {
    fn drop(&mut self) {
        self.state.is_ending.store(true, Ordering::Release);
        // The accept call returns for this connection and checks the flag.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, state: &State) {
    for stream in listener.incoming() {
        if state.is_ending.load(Ordering::Acquire) {
            return;
        }
        if let Ok(stream) = stream {
            // A client that disconnects needs no answer.
            let _ = answer(stream, state);
        }
    }
}

fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let request = read_request(&mut stream)?;
    let announce = Announce::parse(&request);
    let seeder = state.seeders.iter().find(|seeder| announce.port == Some(seeder.port()));
    if let Some(seeder) = seeder.filter(|_| announce.left == Some(0) && !announce.is_leaving) {
        state.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(seeder.port());
    }
    let body = body(if seeder.is_some() { &[] } else { &state.seeders });
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut request = Vec::new();
    let mut block = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut block)? {
            0 => break,
            count => request.extend_from_slice(&block[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

/// The bencoded answer of BEP 3 and BEP 23: a long interval and the compact list of peers.
fn body(named: &[SocketAddrV4]) -> Vec<u8> {
    let mut peers = Vec::new();
    for peer in named {
        peers.extend_from_slice(&peer.ip().octets());
        peers.extend_from_slice(&peer.port().to_be_bytes());
    }
    let mut body = format!("d8:completei1e10:incompletei1e8:intervali1800e5:peers{}:", peers.len()).into_bytes();
    body.extend_from_slice(&peers);
    body.push(b'e');
    body
}

/// The relevant parts of an announce.
#[derive(Debug, Default, PartialEq, Eq)]
struct Announce {
    port: Option<u16>,
    left: Option<u64>,
    /// Transmission also sends this before it starts.
    is_leaving: bool,
}

impl Announce {
    fn parse(request: &str) -> Self {
        let target = request.split_whitespace().nth(1).unwrap_or("");
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        Self {
            port: value("port").and_then(|port| port.parse().ok()),
            left: value("left").and_then(|left| left.parse().ok()),
            is_leaving: value("event") == Some("stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(list: &PeerList, query: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(list.address).expect("the list listens");
        write!(stream, "GET /announce?{query} HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn a_client_is_told_of_the_seeders_and_a_seeder_of_nobody() {
        let list = PeerList::start(vec![SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 258)]).expect("a list");
        assert!(ask(&list, "info_hash=%00&port=9&left=5").ends_with(b"5:peers6:\x0a\x4d\x00\x02\x01\x02e"));
        assert!(ask(&list, "port=258&left=7").ends_with(b"5:peers0:e"));
        ask(&list, "port=258&left=0&event=stopped");
        assert!(!list.seeders_are_ready());
        ask(&list, "port=258&left=0");
        assert!(list.seeders_are_ready());
    }

    #[test]
    fn odd_announces_are_read_as_far_as_they_go() {
        let rows = [("", None), ("GET", None), ("GET /?port=70000", None), ("GET /?xport=1&port=2 H", Some(2))];
        for (request, port) in rows {
            assert_eq!(Announce::parse(request).port, port, "{request}");
        }
    }
}
