//! Floods of valid, damaged and random frames, and more connections than allowed: a server answers valid requests,
//! closes invalid connections, and survives.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use mtorrent::geometry::Geometry;
use mtorrent::ids::{InfoHash, Version};
use mtorrent::wire::{
    HaveChunks, Indices, Message, Parsed, Response, SeederChange, SendChunk, SendChunkRequest, Share, Status, parse,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::LOOPBACK;
use crate::support::wire::{Wire, encoded, endpoint};
use crate::support::{Content, Folder, Running, finish, random_bytes, run};

const CHUNK: u32 = 256 << 10;
/// Connections of one flood, and most frames on each.
const CONNECTIONS: u64 = 250;
const FRAMES: usize = 16;

/// One message of any type, with odd values.
fn any_message(rng: &mut StdRng, known: InfoHash) -> Vec<u8> {
    let info_hash = if rng.random_bool(0.7) { known } else { InfoHash(rng.random()) };
    let seeder = endpoint(SocketAddr::from((rng.random::<[u8; 4]>(), rng.random_range(1..=u16::MAX))));
    let version = rng.random_bool(0.5).then(|| Version::from_bytes(rng.random()));
    let change = SeederChange { info_hash, endpoint: seeder, version };
    let (length, chunk_size) = (rng.random::<u64>() >> rng.random_range(20..60), 1 << rng.random_range(14..=24));
    let indices: Vec<u32> = (0..rng.random_range(0..100)).map(|_| rng.random()).collect();
    encoded(&match rng.random_range(0..11) {
        0 if Geometry::new(length, chunk_size).is_ok() => {
            Message::Share(Share { info_hash, name: "a", length, chunk_size, endpoint: seeder, version })
        }
        1 => Message::AddSeeder(change),
        2 => Message::RemoveSeeder(change),
        3 => Message::SeederInfoRequest(info_hash),
        4 => Message::ChunkInfoRequest(info_hash),
        5 => Message::ChunkSubscribeRequest(info_hash),
        6 => Message::HaveChunks(HaveChunks { info_hash, indices: Indices::from(&indices[..]) }),
        7 => Message::SendChunkRequest(SendChunkRequest::one(info_hash, rng.random_range(0..6))),
        8 => Message::SendChunkResponse(SendChunk { info_hash, index: 1, status: Status::Ok, data: &[7; 99] }),
        9 => Message::Response(Response { status: Status::Busy, text: "no", version }),
        _ => Message::PeerIdRequest,
    })
}

/// The bytes of one connection: valid frames, damaged ones, or no frames at all.
fn any_bytes(rng: &mut StdRng, known: InfoHash) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.random_range(1..=FRAMES) {
        let mut frame = any_message(rng, known);
        let at = rng.random_range(0..frame.len());
        match rng.random_range(0..20) {
            0 => frame[at] ^= 1 << rng.random_range(0..8),
            1 => frame.truncate(at),
            2 => frame.insert(at, rng.random()),
            3 => rng.fill(&mut frame[at..]),
            4 => {
                // Replaces the type by another of the same size, or changes the size of an argument.
                let end = (at + 4).min(frame.len());
                frame[at..end].fill(rng.random_range(0..3) * 0x7f);
            }
            _ => {}
        }
        bytes.extend_from_slice(&frame);
    }
    bytes
}

/// Checks a server's replies on one connection: only whole frames, then the end; a reset may cut the last one.
#[track_caller]
fn check_answers(seed: u64, answers: &[u8], is_cut: bool) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < answers.len() {
        match parse(&answers[at..], (CHUNK as usize) + 4096) {
            Ok(Parsed::Frame { frame, len }) => {
                assert!(Message::decode(frame).is_ok(), "seed {seed}: an answer that nobody understands: {frame:?}");
                at += len;
                count += 1;
            }
            Ok(Parsed::Partial { .. }) if is_cut => break,
            other => panic!("seed {seed}: after {count} answers comes {other:?}, {} bytes", answers.len() - at),
        }
    }
    count
}

