//! Peers that lie, stall, flood or disconnect: each causes a retry of its chunks elsewhere, never a failed download.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mtorrent::bitfield::Bitfield;
use mtorrent::node::{DownloadState, DownloadStatus, FailureKind};
use mtorrent::wire::{ChunkInfo, HaveChunks, Indices, Message, SendChunk, Status};

use crate::support::node::{assert_done, begin, ended, get, share, start};
use crate::support::scripted::{Scripted, answer, answer_having, response};
use crate::support::tracker;
use crate::support::wire::{Wire, encoded, endpoint};
use crate::support::{Content, Folder, Gate, eventually, random_bytes, run};

const CHUNK: u32 = 256 << 10;
const WAIT: Duration = Duration::from_secs(20);

/// A file with this many chunks, the last one short, whose only tracker is this one.
fn content(chunks: usize, tracker: std::net::SocketAddr) -> Content {
    let length = chunks * CHUNK as usize - 1000;
    Content::new("a file.bin", random_bytes(chunks as u64, length), CHUNK, &[tracker])
}

fn fetched_from(status: &DownloadStatus, peer: &Scripted) -> u64 {
    let peer = endpoint(peer.address);
    status.fetched_from.iter().filter(|(from, _)| *from == peer).map(|(_, bytes)| bytes).sum()
}

/// Reaction of a hostile peer to a request for a chunk; an error closes the connection.
type ChunkScript = fn(&mut TcpStream, &Content, u32) -> io::Result<()>;

fn break_off() -> io::Result<()> {
    Err(io::ErrorKind::Other.into())
}

fn send_chunk_error(stream: &mut TcpStream, content: &Content, index: u32, status: Status) -> io::Result<()> {
    let info_hash = content.metainfo.info_hash();
    stream.write_all(&encoded(&Message::SendChunkResponse(SendChunk { info_hash, index, status, data: &[] })))
}

/// Every kind of bad reply to a request for a chunk; none of them may fail the download.
const BAD_CHUNK_ANSWERS: &[(&str, ChunkScript)] = &[
    ("silent", |_, _, _| Ok(())),
    ("closes at once", |_, _, _| break_off()),
    ("closes mid-chunk", |stream, content, index| {
        let frame = content.chunk_frame(index);
        stream.write_all(&frame[..frame.len() / 2])?;
        break_off()
    }),
    ("silent mid-chunk", |stream, content, index| {
        let frame = content.chunk_frame(index);
        stream.write_all(&frame[..frame.len() / 2])?;
        std::thread::sleep(Duration::from_secs(30));
        break_off()
    }),
    ("garbage", |stream, _, index| stream.write_all(&random_bytes(index.into(), 5000))),
    ("garbage behind a magic", |stream, _, index| {
        stream.write_all(b"mTor")?;
        stream.write_all(&random_bytes(index.into(), 5000))
    }),
    ("an oversized frame", |stream, content, index| {
        let mut frame = content.chunk_frame(index);
        frame[25..29].copy_from_slice(&u32::MAX.to_be_bytes());
        stream.write_all(&frame)
    }),
    ("another chunk", |stream, content, index| {
        // A request may name several chunks; this one is in none.
        stream.write_all(&content.frame_of(16, content.chunk(index)))
    }),
    ("another file", |stream, content, index| {
        let mut frame = content.chunk_frame(index);
        frame[33] ^= 1;
        stream.write_all(&frame)
    }),
    ("too short", |stream, content, index| {
        let data = content.chunk(index);
        stream.write_all(&content.frame_of(index, &data[1..]))
    }),
    ("empty", |stream, content, index| stream.write_all(&content.frame_of(index, &[]))),
    ("too long", |stream, content, index| {
        let mut data = content.chunk(index).to_vec();
        data.push(0);
        stream.write_all(&content.frame_of(index, &data))
    }),
    ("a wrong end", |stream, content, index| {
        let mut frame = content.chunk_frame(index);
        let last = frame.len() - 1;
        frame[last] ^= 1;
        stream.write_all(&frame)
    }),
    ("busy, as a Response", |stream, _, _| stream.write_all(&response(Status::Busy, "later"))),
    ("busy, as its own answer", |stream, content, index| send_chunk_error(stream, content, index, Status::Busy)),
    ("absent after all", |stream, content, index| send_chunk_error(stream, content, index, Status::ChunkAbsent)),
    ("not found after all", |stream, content, index| send_chunk_error(stream, content, index, Status::NotFound)),
    ("file changed", |stream, content, index| send_chunk_error(stream, content, index, Status::FileChanged)),
    ("ok without a chunk", |stream, _, _| stream.write_all(&response(Status::Ok, ""))),
    ("an unknown status", |stream, content, index| {
        let mut frame = content.chunk_frame(index);
        frame[65] = 200;
        stream.write_all(&frame)
    }),
    ("HaveChunks on a data connection", |stream, content, _| {
        let have_chunks = HaveChunks { info_hash: content.metainfo.info_hash(), indices: Indices::from(&[0u32][..]) };
        stream.write_all(&encoded(&Message::HaveChunks(have_chunks)))
    }),
    ("a request", |stream, _, _| stream.write_all(&encoded(&Message::PeerIdRequest))),
];

