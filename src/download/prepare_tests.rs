//! Destinations of every kind, prepared and then completed as a download would: what is kept, what becomes a hole, and
//! what is refused.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::outcome::Failure;
use super::prepare::{Found, Preparation, Prepared, check_whole};
use crate::bitfield::Bitfield;
use crate::download::FailureKind;
use crate::geometry::Geometry;
use crate::hash::sha1;
use crate::metainfo::Metainfo;

const CHUNK: usize = 1 << 14;

fn metainfo(bytes: &[u8]) -> Metainfo {
    let geometry = Geometry::new(bytes.len() as u64, CHUNK as u32).unwrap();
    Metainfo::new("file", geometry, bytes.chunks(CHUNK).flat_map(sha1).collect(), Vec::new()).unwrap()
}

/// How a file is got.
#[derive(Clone, Copy, Debug, Default)]
struct How {
    force: bool,
    in_place: bool,
    is_dense: bool,
}

fn prepare(metainfo: &Metainfo, dest: &Path, how: How) -> Result<Option<Prepared>, Failure> {
    let stop = AtomicBool::new(false);
    let How { force, in_place, is_dense } = how;
    let preparation = Preparation { metainfo, force, in_place, is_sparse: !is_dense, threads: 2, stop: &stop };
    match preparation.inspect(dest)? {
        Found::Whole => Ok(None),
        Found::Nothing => preparation.open(dest, None, None).map(Some),
        Found::Different { right, identity } if in_place => {
            preparation.open_in_place(dest, right, identity, None).map(Some)
        }
        Found::Different { right, .. } => preparation.open(dest, Some(&right), None).map(Some),
    }
}

/// Writes the missing chunks and finishes the file, as a download does; returns how many were missing.
fn complete(metainfo: &Metainfo, bytes: &[u8], prepared: Prepared, replace: bool) -> u32 {
    let Prepared { mut ledger, mut files, have, .. } = prepared;
    let geometry = metainfo.geometry();
    let missing: Vec<_> = geometry.chunks().filter(|chunk| !have.contains(*chunk)).collect();
    for chunk in &missing {
        let at = geometry.offset(*chunk) as usize;
        let content = &bytes[at..at + geometry.chunk_len(*chunk) as usize];
        files.part().unwrap().write_all_at(content, at as u64).unwrap();
    }
    ledger.commit(Bitfield::full(geometry), &mut files).unwrap();
    check_whole(metainfo, &files).unwrap();
    ledger.finish(replace, &mut files).unwrap();
    missing.len() as u32
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn chunks_not_hashed_are_not_reported_as_different() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("file");
    std::fs::write(&dest, [1; 100]).unwrap();
    let metainfo = metainfo(&[1; 100]);
    for force in [false, true] {
        let (stopped, free) = (AtomicBool::new(true), AtomicBool::new(false));
        let work =
            |stop| Preparation { metainfo: &metainfo, force, in_place: false, is_sparse: true, threads: 1, stop };
        let failure = work(&stopped).inspect(&dest).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Cancelled, "{}", failure.message);
        assert_eq!(work(&free).inspect(&dest), Ok(Found::Whole));
    }
}

