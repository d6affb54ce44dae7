//! Tests of the table's rules: case by case, and against a naive model of them.

mod caps;
mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::digest::{Cursor, Page};
use super::entry::{BUCKETS, Body, Entry, FileInfo, Fingerprints, bucket_of};
use super::records::Ttls;
use super::rights::AddressCounts;
use super::{Accepted, Claim, Durability, Journal, Merged, NotFound, Refusal, Rules, Sender, Table};
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
use crate::limits::ANSWER_ENDPOINTS_MAX;
use crate::tracker::requests::{Denial, Outcome, Request};
use crate::wire::{Message, SeederChange, Share, Status};

const LEASE: u64 = 900_000;
const TOMBSTONE: u64 = 1_800_000;
const NOW: u64 = 1_700_000_000_000;

/// An entry with owned content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owned {
    info_hash: InfoHash,
    version: Version,
    endpoint: Option<Endpoint>,
    removed: bool,
    name: String,
}

impl From<&Entry<'_>> for Owned {
    fn from(entry: &Entry<'_>) -> Self {
        let (endpoint, removed, name) = match entry.body {
            Body::File(file) => (None, false, file.name.to_owned()),
            Body::Seeder(endpoint) => (Some(endpoint), false, String::new()),
            Body::Removed(endpoint) => (Some(endpoint), true, String::new()),
        };
        Self { info_hash: entry.info_hash, version: entry.version, endpoint, removed, name }
    }
}

impl Owned {
    fn entry(&self) -> Entry<'_> {
        let body = match (self.endpoint, self.removed) {
            (None, _) => Body::File(FileInfo { name: &self.name, length: 1, chunk_size: 1 << 20 }),
            (Some(endpoint), false) => Body::Seeder(endpoint),
            (Some(endpoint), true) => Body::Removed(endpoint),
        };
        Entry { info_hash: self.info_hash, version: self.version, body }
    }

    fn end_ms(&self) -> u64 {
        self.version.time_ms() + if self.removed { TOMBSTONE } else { LEASE }
    }
}

#[derive(Default)]
struct Log(Vec<(Owned, Durability)>);

impl Journal for Log {
    fn write(&mut self, entry: &Entry<'_>, durability: Durability) {
        self.0.push((entry.into(), durability));
    }
}

struct Everything(Vec<Owned>, usize);

impl Page for Everything {
    fn add(&mut self, entry: &Entry<'_>) -> bool {
        self.0.push(entry.into());
        self.0.len() < self.1
    }
}

fn rules() -> Rules {
    Rules { ttls: Ttls { lease_ms: LEASE, tombstone_ms: TOMBSTONE }, ..Rules::default() }
}

fn table_of(rules: Rules, id: u64) -> Table {
    let counts = Arc::new(AddressCounts::new(1 << 12, 5));
    Table::new(Arc::new(rules), counts, 0..BUCKETS, TrackerId(id), [id, 2, 3])
}

fn table() -> Table {
    table_of(rules(), 1)
}

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn endpoint(host: u8) -> Endpoint {
    Endpoint::new(IpAddr::from([10, 0, 0, host]), 6881).unwrap()
}

fn from(endpoint: Endpoint) -> Sender {
    Sender { ip: endpoint.ip(), trusted: false }
}

fn claim(file: u8, endpoint: Endpoint, seen: Option<Version>) -> Claim {
    Claim { info_hash: hash(file), endpoint, seen }
}

fn add(table: &mut Table, file: u8, host: u8, seen: Option<Version>, now: u64) -> Result<Accepted, Refusal> {
    table.add(claim(file, endpoint(host), seen), None, from(endpoint(host)), now, &mut Log::default())
}

fn remove(table: &mut Table, file: u8, host: u8, seen: Option<Version>, now: u64) -> Result<Accepted, Refusal> {
    table.remove(claim(file, endpoint(host), seen), from(endpoint(host)), now, &mut Log::default())
}

