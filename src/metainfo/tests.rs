//! Accepted files, refused files with their errors, and that every file is written back as it was read.

mod foreign;
mod oracle;

use proptest::prelude::*;

use super::keys::{TRACKERS, wrong_type};
use super::*;
use crate::filename::{NameError, check_name};
use crate::geometry::{Geometry, GeometryError};
use crate::limits::{CHUNK_SIZE_MIN, CHUNK_SIZE_READ_MAX, METAINFO_BYTES_MAX, TRACKERS_MAX};

/// A metainfo of one file with one chunk of `CHUNK_SIZE_MIN`, from the inner bytes of root and info.
fn file(before_info: &str, info: &str, after_info: &str) -> Vec<u8> {
    format!("d{before_info}4:infod{info}e{after_info}e").into_bytes()
}

const GOOD_INFO: &str = "6:lengthi5e4:name5:a.bin12:piece lengthi16384e6:pieces20:01234567890123456789";

#[test]
fn reads_what_is_there() {
    let bytes = file("8:announce14:http://tracker", GOOD_INFO, "17:mtorrent trackersl6:host:110:[::1]:7000e");
    let metainfo = Metainfo::parse(&bytes).unwrap();
    assert_eq!(metainfo.name(), "a.bin");
    assert_eq!(metainfo.geometry(), Geometry::new(5, 16384).unwrap());
    assert_eq!(metainfo.trackers(), ["host:1", "[::1]:7000"]);
    assert_eq!(&metainfo.chunk_hash(metainfo.geometry().chunk(0).unwrap()).0, b"01234567890123456789");
    assert_eq!(metainfo.to_bytes(), bytes);
    // The sha1sum of the bytes of `info`, from its d to its e.
    assert_eq!(metainfo.info_hash().to_string(), "febb81daf2a61311a75f49c17cf723cb54be0ffb");
    assert!(!format!("{metainfo:?}").contains("0123456789"), "hashes do not belong into logs");
}

#[test]
fn the_info_hash_covers_unknown_keys() {
    let plain = Metainfo::parse(&file("", GOOD_INFO, "")).unwrap();
    let private = Metainfo::parse(&file("", &format!("{GOOD_INFO}7:privatei1e"), "")).unwrap();
    let announced = Metainfo::parse(&file("8:announce14:http://tracker", GOOD_INFO, "")).unwrap();
    assert_ne!(plain.info_hash(), private.info_hash());
    assert_eq!(plain.info_hash(), announced.info_hash());
}

#[test]
fn an_empty_file_has_no_hashes() {
    let metainfo = Metainfo::new("empty", Geometry::new(0, 1 << 20).unwrap(), Vec::new(), Vec::new()).unwrap();
    assert_eq!(metainfo.geometry().chunk_count(), 0);
    assert_eq!(metainfo.to_bytes(), b"d4:infod6:lengthi0e4:name5:empty12:piece lengthi1048576e6:pieces0:ee");
}

