//! A file's record: all entries of one file, in one run of bytes.
//!
//! ```text
//!  0           20       28        44     46     48           49          50
//!  +-----------+--------+---------+------+------+------------+-----------+------+---------+---------+
//!  | info hash | length | version | n4   | n6   | chunk size | name size | name | n4 x 22 | n6 x 34 |
//!  | 20        | u64    | 16      | u16  | u16  | log2, u8   | u8        |      | IPv4    | IPv6    |
//!  +-----------+--------+---------+------+------+------------+-----------+------+---------+---------+
//! ```
//!
//! - The version is the file entry's; all zero if only seeders are known (AddSeeder without Share).
//! - A seeder is its endpoint (6 or 18 bytes) and its version (16), whose highest bit says "removed": 48 bits of
//!   milliseconds leave it free until the year 6429, and the clock refuses versions that are ahead. Seeders are sorted
//!   by their endpoints' bytes, IPv4 first, so that a binary search finds one.
//!
//! Integers are big-endian, like all data that leaves the process. This file defines the layout and contains no rules.

use std::net::IpAddr;
use std::ops::Range;

use super::entry::FileInfo;
use crate::ids::{Endpoint, InfoHash, Version};
use crate::limits::NAME_BYTES_MAX;

const LENGTH: Range<usize> = 20..28;
const VERSION: Range<usize> = 28..44;
const COUNT_V4: Range<usize> = 44..46;
const COUNT_V6: Range<usize> = 46..48;
const CHUNK_SIZE: usize = 48;
const NAME_SIZE: usize = 49;
const NAME: usize = 50;

const ENDPOINT_V4: usize = 6;
const ENDPOINT_V6: usize = 18;
const STAMP: usize = 16;
const STRIDE_V4: usize = ENDPOINT_V4 + STAMP;
const STRIDE_V6: usize = ENDPOINT_V6 + STAMP;

const REMOVED: u8 = 0x80;

/// The version of a seeder entry, and whether it is a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) version: Version,
    pub(crate) removed: bool,
}

/// A seeder of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeder {
    pub(crate) endpoint: Endpoint,
    pub(crate) stamp: Stamp,
}

/// The position of a seeder's bytes, present or to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: usize,
    endpoint_len: usize,
}

/// A view of a record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// Returns the record that starts at the first byte of `bytes`.
    pub(crate) fn at_start_of(bytes: &'a [u8]) -> Self {
        let len = Self(bytes).seeders_end();
        Self(&bytes[..len])
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn info_hash(self) -> InfoHash {
        InfoHash(array(&self.0[..20]))
    }

    /// Returns the file entry, if there is one.
    pub(crate) fn file(self) -> Option<(Version, FileInfo<'a>)> {
        let version = Version::from_bytes(array(&self.0[VERSION]));
        if version == Version::default() {
            return None;
        }
        // The name is valid UTF-8; `set_file` accepts only that.
        let name = std::str::from_utf8(&self.0[NAME..NAME + self.name_len()]).unwrap_or_default();
        let length = u64::from_be_bytes(array(&self.0[LENGTH]));
        Some((version, FileInfo { name, length, chunk_size: 1 << (self.0[CHUNK_SIZE] & 31) }))
    }

    /// Number of seeders, removed and expired ones included.
    pub(crate) fn seeder_count(self) -> usize {
        self.count_v4() + self.count_v6()
    }

    /// Returns the seeder at `index`, which is below [`Record::seeder_count`].
    pub(crate) fn seeder(self, index: usize) -> Seeder {
        let place = self.place(index);
        let bytes = &self.0[place.offset..];
        // Only `insert` writes these bytes, and it takes them from an endpoint.
        let endpoint = Endpoint::from_bytes(&bytes[..place.endpoint_len]).expect("a record holds endpoints");
        Seeder { endpoint, stamp: self.stamp(place) }
    }

    pub(crate) fn seeders(self) -> impl Iterator<Item = Seeder> + 'a {
        (0..self.seeder_count()).map(move |index| self.seeder(index))
    }

    /// Returns the position of the endpoint, or as an error the position at which to insert it.
    pub(crate) fn find(self, endpoint: Endpoint) -> Result<Place, Place> {
        let mut key = [0; 18];
        let key = endpoint.to_bytes(&mut key);
        let (start, count, stride) = match key.len() {
            ENDPOINT_V4 => (self.seeders_start(), self.count_v4(), STRIDE_V4),
            _ => (self.v6_start(), self.count_v6(), STRIDE_V6),
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            let offset = start + middle * stride;
            match self.0[offset..offset + key.len()].cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Place { offset, endpoint_len: key.len() }),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(Place { offset: start + low * stride, endpoint_len: key.len() })
    }

    /// Returns the index range of the seeders whose address has the same first `prefix_len` bytes, of 4 or 16, as `ip`.
    pub(crate) fn at_address(self, ip: IpAddr, prefix_len: usize) -> Range<usize> {
        let mut bytes = [0; 16];
        let (first, start, count, stride) = match ip {
            IpAddr::V4(ip) => {
                bytes[..4].copy_from_slice(&ip.octets());
                (0, self.seeders_start(), self.count_v4(), STRIDE_V4)
            }
            IpAddr::V6(ip) => {
                bytes = ip.octets();
                (self.count_v4(), self.v6_start(), self.count_v6(), STRIDE_V6)
            }
        };
        let prefix = &bytes[..prefix_len];
        let at = |index: usize| &self.0[start + index * stride..][..prefix_len];
        let low = partition_point(0..count, |index| at(index) < prefix);
        let high = partition_point(low..count, |index| at(index) == prefix);
        first + low..first + high
    }

    pub(crate) fn stamp(self, place: Place) -> Stamp {
        let offset = place.offset + place.endpoint_len;
        let mut bytes: [u8; STAMP] = array(&self.0[offset..offset + STAMP]);
        let removed = bytes[0] & REMOVED != 0;
        bytes[0] &= !REMOVED;
        Stamp { version: Version::from_bytes(bytes), removed }
    }

    fn place(self, index: usize) -> Place {
        match index.checked_sub(self.count_v4()) {
            None => Place { offset: self.seeders_start() + index * STRIDE_V4, endpoint_len: ENDPOINT_V4 },
            Some(index) => Place { offset: self.v6_start() + index * STRIDE_V6, endpoint_len: ENDPOINT_V6 },
        }
    }

    fn name_len(self) -> usize {
        usize::from(self.0[NAME_SIZE])
    }

    fn count_v4(self) -> usize {
        usize::from(u16::from_be_bytes(array(&self.0[COUNT_V4])))
    }

    fn count_v6(self) -> usize {
        usize::from(u16::from_be_bytes(array(&self.0[COUNT_V6])))
    }

    fn seeders_start(self) -> usize {
        NAME + self.name_len()
    }

    fn v6_start(self) -> usize {
        self.seeders_start() + self.count_v4() * STRIDE_V4
    }

    fn seeders_end(self) -> usize {
        self.v6_start() + self.count_v6() * STRIDE_V6
    }
}