fn list(table: &Table, file: u8, now: u64) -> Result<Vec<Endpoint>, NotFound> {
    let mut out = Vec::new();
    let asker = IpAddr::from([10, 9, 9, 9]);
    table.list(hash(file), asker, now, &mut SmallRng::seed_from_u64(1), &mut out)?;
    out.sort_unstable();
    Ok(out)
}

#[test]
fn a_seeder_comes_is_renewed_at_half_its_lease_and_lapses() {
    let mut table = table();
    assert_eq!(list(&table, 1, NOW), Err(NotFound));
    let first = add(&mut table, 1, 1, None, NOW).unwrap();
    assert_eq!(first.written, Some(Durability::Sync));
    let early = add(&mut table, 1, 1, Some(first.version), NOW + LEASE / 2 - 1).unwrap();
    assert_eq!(early, Accepted { version: first.version, written: None });
    let later = add(&mut table, 1, 1, Some(first.version), NOW + LEASE / 2).unwrap();
    assert!(later.version > first.version && later.written == Some(Durability::Lazy));
    let end = NOW + LEASE / 2 + LEASE;
    assert_eq!(list(&table, 1, end - 1), Ok(vec![endpoint(1)]));
    assert_eq!(list(&table, 1, end), Err(NotFound));
    let again = add(&mut table, 1, 1, None, end).unwrap();
    assert_eq!(again.written, Some(Durability::Sync));
    assert_eq!(list(&table, 1, end), Ok(vec![endpoint(1)]));
}

#[test]
fn share_says_what_the_file_is_and_renewals_keep_it() {
    let mut table = table();
    let file = FileInfo { name: "a", length: 1, chunk_size: 1 << 20 };
    let share = |table: &mut Table, name, now| {
        let mut log = Log::default();
        let file = FileInfo { name, ..file };
        table.add(claim(1, endpoint(1), None), Some(file), from(endpoint(1)), now, &mut log).unwrap();
        log.0.into_iter().map(|(entry, durability)| (entry.name, durability)).collect::<Vec<_>>()
    };
    let change = |name: &str| (name.to_owned(), Durability::Sync);
    let renewal = |name: &str| (name.to_owned(), Durability::Lazy);
    assert_eq!(share(&mut table, "a", NOW), [change("a"), change("")]);
    assert_eq!(share(&mut table, "a", NOW + 1), []);
    assert_eq!(share(&mut table, "b", NOW + 2), [change("b")]);
    assert_eq!(share(&mut table, "b", NOW + LEASE / 2 + 2), [renewal("b"), renewal("")]);
    // AddSeeder renews the file too.
    let later = NOW + LEASE + 2;
    let mut log = Log::default();
    table.add(claim(1, endpoint(1), None), None, from(endpoint(1)), later, &mut log).unwrap();
    assert_eq!(log.0.iter().map(|(entry, _)| entry.name.as_str()).collect::<Vec<_>>(), ["b", ""]);
    // Without seeders a file is known until its lease ends.
    remove(&mut table, 1, 1, None, later).unwrap();
    assert_eq!(list(&table, 1, later + LEASE - 1), Ok(vec![]));
    assert_eq!(list(&table, 1, later + LEASE), Err(NotFound));
}

#[test]
fn a_removal_wins_over_what_the_client_saw_and_not_over_what_came_later() {
    let (mut a, mut b) = (table_of(rules(), 1), table_of(rules(), 2));
    // Tracker A's clock is 50 s ahead of B's.
    let added = add(&mut a, 1, 1, None, NOW + 50_000).unwrap();
    let entry = Entry { info_hash: hash(1), version: added.version, body: Body::Seeder(endpoint(1)) };
    let removed = remove(&mut b, 1, 1, Some(added.version), NOW).unwrap();
    assert!(removed.version > added.version);
    assert_eq!(b.merge(&entry, NOW), Merged::Old);
    let removal = Entry { info_hash: hash(1), version: removed.version, body: Body::Removed(endpoint(1)) };
    assert_eq!(a.merge(&removal, NOW + 50_000), Merged::New);
    for table in [&a, &b] {
        assert_eq!(list(table, 1, NOW + 50_000), Err(NotFound));
    }
    let again = add(&mut b, 1, 1, Some(removed.version), NOW).unwrap();
    assert!(again.version > removed.version && again.written == Some(Durability::Sync));
    assert_eq!(list(&b, 1, NOW), Ok(vec![endpoint(1)]));
}

