//! Parsing, decoding and encoding of the wire do not allocate: a global allocator counts.

use std::hint::black_box;

use crate::counting::allocations;
use mtorrent::ids::{Endpoint, InfoHash, PeerId, TrackerId, Version};
use mtorrent::limits::{CHUNK_SIZE_DEFAULT, FRAME_CONTROL_BYTES_MAX};
use mtorrent::wire::*;

const INFO_HASH: InfoHash = InfoHash([7; 20]);
const VERSION: Option<Version> = Some(Version { clock: 1, tracker: TrackerId(2) });

fn messages<'a>(endpoints: &'a [Endpoint], bytes: &'a [u8], indices: &'a [u32]) -> [Message<'a>; 18] {
    let (info_hash, version, status, endpoint) = (INFO_HASH, VERSION, Status::Ok, endpoints[0]);
    let change = SeederChange { info_hash, endpoint, version };
    [
        Message::Share(Share { info_hash, name: "a name", length: 1, chunk_size: 1 << 20, endpoint, version }),
        Message::AddSeeder(change),
        Message::RemoveSeeder(change),
        Message::ReportProgress(ReportProgress {
            info_hash,
            endpoint,
            progress: Progress { done: 1, count: 2, rate_bytes_s: 3, state: ProgressState::Running },
        }),
        Message::StatusRequest(Cursor::default()),
        Message::ReachRequest(endpoint),
        Message::StatusResponse(StatusPage { status, next: Some(Cursor::default()), json: "{}" }),
        Message::SeederInfoRequest(info_hash),
        Message::SeederInfoResponse(SeederInfo { info_hash, status, endpoints: endpoints.into() }),
        Message::ChunkInfoRequest(info_hash),
        Message::ChunkInfoResponse(ChunkInfo {
            info_hash,
            status,
            chunk_count: bytes.len() as u32 * 8,
            bitfield: bytes,
        }),
        Message::ChunkSubscribeRequest(info_hash),
        Message::HaveChunks(HaveChunks { info_hash, indices: indices.into() }),
        Message::SendChunkRequest(SendChunkRequest::one(info_hash, 3)),
        Message::SendChunkResponse(SendChunk { info_hash, index: 3, status, data: bytes }),
        Message::Response(Response::new(status, "a text", version)),
        Message::PeerIdRequest,
        Message::PeerIdResponse(PeerId([9; 16])),
    ]
}

/// Passes a message through a connection: encode, parse byte by byte as it arrives, decode and read it.
fn travel(message: &Message<'_>, buffer: &mut [u8]) {
    let len = message.encoded_len();
    message.encode(&mut &mut buffer[..]);
    for arrived in (0..len).step_by(1 + len / 100) {
        assert!(matches!(parse(&buffer[..arrived], FRAME_CONTROL_BYTES_MAX), Ok(Parsed::Partial { .. })));
        black_box(parse_data(&buffer[..arrived], CHUNK_SIZE_DEFAULT)).unwrap();
    }
    let Ok(Parsed::Frame { frame, .. }) = parse(&buffer[..len], FRAME_CONTROL_BYTES_MAX) else { panic!("no frame") };
    let decoded = Message::decode(frame).unwrap();
    assert_eq!(&decoded, message);
    match decoded {
        Message::SeederInfoResponse(info) => info.endpoints.iter().for_each(|endpoint| _ = black_box(endpoint)),
        Message::HaveChunks(have) => have.indices.iter().for_each(|index| _ = black_box(index)),
        _ => {}
    }
    assert!(Message::decode(Frame { kind: frame.kind, payload: b"\0\0\0\x01x" }).is_err());
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(vec![1, 2, 3]))), 1);
}

#[test]
fn every_message_travels_without_allocation() {
    let endpoints: Vec<Endpoint> =
        (1..50).map(|port| Endpoint::new("2001:db8::1".parse().unwrap(), port).unwrap()).collect();
    let (bytes, indices) = (vec![0xa5; 40_000], (0..8192).collect::<Vec<u32>>());
    let mut buffer = vec![0; 2 * FRAME_CONTROL_BYTES_MAX];
    for message in messages(&endpoints, &bytes, &indices) {
        assert_eq!(allocations(|| travel(&message, &mut buffer)), 0, "{}", message.kind());
    }
}

#[test]
fn data_heads_travel_without_allocation() {
    let head = DataHead { info_hash: INFO_HASH, index: 3, status: Status::Ok, data_len: CHUNK_SIZE_DEFAULT };
    let mut buffer = [0; DATA_HEAD_LEN];
    let count = allocations(|| {
        head.encode(&mut buffer);
        for arrived in 0..DATA_HEAD_LEN {
            assert!(matches!(
                parse_data(&buffer[..arrived], CHUNK_SIZE_DEFAULT),
                Ok(DataParsed::Partial { need }) if need > arrived
            ));
        }
        assert_eq!(parse_data(&buffer, CHUNK_SIZE_DEFAULT), Ok(DataParsed::Head(head)));
    });
    assert_eq!(count, 0);
}

#[test]
fn refusals_make_no_allocation() {
    let count = allocations(|| {
        for bytes in [&b"x"[..], b"mTor\0\0\0\0", b"mTor\0\0\0\x01A\xff\xff\xff\xff", b"mTor\0\0\0\x01A\0\0\0\x01xroTm"]
        {
            assert!(black_box(parse(bytes, 100)).is_err());
        }
        let error = Message::decode(Frame { kind: b"Nothing", payload: &[] }).unwrap_err();
        black_box(Response::from(error));
    });
    assert_eq!(count, 0);
}