#[test]
fn a_repair_in_place_writes_wrong_chunks_only_and_goes_on_after_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("file");
    let bytes: Vec<u8> = (0..5 * CHUNK + 77).map(|n| (n % 251) as u8 + 1).collect();
    let metainfo = metainfo(&bytes);
    let how = How { in_place: true, ..How::default() };
    for (what, spoilt, wrong) in [
        (
            "one byte",
            {
                let mut spoilt = bytes.clone();
                spoilt[CHUNK] ^= 1;
                spoilt
            },
            1,
        ),
        (
            "two chunks and a tail",
            {
                let mut spoilt = [&bytes[..], b"tail"].concat();
                spoilt[7] ^= 1;
                spoilt[5 * CHUNK] ^= 1;
                spoilt
            },
            2,
        ),
        ("a longer file", [&bytes[..], &[9; 3 * CHUNK]].concat(), 0),
        ("a shorter file", bytes[..3 * CHUNK + 5].to_vec(), 3),
    ] {
        std::fs::write(&dest, &spoilt).unwrap();
        let inode = std::fs::metadata(&dest).unwrap().ino();
        // A run that ends before its first chunk is resumed by the next one.
        let interrupted = prepare(&metainfo, &dest, how).unwrap().unwrap();
        assert_eq!(interrupted.have.count(), 6 - wrong, "{what}");
        assert!(prepare(&metainfo, &dest, how).is_err(), "{what}: locked");
        drop(interrupted);
        assert_eq!(names(folder.path()), ["file", "file.part.mtorrent"], "{what}");
        let refused = prepare(&metainfo, &dest, How::default()).unwrap_err().message;
        assert!(refused.contains("--in-place to go on"), "{refused}");
        let prepared = prepare(&metainfo, &dest, how).unwrap().unwrap();
        assert_eq!(complete(&metainfo, &bytes, prepared, true), wrong, "{what}");
        assert!(std::fs::read(&dest).unwrap() == bytes, "{what}");
        assert_eq!(std::fs::metadata(&dest).unwrap().ino(), inode, "{what}: the same file");
        assert_eq!(names(folder.path()), ["file"], "{what}");
        assert!(prepare(&metainfo, &dest, how).unwrap().is_none(), "{what}: up to date");
    }
}

#[test]
fn what_is_not_repaired_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("file");
    let bytes = vec![5; 3 * CHUNK];
    let mut with_zeros = bytes.clone();
    with_zeros[..CHUNK].fill(0);
    let how = How { in_place: true, ..How::default() };
    let check = |metainfo: &Metainfo, content: &[u8], words: &str| {
        std::fs::write(&dest, content).unwrap();
        let message = prepare(metainfo, &dest, how).unwrap_err().message;
        assert!(message.contains(words), "{message}");
        assert!(std::fs::read(&dest).unwrap() == content, "{words}: it was changed");
    };
    check(&metainfo(&bytes), &[7; 3 * CHUNK], "not one chunk");
    // Zeros are no sign that it is the same file.
    check(&metainfo(&with_zeros), &[&[0; CHUNK][..], &[7; 2 * CHUNK]].concat(), "not one chunk");
    std::fs::write(folder.path().join("file.part"), "unfinished").unwrap();
    check(&metainfo(&bytes), &bytes[..2 * CHUNK], "without --in-place");
    std::fs::remove_file(folder.path().join("file.part")).unwrap();
    std::fs::write(&dest, [7; 3 * CHUNK]).unwrap();
    let forced = prepare(&metainfo(&bytes), &dest, How { force: true, ..how }).unwrap().unwrap();
    assert_eq!(complete(&metainfo(&bytes), &bytes, forced, true), 3);
    let link = folder.path().join("second name");
    std::fs::write(&dest, &bytes[..2 * CHUNK]).unwrap();
    std::fs::hard_link(&dest, &link).unwrap();
    let prepared = prepare(&metainfo(&bytes), &dest, how).unwrap().unwrap();
    assert!(prepared.notice.as_ref().unwrap().contains("2 names"), "{:?}", prepared.notice);
    complete(&metainfo(&bytes), &bytes, prepared, true);
    assert!(std::fs::read(&link).unwrap() == bytes);
}

