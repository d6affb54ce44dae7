//! What the store holds from clocks that nobody has measured since the start.
//!
//! An entry was taken when its tracker's clock was known to be far ahead. After a restart that is not known yet, so it looks
//! like one from the future; it is put aside, and looked at again when clocks have been measured. Otherwise a removal that was
//! acknowledged would be lost, and the seeder be back.

use super::entry::Entry;
use super::{Merged, Table};
use crate::limits::{FRAME_SYNC_BYTES_MAX, WAITING_BYTES_MAX};
use crate::wire::{Message, Parsed, parse};

/// Entries that wait, as the frames that they are in the store.
#[derive(Default)]
pub(crate) struct Waiting {
    frames: Vec<u8>,
    /// When whatever was given before the restart is over.
    until_ms: u64,
}

impl Table {
    /// Takes an entry from the store.
    pub fn restore(&mut self, entry: &Entry<'_>, now_ms: u64) -> Merged {
        let merged = self.merge(entry, now_ms);
        if matches!(merged, Merged::Ahead(_)) && self.waiting.frames.len() < WAITING_BYTES_MAX {
            Message::SyncEntry(*entry).encode(&mut self.waiting.frames);
            self.waiting.until_ms = now_ms + self.rules.ttls.tombstone_ms;
        }
        merged
    }

    /// Looks again at what waits.
    pub(crate) fn take_waiting(&mut self, now_ms: u64) {
        let Waiting { frames, until_ms } = std::mem::take(&mut self.waiting);
        if now_ms >= until_ms {
            return;
        }
        let mut rest = &frames[..];
        while let Ok(Parsed::Frame { frame, len }) = parse(rest, FRAME_SYNC_BYTES_MAX) {
            if let Ok(Message::SyncEntry(entry)) = Message::decode(frame) {
                self.restore(&entry, now_ms);
            }
            rest = &rest[len..];
        }
        self.waiting.until_ms = until_ms;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
    use crate::tracker::table::Rules;
    use crate::tracker::table::clock::Skews;
    use crate::tracker::table::entry::{BUCKETS, Body};
    use crate::tracker::table::records::Ttls;
    use crate::tracker::table::rights::AddressCounts;

    const NOW: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;
    const FILE: InfoHash = InfoHash([1; 20]);
    /// Whose clock is two hours ahead.
    const FAST: TrackerId = TrackerId(9);

    fn table() -> Table {
        let ttls = Ttls { lease_ms: HOUR / 4, tombstone_ms: HOUR };
        let rules = Rules { ttls, ..Rules::default() };
        let counts = Arc::new(AddressCounts::new(1 << 12, 5));
        Table::new(Arc::new(rules), counts, 0..BUCKETS, TrackerId(1), [1, 2, 3])
    }

    fn endpoint(host: u8) -> Endpoint {
        Endpoint::new(IpAddr::from([10, 0, 0, host]), 80).unwrap()
    }

    fn given(time_ms: u64, body: Body<'_>) -> Entry<'_> {
        Entry { info_hash: FILE, version: Version { clock: time_ms << 16, tracker: FAST }, body }
    }

    fn seeders(table: &Table, now_ms: u64) -> Vec<Endpoint> {
        let mut found = Vec::new();
        let asker = IpAddr::from([10, 9, 9, 9]);
        let _ = table.list(FILE, asker, now_ms, &mut SmallRng::seed_from_u64(1), &mut found);
        found.sort_unstable();
        found
    }

    fn fast() -> Skews {
        Skews::new([(FAST, 2 * HOUR as i64, None)])
    }

    #[test]
    fn what_looks_like_the_future_waits_until_its_clock_is_measured() {
        let mut table = table();
        let ahead = NOW + 2 * HOUR;
        for (time_ms, body) in [
            (ahead, Body::Seeder(endpoint(1))),
            (ahead, Body::Seeder(endpoint(2))),
            (ahead + 1, Body::Removed(endpoint(2))),
        ] {
            assert!(matches!(table.restore(&given(time_ms, body), NOW), Merged::Ahead(_)));
        }
        assert!(!matches!(table.restore(&given(NOW, Body::Seeder(endpoint(3))), NOW), Merged::Ahead(_)));
        assert_eq!(seeders(&table, NOW), [endpoint(3)]);
        table.set_skews(Skews::new([(TrackerId(8), 2 * HOUR as i64, None)]), NOW);
        assert_eq!(seeders(&table, NOW), [endpoint(3)], "another clock says nothing of it");
        table.set_skews(fast(), NOW + 1000);
        assert!(seeders(&table, NOW + 1000).contains(&endpoint(1)), "it is taken");
        assert!(!seeders(&table, NOW + 1000).contains(&endpoint(2)), "its removal is not lost");
        assert!(table.waiting.frames.is_empty(), "nothing waits twice");
    }

    #[test]
    fn what_waits_goes_when_everything_from_before_the_start_is_over() {
        let mut table = table();
        let restored = |table: &mut Table| {
            let _ = table.restore(&given(NOW + 2 * HOUR, Body::Seeder(endpoint(1))), NOW);
            assert!(!table.waiting.frames.is_empty());
        };
        restored(&mut table);
        table.take_waiting(NOW + HOUR / 2);
        assert!(!table.waiting.frames.is_empty(), "nobody has measured the clock");
        assert_eq!(table.waiting.until_ms, NOW + HOUR, "a look does not make it live longer");
        table.take_waiting(NOW + HOUR);
        assert!(table.waiting.frames.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut table = table();
        let entry = given(NOW + 2 * HOUR, Body::Seeder(endpoint(1)));
        let mut frame = Vec::new();
        Message::SyncEntry(entry).encode(&mut frame);
        for _ in 0..WAITING_BYTES_MAX / frame.len() + 10 {
            let _ = table.restore(&entry, NOW);
        }
        assert!((WAITING_BYTES_MAX..WAITING_BYTES_MAX + frame.len()).contains(&table.waiting.frames.len()));
    }
}
