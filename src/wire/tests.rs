//! Properties of the whole codec: identity, any split into reads, no panic, the right need.

use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::filename::check_name;
use crate::ids::{Endpoint, InfoHash, PeerId, TrackerId, Version};
use crate::limits::{CHUNK_SIZE_MAX, CHUNKS_MAX, FRAME_CONTROL_BYTES_MAX};

/// Data that a message may borrow.
#[derive(Clone, Debug)]
struct Parts {
    kind: usize,
    info_hash: InfoHash,
    status: Status,
    endpoints: Vec<Endpoint>,
    version: Option<Version>,
    name: String,
    length: u64,
    chunk_size: u32,
    number: u32,
    indices: Vec<u32>,
    bytes: Vec<u8>,
    peer_id: PeerId,
    proof: Option<[u8; 32]>,
    digests: Vec<u128>,
    page: EntriesBuffer,
}

const KINDS: usize = 24;

impl Parts {
    fn message(&self) -> Message<'_> {
        let Self { info_hash, version, status, .. } = *self;
        let endpoint = self.endpoints[0];
        let change = SeederChange { info_hash, endpoint, version };
        match self.kind {
            0 => Message::Share(self.share()),
            1 => Message::AddSeeder(change),
            2 => Message::RemoveSeeder(change),
            3 => Message::SeederInfoRequest(info_hash),
            4 => {
                let count = if status.is_ok() { self.endpoints.len() } else { 0 };
                let endpoints = Endpoints::from(&self.endpoints[..count]);
                Message::SeederInfoResponse(SeederInfo { info_hash, status, endpoints })
            }
            5 => Message::ChunkInfoRequest(info_hash),
            6 => {
                let bitfield = self.payload_of_success();
                let chunk_count = bitfield.len() as u32 * 8;
                Message::ChunkInfoResponse(ChunkInfo { info_hash, status, chunk_count, bitfield })
            }
            7 => Message::ChunkSubscribeRequest(info_hash),
            8 => Message::HaveChunks(HaveChunks { info_hash, indices: self.indices.as_slice().into() }),
            9 => Message::SendChunkRequest(SendChunkRequest {
                info_hash,
                index: self.number,
                others: self.indices.as_slice().into(),
            }),
            10 => {
                let data = self.payload_of_success();
                Message::SendChunkResponse(SendChunk { info_hash, index: self.number, status, data })
            }
            11 => Message::Response(Response::new(status, &self.name, version)),
            12 => Message::PeerIdRequest,
            13 => Message::PeerIdResponse(self.peer_id),
            14 => Message::SyncHello(SyncHello {
                protocol: self.number,
                tracker: TrackerId(self.length),
                lease_ms: self.length,
                tombstone_ms: self.length,
                endpoint,
                nonce: self.peer_id.0,
                proof: self.proof.as_ref(),
            }),
            15..18 => Message::SyncEntry(self.entry(self.kind - 15, endpoint)),
            18 => Message::SyncSeederListRequest(ListRequest {
                start: self.cursor(),
                cut_off_ms: self.length,
                digests: self.digests.as_slice().into(),
            }),
            20 => Message::ReportProgress(ReportProgress { info_hash, endpoint, progress: self.progress() }),
            21 => Message::StatusRequest(self.cursor()),
            22 => {
                let next = status.is_ok().then(|| self.cursor()).filter(|_| self.proof.is_some());
                Message::StatusResponse(StatusPage { status, next, json: if status.is_ok() { &self.name } else { "" } })
            }
            23 => Message::ReachRequest(endpoint),
            _ => {
                let next = status.is_ok().then(|| self.cursor()).filter(|_| self.proof.is_some());
                const EMPTY: &EntriesBuffer = &EntriesBuffer::NONE;
                let entries = if status.is_ok() { self.page.entries() } else { EMPTY.entries() };
                Message::SyncSeederListResponse(ListResponse { status, next, entries })
            }
        }
    }

    fn progress(&self) -> Progress {
        let count = self.number % (CHUNKS_MAX + 1);
        let state = ProgressState::from_byte((self.number % 6) as u8).unwrap();
        Progress { done: count / 3, count, rate_bytes_s: self.length, state }
    }

    fn cursor(&self) -> Cursor {
        Cursor { bucket: (self.number % 4000) as u16, tag: self.number, skip: self.number / 7 }
    }

    fn entry(&self, kind: usize, endpoint: Endpoint) -> Entry<'_> {
        let body = match kind {
            0 => Body::File(FileInfo { name: &self.name, length: self.length, chunk_size: self.chunk_size }),
            1 => Body::Seeder(endpoint),
            _ => Body::Removed(endpoint),
        };
        Entry { info_hash: self.info_hash, version: self.version.unwrap_or_default(), body }
    }

    fn share(&self) -> Share<'_> {
        let Self { info_hash, length, chunk_size, version, .. } = *self;
        Share { info_hash, name: &self.name, length, chunk_size, endpoint: self.endpoints[0], version }
    }

    fn payload_of_success(&self) -> &[u8] {
        if self.status.is_ok() { &self.bytes } else { &[] }
    }

    fn encoded(&self) -> Vec<u8> {
        encoded(&self.message())
    }
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

