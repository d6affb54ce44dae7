//! Invariants of two trackers in sync, whatever they receive.
//!
//! The bytes are a scenario, and each step consumes some of them. Entries arrive at either tracker as from a third one,
//! clients announce and leave, time passes, arbitrary pages arrive. At the end each table is consistent, and two
//! repairs make both equal.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use mtorrent::ids::{Endpoint, InfoHash, TrackerId, Version};
use mtorrent::limits::FRAME_SYNC_BYTES_MAX;
use mtorrent::tracker::replica::answer;
use mtorrent::tracker::replica::link::{Link, Times};
use mtorrent::tracker::table::clock::Skews;
use mtorrent::tracker::table::entry::{Body, Entry, FileInfo, Fingerprints, bucket_of};
use mtorrent::tracker::table::rights::AddressCounts;
use mtorrent::tracker::table::{Claim, Durability, Journal, Merged, Refusal, Rules, Sender, Table};
use mtorrent::tracker::{Totals, Ttls};
use mtorrent::wire::sync::SYNC_PROTOCOL;
use mtorrent::wire::{Cursor, EntriesBuffer, Frame, ListRequest, Message, Parsed, SyncHello, parse};

const START_MS: u64 = 1_700_000_000_000;
const TTLS: Ttls = Ttls { lease_ms: 60_000, tombstone_ms: 120_000 };
/// A small number, so that a scenario takes little time.
const BUCKETS: usize = 32;
/// Upper bound on the requests of a repair.
const QUESTIONS_MAX: usize = 200;

/// Runs the scenario in the bytes.
pub fn sync(bytes: &[u8]) {
    let mut scenario = Scenario { rest: bytes, now_ms: START_MS, tables: [table(1), table(2)] };
    while let Some(step) = scenario.byte() {
        scenario.step(step);
    }
    scenario.tables.iter().for_each(check_table);
    scenario.converge();
    scenario.tables.iter().for_each(check_table);
    scenario.tables.iter_mut().for_each(|table| check_end(table, scenario.now_ms));
}

struct Scenario<'a> {
    rest: &'a [u8],
    now_ms: u64,
    tables: [Table; 2],
}

struct Nowhere;