#[test]
fn a_part_without_its_record_is_ours_if_any_chunk_is_right() {
    let mut bytes = vec![5; 3 * CHUNK];
    bytes[..CHUNK].fill(0);
    let metainfo = metainfo(&bytes);
    let foreign = [&[0; CHUNK][..], &[7; 2 * CHUNK]].concat();
    for (what, part, missing) in [
        ("one chunk", [&[7; 2 * CHUNK][..], &[5; CHUNK]].concat(), Some(1)),
        ("empty", Vec::new(), Some(2)),
        ("zeros", vec![0; 2 * CHUNK], Some(2)),
        ("somebody's, with zeros where we have zeros", foreign, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(folder.path().join("file.part"), &part).unwrap();
        let Some(missing) = missing else {
            let message = prepare(&metainfo, &dest, How::default()).unwrap_err().message;
            assert!(message.contains("--force"), "{what}: {message}");
            assert!(std::fs::read(folder.path().join("file.part")).unwrap() == part, "{what}: it was changed");
            assert_eq!(names(folder.path()), ["file.part"], "{what}");
            continue;
        };
        let prepared = prepare(&metainfo, &dest, How::default()).unwrap().unwrap();
        assert_eq!(complete(&metainfo, &bytes, prepared, false), missing, "{what}");
        assert!(std::fs::read(&dest).unwrap() == bytes, "{what}");
    }
}

/// A chunk of the file, and what is at its place before: 0 stands for zeros.
fn content(kinds: &[u8], tail: usize) -> Vec<u8> {
    let chunks = kinds.iter().enumerate().flat_map(|(n, kind)| {
        let byte = move |at: usize| if *kind == 0 { 0 } else { (at % 250) as u8 + *kind };
        (0..if n + 1 == kinds.len() { tail } else { CHUNK }).map(byte)
    });
    chunks.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any mix of zeros and data, over any file that is there before, in each way: the copy is the same, only chunks
    /// with data are downloaded, and zeros take no space.
    #[test]
    fn zeros_become_holes(
        kinds in prop::collection::vec(prop_oneof![Just(0u8), 1u8..4], 1..24),
        tail in 1..=CHUNK,
        before in prop::option::of(prop::collection::vec(0u8..4, 1..24)),
        as_part: bool,
        in_place: bool,
        is_dense: bool,
    ) {
        let folder = tempfile::tempdir_in(".").unwrap();
        let dest = folder.path().join("file");
        let bytes = content(&kinds, tail);
        let metainfo = metainfo(&bytes);
        let there = before.map(|kinds| content(&kinds, CHUNK)).unwrap_or_default();
        if !there.is_empty() {
            let name = if as_part { folder.path().join("file.part") } else { dest.clone() };
            std::fs::write(name, &there).unwrap();
        }
        let how = How { force: true, in_place, is_dense };
        if let Some(prepared) = prepare(&metainfo, &dest, how).unwrap() {
            let missing = complete(&metainfo, &bytes, prepared, true);
            let is_wanted = |(n, chunk): (usize, &[u8])| {
                let is_there = there.get(n * CHUNK..n * CHUNK + chunk.len()) == Some(chunk);
                !is_there && (is_dense || chunk.iter().any(|byte| *byte != 0))
            };
            let wanted = bytes.chunks(CHUNK).enumerate().filter(|numbered| is_wanted(*numbered)).count();
            prop_assert_eq!(missing as usize, wanted);
        }
        prop_assert!(std::fs::read(&dest).unwrap() == bytes);
        let is_fresh = there.is_empty();
        if is_fresh && !is_dense && has_holes(folder.path()) {
            let data = bytes.chunks(CHUNK).filter(|chunk| chunk.iter().any(|byte| *byte != 0)).count();
            let used = std::fs::metadata(&dest).unwrap().blocks() * 512;
            // A file system keeps the list of many ranges in a block of its own.
            prop_assert!(used <= (data * CHUNK + 8192) as u64, "{} bytes for {} chunks of data", used, data);
        }
    }
}

/// Whether the file system has holes at all.
fn has_holes(folder: &Path) -> bool {
    let path = folder.join("probe");
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let blocks = std::fs::metadata(&path).unwrap().blocks();
    std::fs::remove_file(path).unwrap();
    blocks == 0
}