prop_compose! {
    fn parts()(
        kind in 0..KINDS,
        info_hash: [u8; 20],
        status in prop_oneof![Just(0), 0u8..10],
        endpoints in prop::collection::vec((any::<std::net::IpAddr>(), 1u16..), 1..60),
        version: Option<(u64, u64)>,
        name in ".{1,80}".prop_filter("a file name", |name| check_name(name).is_ok()),
        length in 0u64..1 << 32,
        shift in 14u32..=24,
        number: u32,
        indices: Vec<u32>,
        bytes: Vec<u8>,
        peer_id: [u8; 16],
        proof: Option<[u8; 32]>,
        digests in prop::collection::vec(any::<u128>(), 0..96),
        page: bool,
    ) -> Parts {
        let mut parts = Parts {
            kind,
            info_hash: InfoHash(info_hash),
            status: Status::from_byte(status).unwrap(),
            endpoints: endpoints.into_iter().map(|(ip, port)| Endpoint::new(ip, port).unwrap()).collect(),
            version: version.map(|(clock, tracker)| Version { clock, tracker: TrackerId(tracker) }),
            name,
            length,
            chunk_size: 1 << shift,
            number,
            indices,
            bytes,
            peer_id: PeerId(peer_id),
            proof,
            digests,
            page: EntriesBuffer::NONE,
        };
        if page {
            let mut page = EntriesBuffer::default();
            let all = parts.endpoints.iter().enumerate();
            all.for_each(|(at, endpoint)| page.push(&parts.entry(at % 3, *endpoint)));
            parts.page = page;
        }
        parts
    }
}

fn whole(bytes: &[u8]) -> (Frame<'_>, usize) {
    match parse(bytes, FRAME_CONTROL_BYTES_MAX) {
        Ok(Parsed::Frame { frame, len }) => (frame, len),
        other => panic!("no whole frame: {other:?}"),
    }
}

/// Reads a stream in pieces of the given sizes, as a connection does, and returns the bytes of all its frames.
///
/// Checks on the way that `need` is never too large, because the reader waits for it.
fn read_in_pieces(stream: &[u8], mut piece_sizes: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let (mut buffer, mut at, mut frames) = (Vec::new(), 0, Vec::new());
    loop {
        match parse(&buffer, FRAME_CONTROL_BYTES_MAX).unwrap() {
            Parsed::Frame { len, .. } => frames.push(buffer.drain(..len).collect()),
            Parsed::Partial { .. } if at == stream.len() && buffer.is_empty() => return frames,
            Parsed::Partial { need } => {
                assert!(need > buffer.len());
                while buffer.len() < need {
                    assert!(at < stream.len(), "waits for bytes that never come");
                    let size = piece_sizes.next().unwrap().clamp(1, stream.len() - at);
                    buffer.extend_from_slice(&stream[at..at + size]);
                    at += size;
                }
            }
        }
    }
}

/// Applies everything that a receiver may do with bytes, to test that nothing panics.
fn take(bytes: &[u8]) {
    for payload_max in [0, 100, FRAME_CONTROL_BYTES_MAX] {
        if let Ok(Parsed::Frame { frame, len }) = parse(bytes, payload_max) {
            assert!(len <= bytes.len() && frame.payload.len() <= payload_max);
            if let Ok(message) = Message::decode(frame) {
                assert_eq!(message.encoded_len(), encoded(&message).len());
            }
        }
    }
    for chunk_size_max in [0, 16 << 10, CHUNK_SIZE_MAX] {
        if let Ok(DataParsed::Head(head)) = parse_data(bytes, chunk_size_max) {
            assert!(head.data_len <= chunk_size_max);
        }
    }
}