#[test]
fn no_answer_to_a_chunk_request_costs_the_download() {
    each(BAD_CHUNK_ANSWERS, |content, gate, script: ChunkScript| {
        Scripted::start(move |stream, message| match message {
            Message::SendChunkRequest(request) => {
                gate.open();
                script(stream, &content, request.index)
            }
            other => answer(stream, &content, other),
        })
    });
}

/// Reaction of a hostile peer to a message on its control connection.
type ControlScript = fn(&mut TcpStream, &Content, Message<'_>) -> io::Result<()>;

fn chunk_info(content: &Content, chunk_count: u32, bitfield: &[u8]) -> Vec<u8> {
    let info_hash = content.metainfo.info_hash();
    encoded(&Message::ChunkInfoResponse(ChunkInfo { info_hash, status: Status::Ok, chunk_count, bitfield }))
}

/// Every kind of bad start of a control connection.
const BAD_CONTROL_ANSWERS: &[(&str, ControlScript)] = &[
    ("silent", |_, _, _| Ok(())),
    ("closes at once", |_, _, _| break_off()),
    ("garbage", |stream, _, _| stream.write_all(&random_bytes(3, 300))),
    ("another geometry", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(_) => stream.write_all(&chunk_info(content, 3, &[0xe0])),
        other => answer(stream, content, other),
    }),
    ("a bitfield too long", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(_) => {
            let count = content.metainfo.geometry().chunk_count();
            stream.write_all(&chunk_info(content, count, &[0xff; 100]))
        }
        other => answer(stream, content, other),
    }),
    ("nothing there", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(_) => stream.write_all(&response(Status::NotFound, "no such file")),
        other => answer(stream, content, other),
    }),
    ("HaveChunks of chunks that do not exist", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(info_hash) => {
            let empty = Bitfield::empty(content.metainfo.geometry());
            answer_having(stream, content, &empty, message)?;
            let indices = [u32::MAX, 5, 5, 1 << 31, content.metainfo.geometry().chunk_count()];
            let have_chunks = HaveChunks { info_hash, indices: Indices::from(&indices[..]) };
            stream.write_all(&encoded(&Message::HaveChunks(have_chunks)))
        }
        Message::SendChunkRequest(_) => break_off(),
        other => answer(stream, content, other),
    }),
    ("HaveChunks without end", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(info_hash) => {
            answer(stream, content, message)?;
            let have_chunks = HaveChunks { info_hash, indices: Indices::from(&[7u32; 8192][..]) };
            let frame = encoded(&Message::HaveChunks(have_chunks));
            (0..200).try_for_each(|_| stream.write_all(&frame))
        }
        Message::SendChunkRequest(_) => break_off(),
        other => answer(stream, content, other),
    }),
    ("a chunk that nobody asked for", |stream, content, message| match message {
        Message::ChunkSubscribeRequest(_) => {
            answer(stream, content, message)?;
            stream.write_all(&encoded(&Message::SendChunkResponse(SendChunk {
                info_hash: content.metainfo.info_hash(),
                index: 0,
                status: Status::Ok,
                data: &[1; 1000],
            })))
        }
        // Between its two messages it may receive a request for a chunk.
        Message::SendChunkRequest(_) => break_off(),
        other => answer(stream, content, other),
    }),
];