#[test]
fn an_add_takes_a_version_when_the_client_has_seen_a_later_one_elsewhere() {
    let (mut a, mut b) = (table_of(rules(), 1), table_of(rules(), 2));
    let added = add(&mut a, 1, 1, None, NOW).unwrap();
    let entry = Entry { info_hash: hash(1), version: added.version, body: Body::Seeder(endpoint(1)) };
    assert_eq!(b.merge(&entry, NOW), Merged::New);
    let removed = remove(&mut a, 1, 1, Some(added.version), NOW + 1).unwrap();
    // The removal has not reached B yet, where the entry is still fresh.
    let again = add(&mut b, 1, 1, Some(removed.version), NOW + 2).unwrap();
    assert_eq!(again.written, Some(Durability::Sync));
    let removal = Entry { info_hash: hash(1), version: removed.version, body: Body::Removed(endpoint(1)) };
    assert_eq!(b.merge(&removal, NOW + 3), Merged::Old);
    assert_eq!(list(&b, 1, NOW + 3), Ok(vec![endpoint(1)]));
}

#[test]
fn removals_of_what_is_unknown() {
    let mut table = table();
    assert_eq!(remove(&mut table, 1, 1, None, NOW), Err(Refusal::NotFound));
    let seen = Version { clock: NOW << 16, tracker: TrackerId(9) };
    let first = remove(&mut table, 1, 1, Some(seen), NOW).unwrap();
    assert_eq!(first.written, Some(Durability::Sync));
    let again = remove(&mut table, 1, 1, Some(first.version), NOW + 1).unwrap();
    assert_eq!(again, Accepted { version: first.version, written: None });
    assert_eq!(list(&table, 1, NOW + 1), Err(NotFound));
}

#[test]
fn versions_from_the_future_are_refused() {
    let mut table = table();
    let future = Version { clock: (NOW + 60_001) << 16, tracker: TrackerId(9) };
    assert!(matches!(add(&mut table, 1, 1, Some(future), NOW), Err(Refusal::Ahead(_))));
    let entry = Entry { info_hash: hash(1), version: future, body: Body::Seeder(endpoint(1)) };
    assert!(matches!(table.merge(&entry, NOW), Merged::Ahead(_)));
    assert_eq!(table.merge(&entry, NOW + 1), Merged::New);
    // The entry counts for as long as it would be accepted, and no longer.
    assert_eq!(list(&table, 1, NOW + 1), Ok(vec![endpoint(1)]));
    assert_eq!(list(&table, 1, NOW), Err(NotFound));
    let set_back = NOW - 60_000;
    assert_eq!(list(&table, 1, set_back), Err(NotFound));
    let mut gone = 0;
    table.sweep(set_back, usize::MAX, &mut |_| gone += 1);
    assert_eq!((gone, table.totals().files), (1, 0));
}

/// Two trackers that receive entries of one version in different orders end up with the same entry.
#[test]
fn a_tie_of_versions_is_settled_alike_everywhere() {
    fn info(name: &str, length: u64, chunk_size: u32) -> Body<'_> {
        Body::File(FileInfo { name, length, chunk_size })
    }
    let version = Version { clock: NOW << 16, tracker: TrackerId(7) };
    // The second of each pair wins.
    for (loser, winner) in [
        (Body::Seeder(endpoint(1)), Body::Removed(endpoint(1))),
        (info("b", 1, 1 << 20), info("a", 2, 1 << 20)),
        (info("b", 1, 1 << 19), info("a", 1, 1 << 20)),
        (info("a", 1, 1 << 20), info("b", 1, 1 << 20)),
    ] {
        let merged = |order: [Body<'_>; 3]| {
            let mut table = table();
            let is_old =
                order.map(|body| table.merge(&Entry { info_hash: hash(1), version, body }, NOW) == Merged::Old);
            (is_old, table.entries(hash(1)).map(|entry| format!("{entry:?}")).collect::<Vec<_>>())
        };
        let (is_old, one) = merged([loser, winner, loser]);
        assert_eq!(is_old, [false, false, true], "{loser:?} {winner:?}");
        let (is_old, other) = merged([winner, loser, winner]);
        assert_eq!(is_old, [false, true, true], "the same again is old: {loser:?} {winner:?}");
        assert_eq!(one, other);
    }
}