#[test]
fn refusals() {
    use MetainfoError::*;
    let info = |from: &str, to: &str| file("", &GOOD_INFO.replace(from, to), "");
    let trackers = |list: &str| file("", GOOD_INFO, &format!("17:mtorrent trackers{list}"));
    let geometry = |size| Geometry(GeometryError::ChunkSize(size));
    let pieces = |bytes, chunk_count| Pieces { bytes, chunk_count };
    let length = ("6:lengthi5e", "length", "a number of bytes");
    for (bytes, expected) in [
        (b"le".to_vec(), NotADictionary),
        (b"de".to_vec(), Missing("info")),
        (b"d4:infoi1ee".to_vec(), wrong_type("info", "a dictionary")),
        (info(length.0, ""), Missing("length")),
        (info(length.0, "6:length1:5"), wrong_type(length.1, length.2)),
        (info(length.0, "6:lengthi-5e"), wrong_type(length.1, length.2)),
        (info(length.0, "6:lengthi18446744073709551616e"), wrong_type(length.1, length.2)),
        (info(length.0, "6:lengthi0e"), pieces(20, 0)),
        (info(length.0, "6:lengthi16385e"), pieces(20, 2)),
        (
            info(length.0, "6:lengthi18446744073709551615e"),
            Geometry(GeometryError::TooManyChunks { length: u64::MAX, chunk_size: 16384 }),
        ),
        (info("i16384e", "i16383e"), geometry(16383)),
        (info("i16384e", "i268435457e"), geometry((256 << 20) + 1)),
        (info("i16384e", "i-16384e"), wrong_type("piece length", length.2)),
        (info("i16384e", "i4294983680e"), geometry((4 << 30) + 16384)),
        (info("i16384e", "i0e"), geometry(0)),
        (info("12:piece lengthi16384e", ""), Missing("piece length")),
        (info("6:pieces20:01234567890123456789", ""), Missing("pieces")),
        (info("20:01234567890123456789", "le"), wrong_type("pieces", "a string")),
        (info("20:01234567890123456789", "19:0123456789012345678"), pieces(19, 1)),
        (info("20:01234567890123456789", "0:"), pieces(0, 1)),
        (info("4:name5:a.bin", ""), Missing("name")),
        (info("5:a.bin", "i1e"), wrong_type("name", "a string")),
        (info(length.0, "5:filesle"), Directory),
        (b"d4:infod9:file treede12:meta versioni2e4:name1:a12:piece lengthi16384eee".to_vec(), VersionTwo),
        (trackers("i1e"), wrong_type(TRACKERS, "a list of HOST:PORT")),
        (trackers("li1ee"), wrong_type(TRACKERS, "a list of HOST:PORT")),
        (trackers("l4:hoste"), Tracker(TrackerAddressError::Port("host".into()))),
        (trackers(&format!("l{}e", "6:host:1".repeat(65))), TooManyTrackers(65)),
        (vec![b'd'; METAINFO_BYTES_MAX + 1], TooLarge(METAINFO_BYTES_MAX + 1)),
    ] {
        let shown = bytes[..bytes.len().min(200)].escape_ascii();
        assert_eq!(Metainfo::parse(&bytes).err(), Some(expected), "{shown}");
    }
}

