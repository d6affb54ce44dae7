//! Chunks on both sides of 4 GiB, the limit of 32 bits: requested, served, received, verified, written.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtorrent::bitfield::Bitfield;
use mtorrent::geometry::Geometry;
use mtorrent::hash::sha1;
use mtorrent::ids::PeerId;
use mtorrent::metainfo::Metainfo;
use mtorrent::node::{Node, NodeConfig};
use mtorrent::storage::Record;
use mtorrent::wire::{ChunkInfo, Message, SendChunk, Status};

use crate::support::node::{assert_done, begin, config, ended, get, share, start};
use crate::support::scripted::Scripted;
use crate::support::tracker;
use crate::support::wire::{Wire, encoded, endpoint};
use crate::support::{Folder, eventually};

/// Limit of 32-bit offsets, bytes.
const BORDER: u64 = 4 << 30;
const LENGTH: u64 = BORDER + (1 << 20) + 5;
const CHUNK: u32 = 16 << 20;
/// The bytes across the border, and at the end; all others are zero.
const MARK: &[u8] = b"across the border";
const MARK_AT: u64 = BORDER - 5;

/// The three kinds of chunk, as frames and as contents.
struct Large {
    metainfo: Arc<Metainfo>,
    zeros: Vec<u8>,
    before: Vec<u8>,
    last: Vec<u8>,
}

impl Large {
    fn new(tracker: std::net::SocketAddr) -> Arc<Self> {
        let geometry = Geometry::new(LENGTH, CHUNK).unwrap();
        assert_eq!(geometry.chunk_count(), 257);
        let zeros = vec![0; CHUNK as usize];
        let (mut before, mut last) = (zeros.clone(), vec![0; (1 << 20) + 5]);
        before[CHUNK as usize - 5..].copy_from_slice(&MARK[..5]);
        last[..MARK.len() - 5].copy_from_slice(&MARK[5..]);
        *last.last_mut().unwrap() = 0x77;
        let (zero, marked, end) = (sha1(&zeros), sha1(&before), sha1(&last));
        let pieces = (0..257).flat_map(|index| match index {
            0..255 => zero,
            255 => marked,
            _ => end,
        });
        let metainfo = Metainfo::new("large", geometry, pieces.collect(), vec![tracker.to_string()]).unwrap();
        Arc::new(Self { metainfo: Arc::new(metainfo), zeros, before, last })
    }

    fn chunk(&self, index: u32) -> &[u8] {
        match index {
            0..255 => &self.zeros,
            255 => &self.before,
            _ => &self.last,
        }
    }

    /// A seeder of these chunks, from memory.
    fn seeder(self: &Arc<Self>, chunks: Bitfield) -> Scripted {
        let this = self.clone();
        let info_hash = self.metainfo.info_hash();
        Scripted::start(move |stream, message| match message {
            Message::ChunkSubscribeRequest(_) => {
                let (chunk_count, bitfield) = (257, chunks.as_wire());
                let info = ChunkInfo { info_hash, status: Status::Ok, chunk_count, bitfield };
                stream.write_all(&encoded(&Message::ChunkInfoResponse(info)))
            }
            Message::SendChunkRequest(request) => {
                let data = this.chunk(request.index);
                let empty = SendChunk { info_hash, index: request.index, status: Status::Ok, data };
                // Head, data and end, without a copy of the data.
                stream.write_all(&head(&empty))?;
                stream.write_all(data)?;
                stream.write_all(b"roTm")
            }
            _ => stream.write_all(&encoded(&Message::PeerIdResponse(PeerId(rand::random())))),
        })
    }
}

fn head(chunk: &SendChunk<'_>) -> [u8; mtorrent::wire::DATA_HEAD_LEN] {
    let mut head = [0; mtorrent::wire::DATA_HEAD_LEN];
    let data_len = chunk.data.len() as u32;
    let SendChunk { info_hash, index, status, .. } = *chunk;
    mtorrent::wire::DataHead { info_hash, index, status, data_len }.encode(&mut head);
    head
}

