//! Restoring entries from the store when the tracker starts.

use super::entry::Entry;
use super::file_table::{Merged, Table};
use crate::limits::FRAME_SYNC_BYTES_MAX;
use crate::wire::{Message, Parsed, parse};

impl Table {
    /// Restores an entry from the store; an entry that is ahead of every known clock is deferred.
    pub fn restore(&mut self, entry: &Entry<'_>, now_ms: u64) -> Merged {
        let until_ms = now_ms + self.rules.ttls.tombstone_ms;
        self.restore_until(entry, now_ms, until_ms)
    }

    /// Retries the deferred entries after clocks were measured.
    pub(crate) fn retry_deferred(&mut self, now_ms: u64) {
        let (until_ms, frames) = (self.deferred.until_ms(), self.deferred.take(now_ms));
        let mut rest = &frames[..];
        while let Ok(Parsed::Frame { frame, len }) = parse(rest, FRAME_SYNC_BYTES_MAX) {
            if let Ok(Message::SyncEntry(entry)) = Message::decode(frame) {
                self.restore_until(&entry, now_ms, until_ms);
            }
            rest = &rest[len..];
        }
        debug_assert!(rest.is_empty(), "deferred entries are whole frames of ours");
    }

    fn restore_until(&mut self, entry: &Entry<'_>, now_ms: u64, until_ms: u64) -> Merged {
        let merged = self.merge(entry, now_ms);
        if matches!(merged, Merged::Ahead(_)) {
            self.deferred.push(entry, until_ms);
        }
        merged
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
    use crate::limits::DEFERRED_BYTES_MAX;
    use crate::tracker::table::Rules;
    use crate::tracker::table::clock::Skews;
    use crate::tracker::table::entry::{BUCKETS, Body};
    use crate::tracker::table::records::Ttls;
    use crate::tracker::table::rights::AddressCounts;

    const NOW: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;
    const FILE: InfoHash = InfoHash([1; 20]);
    /// A tracker whose clock is two hours ahead.
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
        assert!(table.deferred.len() == 0, "nothing waits twice");
    }

    #[test]
    fn what_waits_goes_when_everything_from_before_the_start_is_over() {
        let mut table = table();
        let restored = |table: &mut Table| {
            let _ = table.restore(&given(NOW + 2 * HOUR, Body::Seeder(endpoint(1))), NOW);
            assert!(table.deferred.len() > 0);
        };
        restored(&mut table);
        table.retry_deferred(NOW + HOUR / 2);
        assert!(table.deferred.len() > 0, "nobody has measured the clock");
        assert_eq!(table.deferred.until_ms(), NOW + HOUR, "a look does not make it live longer");
        table.retry_deferred(NOW + HOUR);
        assert!(table.deferred.len() == 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut table = table();
        let entry = given(NOW + 2 * HOUR, Body::Seeder(endpoint(1)));
        let mut frame = Vec::new();
        Message::SyncEntry(entry).encode(&mut frame);
        for _ in 0..DEFERRED_BYTES_MAX / frame.len() + 10 {
            let _ = table.restore(&entry, NOW);
        }
        assert!((DEFERRED_BYTES_MAX..DEFERRED_BYTES_MAX + frame.len()).contains(&table.deferred.len()));
    }
}