impl Journal for Nowhere {
    fn write(&mut self, _: &Entry<'_>, _: Durability) {}
}

impl<'a> Scenario<'a> {
    fn step(&mut self, step: u8) {
        let (at, now_ms) = (usize::from(step & 1), self.now_ms);
        match step >> 1 & 7 {
            0..=2 => {
                let entry = self.entry();
                self.tables[at].merge(&entry, now_ms);
            }
            3 => {
                let (claim, file) = self.claim();
                let sender = Sender { ip: claim.endpoint.ip(), trusted: step & 16 != 0 };
                let added = self.tables[at].add(claim, file, sender, now_ms, &mut Nowhere);
                assert!(added.is_ok_and(|added| Some(added.version) >= claim.seen) || added.is_err_and(is_said));
            }
            4 => {
                let (claim, _) = self.claim();
                let sender = Sender { ip: claim.endpoint.ip(), trusted: step & 16 != 0 };
                let removed = self.tables[at].remove(claim, sender, now_ms, &mut Nowhere);
                assert!(
                    removed.is_ok_and(|removed| Some(removed.version) >= claim.seen) || removed.is_err_and(is_said)
                );
            }
            5 => self.now_ms += 1 << (self.byte().unwrap_or_default() % 18),
            6 => _ = self.tables[at].sweep(now_ms, usize::from(step), &mut |_| ()),
            _ => {
                let len = usize::from(self.byte().unwrap_or_default());
                let bytes = self.take(len);
                self.feed(at, bytes);
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn file(&mut self) -> InfoHash {
        let byte = self.byte().unwrap_or_default();
        let mut hash = [byte >> 4; 20];
        // Two buckets of files, some adjacent.
        hash[0] = byte & 1;
        InfoHash(hash)
    }

    fn endpoint(&mut self) -> Endpoint {
        let byte = self.byte().unwrap_or_default();
        let ip: IpAddr = match byte & 3 {
            0 => [10, 0, 0, 1].into(),
            1 => [10, 0, 0, 2].into(),
            2 => [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
            _ => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(byte >> 5)].into(),
        };
        Endpoint::new(ip, 1 + u16::from(byte >> 2)).unwrap_or_else(|| unreachable!("the port is not 0"))
    }

    /// A version of a third tracker, from long ago to too far ahead.
    fn version(&mut self) -> Version {
        let (high, low) = (self.byte().unwrap_or_default(), self.byte().unwrap_or_default());
        let ms = u64::from(u16::from_be_bytes([high, low])) * 4;
        let time_ms = self.now_ms + 80_000 - ms;
        Version { clock: time_ms << 16 | u64::from(low & 1), tracker: TrackerId(3 + u64::from(high & 1)) }
    }

    fn entry(&mut self) -> Entry<'static> {
        let (info_hash, kind, version) = (self.file(), self.byte().unwrap_or_default(), self.version());
        let body = match kind & 3 {
            0 => Body::File(FileInfo { name: ["a", "b"][usize::from(kind >> 7)], length: 1, chunk_size: 1 << 20 }),
            1 => Body::Removed(self.endpoint()),
            _ => Body::Seeder(self.endpoint()),
        };
        Entry { info_hash, version, body }
    }

    fn claim(&mut self) -> (Claim, Option<FileInfo<'static>>) {
        let (info_hash, endpoint, how) = (self.file(), self.endpoint(), self.byte().unwrap_or_default());
        let seen = (how & 1 != 0).then(|| self.version());
        let file = (how & 2 != 0).then_some(FileInfo { name: "c", length: 2, chunk_size: 1 << 20 });
        (Claim { info_hash, endpoint, seen }, file)
    }

    /// Passes arbitrary bytes as a response to a repair, and as a request.
    fn feed(&mut self, at: usize, bytes: &[u8]) {
        let now_ms = self.now_ms;
        let Ok(Parsed::Frame { frame, .. }) = parse(bytes, FRAME_SYNC_BYTES_MAX) else { return };
        let mut link = Link::default();
        link.opened(TrackerId(3), times(now_ms));
        link.send(&self.tables[at], &hello(), times(now_ms), &mut Vec::new());
        let table = &mut self.tables[at];
        if let Ok(Some(page)) = link.receive(frame, |entry| table.merge(entry, now_ms)) {
            _ = link.page_taken(page, table);
        }
        if let Ok(Message::SyncSeederListRequest(request)) = Message::decode(frame) {
            let mut page = EntriesBuffer::default();
            _ = answer::to_list(table, &request, now_ms, &mut page);
        }
    }

    /// Repairs each tracker from the other: then both have the same entries. If one dropped some of an address's
    /// removals, the other drops them with the next repair.
    fn converge(&mut self) {
        for _ in 0..3 {
            for at in [0, 1] {
                self.repair(at);
            }
        }
        let [one, other] = self.tables.each_ref().map(|table| live(table, self.now_ms));
        assert_eq!(one, other);
    }

    fn repair(&mut self, at: usize) {
        let times = times(self.now_ms);
        let [one, other] = &mut self.tables;
        let (table, peer) = if at == 0 { (one, other) } else { (other, one) };
        let (mut link, mut out, mut reply) = (Link::default(), Vec::new(), Vec::new());
        link.opened(peer.tracker(), times);
        for _ in 0..QUESTIONS_MAX {
            out.clear();
            link.send(table, &hello(), times, &mut out);
            let Ok(Message::SyncSeederListRequest(request)) = Message::decode(frame(&out)) else {
                panic!("a link that has nothing to relay asks");
            };
            let mut page = EntriesBuffer::default();
            let answered = answer::to_list(peer, &request, times.wall_ms, &mut page);
            reply.clear();
            Message::SyncSeederListResponse(answered).encode(&mut reply);
            let merge = |entry: &Entry<'_>| -> Merged { table.merge(entry, times.wall_ms) };
            let page = link.receive(frame(&reply), merge).expect("an honest page").expect("a page");
            if link.page_taken(page, table).expect("a page that advances").done {
                return;
            }
        }
        panic!("a repair without end");
    }
}

/// Entries that live for longer than the range of a repair.
fn live(table: &Table, now_ms: u64) -> BTreeSet<String> {
    let cut_off_ms = table.cut_off(now_ms);
    let (mut live, mut page, mut next) = (BTreeSet::new(), EntriesBuffer::default(), Some(Cursor::at(0)));
    while let Some(start) = next {
        // Digests that no bucket has, so that all entries are sent.
        let digests = vec![1; BUCKETS - usize::from(start.bucket)];
        let request = ListRequest { start, cut_off_ms, digests: digests.as_slice().into() };
        let list = answer::to_list(table, &request, now_ms, &mut page);
        next = list.next;
        for entry in list.entries.iter() {
            let is_removal = matches!(entry.body, Body::Removed(_));
            let life_ms = if is_removal { TTLS.tombstone_ms } else { TTLS.lease_ms };
            if entry.version.time_ms() + life_ms > cut_off_ms {
                live.insert(format!("{entry:?}"));
            }
        }
    }
    live
}

fn table(tracker: u64) -> Table {
    let rules = Rules { ttls: TTLS, endpoints_per_address_max: 2, files_per_address_max: 8, ..Rules::default() };
    let counts = Arc::new(AddressCounts::new(64, 5));
    let mut table = Table::new(Arc::new(rules), counts, 0..BUCKETS, TrackerId(tracker), [1, 2, 3]);
    // The third tracker's clock is half a minute ahead.
    table.set_skews(Skews::new([(TrackerId(3), 30_000, None)]), START_MS);
    table
}

/// The digest and the counts match the content.
fn check_table(table: &Table) {
    let prints = Fingerprints::default();
    let (mut seeders, mut removals) = (0, 0);
    for bucket in 0..BUCKETS {
        let mut digest = 0;
        table.for_each_of(bucket, &mut |entry| {
            assert_eq!(bucket_of(entry.info_hash), bucket);
            digest ^= prints.of(entry);
            match entry.body {
                Body::Seeder(_) => seeders += 1,
                Body::Removed(_) => removals += 1,
                Body::File(_) => {}
            }
        });
        assert_eq!(table.digest(bucket, 0), digest, "bucket {bucket}");
    }
    assert_eq!((table.totals().seeders, table.totals().removals), (seeders, removals));
}

/// Checks that nothing is left when all entries have lapsed.
fn check_end(table: &mut Table, now_ms: u64) {
    let end_ms = now_ms + 2 * TTLS.tombstone_ms;
    table.sweep(end_ms, usize::MAX, &mut |_| ());
    table.sweep(end_ms, usize::MAX, &mut |_| ());
    assert_eq!(table.totals(), Totals::default());
}

/// Whether a refusal states the error in one line.
fn is_said(refusal: Refusal) -> bool {
    let said = refusal.to_string();
    !said.is_empty() && !said.contains('\n')
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    match parse(bytes, FRAME_SYNC_BYTES_MAX) {
        Ok(Parsed::Frame { frame, .. }) => frame,
        other => panic!("{other:?}"),
    }
}

fn times(now_ms: u64) -> Times {
    Times { wall_ms: now_ms, steady_ms: now_ms - START_MS }
}

fn hello() -> SyncHello<'static> {
    SyncHello {
        protocol: SYNC_PROTOCOL,
        tracker: TrackerId(3),
        lease_ms: TTLS.lease_ms,
        tombstone_ms: TTLS.tombstone_ms,
        endpoint: Endpoint::new([127, 0, 0, 1].into(), 1).unwrap_or_else(|| unreachable!("the port is not 0")),
        nonce: [0; 16],
        proof: None,
    }
}
