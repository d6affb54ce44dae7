//! Entries, which trackers store and send to each other, each with the version at which it was written.
//!
//! Plain data and one rule: of two entries of the same key the one with the higher version wins. A key is an info hash
//! (the file's metadata) or an info hash and an endpoint (whether the endpoint seeds the file).

use sha1::{Digest, Sha1};

use crate::ids::InfoHash;
pub use crate::wire::{Body, Entry, FileInfo};

/// Computes the fingerprints that entries add to their buckets' digests. Trackers with a group key use it in the
/// fingerprints, so that nobody else can construct entries that hide a difference.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints(Sha1);

impl Fingerprints {
    /// Creates fingerprints with a key; without one use [`Fingerprints::default`].
    pub fn keyed(key: &[u8; 32]) -> Self {
        let mut hash = Sha1::new();
        // The key is padded to a whole block, which is hashed only once.
        hash.update(key);
        hash.update([0; 32]);
        Self(hash)
    }

    /// Returns the first 16 bytes of SHA-1 over kind, key, value and version, preceded by the block of the group's key
    /// if there is one (32 bytes and as many zeros).
    ///
    /// ```text
    /// kind u8 | info hash 20 | endpoint 6 or 18, not for a file | length u64, chunk size u32, name, for a file | version 16
    /// ```
    ///
    /// The kinds are 0 file, 1 seeder, 2 removed.
    pub fn of(&self, entry: &Entry<'_>) -> u128 {
        let mut hash = self.0.clone();
        match entry.body {
            Body::File(file) => {
                hash.update([0]);
                hash.update(entry.info_hash.0);
                hash.update(file.length.to_be_bytes());
                hash.update(file.chunk_size.to_be_bytes());
                hash.update(file.name.as_bytes());
            }
            Body::Seeder(endpoint) | Body::Removed(endpoint) => {
                hash.update([if matches!(entry.body, Body::Seeder(_)) { 1 } else { 2 }]);
                hash.update(entry.info_hash.0);
                hash.update(endpoint.to_bytes(&mut [0; 18]));
            }
        }
        hash.update(entry.version.to_bytes());
        hash.finalize().iter().take(16).fold(0, |value, byte| value << 8 | u128::from(*byte))
    }
}

/// Number of buckets of the table: one for each value of the first 12 bits of the info hash, independent of the number
/// of cores.
pub const BUCKETS: usize = crate::wire::sync::SYNC_BUCKETS;

/// Returns the bucket of a file, below [`BUCKETS`].
pub fn bucket_of(info_hash: InfoHash) -> usize {
    usize::from(info_hash.0[0]) << 4 | usize::from(info_hash.0[1] >> 4)
}

/// Returns the core that owns a bucket and every file in it: each core owns a contiguous run of buckets.
pub fn core_of(bucket: usize, cores: usize) -> usize {
    bucket * cores / BUCKETS
}

/// Returns the buckets of a core.
pub fn buckets_of(core: usize, cores: usize) -> std::ops::Range<usize> {
    let start = |core: usize| (core * BUCKETS).div_ceil(cores);
    start(core)..start(core + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Endpoint, TrackerId, Version};

    #[test]
    fn every_bucket_has_one_core() {
        for cores in 1..=64 {
            let mut next = 0;
            for core in 0..cores {
                let buckets = buckets_of(core, cores);
                assert_eq!(buckets.start, next);
                assert!(buckets.clone().all(|bucket| core_of(bucket, cores) == core), "{core} of {cores}");
                next = buckets.end;
            }
            assert_eq!(next, BUCKETS);
        }
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&[0xab, 0xcd]);
        assert_eq!(bucket_of(InfoHash(hash)), 0xabc);
    }

    #[test]
    fn a_fingerprint_tells_all_parts_apart() {
        let endpoint = |port| Endpoint::new([10, 0, 0, 1].into(), port).unwrap();
        let file = |name, length, chunk_size| Body::File(FileInfo { name, length, chunk_size });
        let bodies = [
            file("a", 1, 1 << 20),
            file("b", 1, 1 << 20),
            file("a", 2, 1 << 20),
            file("a", 1, 1 << 21),
            Body::Seeder(endpoint(1)),
            Body::Seeder(endpoint(2)),
            Body::Removed(endpoint(1)),
        ];
        let mut prints: Vec<u128> = Vec::new();
        for (clock, hash) in [(1, 1), (2, 1), (1, 2)] {
            let version = Version { clock, tracker: TrackerId(1) };
            for makes in [Fingerprints::default(), Fingerprints::keyed(&[7; 32]), Fingerprints::keyed(&[8; 32])] {
                prints.extend(bodies.map(|body| makes.of(&Entry { info_hash: InfoHash([hash; 20]), version, body })));
            }
        }
        let count = prints.len();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), count);
    }
}
