//! Tests of a tracker on two cores over real sockets.

mod reach;
mod status;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{StartError, TrackerConfig, TrackerHandle, TrackerStats, start};
use crate::ids::{Endpoint, InfoHash, Version};
use crate::limits::FRAME_CONTROL_BYTES_MAX;
use crate::tracker::status_rows::StatusPage;
use crate::wire::{self, Cursor, Message, Parsed, SeederChange, Share, Status};

fn config() -> TrackerConfig {
    TrackerConfig { cores: 2, ..TrackerConfig::new("127.0.0.1:0".parse().unwrap()) }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A reply with owned content.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Response(Status, String, Option<Version>),
    Info(InfoHash, Status, Vec<Endpoint>),
    Page(Status, Option<Cursor>, Box<StatusPage>),
}

impl Client {
    fn new(tracker: &TrackerHandle) -> Self {
        Self::on(TcpStream::connect(tracker.listen_addr()).unwrap())
    }

    /// Connects from a loopback address.
    fn from(tracker: &TrackerHandle, host: u8) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
        socket.connect(&tracker.listen_addr().into()).unwrap();
        Self::on(socket.into())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    fn send(&mut self, message: &Message<'_>) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        self.stream.write_all(&frame).unwrap();
    }

    fn ask(&mut self, message: &Message<'_>) -> Reply {
        self.send(message);
        self.reply().expect("the tracker closed the connection")
    }

    /// Receives the next reply; `None` when the tracker has closed the connection.
    fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Parsed::Frame { frame, len } = wire::parse(&self.buffer, FRAME_CONTROL_BYTES_MAX).unwrap() {
                let reply = match Message::decode(frame).unwrap() {
                    Message::Response(response) => {
                        Reply::Response(response.status, response.text.to_owned(), response.version)
                    }
                    Message::SeederInfoResponse(info) => {
                        let mut endpoints: Vec<_> = info.endpoints.iter().collect();
                        endpoints.sort_unstable();
                        Reply::Info(info.info_hash, info.status, endpoints)
                    }
                    Message::StatusResponse(wire::StatusPage { status, next, json }) => {
                        let page =
                            if json.is_empty() { StatusPage::default() } else { serde_json::from_str(json).unwrap() };
                        Reply::Page(status, next, Box::new(page))
                    }
                    other => panic!("{other:?}"),
                };
                self.buffer.drain(..len);
                return Some(reply);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                // glommio signals threads of its process.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Ok(len) => self.buffer.extend_from_slice(&bytes[..len]),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Reply {
    fn status(&self) -> Status {
        match self {
            Self::Response(status, ..) | Self::Info(_, status, _) | Self::Page(status, ..) => *status,
        }
    }

    fn version(&self) -> Option<Version> {
        match self {
            Self::Response(_, _, version) => *version,
            Self::Info(..) | Self::Page(..) => None,
        }
    }
}

/// An info hash; the lowest bit of `number` selects the core.
fn hash(number: u8) -> InfoHash {
    let mut hash = [number; 20];
    hash[0] = number.rotate_right(1);
    InfoHash(hash)
}

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint::new(IpAddr::from([127, 0, 0, host]), port).unwrap()
}

fn add(file: u8, port: u16) -> Message<'static> {
    Message::AddSeeder(SeederChange { info_hash: hash(file), endpoint: endpoint(1, port), version: None })
}

fn stop(tracker: TrackerHandle) {
    tracker.stop();
    tracker.join().unwrap();
}

