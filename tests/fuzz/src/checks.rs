//! Invariants for arbitrary bytes. Called by the fuzz targets, and by `tests/pure/wire_vectors.rs` with every vector.

use mtorrent::limits::{CHUNK_SIZE_DEFAULT, FRAME_CONTROL_BYTES_MAX};
use mtorrent::metainfo::{Metainfo, MetainfoError};
use mtorrent::wire::{DATA_HEAD_LEN, DataParsed, Message, Parsed, parse, parse_data};

/// A stream of frames: each is parsed, decoded, and encoded to bytes that decode to the same message.
pub fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Parsed::Frame { frame, len }) = parse(rest, FRAME_CONTROL_BYTES_MAX) {
        check_prefixes(rest, len);
        if let Ok(message) = Message::decode(frame) {
            check_encoding(&message);
        }
        rest = &rest[len..];
    }
}

/// Every prefix of a valid frame is accepted, and never needs more bytes than the frame has.
fn check_prefixes(bytes: &[u8], len: usize) {
    for arrived in (0..len).step_by(1 + len / 64) {
        match parse(&bytes[..arrived], FRAME_CONTROL_BYTES_MAX) {
            Ok(Parsed::Partial { need }) => assert!(arrived < need && need <= len),
            other => panic!("{arrived} bytes of a good frame: {other:?}"),
        }
    }
}

fn check_encoding(message: &Message<'_>) {
    let mut encoded = Vec::new();
    message.encode(&mut encoded);
    assert_eq!(encoded.len(), message.encoded_len());
    let Ok(Parsed::Frame { frame, len }) = parse(&encoded, FRAME_CONTROL_BYTES_MAX) else {
        panic!("no frame: {encoded:?}");
    };
    assert_eq!((len, Message::decode(frame).as_ref()), (encoded.len(), Ok(message)));
}

/// The start of a data connection: a head is encoded to the same bytes, and agrees with the whole message.
pub fn data_head(bytes: &[u8]) {
    match parse_data(bytes, CHUNK_SIZE_DEFAULT) {
        Ok(DataParsed::Head(head)) => {
            assert!(head.data_len <= CHUNK_SIZE_DEFAULT);
            let mut encoded = [0; DATA_HEAD_LEN];
            head.encode(&mut encoded);
            assert_eq!(encoded, bytes[..DATA_HEAD_LEN]);
        }
        Ok(DataParsed::Partial { need }) => assert!(need > bytes.len()),
        Ok(DataParsed::Frame { frame, len }) => {
            assert_eq!(parse(bytes, FRAME_CONTROL_BYTES_MAX), Ok(Parsed::Frame { frame, len }));
        }
        Err(_) => {}
    }
    check_whole_chunk(bytes);
}

fn check_whole_chunk(bytes: &[u8]) {
    let Ok(Parsed::Frame { frame, .. }) = parse(bytes, FRAME_CONTROL_BYTES_MAX) else { return };
    let Ok(Message::SendChunkResponse(chunk)) = Message::decode(frame) else { return };
    match parse_data(bytes, CHUNK_SIZE_DEFAULT) {
        Ok(DataParsed::Head(head)) => assert_eq!(
            (head.info_hash, head.index, head.status, head.data_len as usize),
            (chunk.info_hash, chunk.index, chunk.status, chunk.data.len())
        ),
        other => panic!("no head of a whole chunk: {other:?}"),
    }
}

/// A `.mtorrent` file: everything that is read is preserved, and only its trackers can change.
pub fn metainfo(bytes: &[u8]) {
    let Ok(metainfo) = Metainfo::parse(bytes) else { return };
    assert_eq!(metainfo.to_bytes(), bytes);
    assert_eq!(mtorrent::filename::check_name(metainfo.name()), Ok(()));
    assert!(metainfo.file_name().is_err() || metainfo.name() == metainfo.written_name());
    metainfo.geometry().chunks().for_each(|chunk| _ = metainfo.chunk_hash(chunk));
    let (info_hash, trackers) = (metainfo.info_hash(), metainfo.trackers().to_vec());
    match metainfo.clone().with_trackers(trackers.clone()) {
        Ok(same) => assert_eq!((same.info_hash(), same.trackers()), (info_hash, &trackers[..])),
        Err(error) => assert!(matches!(error, MetainfoError::Bencode(_) | MetainfoError::TooLarge(_)), "{error}"),
    }
}