proptest! {
    #[test]
    fn decode_undoes_encode(parts in parts()) {
        let message = parts.message();
        let bytes = parts.encoded();
        prop_assert_eq!(bytes.len(), message.encoded_len());
        let (frame, len) = whole(&bytes);
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!(frame.kind, message.kind().as_bytes());
        let decoded = Message::decode(frame).unwrap();
        prop_assert_eq!(decoded, message);
        prop_assert_eq!(encoded(&decoded), bytes, "encoded from the views");
    }

    #[test]
    fn fixed_slices_are_enough(parts in parts()) {
        let message = parts.message();
        let mut out = vec![0; message.encoded_len()];
        let mut room = &mut out[..];
        message.encode(&mut room);
        prop_assert_eq!(room.remaining_mut(), 0);
        prop_assert_eq!(out, parts.encoded());
    }

    #[test]
    fn any_split_gives_the_same_frames(all in prop::collection::vec(parts(), 0..5), sizes: Vec<u8>) {
        let frames: Vec<Vec<u8>> = all.iter().map(Parts::encoded).collect();
        let sizes = sizes.into_iter().map(usize::from).chain(std::iter::repeat(1));
        prop_assert_eq!(read_in_pieces(&frames.concat(), sizes), frames);
    }

    #[test]
    fn truncated_frames_tell_their_need(parts in parts()) {
        let bytes = parts.encoded();
        let header_len = 12 + parts.message().kind().len();
        for len in 0..bytes.len() {
            let need = match len {
                0..8 => 17,
                _ if len < header_len => header_len + 4,
                _ => bytes.len(),
            };
            prop_assert_eq!(parse(&bytes[..len], FRAME_CONTROL_BYTES_MAX), Ok(Parsed::Partial { need }), "{} bytes", len);
        }
    }

    #[test]
    fn data_head_is_the_start_of_the_message(mut parts in parts()) {
        parts.kind = 10;
        let bytes = parts.encoded();
        let data_len = parts.payload_of_success().len() as u32;
        let head = DataHead { info_hash: parts.info_hash, index: parts.number, status: parts.status, data_len };
        let mut out = [0; DATA_HEAD_LEN];
        head.encode(&mut out);
        prop_assert_eq!(&out[..], &bytes[..DATA_HEAD_LEN]);
        for len in 0..bytes.len() {
            let parsed = parse_data(&bytes[..len], CHUNK_SIZE_MAX);
            let expected = match len {
                0..8 => DataParsed::Partial { need: 17 },
                8..29 => DataParsed::Partial { need: 33 },
                29..70 => DataParsed::Partial { need: DATA_HEAD_LEN },
                _ => DataParsed::Head(head),
            };
            prop_assert_eq!(parsed, Ok(expected), "{} bytes", len);
        }
        if data_len > 0 {
            prop_assert_eq!(parse_data(&bytes, data_len - 1), Err(FrameError::Arguments));
        }
    }

    #[test]
    fn data_connections_take_other_messages(parts in parts()) {
        prop_assume!(parts.kind != 10);
        let bytes = parts.encoded();
        let (frame, len) = whole(&bytes);
        prop_assert_eq!(parse_data(&bytes, 0), Ok(DataParsed::Frame { frame, len }));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, parts in parts()) {
        take(&bytes);
        let kind = parts.message().kind();
        let frame = Frame { kind: kind.as_bytes(), payload: &bytes };
        let _ = Message::decode(frame);
        let size = bytes.len() as u32;
        let arguments = [&MAGIC_START[..], &(kind.len() as u32).to_be_bytes(), kind.as_bytes(), &size.to_be_bytes(),
            &bytes, &MAGIC_END].concat();
        take(&arguments);
    }

    #[test]
    fn mutated_frames_never_panic(
        parts in parts(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6),
    ) {
        let mut bytes = parts.encoded();
        for (at, byte, how) in mutations {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => { bytes.remove(at); }
                _ => {}
            }
        }
        take(&bytes);
    }
}

#[test]
fn headers_are_judged_byte_by_byte() {
    let too_large = |size, max| FrameError::PayloadTooLarge { size, max };
    for (bytes, expected) in [
        (&b"x"[..], FrameError::MagicStart),
        (b"mTo\0", FrameError::MagicStart),
        (b"GET / HTTP/1.1", FrameError::MagicStart),
        (b"mTor\0\0\0\0", FrameError::TypeSize(0)),
        (b"mTor\0\0\0\x21", FrameError::TypeSize(33)),
        (b"mTor\xff\xff\xff\xff", FrameError::TypeSize(u32::MAX)),
        (b"mTor\0\0\0\x05Sh\n", FrameError::Type),
        (b"mTor\0\0\0\x05\xc3\xa4", FrameError::Type),
        (b"mTor\0\0\0\x01A\0\0\0\x65", too_large(101, 100)),
        (b"mTor\0\0\0\x01A\xff\xff\xff\xff", too_large(u32::MAX, 100)),
        (b"mTor\0\0\0\x01A\0\0\0\0x", FrameError::MagicEnd),
        (b"mTor\0\0\0\x01A\0\0\0\0roTx", FrameError::MagicEnd),
        (b"mTor\0\0\0\x01A\0\0\0\x03\0\0\0roTm", FrameError::Arguments),
        (b"mTor\0\0\0\x01A\0\0\0\x05\0\0\0\0\0roTm", FrameError::Arguments),
        (b"mTor\0\0\0\x01A\0\0\0\x05\0\0\0\x02aroTm", FrameError::Arguments),
        (b"mTor\0\0\0\x01A\0\0\0\x04\xff\xff\xff\xffroTm", FrameError::Arguments),
    ] {
        assert_eq!(parse(bytes, 100), Err(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn bytes_behind_the_frame_stay() {
    let mut bytes = encoded(&Message::PeerIdRequest);
    let len = bytes.len();
    bytes.extend_from_slice(b"anything");
    assert_eq!(whole(&bytes), (Frame { kind: b"PeerIdRequest", payload: &[] }, len));
}
