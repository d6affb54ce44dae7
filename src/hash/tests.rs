//! Every engine against the `sha1` crate and the vectors of FIPS 180.

use proptest::prelude::*;

use super::*;

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

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
    rows.iter().for_each(|(bytes, expected)| assert_eq!(hex(sha1(bytes)), *expected));
}

/// Boundaries of blocks and padding, and anything up to several KiB.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        (0usize..40, prop::sample::select(vec![0usize, 55, 56, 63, 64, 65, 119, 120, 127, 128]))
            .prop_map(|(blocks, rest)| blocks * 64 + rest),
        0usize..8192,
    ]
}

/// What happens to a hasher: a job of some length in pieces joins, or a step is made.
#[derive(Clone, Debug)]
enum Event {
    Push { len: usize, piece_len: usize, seed: u8 },
    Step { bytes_max: usize },
}

fn event() -> impl Strategy<Value = Event> {
    let piece_len = prop_oneof![
        3 => Just(usize::MAX),
        3 => (1usize..64).prop_map(|blocks| blocks * 64),
        1 => 1usize..300,
    ];
    prop_oneof![
        2 => (length(), piece_len, any::<u8>()).prop_map(|(len, piece_len, seed)| Event::Push { len, piece_len, seed }),
        1 => (0usize..40_000).prop_map(|bytes_max| Event::Step { bytes_max }),
    ]
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn engines_agree_with_the_crate(events in prop::collection::vec(event(), 1..80)) {
        for engine in Engine::available() {
            let mut hasher = Hasher::with_engine(engine);
            let (mut pushed, mut popped) = (0, 0);
            for event in &events {
                match *event {
                    Event::Push { len, piece_len, seed } => {
                        let bytes = bytes(len, seed);
                        hasher.push((Pieces::of(&bytes, piece_len), sha1(&bytes)));
                        pushed += 1;
                    }
                    Event::Step { bytes_max } => {
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