#[test]
fn no_message_on_a_control_connection_costs_the_download() {
    each(BAD_CONTROL_ANSWERS, |content, gate, script: ControlScript| {
        Scripted::start(move |stream, message| {
            gate.open();
            script(stream, &content, message)
        })
    });
}

/// For each script: a hostile peer receives requests first; an honest one delivers once the hostile one has acted.
fn each<S: Copy + Send + Sync + 'static>(
    scripts: &'static [(&'static str, S)],
    hostile: fn(Content, Gate, S) -> Scripted,
) {
    let folder = Folder::new();
    let (tracker, getter) = (tracker::start(), start(2));
    let mut running = Vec::new();
    for (n, (name, script)) in scripts.iter().enumerate() {
        // Each has its own file, so that all of them run at once.
        let length = 16 * CHUNK as usize - n;
        let content = Content::new("file", random_bytes(n as u64, length), CHUNK, &[tracker.listen_addr()]);
        let gate = Gate::default();
        let hostile = hostile(content.clone(), gate.clone(), *script);
        let door = gate.clone();
        let honest = Scripted::honest(&content, move |_| door.pass());
        let mut wire = Wire::connect(tracker.listen_addr());
        wire.announce(&content.metainfo, hostile.address);
        wire.announce(&content.metainfo, honest.address);
        let id = begin(&getter, &content.metainfo, Some(folder.path(&format!("copy {n}"))), WAIT);
        running.push((*name, id, content, hostile, honest));
    }
    let mut left = running.len();
    while left > 0 {
        let status = crate::support::node::wait_for(&getter, |event| match event {
            mtorrent::node::Event::Ended(status) => Some(*status),
            _ => None,
        });
        left -= 1;
        let (name, _, content, hostile, honest) =
            running.iter().find(|(_, id, ..)| *id == status.id).expect("one of ours");
        println!("{name}: {:?}, {} connections", status.elapsed, hostile.seen.connections.load(Ordering::SeqCst));
        assert_done(&status, &content.bytes);
        assert_eq!(fetched_from(&status, hostile), 0, "{name}: {status:#?}");
        assert_eq!(fetched_from(&status, honest), content.bytes.len() as u64, "{name}");
        assert!(status.elapsed < Duration::from_secs(12), "{name} took {:?}", status.elapsed);
        let connections = hostile.seen.connections.load(Ordering::SeqCst);
        assert!(connections <= 60, "{name}: {connections} connections in {:?}", status.elapsed);
    }
    getter.close();
}

