//! The wire format compared with bytes written by hand: `tests/vectors/NAME.hex` must be accepted,
//! `tests/vectors/bad/NAME.hex` must be refused.
//!
//! A vector is hexadecimal digits with optional spaces between them; `#` starts a comment.

use mtorrent::ids::{Endpoint, InfoHash, PeerId, TrackerId, Version};
use mtorrent::limits::{CHUNK_SIZE_DEFAULT, FRAME_CONTROL_BYTES_MAX};
use mtorrent::wire::*;

use crate::fuzz;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
const INFO_HASH: InfoHash = InfoHash([
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
    0x13,
]);
const VERSION: Version = Version { clock: 0x0191_2345_6789_0001, tracker: TrackerId(0xfedc_ba98_7654_3210) };

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{TESTS}/vectors/{name}.hex");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let digits: String = text.lines().flat_map(|line| line.split('#').next()).flat_map(str::split_whitespace).collect();
    assert!(digits.len().is_multiple_of(2), "{path}: half a byte");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::from_socket(text.parse().unwrap()).unwrap()
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    match parse(bytes, FRAME_CONTROL_BYTES_MAX) {
        Ok(Parsed::Frame { frame, len }) if len == bytes.len() => frame,
        other => panic!("no whole frame: {other:?}"),
    }
}

#[track_caller]
fn check(name: &str, expected: Message<'_>) {
    let bytes = vector(name);
    let mut encoded = Vec::new();
    expected.encode(&mut encoded);
    assert_eq!(Message::decode(frame(&bytes)), Ok(expected), "{name}");
    assert_eq!(encoded, bytes, "{name}");
}

#[test]
fn to_trackers() {
    let (info_hash, v4, v6) = (INFO_HASH, endpoint("192.0.2.1:6881"), endpoint("[2001:db8::1]:443"));
    let share = Share {
        info_hash,
        name: "größe.bin",
        length: 5 << 30,
        chunk_size: 1 << 20,
        endpoint: endpoint("0.0.0.0:7001"),
        version: None,
    };
    check("share", Message::Share(share));
    check("add_seeder", Message::AddSeeder(SeederChange { info_hash, endpoint: v4, version: Some(VERSION) }));
    check("remove_seeder", Message::RemoveSeeder(SeederChange { info_hash, endpoint: v6, version: None }));
    check("seeder_info_request", Message::SeederInfoRequest(info_hash));
    let progress = Progress { done: 3, count: 10, rate_bytes_s: 1_111_111, state: ProgressState::Running };
    check("report_progress", Message::ReportProgress(ReportProgress { info_hash, endpoint: v4, progress }));
    check("status_request", Message::StatusRequest(Cursor::default()));
    check("reach_request", Message::ReachRequest(endpoint("0.0.0.0:7001")));
}

