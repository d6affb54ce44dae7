//! Invariants for arbitrary bytes of the files on disk, and for arbitrary lines of input.

use mtorrent::control::command::{self, Place};
use mtorrent::geometry::Geometry;
use mtorrent::hash::sha1;
use mtorrent::ids::InfoHash;
use mtorrent::node::saved::Saved;
use mtorrent::storage::record::{Record, slot_len};

const CHUNK_SIZE: u32 = 1 << 14;
const INFO_HASH: InfoHash = InfoHash([7; 20]);
/// Length of a slot before its bitfield, bytes, in both formats.
const HEAD_LENS: [(u32, usize); 2] = [(1, 52), (2, 68)];

/// The record of an unfinished download: the first two bytes give its number of chunks, the others its slots. The slots
/// are read unchanged, and with a valid head and checksum.
pub fn record(bytes: &[u8]) {
    let Some(([high, low], slots)) = bytes.split_first_chunk() else { return };
    let chunk_count = u64::from(u16::from_be_bytes([*high, *low]) & 0xfff);
    let length = (chunk_count * u64::from(CHUNK_SIZE)).saturating_sub(u64::from(*low));
    let Ok(geometry) = Geometry::new(length, CHUNK_SIZE) else { return };
    assert_eq!(Record::decode(slots, InfoHash([8; 20]), geometry).map(|record| check_record(&record)), None);
    if let Some(record) = Record::decode(slots, INFO_HASH, geometry) {
        check_record(&record);
    }
    for (format, head_len) in HEAD_LENS {
        let body_len = head_len + (geometry.chunk_count() as usize).div_ceil(8);
        let mut slot = slots.to_vec();
        slot.resize(body_len, 0);
        slot[..8].copy_from_slice(b"mTorPart");
        slot[8..12].copy_from_slice(&format.to_be_bytes());
        slot[20..40].copy_from_slice(&INFO_HASH.0);
        slot[40..48].copy_from_slice(&length.to_be_bytes());
        slot[48..52].copy_from_slice(&CHUNK_SIZE.to_be_bytes());
        slot.extend_from_slice(&sha1(&slot));
        let spare_bits = (body_len - head_len) * 8 - geometry.chunk_count() as usize;
        let is_good = body_len == head_len || slot[body_len - 1] & !(0xffu16 << spare_bits) as u8 == 0;
        match Record::decode(&slot, INFO_HASH, geometry) {
            Some(record) => check_record(&record),
            None => assert!(!is_good, "a good slot of format {format} is not read"),
        }
    }
}

/// A record that was read is written so that it reads the same again.
fn check_record(record: &Record) {
    let (at, slot) = record.encode();
    let len = slot_len(record.chunks.geometry());
    let mut file = vec![0; 2 * len];
    file[at as usize..][..len].copy_from_slice(&slot);
    assert_eq!(Record::decode(&file, record.info_hash, record.chunks.geometry()).as_ref(), Some(record));
}

/// `state.json`: a state that was read is written so that it reads the same again.
pub fn state(bytes: &[u8]) {
    let Ok(saved) = serde_json::from_slice::<Saved>(bytes) else { return };
    let written = serde_json::to_vec_pretty(&saved).expect("what was read is written");
    assert_eq!(serde_json::from_slice::<Saved>(&written).expect("what was written is read"), saved);
    for share in &saved.shares {
        _ = share.identity.map(|identity| identity.identity());
    }
}

/// A line of commands: a command, or a clear error in one line.
pub fn line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parse = |place: &Place| command::split(&text).and_then(|words| command::parse(&words, place));
    match parse(&Place { cwd: Some("/srv".into()), home: Some("/home/u".into()) }) {
        Ok(_) => assert_eq!(parse(&Place::default()).is_ok(), true),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(|letter: char| letter.is_control()), "{said:?}");
        }
    }
}
