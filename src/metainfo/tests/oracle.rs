//! Our bencode reader compared with `bt_bencode`, an independent reader, over generated and damaged bytes.
//!
//! Bytes that we accept must parse to the same values, up to the same byte; so we refuse all that it refuses. Two
//! differences are intended: it accepts ambiguous bytes (leading zeros, a key twice, a key that is not a string) and
//! has no bounds, and its integers have 64 bits where ours may have any number of digits.

use bt_bencode::{Deserializer, Value as Theirs};
use proptest::sample::Index;
use serde::Deserialize as _;

use super::*;
use crate::metainfo::bencode::{Dictionary, Kind, Value, parse, write_bytes};

/// The value at the start of `bytes`, as the oracle reads it, and its length in bytes.
fn oracle(bytes: &[u8]) -> Result<(Theirs, usize), String> {
    let mut reader = Deserializer::from_slice(bytes);
    let value = Theirs::deserialize(&mut reader).map_err(|error| error.to_string())?;
    Ok((value, reader.byte_offset()))
}

fn is_same(ours: &Value<'_>, theirs: &Theirs) -> bool {
    match (&ours.kind, theirs) {
        (Kind::Integer(digits), Theirs::Int(number)) => number.to_string().as_bytes() == *digits,
        (Kind::Bytes(bytes), Theirs::ByteStr(theirs)) => theirs.as_slice() == *bytes,
        (Kind::List(values), Theirs::List(theirs)) => {
            values.len() == theirs.len() && values.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        // Both are sorted by key.
        (Kind::Dictionary(Dictionary(entries)), Theirs::Dict(theirs)) => {
            let same =
                |((key, ours), (their_key, theirs)): (&(&[u8], Value<'_>), (&bt_bencode::ByteString, &Theirs))| {
                    *key == their_key.as_slice() && is_same(ours, theirs)
                };
            entries.len() == theirs.len() && entries.iter().zip(theirs).all(same)
        }
        _ => false,
    }
}

/// Whether the value contains an integer that exceeds the oracle's range.
fn has_large_integer(value: &Value<'_>) -> bool {
    match &value.kind {
        Kind::Integer(digits) => {
            let text = std::str::from_utf8(digits).unwrap();
            text.parse::<u64>().is_err() && text.parse::<i64>().map_or(true, |number| number == i64::MIN)
        }
        Kind::Bytes(_) => false,
        Kind::List(values) => values.iter().any(has_large_integer),
        Kind::Dictionary(Dictionary(entries)) => entries.iter().any(|(_, value)| has_large_integer(value)),
    }
}

/// Whether we refuse this fault although the oracle accepts it.
fn is_stricter(fault: BencodeFault) -> bool {
    use BencodeFault::*;
    match fault {
        Integer | Length | Key | DuplicateKey | Depth | Values => true,
        Truncated | Start(_) => false,
    }
}

fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (parse(bytes), oracle(bytes)) {
        (Ok(ours), Ok((theirs, end))) => {
            prop_assert!(is_same(&ours, &theirs), "{ours:?} is {theirs:?} to the oracle");
            prop_assert_eq!(ours.end, end);
        }
        (Ok(ours), Err(why)) => prop_assert!(has_large_integer(&ours), "{ours:?} is refused by the oracle: {why}"),
        (Err(error), Ok((theirs, _))) => prop_assert!(is_stricter(error.fault), "{error}, but it is {theirs:?}"),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

/// Bencode of any shape; keys in any order, sometimes twice.
fn bencode() -> impl Strategy<Value = Vec<u8>> {
    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_bytes(&mut out, bytes);
        out
    }
    fn enclose(start: u8, parts: Vec<Vec<u8>>) -> Vec<u8> {
        [vec![start], parts.concat(), vec![b'e']].concat()
    }
    let key = "[a-c]{0,2}".prop_map(|key| string(key.as_bytes()));
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| format!("i{number}e").into_bytes()),
        any::<u64>().prop_map(|number| format!("i{number}e").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| string(&bytes)),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let entry = (key.clone(), inner.clone()).prop_map(|(key, value)| [key, value].concat());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|values| enclose(b'l', values)),
            prop::collection::vec(entry, 0..6).prop_map(|entries| enclose(b'd', entries)),
        ]
    })
}

/// One damage: a byte replaced, inserted or removed, or the rest cut off.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![prop::sample::select(b"ilde0123456789:-".as_slice()), any::<u8>()];
    prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        4 => any::<Index>().prop_map(Damage::Remove),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

fn apply(damages: &[Damage], bytes: &mut Vec<u8>) {
    for damage in damages {
        if bytes.is_empty() {
            return;
        }
        match damage {
            Damage::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Damage::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// Content of a `.mtorrent` file according to the oracle: length, name, piece length, pieces.
fn described(bytes: &[u8]) -> Option<(u64, Vec<u8>, u64, Vec<u8>)> {
    let (root, _) = oracle(bytes).ok()?;
    let info = root.get("info")?;
    let bytes_of = |key: &str| Some(info.get(key)?.as_byte_str()?.as_slice().to_vec());
    Some((info.get("length")?.as_u64()?, bytes_of("name")?, info.get("piece length")?.as_u64()?, bytes_of("pieces")?))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bencode_is_read_as_by_others(bytes in bencode(), damages in prop::collection::vec(damage(), 0..4)) {
        let mut bytes = bytes;
        apply(&damages, &mut bytes);
        compare(&bytes)?;
    }

    #[test]
    fn metainfo_is_read_as_by_others(
        name in "[a-z]{1,20}",
        length in 1_u64..100_000,
        damages in prop::collection::vec(damage(), 0..3),
    ) {
        let geometry = Geometry::new(length, CHUNK_SIZE_MIN).unwrap();
        let pieces = (0..geometry.chunk_count() * 20).map(|at| at as u8).collect();
        let trackers = vec!["tracker:7000".to_owned()];
        let mut bytes = Metainfo::new(&name, geometry, pieces, trackers).unwrap().to_bytes();
        apply(&damages, &mut bytes);
        compare(&bytes)?;
        if let Ok(metainfo) = Metainfo::parse(&bytes) {
            let (length, name, chunk_size, pieces) = described(&bytes).expect("the oracle reads what we accept");
            prop_assert_eq!(metainfo.geometry().length(), length);
            prop_assert_eq!(u64::from(metainfo.geometry().chunk_size()), chunk_size);
            prop_assert_eq!(metainfo.written_name(), String::from_utf8_lossy(&name));
            let hashes = metainfo.geometry().chunks().map(|chunk| metainfo.chunk_hash(chunk).0);
            prop_assert_eq!(hashes.collect::<Vec<_>>().concat(), pieces);
        }
    }
}