#[test]
fn errors_are_sentences() {
    for (bytes, expected) in [
        (&b"d5:"[..], "the .mtorrent file is damaged or is none: the data ends in the middle of a value at byte 1"),
        (b"de", "the .mtorrent file lacks \"info\""),
        (
            b"d4:infod5:fileslee",
            "the .mtorrent file is damaged or is none: the data ends in the middle of a value at byte 18",
        ),
        (
            b"d4:infod5:filesleee",
            "the .mtorrent file describes a folder; only single files can be shared, so pack the folder into one",
        ),
    ] {
        assert_eq!(Metainfo::parse(bytes).unwrap_err().to_string(), expected);
    }
    let pieces = MetainfoError::Pieces { bytes: 19, chunk_count: 1 };
    assert_eq!(pieces.to_string(), "the .mtorrent file has 19 bytes of hashes where 1 chunks need 20");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = file("8:announce14:http://tracker", GOOD_INFO, "17:mtorrent trackersl6:host:1e");
    for len in 0..bytes.len() {
        assert!(Metainfo::parse(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn trackers_change_and_nothing_else() {
    let other_keys = "8:announce14:http://tracker13:announce-listle10:created by1:x";
    let bare = Metainfo::parse(&file(other_keys, GOOD_INFO, "3:zzzi1e")).unwrap();
    let with = bare.clone().with_trackers(vec!["host:1".into()]).unwrap();
    assert_eq!(with.to_bytes(), file(other_keys, GOOD_INFO, "17:mtorrent trackersl6:host:1e3:zzzi1e"));
    assert_eq!(with.info_hash(), bare.info_hash());
    assert_eq!(with.trackers(), ["host:1"]);
    assert_eq!(with.with_trackers(Vec::new()).unwrap().to_bytes(), bare.to_bytes());
    let error = bare.clone().with_trackers(vec!["host".into()]).unwrap_err();
    assert_eq!(error, MetainfoError::Tracker(TrackerAddressError::Port("host".into())));
    assert_eq!(bare.with_trackers(vec!["host:1".into(); 65]).unwrap_err(), MetainfoError::TooManyTrackers(65));
}

#[test]
fn new_checks_what_it_is_given() {
    let geometry = Geometry::new(1, CHUNK_SIZE_MIN).unwrap();
    let new = |name: &str, pieces: usize| Metainfo::new(name, geometry, vec![0; pieces], Vec::new()).err();
    assert_eq!(new("a", 20), None);
    assert_eq!(new("a/b", 20), Some(MetainfoError::Name(NameError::Separator)));
    assert_eq!(new("a", 40), Some(MetainfoError::Pieces { bytes: 40, chunk_count: 1 }));
    assert_eq!(new("..", 20), Some(MetainfoError::Name(NameError::Dots)));
}

/// The largest number of chunks that is created must fit into a file that is read.
#[test]
fn the_largest_file_that_is_created_is_read() {
    let chunk_count = crate::limits::CHUNKS_CREATE_MAX;
    let geometry = Geometry::new(u64::from(chunk_count) << 24, 1 << 24).unwrap();
    let trackers = vec![format!("{}.org:65535", "a".repeat(63)); TRACKERS_MAX];
    let metainfo = Metainfo::new(&"n".repeat(255), geometry, vec![7; chunk_count as usize * 20], trackers).unwrap();
    assert_eq!(metainfo.chunk_hash(geometry.chunks().last().unwrap()).0, [7; 20]);
}

prop_compose! {
    fn metainfo()(
        name in ".{1,60}".prop_filter("a file name", |name| check_name(name).is_ok()),
        chunk_size in prop_oneof![(14u32..=28).prop_map(|shift| 1 << shift), CHUNK_SIZE_MIN..=CHUNK_SIZE_READ_MAX],
        pieces in prop::collection::vec(any::<[u8; 20]>(), 0..20),
        spare in any::<u32>(),
        trackers in prop::collection::vec("[a-z]{1,9}:[1-9][0-9]{0,3}", 0..5),
    ) -> (String, Geometry, Vec<[u8; 20]>, Vec<String>) {
        let whole = pieces.len() as u64 * u64::from(chunk_size);
        let length = whole.saturating_sub(u64::from(spare % chunk_size));
        (name, Geometry::new(length, chunk_size).unwrap(), pieces, trackers)
    }
}

proptest! {
    #[test]
    fn parse_undoes_new((name, geometry, pieces, trackers) in metainfo()) {
        let made = Metainfo::new(&name, geometry, pieces.as_flattened().to_vec(), trackers.clone()).unwrap();
        let read = Metainfo::parse(&made.to_bytes()).unwrap();
        prop_assert_eq!(read.name(), name);
        prop_assert_eq!(read.geometry(), geometry);
        prop_assert_eq!(read.trackers(), trackers);
        prop_assert_eq!(read.info_hash(), made.info_hash());
        let hashes: Vec<[u8; 20]> = geometry.chunks().map(|chunk| read.chunk_hash(chunk).0).collect();
        prop_assert_eq!(hashes, pieces);
        prop_assert_eq!(read.to_bytes(), made.to_bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Metainfo::parse(&bytes);
    }

    #[test]
    fn mutated_files_never_panic_and_are_kept_as_they_are(
        (name, geometry, pieces, trackers) in metainfo(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), "[ilde0-9:/.x]", 0..3), 1..4),
    ) {
        let made = Metainfo::new(&name, geometry, pieces.as_flattened().to_vec(), trackers).unwrap();
        let mut bytes = made.to_bytes();
        for (at, byte, how) in mutations {
            let (at, byte) = (at.index(bytes.len()), byte.as_bytes()[0]);
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(read) = Metainfo::parse(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
            prop_assert_eq!(check_name(read.name()), Ok(()));
            prop_assert!(read.file_name().is_err() || read.name() == read.written_name());
            let info_hash = read.info_hash();
            let again = read.with_trackers(vec!["host:1".into()]).unwrap();
            prop_assert_eq!(again.info_hash(), info_hash);
        }
    }
}