#[test]
fn a_file_is_shared_found_and_removed() {
    let tracker = start(config()).unwrap();
    assert!(tracker.synced());
    let mut client = Client::new(&tracker);
    for file in 0..4 {
        let info = Message::SeederInfoRequest(hash(file));
        assert_eq!(client.ask(&info), Reply::Info(hash(file), Status::NotFound, vec![]));
        let anywhere = Endpoint::new("0.0.0.0".parse().unwrap(), 7).unwrap();
        let share = Share {
            info_hash: hash(file),
            name: "a file",
            length: 5,
            chunk_size: 1 << 20,
            endpoint: anywhere,
            version: None,
        };
        let shared = client.ask(&Message::Share(share));
        assert_eq!(shared.status(), Status::Ok);
        assert_eq!(client.ask(&add(file, 9)).status(), Status::Ok);
        let seeders = vec![endpoint(1, 7), endpoint(1, 9)];
        assert_eq!(Client::new(&tracker).ask(&info), Reply::Info(hash(file), Status::Ok, seeders));
        let change = SeederChange { info_hash: hash(file), endpoint: anywhere, version: shared.version() };
        let removed = client.ask(&Message::RemoveSeeder(change));
        assert!(removed.status() == Status::Ok && removed.version() > shared.version());
        assert_eq!(client.ask(&info), Reply::Info(hash(file), Status::Ok, vec![endpoint(1, 9)]));
    }
    stop(tracker);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let tracker = start(config()).unwrap();
    let mut client = Client::new(&tracker);
    let mut frames = Vec::new();
    for number in 0..1000u16 {
        add(number as u8, 1 + number).encode(&mut frames);
        Message::SeederInfoRequest(hash(number as u8)).encode(&mut frames);
        Message::ChunkInfoRequest(hash(number as u8)).encode(&mut frames);
    }
    let mut writer = client.stream.try_clone().unwrap();
    let write = std::thread::spawn(move || frames.chunks(1777).for_each(|part| writer.write_all(part).unwrap()));
    for number in 0..1000u16 {
        let file = number as u8;
        assert_eq!(client.reply().unwrap().status(), Status::Ok, "request {number}");
        let expected =
            (0..=number).filter(|earlier| *earlier as u8 == file).map(|port| endpoint(1, 1 + port)).collect();
        assert_eq!(client.reply(), Some(Reply::Info(hash(file), Status::Ok, expected)), "request {number}");
        assert_eq!(client.reply().unwrap().status(), Status::BadRequest);
    }
    write.join().unwrap();
    stop(tracker);
}