/// Floods a server from several threads; returns the number of replies.
fn flood(seed: u64, to: SocketAddr, known: InfoHash) -> usize {
    let one = |seed: u64| -> usize {
        let mut rng = StdRng::seed_from_u64(seed);
        let bytes = any_bytes(&mut rng, known);
        let mut stream = TcpStream::connect(to).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut rest = stream.try_clone().expect("a descriptor");
        // Replies are read concurrently; otherwise both sides would wait for each other.
        let writer = std::thread::spawn(move || {
            let written = bytes.chunks(bytes.len() / 3 + 1).try_for_each(|part| rest.write_all(part));
            written.and_then(|()| rest.shutdown(Shutdown::Write))
        });
        let mut answers = Vec::new();
        let read = stream.read_to_end(&mut answers);
        let written = writer.join().expect("no panic");
        match read {
            // If the server received everything, all replies arrive complete.
            Ok(_) if written.is_ok() => check_answers(seed, &answers, false),
            // The server closed on an invalid frame, with more bytes behind it. The reset is reported once: to the
            // writer or to the reader, whose replies may then end anywhere.
            Ok(_) => {
                check_answers(seed, &answers, true);
                0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("seed {seed}: {error}; written: {written:?}, {} bytes of answers", answers.len()),
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || (0..CONNECTIONS).filter(|n| n % 4 == thread).map(|n| one(seed ^ n)).sum::<usize>())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a flood")).sum()
    })
}

#[test]
fn a_flood_of_frames_harms_nobody() {
    let folder = Folder::new();
    let listen = format!("--listen={LOOPBACK}");
    let (tracker, ready) = Running::ready(["tracker", &listen, "--cores=2"]);
    let content = Content::new("file", random_bytes(folder.seed(), 4 * CHUNK as usize), CHUNK, &[ready.listen()]);
    let (file, metainfo) = (folder.text("file"), folder.text("file.mtorrent"));
    folder.file("file", &content.bytes);
    folder.file("file.mtorrent", &content.metainfo.to_bytes());
    let (seeder, seeding) = Running::ready(["share", &file, &metainfo, &listen, "--cores=2"]);
    let info_hash = content.metainfo.info_hash();
    // Connections that are in the middle of a request all the while.
    let mut idle = [ready.listen(), seeding.listen()].map(|to| (0..50).map(|_| half_a_frame(to)).collect::<Vec<_>>());
    for (name, to) in [("tracker", ready.listen()), ("peer", seeding.listen())] {
        let started = Instant::now();
        let answers = flood(folder.seed(), to, info_hash);
        println!("{name}: {CONNECTIONS} connections, {answers} answers, {:?}", started.elapsed());
        assert!(answers > CONNECTIONS as usize, "{name} answered {answers} times only");
    }
    // The tracker's list may contain other endpoints now; ours is among them, and everything still works.
    let mut wire = Wire::connect(ready.listen());
    assert!(wire.seeders(info_hash).contains(&endpoint(seeding.listen())));
    run(["get", &metainfo, &folder.text("copy"), &listen]).expect(0);
    assert!(std::fs::read(folder.path("copy")).unwrap() == *content.bytes);
    for stream in idle.iter_mut().flatten() {
        finish_frame(stream);
    }
    seeder.terminate().expect(0);
    tracker.terminate().expect(0);
}

#[test]
fn a_frame_that_has_begun_must_end_in_its_time() {
    let folder = Folder::new();
    let listen = format!("--listen={LOOPBACK}");
    let (_tracker, ready) = Running::ready(["tracker", &listen, "--cores=1"]);
    let data_dir = folder.text("state");
    let client = ["client", "--data-dir", &data_dir, &listen, "--cores=1"];
    let mut client = Running::piped(client);
    let started = Instant::now();
    // As the first frame of a connection, and after a valid one.
    let streams = [ready.listen(), client.wait_ready().listen()].map(|to| {
        let mut second = half_a_frame(to);
        finish_frame(&mut second);
        second.write_all(&encoded(&Message::PeerIdRequest)[..9]).expect("it takes that");
        [half_a_frame(to), second]
    });
    for (number, mut stream) in streams.into_iter().flatten().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let ended = stream.read(&mut [0; 1]);
        let after = started.elapsed();
        assert!(matches!(ended, Ok(0)), "connection {number}: {ended:?}");
        assert!((25..50).contains(&after.as_secs()), "connection {number} was closed after {after:?}");
    }
}

/// A connection on which the first half of a request was sent.
fn half_a_frame(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.write_all(&encoded(&Message::PeerIdRequest)[..9]).expect("it takes that");
    stream
}

/// Sends the other half, and reads the reply.
fn finish_frame(stream: &mut TcpStream) {
    stream.write_all(&encoded(&Message::PeerIdRequest)[9..]).expect("it takes that");
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    let answer = wire.receive().expect("an answer").expect("it stays");
    assert!(matches!(answer, Message::PeerIdResponse(_) | Message::Response(_)), "{answer:?}");
}