#[test]
fn a_wrong_chunk_pauses_its_peer_and_a_second_one_bans_it() {
    let folder = Folder::new();
    let (tracker, getter) = (tracker::start(), start(1));
    let content = content(8, tracker.listen_addr());
    let mut first_only = Bitfield::empty(content.metainfo.geometry());
    first_only.insert(content.metainfo.geometry().chunk(0).unwrap());
    let (banned, wrong) = (Gate::default(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let liar = {
        let (content, banned, wrong) = (content.clone(), banned.clone(), wrong.clone());
        Scripted::start(move |stream, message| match message {
            Message::SendChunkRequest(request) => {
                stream.write_all(&content.wrong_frame(request.index))?;
                let mut wrong = wrong.lock().unwrap();
                wrong.push(Instant::now());
                if wrong.len() == 2 {
                    banned.open();
                }
                Ok(())
            }
            other => answer_having(stream, &content, &first_only, other),
        })
    };
    let honest = Scripted::honest(&content, |_| ());
    let mut wire = Wire::connect(tracker.listen_addr());
    wire.announce(&content.metainfo, liar.address);
    let id = begin(&getter, &content.metainfo, Some(folder.path("copy")), WAIT);
    // The honest peer joins after the first lie.
    eventually(Duration::from_secs(10), "the liar is asked", || !wrong.lock().unwrap().is_empty());
    eventually(Duration::from_secs(1), "the lie is seen", || getter.downloads()[0].bad_chunks == 1);
    assert_eq!(getter.downloads()[0].done_bytes, 0, "a wrong chunk counts for nothing");
    banned.pass();
    wire.announce(&content.metainfo, honest.address);
    let connections = liar.seen.connections.load(Ordering::SeqCst);
    let status = ended(&getter, id);
    assert_done(&status, &content.bytes);
    let wrong = wrong.lock().unwrap().clone();
    println!("wrong chunks {:?} apart, done after {:?}", wrong[1] - wrong[0], status.elapsed);
    assert!(wrong[1] - wrong[0] >= Duration::from_millis(1800), "it was paused for {:?} only", wrong[1] - wrong[0]);
    assert_eq!((wrong.len(), status.bad_chunks), (2, 2), "it was asked again after its ban: {status:#?}");
    assert!(liar.seen.connections.load(Ordering::SeqCst) <= connections, "it was connected again after its ban");
    assert_eq!((fetched_from(&status, &liar), status.fetched_bytes), (0, content.bytes.len() as u64));
    getter.close();
}

#[test]
fn a_liar_is_contacted_twice_at_most() {
    let (tracker, getter) = (tracker::start(), start(2));
    let content = content(64, tracker.listen_addr());
    let (lies, door) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let liar = {
        let (content, lies, door) = (content.clone(), lies.clone(), door.clone());
        Scripted::start(move |stream, message| match message {
            Message::SendChunkRequest(request) => {
                stream.write_all(&content.wrong_frame(request.index))?;
                if lies.fetch_add(1, Ordering::SeqCst) == 1 {
                    door.open();
                }
                Ok(())
            }
            other => answer(stream, &content, other),
        })
    };
    let honest = Scripted::honest(&content, move |index| {
        door.pass();
        if index == 63 {
            // Time enough for a peer that was only paused to be used again.
            std::thread::sleep(Duration::from_millis(2600));
        }
    });
    let mut wire = Wire::connect(tracker.listen_addr());
    wire.announce(&content.metainfo, liar.address);
    wire.announce(&content.metainfo, honest.address);
    let status = get(&getter, &content.metainfo, None, WAIT);
    assert_done(&status, &content.bytes);
    println!("{} lies, {} seen, {:?}", lies.load(Ordering::SeqCst), status.bad_chunks, status.elapsed);
    // Twice, if only one lie was detected before the pause; not more often, and never after a second lie.
    let introduced = liar.seen.times("ChunkSubscribeRequest").len();
    assert!(introduced <= 2, "it was contacted {introduced} times, with {} wrong chunks", status.bad_chunks);
    let taken_max = 2 * 2;
    assert!(status.bad_chunks <= taken_max, "{} wrong chunks were taken from one peer", status.bad_chunks);
    assert!(status.bad_chunks >= 1 && fetched_from(&status, &liar) == 0, "{status:#?}");
    getter.close();
}

#[test]
fn nothing_but_wrong_chunks_is_exit_code_4() {
    let folder = Folder::new();
    let tracker = tracker::start();
    std::thread::scope(|scope| {
        for (name, chunks) in [("one chunk", 1), ("many chunks", 40)] {
            let (folder, tracker) = (&folder, &tracker);
            scope.spawn(move || {
                let content = content(chunks, tracker.listen_addr());
                let metainfo = folder.file(&format!("{name}.mtorrent"), &content.metainfo.to_bytes());
                let liars = [(); 2].map(|()| {
                    let content = content.clone();
                    Scripted::start(move |stream, message| match message {
                        Message::SendChunkRequest(request) => stream.write_all(&content.wrong_frame(request.index)),
                        other => answer(stream, &content, other),
                    })
                });
                let mut wire = Wire::connect(tracker.listen_addr());
                liars.iter().for_each(|liar| wire.announce(&content.metainfo, liar.address));
                let dest = folder.text(name);
                let metainfo = metainfo.to_str().unwrap();
                let got = run(["get", metainfo, &dest, "--listen=127.0.0.1:0", "--cores=1", "--wait=1s", "--json"]);
                let got = got.expect_sentence(4, "do not match");
                let object: serde_json::Value =
                    serde_json::from_str(got.stdout.lines().next().expect("an object")).expect("JSON");
                println!("{name}: {object}");
                assert!(object["bad_chunks"].as_u64().is_some_and(|count| count >= 2), "{object}");
                assert_eq!((object["done_bytes"].as_u64(), object["verified"].as_bool()), (Some(0), Some(false)));
                let left = folder.names();
                assert!(!left.iter().any(|left| left.starts_with(&format!("{name}.part")) || left == name), "{left:?}");
            });
        }
    });
}

#[test]
fn a_slow_drip_is_no_silence() {
    let (tracker, getter) = (tracker::start(), start(1));
    // 46 KiB/s: within the silence timeout, fewer bytes arrive than wake a receiving core.
    let one = content(1, tracker.listen_addr());
    let dripping = drip(&one, 46 << 10);
    Wire::connect(tracker.listen_addr()).announce(&one.metainfo, dripping.address);
    let id = begin(&getter, &one.metainfo, None, Duration::from_secs(4));
    // Beside an honest peer, the same slow peer barely delays the download.
    let many = Content::new("many", random_bytes(9, 64 * CHUNK as usize), CHUNK, &[tracker.listen_addr()]);
    let slow = drip(&many, 64 << 10);
    let seen = slow.seen.clone();
    let honest = Scripted::honest(&many, move |_| {
        eventually(Duration::from_secs(10), "the slow one is asked", || seen.chunk_requests.load(Ordering::SeqCst) > 0);
    });
    let mut wire = Wire::connect(tracker.listen_addr());
    wire.announce(&many.metainfo, slow.address);
    wire.announce(&many.metainfo, honest.address);
    let other = start(2);
    let status = get(&other, &many.metainfo, None, WAIT);
    assert_done(&status, &many.bytes);
    println!("beside a slow peer: {:?}", status.elapsed);
    assert!(status.elapsed < Duration::from_secs(5), "{status:#?}");
    other.close();
    let status = ended(&getter, id);
    assert_done(&status, &one.bytes);
    println!("from a slow peer: {:?}", status.elapsed);
    assert_eq!(dripping.seen.chunk_requests.load(Ordering::SeqCst), 1, "its request was given up and made again");
    getter.close();
}

/// A seeder that sends each chunk at this rate.
fn drip(content: &Content, bytes_s: usize) -> Scripted {
    let content = content.clone();
    Scripted::start(move |stream, message| match message {
        Message::SendChunkRequest(request) => {
            let frame = content.chunk_frame(request.index);
            frame.chunks(bytes_s / 10).try_for_each(|part| {
                std::thread::sleep(Duration::from_millis(100));
                stream.write_all(part)
            })
        }
        other => answer(stream, &content, other),
    })
}

#[test]
fn a_peer_without_subscriptions_is_polled_once_a_second() {
    let (tracker, getter) = (tracker::start(), start(1));
    let content = content(5, tracker.listen_addr());
    let polls = Arc::new(AtomicUsize::new(0));
    let old = {
        let (content, polls) = (content.clone(), polls.clone());
        Scripted::start(move |stream, message| match message {
            Message::ChunkSubscribeRequest(_) => stream.write_all(&response(Status::UnknownType, "what is that?")),
            // No reply at all, not even to a message that a peer need not know.
            Message::PeerIdRequest => break_off(),
            Message::ChunkInfoRequest(_) => {
                // One more chunk with each request.
                let geometry = content.metainfo.geometry();
                let mut chunks = Bitfield::empty(geometry);
                let count = polls.fetch_add(1, Ordering::SeqCst);
                geometry.chunks().take(2 * count + 1).for_each(|chunk| chunks.insert(chunk));
                answer_having(stream, &content, &chunks, message)
            }
            other => answer(stream, &content, other),
        })
    };
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, old.address);
    let status = get(&getter, &content.metainfo, None, WAIT);
    assert_done(&status, &content.bytes);
    let times = old.seen.times("ChunkInfoRequest");
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("polled after {gaps:?}");
    assert_eq!(times.len(), 3, "{gaps:?}");
    assert!(gaps.iter().all(|gap| (900..1800).contains(&gap.as_millis())), "{gaps:?}");
    getter.close();
}

#[test]
fn one_busy_seeder_is_waited_for() {
    let (tracker, getter) = (tracker::start(), start(1));
    let content = content(6, tracker.listen_addr());
    let calm = Arc::new(AtomicBool::new(false));
    let busy = {
        let (content, calm) = (content.clone(), calm.clone());
        Scripted::start(move |stream, message| match message {
            Message::SendChunkRequest(_) if !calm.load(Ordering::SeqCst) => {
                stream.write_all(&response(Status::Busy, "later"))
            }
            other => answer(stream, &content, other),
        })
    };
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, busy.address);
    let id = begin(&getter, &content.metainfo, None, WAIT);
    eventually(Duration::from_secs(10), "it is asked thrice", || busy.seen.chunk_requests.load(Ordering::SeqCst) >= 3);
    let asked = busy.seen.chunk_requests.load(Ordering::SeqCst);
    assert!(asked <= 60, "a busy peer was asked {asked} times in a moment");
    calm.store(true, Ordering::SeqCst);
    let status = ended(&getter, id);
    assert_done(&status, &content.bytes);
    println!("asked {asked} times while busy, done after {:?}", status.elapsed);
    getter.close();
}