#[test]
fn loopback_endpoints_are_for_loopback_only() {
    let mut table = table();
    let local = Endpoint::new("127.0.0.1".parse().unwrap(), 1).unwrap();
    let local6 = Endpoint::new("::1".parse().unwrap(), 1).unwrap();
    for endpoint in [local, local6, endpoint(1)] {
        table.add(claim(1, endpoint, None), None, from(endpoint), NOW, &mut Log::default()).unwrap();
    }
    let mut rng = SmallRng::seed_from_u64(1);
    for (asker, expected) in
        [("10.0.0.9", vec![endpoint(1)]), ("::1", vec![endpoint(1), local, local6]), ("fd00::1", vec![endpoint(1)])]
    {
        let mut out = Vec::new();
        table.list(hash(1), asker.parse().unwrap(), NOW, &mut rng, &mut out).unwrap();
        assert_eq!(BTreeSet::from_iter(out), BTreeSet::from_iter(expected), "{asker}");
    }
}

#[test]
fn answers_are_drawn_at_random_from_the_live() {
    let mut rng = SmallRng::seed_from_u64(7);
    for count in [10u16, 60, 600, 5000] {
        let mut table = table();
        let at = |number: u16| Endpoint::new([10, 1, (number >> 8) as u8, number as u8].into(), 1).unwrap();
        for number in 0..count {
            table.add(claim(1, at(number), None), None, from(at(number)), NOW, &mut Log::default()).unwrap();
        }
        // All but every eighth are removed.
        for number in (0..count).filter(|number| number % 8 != 0) {
            table.remove(claim(1, at(number), None), from(at(number)), NOW, &mut Log::default()).unwrap();
        }
        let live = usize::from(count.div_ceil(8));
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for _ in 0..200 {
            table.list(hash(1), endpoint(9).ip(), NOW, &mut rng, &mut out).unwrap();
            let distinct: BTreeSet<_> = out.iter().copied().collect();
            assert_eq!((distinct.len(), out.len()), (live.min(ANSWER_ENDPOINTS_MAX), live.min(ANSWER_ENDPOINTS_MAX)));
            seen.extend(distinct);
        }
        assert_eq!(seen.len(), live, "{count} seeders: each must have its turn");
    }
}