#[test]
fn more_than_4_gib_arrive() {
    let tracker = tracker::start();
    let large = Large::new(tracker.listen_addr());
    let seeder = large.seeder(Bitfield::full(large.metainfo.geometry()));
    Wire::connect(tracker.listen_addr()).announce(&large.metainfo, seeder.address);
    let getter = Node::start(NodeConfig { sparse: false, ..config(2) }).expect("it starts");
    let started = Instant::now();
    let status = get(&getter, &large.metainfo, None, Duration::from_secs(20));
    println!("{LENGTH} bytes received and verified in {:?}", started.elapsed());
    assert_done(&status, &[]);
    assert_eq!((status.fetched_bytes, status.done_bytes, status.bad_chunks), (LENGTH, LENGTH, 0), "{status:#?}");
    getter.close();
}

#[test]
fn a_sparse_file_is_served_on_both_sides_of_4_gib() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let large = Large::new(tracker.listen_addr());
    let file = File::create(folder.path("large")).unwrap();
    file.set_len(LENGTH).unwrap();
    file.write_all_at(MARK, MARK_AT).unwrap();
    file.write_all_at(&[0x77], LENGTH - 1).unwrap();
    let seeder = start(1);
    share(&seeder, &folder.path("large"), &large.metainfo);
    let mut peer = Wire::connect(seeder.listen_addr());
    let info_hash = large.metainfo.info_hash();
    for index in [256, 255, 0, 254] {
        let chunk = peer.chunk(info_hash, index).unwrap();
        assert!(chunk.as_deref() == Ok(large.chunk(index)), "chunk {index} is another one");
    }
    assert_eq!(peer.chunk(info_hash, 257).unwrap(), Err(Status::BadRequest));
    assert_eq!(peer.chunk(info_hash, u32::MAX).unwrap(), Err(Status::BadRequest));
    seeder.close();
}

#[test]
fn chunks_are_written_on_both_sides_of_4_gib() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let large = Large::new(tracker.listen_addr());
    let geometry = large.metainfo.geometry();
    let mut border = Bitfield::empty(geometry);
    [255, 256].into_iter().filter_map(|index| geometry.chunk(index)).for_each(|chunk| border.insert(chunk));
    let seeder = large.seeder(border.clone());
    Wire::connect(tracker.listen_addr()).announce(&large.metainfo, seeder.address);
    let getter = Node::start(NodeConfig { sparse: false, ..config(2) }).expect("it starts");
    let bytes = u64::from(CHUNK) + (1 << 20) + 5;
    let id = begin(&getter, &large.metainfo, Some(folder.path("copy")), Duration::from_secs(20));
    eventually(Duration::from_secs(20), "both chunks are there", || getter.downloads()[0].done_bytes == bytes);
    // It serves the chunks that it has.
    let mut peer = Wire::connect(getter.listen_addr());
    for index in [255, 256] {
        let chunk = peer.chunk(large.metainfo.info_hash(), index).unwrap();
        assert!(chunk.as_deref() == Ok(large.chunk(index)), "chunk {index} is another one");
    }
    assert_eq!(peer.chunk(large.metainfo.info_hash(), 0).unwrap(), Err(Status::ChunkAbsent));
    let seeders = Wire::connect(tracker.listen_addr()).seeders(large.metainfo.info_hash());
    assert!(seeders.contains(&endpoint(getter.listen_addr())), "{seeders:?}");
    getter.cancel(id).unwrap();
    ended(&getter, id);
    let record = std::fs::read(folder.path("copy.part.mtorrent")).unwrap();
    let record = Record::decode(&record, large.metainfo.info_hash(), geometry).expect("a record");
    assert_eq!(record.chunks, border);
    let (part, mut found) = (File::open(folder.path("copy.part")).unwrap(), vec![0; bytes as usize]);
    part.read_exact_at(&mut found, BORDER - u64::from(CHUNK)).unwrap();
    assert!(found == [&large.before[..], &large.last[..]].concat(), "the bytes stand elsewhere");
    part.read_exact_at(&mut found[..1 << 20], 0).unwrap();
    assert!(found[..1 << 20].iter().all(|byte| *byte == 0), "something stands at the start");
    getter.close();
}