#[test]
fn a_client_does_not_download_from_itself() {
    let folder = Folder::new();
    let tracker = tracker::start();
    let content = content(16, tracker.listen_addr());
    let file = folder.file("a file.bin", &content.bytes);
    let both = start(2);
    share(&both, &file, &content.metainfo);
    let mut wire = Wire::connect(tracker.listen_addr());
    assert_eq!(wire.seeders(content.metainfo.info_hash()), [endpoint(both.listen_addr())]);
    // The client finds only itself, so there is no seeder.
    let status = get(&both, &content.metainfo, None, Duration::from_secs(1));
    assert!(matches!(&status.state, DownloadState::Failed(why) if why.kind == FailureKind::Retry), "{status:#?}");
    assert_eq!((status.fetched_bytes, status.peers), (0, 0), "{status:#?}");
    assert_eq!(both.shares()[0].stopped, None, "the share goes on");
    // With another seeder, all chunks come from that one.
    let honest = Scripted::honest(&content, |_| ());
    wire.announce(&content.metainfo, honest.address);
    let status = get(&both, &content.metainfo, None, WAIT);
    assert_done(&status, &content.bytes);
    assert_eq!(fetched_from(&status, &honest), content.bytes.len() as u64, "{status:#?}");
    assert_eq!(both.shares()[0].sent_bytes, 0, "it sent something to itself");
    // An earlier share is still served.
    let mut peer = Wire::connect(both.listen_addr());
    assert!(peer.chunk(content.metainfo.info_hash(), 3).unwrap().as_deref() == Ok(content.chunk(3)));
    both.close();
}

#[test]
fn a_response_in_the_place_of_any_answer() {
    let (tracker, getter) = (tracker::start(), start(1));
    let content = content(3, tracker.listen_addr());
    let refusing = Scripted::start(move |stream, _| stream.write_all(&response(Status::NotAllowed, "go away")));
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, refusing.address);
    let status = get(&getter, &content.metainfo, None, Duration::from_secs(1));
    assert!(matches!(&status.state, DownloadState::Failed(why) if why.kind == FailureKind::Retry), "{status:#?}");
    let connections = refusing.seen.connections.load(Ordering::SeqCst);
    assert!(connections <= 5, "{connections} connections within a second");
    getter.close();
}
