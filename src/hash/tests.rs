//! Every engine against the `sha1` crate and the vectors of FIPS 180.

use proptest::prelude::*;

use super::*;
use crate::ids::ChunkHash;

struct Pieces(Vec<Vec<u8>>);

impl Blocks for Pieces {
    fn block(&self, n: usize) -> Option<&[u8]> {
        self.0.get(n).map(Vec::as_slice)
    }
}

impl Pieces {
    fn of(bytes: &[u8], piece_len: usize) -> Self {
        Self(bytes.chunks(piece_len).map(<[u8]>::to_vec).collect())
    }
}

fn chunk_hash(bytes: &[u8]) -> ChunkHash {
    ChunkHash(sha1(bytes))
}

fn hex(hash: ChunkHash) -> String {
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn fips_vectors() {
    let million = vec![b'a'; 1_000_000];
    let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let rows: [(&[u8], &str); 4] = [
        (b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (two_blocks, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        (&million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
    ];
    for engine in Engine::available() {
        for copies in 1..=20 {
            let mut hasher = Hasher::with_engine(engine);
            for _ in 0..copies {
                rows.iter().for_each(|(bytes, _)| hasher.push((Pieces::of(bytes, 4096), bytes.len())));
            }
            while !hasher.is_empty() {
                hasher.step(1 << 20);
            }
            let mut count = 0;
            while let Some(((_, len), digest)) = hasher.pop_done() {
                let expected = rows.iter().find(|(bytes, _)| bytes.len() == len).map(|row| row.1);
                assert_eq!(Some(hex(digest).as_str()), expected, "{engine:?}, {copies} copies");
                count += 1;
            }
            assert_eq!(count, copies * rows.len());
        }
    }
    rows.iter().for_each(|(bytes, expected)| assert_eq!(hex(chunk_hash(bytes)), *expected));
}

/// Lengths at boundaries of blocks and padding, and any up to several KiB.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        (0usize..40, prop::sample::select(vec![0usize, 55, 56, 63, 64, 65, 119, 120, 127, 128]))
            .prop_map(|(blocks, rest)| blocks * 64 + rest),
        0usize..8192,
    ]
}

/// An operation on a hasher: push a job of some length in pieces, or run a step.
#[derive(Clone, Debug)]
enum Action {
    Push { len: usize, piece_len: usize, seed: u8 },
    Step { bytes_max: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let piece_len = prop_oneof![
        3 => Just(usize::MAX),
        3 => (1usize..64).prop_map(|blocks| blocks * 64),
        1 => 1usize..300,
    ];
    prop_oneof![
        2 => (length(), piece_len, any::<u8>()).prop_map(|(len, piece_len, seed)| Action::Push { len, piece_len, seed }),
        1 => (0usize..40_000).prop_map(|bytes_max| Action::Step { bytes_max }),
    ]
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn engines_agree_with_the_crate(actions in prop::collection::vec(action(), 1..80)) {
        for engine in Engine::available() {
            let mut hasher = Hasher::with_engine(engine);
            let (mut pushed, mut popped) = (0, 0);
            for action in &actions {
                match *action {
                    Action::Push { len, piece_len, seed } => {
                        let bytes = bytes(len, seed);
                        hasher.push((Pieces::of(&bytes, piece_len), chunk_hash(&bytes)));
                        pushed += 1;
                    }
                    Action::Step { bytes_max } => {
                        let hashed = hasher.step(bytes_max);
                        prop_assert!(hashed <= bytes_max.max(64) + 16 * 64, "{hashed} bytes in a step of {bytes_max}");
                    }
                }
                while let Some(((_, expected), digest)) = hasher.pop_done() {
                    prop_assert_eq!(digest, expected, "{:?}", engine);
                    popped += 1;
                }
                prop_assert_eq!(hasher.len(), pushed - popped);
            }
            while !hasher.is_empty() {
                hasher.step(10_000);
            }
            while let Some(((_, expected), digest)) = hasher.pop_done() {
                prop_assert_eq!(digest, expected, "{:?}", engine);
                popped += 1;
            }
            prop_assert_eq!(popped, pushed);
        }
    }
}

impl<T> Blocks for (Pieces, T) {
    fn block(&self, n: usize) -> Option<&[u8]> {
        self.0.block(n)
    }
}

mod files {
    //! [`hash_chunks`] against one-shot hashes of the same bytes.

    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::geometry::{ChunkIndex, Geometry};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Evicts the file's pages from the page cache, where the file system has one.
    fn cool(file: &File) {
        file.sync_all().unwrap();
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }

    /// Every reported chunk, once, with its digest or error.
    fn reported(
        file: &File,
        geometry: Geometry,
        wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
        threads: usize,
    ) -> BTreeMap<u32, Result<ChunkHash, HashError>> {
        let digests = Mutex::new(BTreeMap::new());
        hash_chunks(file, geometry, wanted, threads, &AtomicBool::new(false), &|chunk, digest| {
            let twice = digests.lock().unwrap().insert(chunk.get(), digest);
            assert!(twice.is_none(), "chunk {chunk} is reported twice");
        })
        .unwrap();
        digests.into_inner().unwrap()
    }

    #[test]
    fn digests_are_right() {
        const K: usize = 1 << 10;
        let bytes = bytes(21 * K * K + 777, 3);
        // Bytes of the file, bytes of a chunk, threads, and the interval of the wanted chunks.
        for (len, chunk_size, threads, every) in [
            (0, 16 * K, 1, 1),
            (1, 16 * K, 2, 1),
            (16 * K, 16 * K, 1, 1),
            (16 * K + 64, 16 * K, 1, 1),
            (bytes.len(), 16 * K, 2, 1),
            (bytes.len(), 16 * K, 1, 3),
            (bytes.len(), 64 * K, 3, 2),
            (bytes.len(), 256 * K, 2, 1),
            (bytes.len(), 1024 * K, 0, 1),
            (20 * K * K, 1024 * K, 2, 4),
            (bytes.len(), 8192 * K, 1, 1),
            (bytes.len(), 16_384 * K, 2, 1),
            // Chunk sizes of other programs: not a power of two, nor a multiple of blocks or pages.
            (bytes.len(), 48 * K, 2, 1),
            (bytes.len(), 80 * K, 1, 3),
            (bytes.len(), 320 * K, 2, 1),
            (bytes.len(), 5120 * K, 2, 1),
            (bytes.len(), 16 * K + 1, 2, 1),
            (bytes.len(), 16 * K + 64, 2, 1),
            (bytes.len(), 64 * K - 1, 1, 1),
            (bytes.len(), 1_000_000, 2, 1),
            (bytes.len(), 20_480 * K, 1, 1),
            (bytes.len(), 256 * K * K, 1, 1),
        ] {
            let bytes = &bytes[..len];
            let file = file(bytes);
            let geometry = Geometry::new(len as u64, chunk_size as u32).unwrap();
            let wanted = |chunk: ChunkIndex| chunk.get().is_multiple_of(every);
            let chunks =
                bytes.chunks(chunk_size).map(chunk_hash).enumerate().map(|(index, digest)| (index as u32, digest));
            let expected: BTreeMap<u32, ChunkHash> = chunks.filter(|(index, _)| index.is_multiple_of(every)).collect();
            for cold in [false, true] {
                if cold {
                    cool(&file);
                }
                let digests = reported(&file, geometry, &wanted, threads).into_iter();
                let digests: BTreeMap<u32, ChunkHash> =
                    digests.map(|(chunk, digest)| (chunk, digest.unwrap())).collect();
                assert!(digests == expected, "{len} bytes, chunks of {chunk_size}, {threads} threads, cold {cold}");
            }
        }
    }

    #[test]
    fn a_short_file_names_the_offset() {
        const CHUNK: usize = 256 << 10;
        let bytes = bytes(40 * CHUNK, 9);
        let geometry = Geometry::new(bytes.len() as u64, CHUNK as u32).unwrap();
        for len in [0, 1, CHUNK - 1, 7 * CHUNK, 33 * CHUNK + 4097] {
            let file = file(&bytes[..len]);
            for cold in [false, true] {
                if cold {
                    cool(&file);
                }
                let digests = reported(&file, geometry, &|_| true, 2);
                assert_eq!(digests.len(), 40);
                for (index, digest) in digests {
                    let start = index as usize * CHUNK;
                    match digest {
                        Ok(digest) => assert_eq!(digest, chunk_hash(&bytes[start..start + CHUNK])),
                        Err(HashError::Short { offset }) => {
                            assert!(start + CHUNK > len, "chunk {index} is in the file of {len} bytes");
                            assert!((start..start + CHUNK).contains(&(offset as usize)));
                        }
                        Err(error) => panic!("chunk {index}: {error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn an_unreadable_file_is_an_error_a_chunk() {
        let folder = File::open(std::env::temp_dir()).unwrap();
        let geometry = Geometry::new((3 << 20) + 1, 1 << 20).unwrap();
        let digests = reported(&folder, geometry, &|_| true, 1);
        assert_eq!(digests.len(), 4);
        for (index, digest) in digests {
            let Err(HashError::Read { offset, .. }) = digest else { panic!("chunk {index}: {digest:?}") };
            assert_eq!(offset, u64::from(index) << 20);
        }
    }

    #[test]
    fn stop_stops() {
        let bytes = bytes(4 << 20, 1);
        let geometry = Geometry::new(bytes.len() as u64, 16 << 10).unwrap();
        let stop = AtomicBool::new(false);
        let count = Mutex::new(0);
        hash_chunks(&file(&bytes), geometry, &|_| true, 1, &stop, &|_, _| {
            *count.lock().unwrap() += 1;
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
        // Groups that were claimed before the stop are hashed completely.
        assert!((1..=256).contains(&*count.lock().unwrap()));
        hash_chunks(&file(&bytes), geometry, &|_| true, 1, &stop, &|_, _| panic!("it was stopped")).unwrap();
    }
}