/// Reads the refusal of a connection over the limit, although it has sent a request already.
#[track_caller]
fn assert_refused(to: SocketAddr) {
    let mut wire = Wire::connect(to);
    let asked = wire.send(&Message::SeederInfoRequest(InfoHash([1; 20])));
    let refused = wire.receive();
    let is_refusal = |answer: &Message<'_>| matches!(answer, Message::Response(r) if r.status == Status::OverLimit);
    assert!(matches!(&refused, Ok(Some(answer)) if is_refusal(answer)), "{refused:?} after {asked:?}");
    let then = wire.receive();
    assert!(matches!(then, Ok(None) | Err(_)), "{then:?}");
}

fn assert_served(wire: &mut Wire) {
    let answer = wire.ask(&Message::SeederInfoRequest(InfoHash([1; 20])));
    assert!(!matches!(answer, Message::Response(Response { status: Status::OverLimit, .. })), "{answer:?}");
}

#[test]
fn more_connections_than_allowed_are_refused() {
    let listen = format!("--listen={LOOPBACK}");
    let flags = ["tracker", &listen, "--cores=2", "--max-connections=20", "--max-connections-per-address=3"];
    let (tracker, ready) = Running::ready(flags);
    // Loopback is exempt from the limit per address, not from the total limit.
    let mut open: Vec<Wire> = (0..20).map(|_| Wire::connect(ready.listen())).collect();
    open.iter_mut().for_each(assert_served);
    (0..20).for_each(|_| assert_refused(ready.listen()));
    open.iter_mut().for_each(assert_served);
    // The slot of a closed connection is free again.
    drop(open.pop());
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut wire = Wire::connect(ready.listen());
        match wire.ask(&Message::SeederInfoRequest(InfoHash([1; 20]))) {
            Message::SeederInfoResponse(_) => break,
            other => assert!(Instant::now() < deadline, "its place is never free again: {other:?}"),
        }
    }
    tracker.terminate().expect(0);
}

/// Set for the run of [`one_address_has_its_limit`] inside a network of its own.
const INSIDE: &str = "MTORRENT_TEST_INSIDE";
/// An address of that network that is not loopback.
const OTHER: &str = "192.0.2.1";

#[test]
fn one_address_has_its_limit() {
    if std::env::var_os(INSIDE).is_some() {
        return inside_a_network_of_its_own();
    }
    let script = format!("ip link set lo up && ip addr add {OTHER}/32 dev lo || exit 77; exec \"$0\" \"$@\"");
    let this = std::env::current_exe().expect("this test");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", &script]).arg(this);
    command.args(["--exact", "floods::one_address_has_its_limit", "--nocapture"]).env(INSIDE, "1");
    let outcome = finish(&mut command);
    if outcome.stderr.contains("unshare") || outcome.code == Some(77) {
        println!("this machine lets nobody make a network: {}", outcome.stderr);
        return;
    }
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

fn inside_a_network_of_its_own() {
    let folder = Folder::new();
    let other = |address: SocketAddr| SocketAddr::new(OTHER.parse().expect("an address"), address.port());
    let (tracker, ready) =
        Running::ready(["tracker", "--listen=0.0.0.0:0", "--cores=1", "--max-connections-per-address=3"]);
    let mut open: Vec<Wire> = (0..3).map(|_| Wire::connect(other(ready.listen()))).collect();
    open.iter_mut().for_each(assert_served);
    (0..5).for_each(|_| assert_refused(other(ready.listen())));
    // Other addresses are not affected.
    let mut loopback: Vec<Wire> = (0..10).map(|_| Wire::connect(local(ready.listen()))).collect();
    loopback.iter_mut().for_each(assert_served);
    open.iter_mut().for_each(assert_served);
    // A peer accepts many connections, up to its limit.
    folder.random_file("file", 1000);
    let at = format!("--tracker={}", local(ready.listen()));
    let (file, metainfo) = (folder.text("file"), folder.text("file.mtorrent"));
    let line = ["share", &file, &metainfo, "--listen=0.0.0.0:0", &at, "--cores=1"];
    let (seeder, seeding) = Running::ready(line);
    let most = mtorrent::limits::CONNECTIONS_PER_ADDRESS_MAX;
    let mut open: Vec<Wire> = (0..most).map(|_| Wire::connect(other(seeding.listen()))).collect();
    open.iter_mut().step_by(100).for_each(assert_served);
    (0..5).for_each(|_| assert_refused(other(seeding.listen())));
    let mut loopback: Vec<Wire> = (0..most + 10).map(|_| Wire::connect(local(seeding.listen()))).collect();
    loopback.iter_mut().step_by(100).for_each(assert_served);
    seeder.terminate().expect(0);
    tracker.terminate().expect(0);
}

fn local(address: SocketAddr) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], address.port()))
}