#[test]
fn from_trackers() {
    let info_hash = INFO_HASH;
    let some = [endpoint("192.0.2.1:6881"), endpoint("[2001:db8::1]:443")];
    let info = SeederInfo { info_hash, status: Status::Ok, endpoints: Endpoints::from(&some[..]) };
    check("seeder_info_response", Message::SeederInfoResponse(info));
    let none = SeederInfo { info_hash, status: Status::NotFound, endpoints: Endpoints::NONE };
    check("seeder_info_response_not_found", Message::SeederInfoResponse(none));
    check("response", Message::Response(Response::new(Status::Ok, "", Some(VERSION))));
    let accepted = Response::new(Status::Ok, TAKES_PROGRESS, Some(VERSION));
    check("response_takes_progress", Message::Response(accepted));
    assert!(takes_progress(accepted.text));
    check("response_not_allowed", Message::Response(Response::new(Status::NotAllowed, "not yours", None)));
    let page = |status, next, json| Message::StatusResponse(StatusPage { status, next, json });
    let next = Some(Cursor { bucket: 0xabd, tag: 0, skip: 0 });
    check("status_response", page(Status::Ok, next, r#"{"files":[]}"#));
    check("status_response_end", page(Status::Ok, None, r#"{"files":[]}"#));
    check("status_response_busy", page(Status::Busy, None, ""));
}

#[test]
fn between_peers() {
    let info_hash = INFO_HASH;
    check("chunk_info_request", Message::ChunkInfoRequest(info_hash));
    check("chunk_subscribe_request", Message::ChunkSubscribeRequest(info_hash));
    let info = ChunkInfo { info_hash, status: Status::Ok, chunk_count: 10, bitfield: &[0x80, 0x40] };
    check("chunk_info_response", Message::ChunkInfoResponse(info));
    let none = ChunkInfo { info_hash, status: Status::FileChanged, chunk_count: 0, bitfield: &[] };
    check("chunk_info_response_file_changed", Message::ChunkInfoResponse(none));
    let indices = [0, 9, 0x0102_0304];
    check("have_chunks", Message::HaveChunks(HaveChunks { info_hash, indices: indices.as_slice().into() }));
    check("send_chunk_request", Message::SendChunkRequest(SendChunkRequest::one(info_hash, 9)));
    let others = [7, 0x0102].as_slice().into();
    check("send_chunk_request_of_several", Message::SendChunkRequest(SendChunkRequest { info_hash, index: 9, others }));
    check("peer_id_request", Message::PeerIdRequest);
    check("peer_id_response", Message::PeerIdResponse(PeerId(*b"a peer's own id!")));
}

#[test]
fn chunk_data() {
    for (name, status, data) in [
        ("send_chunk_response", Status::Ok, &b"hello"[..]),
        ("send_chunk_response_chunk_absent", Status::ChunkAbsent, &[]),
    ] {
        let response = SendChunk { info_hash: INFO_HASH, index: 9, status, data };
        check(name, Message::SendChunkResponse(response));
        let bytes = vector(name);
        let head = DataHead { info_hash: INFO_HASH, index: 9, status, data_len: data.len() as u32 };
        assert_eq!(parse_data(&bytes, CHUNK_SIZE_DEFAULT), Ok(DataParsed::Head(head)), "{name}");
        let mut encoded = [0; DATA_HEAD_LEN];
        head.encode(&mut encoded);
        assert_eq!(encoded, bytes[..DATA_HEAD_LEN], "{name}");
        assert_eq!(bytes[DATA_HEAD_LEN..], [data, &MAGIC_END].concat(), "{name}");
    }
}

#[test]
fn between_trackers() {
    let (info_hash, version) = (INFO_HASH, VERSION);
    let proof: [u8; 32] = std::array::from_fn(|at| at as u8);
    let mut hello = SyncHello {
        protocol: sync::SYNC_PROTOCOL,
        tracker: VERSION.tracker,
        lease_ms: 900_000,
        tombstone_ms: 1_800_000,
        endpoint: endpoint("0.0.0.0:7001"),
        nonce: std::array::from_fn(|at| at as u8 * 0x11),
        proof: None,
    };
    check("sync_hello", Message::SyncHello(hello));
    hello.proof = Some(&proof);
    check("sync_hello_proof", Message::SyncHello(hello));
    let entry = |body| Entry { info_hash, version, body };
    let file = |name| Body::File(FileInfo { name, length: 5 << 30, chunk_size: 1 << 20 });
    let (v4, v6) = (Body::Seeder(endpoint("192.0.2.1:6881")), Body::Removed(endpoint("[2001:db8::1]:443")));
    check("sync_share", Message::SyncEntry(entry(file("größe.bin"))));
    check("sync_add_seeder", Message::SyncEntry(entry(v4)));
    check("sync_remove_seeder", Message::SyncEntry(entry(v6)));
    let digests = [0, 0xffee_ddcc_bbaa_9988_7766_5544_3322_1100];
    let request = ListRequest {
        start: Cursor { bucket: 0xabc, tag: 0x0102_0304, skip: 5 },
        cut_off_ms: 0x0190_1234_5678,
        digests: digests.as_slice().into(),
    };
    check("sync_seeder_list_request", Message::SyncSeederListRequest(request));
    let mut page = EntriesBuffer::default();
    let end = ListResponse { status: Status::Ok, next: None, entries: page.entries() };
    check("sync_seeder_list_response_end", Message::SyncSeederListResponse(end));
    [file("a.bin"), v4, v6].into_iter().for_each(|body| page.push(&entry(body)));
    let next = Some(Cursor { bucket: 0xabd, tag: 0, skip: 0 });
    let more = ListResponse { status: Status::Ok, next, entries: page.entries() };
    check("sync_seeder_list_response", Message::SyncSeederListResponse(more));
}

/// Messages that other senders may write although ours do not.
#[test]
fn taken_but_not_written() {
    let bytes = vector("add_seeder_mapped");
    let change = SeederChange { info_hash: INFO_HASH, endpoint: endpoint("192.0.2.1:6881"), version: Some(VERSION) };
    assert_eq!(Message::decode(frame(&bytes)), Ok(Message::AddSeeder(change)));
}

#[test]
fn malformed_frames() {
    for (name, expected) in [
        ("magic_start", FrameError::MagicStart),
        ("magic_end", FrameError::MagicEnd),
        ("type_size_zero", FrameError::TypeSize(0)),
        ("type_size_33", FrameError::TypeSize(33)),
        ("type_not_ascii", FrameError::Type),
        ("payload_too_large", FrameError::PayloadTooLarge { size: 65_537, max: FRAME_CONTROL_BYTES_MAX }),
        ("argument_overruns", FrameError::Arguments),
        ("argument_size_cut", FrameError::Arguments),
    ] {
        let bytes = vector(&format!("bad/{name}"));
        assert_eq!(parse(&bytes, FRAME_CONTROL_BYTES_MAX), Err(expected), "{name}");
    }
}

#[test]
fn wrong_arguments() {
    const ENDPOINT: &str = "the endpoint does not have 6 or 18 bytes, or its port is 0";
    const DIGESTS: &str = "the digests do not have 16 bytes each, or are too many for one request";
    const NAME: &str = "the file name is not one path component of 1 to 255 bytes";
    for (name, expected) in [
        ("too_many_arguments", "there are too many arguments"),
        ("argument_missing", "an argument is missing"),
        ("info_hash_19", "the info hash does not have 20 bytes"),
        ("port_zero", ENDPOINT),
        ("endpoint_7", ENDPOINT),
        ("reach_request_port_zero", ENDPOINT),
        ("version_8", "the version does not have 16 or 0 bytes"),
        ("share_name_empty", NAME),
        ("share_name_climbs", NAME),
        ("share_name_not_utf8", "a text is not UTF-8"),
        ("share_chunk_size", "the chunk size is not a power of two from 16 KiB to 16 MiB, or too small for the file"),
        ("status_unknown", "the status is unknown"),
        ("error_with_data", "an error comes with data"),
        ("error_with_endpoints", "an error comes with endpoints"),
        ("error_with_chunks", "an error comes with chunks"),
        ("bitfield_short", "the bitfield does not have one bit a chunk"),
        ("bitfield_spare_bits", "the bitfield claims chunks behind the last one"),
        ("have_chunks_half_index", "the chunk indices do not have 4 bytes each"),
        ("peer_id_request_with_argument", "there are too many arguments"),
        ("report_progress_done", "more chunks are done than there are, or there are more than a file may have"),
        ("report_progress_state", "the state of the download is unknown"),
        ("status_cursor_behind", "the cursor does not have 10 bytes, or is behind the last bucket"),
        ("status_error_with_page", "an error comes with a page"),
        ("sync_hello_proof_19", "the proof does not have 32 or 0 bytes"),
        ("sync_add_seeder_no_version", "the version is missing"),
        ("sync_share_name_climbs", "an entry's file cannot be"),
        ("sync_cursor_behind", "the cursor does not have 10 bytes, or is behind the last bucket"),
        ("sync_digests_behind", DIGESTS),
        ("sync_digests_half", DIGESTS),
        ("sync_entry_kind", "an entry is malformed"),
        ("sync_entry_short", "an entry is malformed"),
        ("sync_error_with_entries", "an error comes with entries"),
    ] {
        let bytes = vector(&format!("bad/{name}"));
        let error = Message::decode(frame(&bytes)).unwrap_err();
        assert_eq!(error, DecodeError::BadArguments(expected), "{name}");
        assert_eq!((error.status(), error.text()), (Status::BadRequest, expected));
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn unknown_type() {
    let bytes = vector("bad/unknown_type");
    let error = Message::decode(frame(&bytes)).unwrap_err();
    assert_eq!(error, DecodeError::UnknownType);
    assert_eq!(error.to_string(), error.text());
    assert_eq!(Response::from(error), Response::new(Status::UnknownType, "the message type is unknown", None));
}

#[test]
fn wrong_data_heads() {
    for name in ["data_sizes_differ", "status_unknown", "error_with_data"] {
        let bytes = vector(&format!("bad/{name}"));
        assert_eq!(parse_data(&bytes, CHUNK_SIZE_DEFAULT), Err(FrameError::Arguments), "{name}");
    }
    let bytes = vector("bad/data_too_large");
    let error = FrameError::PayloadTooLarge { size: (1 << 20) + 257, max: (1 << 20) + 256 };
    assert_eq!(parse_data(&bytes, CHUNK_SIZE_DEFAULT), Err(error));
}

/// The invariants for arbitrary bytes, without a fuzzer: every vector and seed, whole and truncated.
#[test]
fn fuzz_targets_take_every_vector() {
    let vectors = names("vectors", ".hex").into_iter().chain(names("vectors/bad", ".hex").into_iter().map(bad));
    for name in vectors {
        let bytes = vector(&name);
        for len in 0..=bytes.len() {
            fuzz::frame(&bytes[..len]);
            fuzz::data_head(&bytes[..len]);
        }
    }
    for name in names("fuzz/seeds/metainfo", ".mtorrent") {
        let bytes = std::fs::read(format!("{TESTS}/fuzz/seeds/metainfo/{name}.mtorrent")).unwrap();
        (0..=bytes.len()).for_each(|len| fuzz::metainfo(&bytes[..len]));
        let described = mtorrent::metainfo::Metainfo::parse(&bytes);
        assert!(described.is_ok(), "{name}: {described:?}");
    }
}

fn bad(name: String) -> String {
    format!("bad/{name}")
}

/// The names in a folder of `tests/` that end in `suffix`, without it.
fn names(folder: &str, suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("{TESTS}/{folder}")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter_map(|name| name.strip_suffix(suffix).map(str::to_owned)).collect();
    assert!(!names.is_empty(), "{folder} is empty");
    names
}