/// The replies of a client that does not read wait in the tracker. Others are served meanwhile, and at most one round
/// is waiting.
#[test]
fn who_does_not_read_gets_all_replies_later() {
    let tracker = start(TrackerConfig { trust: vec!["127.0.0.0/8".parse().unwrap()], ..config() }).unwrap();
    let mut client = Client::new(&tracker);
    (0..100).for_each(|port| assert_eq!(client.ask(&add(1, 1 + port)).status(), Status::Ok));
    let mut frame = Vec::new();
    Message::SeederInfoRequest(hash(1)).encode(&mut frame);
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let (mut requests, mut at) = (0u32, 0);
    loop {
        match client.stream.write(&frame[at..]) {
            Ok(len) => at += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
        if at == frame.len() {
            (requests, at) = (requests + 1, 0);
        }
        assert!(requests < 10_000_000, "the tracker takes requests without end");
    }
    assert_eq!(Client::new(&tracker).ask(&add(1, 1)).status(), Status::Ok);
    assert_eq!(Client::new(&tracker).ask(&add(2, 1)).status(), Status::Ok);
    for request in 0..requests {
        let Some(Reply::Info(_, Status::Ok, endpoints)) = client.reply() else { panic!("request {request}") };
        assert_eq!(endpoints.len(), 50, "request {request}");
    }
    client.stream.write_all(&frame[at..]).unwrap();
    assert_eq!(client.reply().unwrap().status(), Status::Ok);
    stop(tracker);
}

#[test]
fn who_ends_its_stream_gets_its_replies() {
    let tracker = start(config()).unwrap();
    for requests in [1u16, 2, 500] {
        let mut client = Client::new(&tracker);
        let mut frames = Vec::new();
        (0..requests).for_each(|number| add(number as u8, 1 + number).encode(&mut frames));
        client.stream.write_all(&frames).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        for number in 0..requests {
            assert_eq!(client.reply().map(|reply| reply.status()), Some(Status::Ok), "request {number} of {requests}");
        }
        assert_eq!(client.reply(), None);
    }
    stop(tracker);
}

#[test]
fn a_frame_may_come_in_any_pieces() {
    let tracker = start(config()).unwrap();
    let mut client = Client::new(&tracker);
    client.stream.set_nodelay(true).unwrap();
    let mut frame = Vec::new();
    add(1, 5).encode(&mut frame);
    for byte in &frame {
        client.stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(client.reply().unwrap().status(), Status::Ok);
    // A frame larger than a connection's own buffer, of an unknown type.
    let mut large = Vec::from(*b"mTor\0\0\0\x04What");
    large.extend_from_slice(&40_004u32.to_be_bytes());
    large.extend_from_slice(&40_000u32.to_be_bytes());
    large.extend_from_slice(&[7; 40_000]);
    large.extend_from_slice(b"roTm");
    client.stream.write_all(&large).unwrap();
    assert_eq!(client.reply().unwrap().status(), Status::UnknownType);
    assert_eq!(client.ask(&Message::SeederInfoRequest(hash(1))).status(), Status::Ok);
    stop(tracker);
}

#[test]
fn what_is_wrong_is_answered_and_what_is_malformed_closes() {
    let tracker = start(config()).unwrap();
    let mut client = Client::new(&tracker);
    client.stream.write_all(b"mTor\0\0\0\x09AddSeeder\0\0\0\0roTm").unwrap();
    assert_eq!(client.reply().unwrap().status(), Status::BadRequest);
    let foreign = SeederChange { info_hash: hash(1), endpoint: endpoint(2, 5), version: None };
    match client.ask(&Message::AddSeeder(foreign)) {
        Reply::Response(Status::NotAllowed, text, None) => {
            assert!(text.contains("127.0.0.1") && text.contains("127.0.0.2:5"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    // Requests before the malformed frame are answered.
    let mut frames = Vec::new();
    (0..4).for_each(|file| add(file, 5).encode(&mut frames));
    frames.extend_from_slice(b"mTor\0\0\0\0");
    client.stream.write_all(&frames).unwrap();
    for _ in 0..4 {
        assert_eq!(client.reply().unwrap().status(), Status::Ok);
    }
    assert_eq!(client.reply(), None);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x13BitTorrent protocol", b"mTot", b"mTor\0\0\0\x01A\0\x10\0\0"] {
        let mut client = Client::new(&tracker);
        client.stream.write_all(bytes).unwrap();
        assert_eq!(client.reply(), None, "{bytes:?}");
    }
    stop(tracker);
}

#[test]
fn a_trusted_address_changes_any_endpoint() {
    let tracker = start(TrackerConfig { trust: vec!["127.0.0.0/8".parse().unwrap()], ..config() }).unwrap();
    let mut client = Client::new(&tracker);
    let change = SeederChange { info_hash: hash(1), endpoint: endpoint(2, 5), version: None };
    assert_eq!(client.ask(&Message::AddSeeder(change)).status(), Status::Ok);
    stop(tracker);
}

#[test]
fn an_address_has_its_share_of_files_over_all_cores() {
    let tracker = start(TrackerConfig { files_per_address_max: 10, ..config() }).unwrap();
    let mut client = Client::new(&tracker);
    for file in 0..10 {
        assert_eq!(client.ask(&add(file, 5)).status(), Status::Ok);
    }
    assert_eq!(client.ask(&add(10, 5)).status(), Status::OverLimit);
    assert_eq!(client.ask(&add(3, 5)).status(), Status::Ok);
    let change = SeederChange { info_hash: hash(3), endpoint: endpoint(1, 5), version: None };
    assert_eq!(client.ask(&Message::RemoveSeeder(change)).status(), Status::Ok);
    assert_eq!(client.ask(&add(10, 5)).status(), Status::Ok);
    stop(tracker);
}

/// Waits for figures that satisfy `holds`; they are updated ten times a second.
fn wait_for_stats(tracker: &TrackerHandle, what: &str, holds: impl Fn(TrackerStats) -> bool) {
    let start = Instant::now();
    while !holds(tracker.stats()) {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", tracker.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every refusal has a text, is counted, and changes nothing.
#[test]
fn every_refusal_is_clear_and_counted() {
    let config = TrackerConfig { files_per_address_max: 2, endpoints_per_file_max: 2, ..config() };
    let tracker = start(TrackerConfig { trust: vec!["127.0.0.9".parse().unwrap()], ..config }).unwrap();
    let mut client = Client::new(&tracker);
    for (file, port) in [(1, 5), (1, 6)] {
        assert_eq!(client.ask(&add(file, port)).status(), Status::Ok);
    }
    let now_ms = super::clock::now_ms();
    let version = |ahead_ms| Some(Version { clock: (now_ms + ahead_ms) << 16, tracker: crate::ids::TrackerId(1) });
    let change = |file, port, version| SeederChange { info_hash: hash(file), endpoint: endpoint(1, port), version };
    let foreign = SeederChange { endpoint: endpoint(2, 5), ..change(1, 5, None) };
    let entry =
        wire::Entry { info_hash: hash(1), version: version(0).unwrap(), body: wire::Body::Removed(endpoint(1, 5)) };
    let refused = [
        (Message::AddSeeder(foreign), Status::NotAllowed, "may not change endpoint 127.0.0.2:5"),
        (Message::RemoveSeeder(foreign), Status::NotAllowed, "--trust"),
        (Message::AddSeeder(change(2, 5, None)), Status::OverLimit, "has 2 files here already"),
        (Message::AddSeeder(change(1, 5, version(90_000))), Status::BadRequest, "ahead of this tracker's clock"),
        (Message::RemoveSeeder(change(1, 5, version(90_000))), Status::BadRequest, "ahead of this tracker's clock"),
        (Message::RemoveSeeder(change(3, 5, None)), Status::NotFound, "nothing is known"),
        (Message::SyncEntry(entry), Status::NotAllowed, "SyncHello first"),
        (Message::ChunkInfoRequest(hash(1)), Status::BadRequest, "does not serve ChunkInfoRequest"),
    ];
    for (number, (message, status, words)) in refused.iter().enumerate() {
        match client.ask(message) {
            Reply::Response(got, text, None) if got == *status && text.contains(words) => {}
            other => panic!("{message:?}: {other:?}"),
        }
        wait_for_stats(&tracker, "a refusal is not counted", |stats| stats.refusals == number as u64 + 1);
    }
    let both = vec![endpoint(1, 5), endpoint(1, 6)];
    assert_eq!(client.ask(&Message::SeederInfoRequest(hash(1))), Reply::Info(hash(1), Status::Ok, both));
    // A version within the bound is not refused.
    assert_eq!(client.ask(&Message::AddSeeder(change(1, 5, version(50_000)))).status(), Status::Ok);
    // The file is full for the next address.
    let mut third = Client::from(&tracker, 3);
    let third_change = SeederChange { endpoint: endpoint(3, 5), ..change(1, 5, None) };
    match third.ask(&Message::AddSeeder(third_change)) {
        Reply::Response(Status::OverLimit, text, None) => assert!(text.contains("2 endpoints"), "{text}"),
        other => panic!("{other:?}"),
    }
    // No limit applies to a trusted sender.
    let mut trusted = Client::from(&tracker, 9);
    for file in 1..6 {
        let any = SeederChange { endpoint: endpoint(7, 5), ..change(file, 5, None) };
        assert_eq!(trusted.ask(&Message::AddSeeder(any)).status(), Status::Ok, "file {file}");
    }
    stop(tracker);
}

/// A seeder that is not renewed is listed until its lease ends, and no longer.
#[test]
fn a_dead_peer_leaves_within_its_lease() {
    let lease = Duration::from_millis(1500);
    let tracker = start(TrackerConfig { lease, ..config() }).unwrap();
    let mut client = Client::new(&tracker);
    let start = Instant::now();
    assert_eq!(client.ask(&add(1, 5)).status(), Status::Ok);
    // The tracker counts whole milliseconds.
    let added = start.elapsed() + Duration::from_millis(1);
    loop {
        // A live seeder may be renewed any number of times.
        assert_eq!(client.ask(&add(1, 6)).status(), Status::Ok);
        let asked = start.elapsed();
        let Reply::Info(_, Status::Ok, seeders) = client.ask(&Message::SeederInfoRequest(hash(1))) else {
            panic!("one ttls")
        };
        assert!(seeders.contains(&endpoint(1, 6)));
        let is_listed = seeders.contains(&endpoint(1, 5));
        assert!(is_listed || start.elapsed() + Duration::from_millis(1) >= lease, "gone after {:?}", start.elapsed());
        assert!(!is_listed || asked < added + lease, "listed after {asked:?}");
        if asked > lease * 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    stop(tracker);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let tracker = start(TrackerConfig { connections_max: 2, ..config() }).unwrap();
    let mut first = Client::new(&tracker);
    let mut second = Client::new(&tracker);
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask(&Message::SeederInfoRequest(hash(1))).status(), Status::NotFound);
    }
    let mut third = Client::new(&tracker);
    assert_eq!(third.reply().unwrap().status(), Status::OverLimit);
    assert_eq!(third.reply(), None);
    assert_eq!(tracker.stats().connections_refused, 1);
    assert_eq!(first.ask(&Message::SeederInfoRequest(hash(1))).status(), Status::NotFound);
    stop(tracker);
}

#[test]
fn a_tracker_that_cannot_start_says_why() {
    let tracker = start(config()).unwrap();
    let again = start(TrackerConfig::new(tracker.listen_addr())).unwrap_err();
    assert!(matches!(again, StartError::Listen(_)), "{again}");
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let short = TrackerConfig { lease: Duration::from_millis(1), ..TrackerConfig::new(address) };
    assert!(matches!(start(short), Err(StartError::Lease(_))));
    stop(tracker);
}