/// Returns the first index in `range` for which `is_before` is false.
fn partition_point(range: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let Range { start: mut low, end: mut high } = range;
    while low < high {
        let middle = (low + high) / 2;
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// Starts a record without entries in `out`.
pub(crate) fn start(out: &mut Vec<u8>, info_hash: InfoHash) {
    out.clear();
    out.extend_from_slice(&info_hash.0);
    out.resize(NAME, 0);
}

/// Writes the file entry. The name has at most 255 bytes, the chunk size is a power of two.
pub(crate) fn set_file(record: &mut Vec<u8>, version: Version, file: &FileInfo<'_>) {
    let name = file.name.as_bytes();
    debug_assert!(name.len() <= NAME_BYTES_MAX && file.chunk_size.is_power_of_two());
    let old = NAME..NAME + Record(record).name_len();
    record.splice(old, name.iter().copied());
    record[LENGTH].copy_from_slice(&file.length.to_be_bytes());
    record[VERSION].copy_from_slice(&version.to_bytes());
    record[CHUNK_SIZE] = file.chunk_size.trailing_zeros() as u8;
    record[NAME_SIZE] = name.len() as u8;
}

/// Writes the version of a file entry and leaves the rest unchanged.
pub(crate) fn set_file_version(record: &mut [u8], version: Version) {
    record[VERSION].copy_from_slice(&version.to_bytes());
}

/// Removes the file entry.
pub(crate) fn clear_file(record: &mut Vec<u8>) {
    record.drain(NAME..NAME + Record(record).name_len());
    record[LENGTH.start..VERSION.end].fill(0);
    (record[CHUNK_SIZE], record[NAME_SIZE]) = (0, 0);
}

/// Overwrites the stamp of a seeder that [`Record::find`] found.
pub(crate) fn set_stamp(record: &mut [u8], place: Place, stamp: Stamp) {
    let offset = place.offset + place.endpoint_len;
    record[offset..offset + STAMP].copy_from_slice(&stamp_bytes(stamp));
}

/// Inserts a seeder at the position that [`Record::find`] returned for it.
pub(crate) fn insert(record: &mut Vec<u8>, place: Place, seeder: Seeder) {
    let mut bytes = [0; STRIDE_V6];
    let mut endpoint = [0; 18];
    let endpoint = seeder.endpoint.to_bytes(&mut endpoint);
    bytes[..endpoint.len()].copy_from_slice(endpoint);
    bytes[endpoint.len()..endpoint.len() + STAMP].copy_from_slice(&stamp_bytes(seeder.stamp));
    record.splice(place.offset..place.offset, bytes[..place.endpoint_len + STAMP].iter().copied());
    // The table refuses more than ENTRIES_PER_FILE_MAX, which fits in 16 bits.
    let (field, count) = match place.endpoint_len {
        ENDPOINT_V4 => (COUNT_V4, Record(record).count_v4()),
        _ => (COUNT_V6, Record(record).count_v6()),
    };
    set_count(record, field, count as u16 + 1);
}

/// Removes the seeders for which `keep` is false.
pub(crate) fn retain(record: &mut Vec<u8>, mut keep: impl FnMut(Seeder) -> bool) {
    let view = Record(record);
    let (mut read, mut write, count) = (0, view.seeders_start(), view.seeder_count());
    let (v4, mut kept_v4, mut kept_v6) = (view.count_v4(), 0, 0);
    while read < count {
        let place = Record(record).place(read);
        if keep(Record(record).seeder(read)) {
            let len = place.endpoint_len + STAMP;
            record.copy_within(place.offset..place.offset + len, write);
            write += len;
            if read < v4 { kept_v4 += 1 } else { kept_v6 += 1 }
        }
        read += 1;
    }
    record.truncate(write);
    set_count(record, COUNT_V4, kept_v4);
    set_count(record, COUNT_V6, kept_v6);
}

fn set_count(record: &mut [u8], field: Range<usize>, count: u16) {
    record[field].copy_from_slice(&count.to_be_bytes());
}

fn stamp_bytes(stamp: Stamp) -> [u8; STAMP] {
    let mut bytes = stamp.version.to_bytes();
    debug_assert!(bytes[0] & REMOVED == 0, "the clock refuses versions so far ahead");
    bytes[0] |= if stamp.removed { REMOVED } else { 0 };
    bytes
}

/// Returns the bytes as an array; every caller slices exactly `N`.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackerId;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn version(clock: u64) -> Version {
        Version { clock, tracker: TrackerId(3) }
    }

    #[test]
    fn a_file_entry_comes_changes_and_goes() {
        let mut record = Vec::new();
        start(&mut record, InfoHash([9; 20]));
        let endpoint = Endpoint::new(IpAddr::from([10, 0, 0, 1]), 80).unwrap();
        let seeder = Seeder { endpoint, stamp: Stamp { version: version(5), removed: true } };
        let place = Record::at_start_of(&record).find(endpoint).unwrap_err();
        insert(&mut record, place, seeder);
        for name in ["a", "a longer name", "ä"] {
            let file = FileInfo { name, length: u64::MAX, chunk_size: 1 << 24 };
            set_file(&mut record, version(6), &file);
            let view = Record::at_start_of(&record);
            assert_eq!(view.file(), Some((version(6), file)));
            assert_eq!(view.seeders().collect::<Vec<_>>(), [seeder]);
        }
        clear_file(&mut record);
        assert_eq!(Record::at_start_of(&record).file(), None);
        assert_eq!(Record::at_start_of(&record).seeder(0), seeder);
        assert_eq!(record.len(), NAME + STRIDE_V4);
    }

    proptest! {
        /// Comparison with a map of endpoints to stamps.
        #[test]
        fn seeders_are_what_a_map_holds(
            steps in prop::collection::vec((any::<bool>(), 0u8..20, 1u64..1000, any::<bool>(), any::<bool>()), 1..80),
        ) {
            let mut record = Vec::new();
            start(&mut record, InfoHash([7; 20]));
            let mut model = BTreeMap::new();
            for (v6, host, clock, removed, take_out) in steps {
                let ip = if v6 { IpAddr::from([host; 16]) } else { IpAddr::from([host; 4]) };
                let endpoint = Endpoint::new(ip, 1000 + u16::from(host)).unwrap();
                let stamp = Stamp { version: version(clock), removed };
                if take_out {
                    retain(&mut record, |seeder| seeder.endpoint != endpoint);
                    model.remove(&endpoint);
                } else {
                    match Record::at_start_of(&record).find(endpoint) {
                        Ok(place) => set_stamp(&mut record, place, stamp),
                        Err(place) => insert(&mut record, place, Seeder { endpoint, stamp }),
                    }
                    model.insert(endpoint, stamp);
                }
                let view = Record::at_start_of(&record);
                prop_assert_eq!(view.len(), record.len());
                prop_assert_eq!(view.info_hash(), InfoHash([7; 20]));
                let held: BTreeMap<_, _> = view.seeders().map(|seeder| (seeder.endpoint, seeder.stamp)).collect();
                prop_assert_eq!(&held, &model);
                prop_assert_eq!(view.seeder_count(), model.len());
                for (prefix_len, host) in [(1, 7u8), (if v6 { 16 } else { 4 }, host)] {
                    let ip = if v6 { IpAddr::from([host; 16]) } else { IpAddr::from([host; 4]) };
                    let there = view.at_address(ip, prefix_len).map(|index| view.seeder(index).endpoint.ip());
                    let expected = model.keys().map(|endpoint| endpoint.ip()).filter(|other| *other == ip);
                    prop_assert_eq!(there.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                }
            }
        }
    }
}