#[test]
fn strangers_change_their_own_endpoints_only() {
    let nobody = Endpoint::new("0.0.0.0".parse().unwrap(), 7).unwrap();
    let trust = ["10.0.0.8".parse().unwrap()];
    let change = |endpoint| Message::AddSeeder(SeederChange { info_hash: hash(1), endpoint, version: None });
    let read = |host, endpoint_sent: Endpoint| {
        let sender = Sender::new(endpoint(host).ip(), &trust);
        Request::read(&change(endpoint_sent), sender).map(|request| match request {
            Request::Add(claim, None) => claim.endpoint,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(read(1, endpoint(1)), Ok(endpoint(1)));
    assert_eq!(read(1, nobody), Ok(Endpoint::new(endpoint(1).ip(), 7).unwrap()));
    assert_eq!(read(8, endpoint(1)), Ok(endpoint(1)));
    let denial = read(1, endpoint(2)).unwrap_err();
    assert_eq!(denial.status(), Status::NotAllowed);
    let text = denial.to_string();
    assert!(text.contains("10.0.0.1") && text.contains("10.0.0.2:6881"), "{text}");
    let foreign = Request::read(&Message::ChunkInfoRequest(hash(1)), Sender::new(endpoint(1).ip(), &[]));
    assert!(matches!(foreign, Err(Denial::NotForTrackers("ChunkInfoRequest"))));
}

#[test]
fn a_message_becomes_a_reply() {
    let mut table = table();
    let sender = from(endpoint(1));
    let (mut rng, mut log, mut found) = (SmallRng::seed_from_u64(1), Log::default(), Vec::new());
    let mut ask = |message: &Message<'_>| -> (&'static str, Status, Option<Version>, usize) {
        let request = Request::read(message, sender).unwrap();
        let outcome = request.execute(&mut table, sender, NOW, &mut rng, &mut log, &mut found);
        outcome.reply(request.info_hash(), &found, |reply| match *reply {
            Message::Response(response) => (reply.kind(), response.status, response.version, 0),
            Message::SeederInfoResponse(info) => (reply.kind(), info.status, None, info.endpoints.len()),
            other => panic!("{other:?}"),
        })
    };
    let info = Message::SeederInfoRequest(hash(1));
    assert_eq!(ask(&info), ("SeederInfoResponse", Status::NotFound, None, 0));
    let share =
        Share { info_hash: hash(1), name: "a", length: 5, chunk_size: 1 << 20, endpoint: endpoint(1), version: None };
    let (kind, status, version, _) = ask(&Message::Share(share));
    assert_eq!((kind, status), ("Response", Status::Ok));
    assert_eq!(ask(&info), ("SeederInfoResponse", Status::Ok, None, 1));
    let change = SeederChange { info_hash: hash(1), endpoint: endpoint(1), version };
    let (_, status, removed, _) = ask(&Message::RemoveSeeder(change));
    assert!(status == Status::Ok && removed > version);
    assert_eq!(ask(&info), ("SeederInfoResponse", Status::Ok, None, 0));
    let future = Some(Version { clock: u64::MAX >> 1, tracker: TrackerId(1) });
    let (_, status, version, _) = ask(&Message::AddSeeder(SeederChange { version: future, ..change }));
    assert_eq!((status, version), (Status::BadRequest, None));
    assert!(
        matches!(Outcome::Refused(Refusal::Full), Outcome::Refused(refusal) if refusal.status() == Status::OverLimit)
    );
}

/// Collects all live entries of a table at a time, by pages of `page_len` entries.
fn pages(table: &Table, digests: &[u128], cut_off: u64, now: u64, page_len: usize) -> Vec<Owned> {
    let mut all = Vec::new();
    let mut next = Some(Cursor::at(0));
    while let Some(cursor) = next {
        let mut page = Everything(Vec::new(), page_len);
        let rest = digests[usize::from(cursor.bucket)..].iter().copied();
        next = table.page(cursor, rest, cut_off, now, &mut page);
        all.extend(page.0);
    }
    all
}

fn digests(table: &Table, cut_off: u64) -> Vec<u128> {
    (0..BUCKETS).map(|bucket| table.digest(bucket, cut_off)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Merge { file: u8, host: u8, kind: u8, back_ms: u64 },
    Sweep { budget: usize },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..12, 0u8..6, 0u8..3, 0..2 * TOMBSTONE).prop_map(|(file, host, kind, back_ms)| Step::Merge { file, host, kind, back_ms }),
        1 => (1usize..6000).prop_map(|budget| Step::Sweep { budget }),
        1 => (0..LEASE).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Entries in any order leave the newest of each key; digests and pages match the content; the sweep removes
    /// exactly the lapsed entries; the counts agree.
    #[test]
    fn the_table_is_what_a_map_would_be(steps in prop::collection::vec(step(), 1..150)) {
        let mut table = table();
        let mut model: BTreeMap<(InfoHash, Option<Endpoint>), Owned> = BTreeMap::new();
        let mut now = NOW;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Merge { file, host, kind, back_ms } => {
                    let version = Version { clock: (now - back_ms) << 16 | number as u64, tracker: TrackerId(4) };
                    let endpoint = (kind > 0).then(|| endpoint(host));
                    let name = if kind > 0 { String::new() } else { "x".repeat(usize::from(host) + 1) };
                    // Few buckets, some with several files.
                    let mut info_hash = hash(file / 2);
                    info_hash.0[19] = file;
                    let owned = Owned { info_hash, version, endpoint, removed: kind == 2, name };
                    let held = model.get(&(info_hash, endpoint)).filter(|held| held.end_ms() > now);
                    let expected = if owned.end_ms() <= now {
                        Merged::Expired
                    } else if held.is_some_and(|held| held.version >= version) {
                        Merged::Old
                    } else {
                        Merged::New
                    };
                    prop_assert_eq!(table.merge(&owned.entry(), now), expected);
                    if expected == Merged::New {
                        model.insert((info_hash, endpoint), owned);
                    }
                }
                Step::Sweep { budget } => {
                    let mut wrong = Vec::new();
                    table.sweep(now, budget, &mut |entry| wrong.extend(Some(Owned::from(entry)).filter(|gone| gone.end_ms() > now)));
                    prop_assert_eq!(wrong, vec![]);
                }
                Step::Wait { ms } => now += ms,
            }
        }
        model.retain(|_, owned| owned.end_ms() > now);
        let model: BTreeSet<Owned> = model.into_values().collect();
        let cut_off = table.cut_off(now);
        for cut_off in [now, cut_off] {
            for bucket in [0, bucket_of(hash(1)), bucket_of(hash(3))] {
                let of_bucket = model.iter().filter(|owned| bucket_of(owned.info_hash) == bucket && owned.end_ms() > cut_off);
                let expected = of_bucket.fold(0, |digest, owned| digest ^ Fingerprints::default().of(&owned.entry()));
                prop_assert_eq!(table.digest(bucket, cut_off), expected);
            }
        }
        let empty = vec![1; BUCKETS];
        for page_len in [1, 3, 1000] {
            let all: BTreeSet<Owned> = pages(&table, &empty, cut_off, now, page_len).into_iter().collect();
            prop_assert_eq!(&all, &model);
        }
        let same = digests(&table, cut_off);
        prop_assert_eq!(pages(&table, &same, cut_off, now, 1000), vec![]);
        table.sweep(now, usize::MAX, &mut |_| ());
        table.sweep(now, usize::MAX, &mut |_| ());
        let totals = table.totals();
        prop_assert_eq!(totals.seeders as usize, model.iter().filter(|owned| owned.endpoint.is_some() && !owned.removed).count());
        prop_assert_eq!(totals.removals as usize, model.iter().filter(|owned| owned.removed).count());
        prop_assert_eq!(totals.files as usize, model.iter().map(|owned| owned.info_hash).collect::<BTreeSet<_>>().len());
        prop_assert_eq!(digests(&table, cut_off), same);
    }
}

#[test]
fn a_file_with_two_seeders_takes_at_most_200_bytes_and_its_name() {
    let mut table = table();
    let name = "a file of an ordinary name.iso";
    let files = 100_000u32;
    for number in 0..files {
        let mut info_hash = InfoHash([0; 20]);
        let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        info_hash.0[..8].copy_from_slice(&spread.to_be_bytes());
        for host in [1, 2] {
            let endpoint = Endpoint::new([10, host, (number >> 8) as u8, number as u8].into(), 6881).unwrap();
            let file = Some(FileInfo { name, length: 1 << 30, chunk_size: 1 << 20 });
            let sender = Sender { ip: endpoint.ip(), trusted: true };
            table.add(Claim { info_hash, endpoint, seen: None }, file, sender, NOW, &mut Log::default()).unwrap();
        }
    }
    let bytes = table.bytes() / files as usize;
    assert!(bytes <= 200 + name.len(), "{bytes} bytes a file");
}
