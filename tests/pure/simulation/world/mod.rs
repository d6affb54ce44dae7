//! The simulated world: trackers, the network between them, their clients, and the faults.

mod agreement;
mod client_actions;
mod failures;
mod flood;
mod owned;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use mtorrent::ids::{Endpoint, InfoHash, TrackerId, Version};
use mtorrent::limits::{REPAIR_INTERVAL, SYNC_RETRY_MAX};
use mtorrent::tracker::Ttls;
use mtorrent::tracker::replica::answer;
use mtorrent::tracker::replica::link::{Link, Times};
use mtorrent::tracker::table::clock::Skews;
use mtorrent::tracker::table::rights::AddressCounts;
use mtorrent::tracker::table::{Merged, Rules, Table};
use mtorrent::wire::{EntriesBuffer, Message, SyncHello};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::claim::Claimed;
use failures::{ClockSet, Exile};
use flood::Flood;
use owned::{Owned, frame, key, message};

const LEASE_MS: u64 = 60_000;
const TTLS: Ttls = Ttls { lease_ms: LEASE_MS, tombstone_ms: 2 * LEASE_MS };
/// Largest error of clocks that count as correct, milliseconds.
const SKEW_MS: u64 = 2000;
const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 1_700_000_000_000;
/// Buckets of the simulated tables: fewer than in production, so that a seed takes little time.
const BUCKETS: usize = 512;
const FILES: u8 = 4;
/// Time within which all tables must be the same after the last fault, milliseconds.
const HEAL_MS: u64 = 5000;
/// Entries that lapse this soon are not repaired (see `Table::cut_off`), and clocks differ; milliseconds.
const MARGIN_MS: u64 = LEASE_MS / 4 + 2 * SKEW_MS;
const STEP_MS: u64 = 100;
/// Longest time for which a broken connection holds back its bytes, milliseconds.
const LATE_MS_MAX: u64 = 30_000;
/// The number of all broken connections.
const HELD_BACK: u64 = 0;
/// Interval between two resolutions of the group's name, where the trackers know each other only by that, milliseconds.
const NAME_MS: u64 = 10_000;
/// Live endpoints of a file at an address: few, so that a flood reaches the limits soon.
const ENDPOINTS_MAX: usize = 1;
/// Counters of addresses: so many that unrelated addresses rarely share one.
const COUNTERS: usize = 1 << 10;

/// Consequence of losing an entry that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// No promise to a client is broken: the change was not acknowledged, or another tracker issued it.
    Nothing,
    /// A longer lease is lost.
    Life,
}

struct Tracker {
    up: bool,
    /// Constant error of its clock, milliseconds.
    skew_ms: i64,
    /// Additional temporary error, milliseconds.
    wrong_ms: i64,
    /// Additional error of its machine's clock, milliseconds; it applies from the next start.
    set_ms: i64,
    /// Whether the disk is full.
    is_full: bool,
    /// Whether the tracker has detected that, and refuses changes.
    refuses: bool,
    /// The highest version on its disk.
    highest: Version,
    /// The other trackers whose addresses it knows.
    found: Vec<bool>,
    name_due_ms: u64,
    /// Measured lead of the other trackers' clocks over its own, milliseconds.
    measured: Vec<i64>,
    table: Table,
    disk: BTreeMap<(InfoHash, Option<Endpoint>), Owned>,
    unsynced: Vec<(Owned, Loss)>,
    links: Vec<Peer>,
    down_until_ms: u64,
}

/// A tracker's link to another.
struct Peer {
    link: Link,
    /// Number of the open connection.
    connection: Option<u64>,
    retry_ms: u64,
    last_delivery_ms: u64,
}

/// Bytes in flight on a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at_ms: u64,
    number: u64,
    connection: u64,
    /// The dialling tracker, and the dialled one.
    dialler: usize,
    acceptor: usize,
    is_answer: bool,
    bytes: Vec<u8>,
}

pub struct World {
    rng: SmallRng,
    verbose: bool,
    now_ms: u64,
    trackers: Vec<Tracker>,
    /// Whether two trackers, by number, cannot reach each other.
    parted: Vec<Vec<bool>>,
    /// A tracker that is away for longer than a tombstone lasts, and the period.
    exile: Option<Exile>,
    /// A tracker whose clock is set for a while, and the period.
    clock_set: Option<ClockSet>,
    /// Whether the trackers know each other by one name only, at which a name server finds some of them, in any order.
    is_named: bool,
    /// A source that announces and withdraws as much as it can.
    flood: Option<Flood>,
    /// Whether all faults are over.
    is_healed: bool,
    /// Time at which an entry held back by a broken connection last changed a table, milliseconds.
    late_news_ms: u64,
    /// Whether a client cannot reach a tracker.
    unreachable: Vec<Vec<bool>>,
    clients: Vec<Vec<Claimed>>,
    packets: BinaryHeap<Reverse<Packet>>,
    numbers: u64,
    page: EntriesBuffer,
}

impl World {
    pub fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(3..=5);
        let clients = rng.random_range(2..=4u8);
        let claimed = |client: u8, file: u8| Claimed {
            info_hash: hash(file),
            endpoint: Endpoint::new([10, 0, 0, client].into(), 7000).unwrap(),
            seeding: false,
            seen: None,
            acknowledged_ms: None,
            lapses_ms: 0,
            unclear_until_ms: [0; 2],
            due_ms: START_MS,
        };
        let mut world = Self {
            verbose,
            now_ms: START_MS,
            trackers: Vec::new(),
            parted: vec![vec![false; count]; count],
            exile: None,
            clock_set: None,
            is_named: rng.random_bool(0.3),
            flood: Flood::draw(&mut rng),
            is_healed: false,
            late_news_ms: 0,
            unreachable: vec![vec![false; count]; clients.into()],
            clients: (0..clients).map(|client| (0..FILES).map(|file| claimed(client, file)).collect()).collect(),
            packets: BinaryHeap::new(),
            numbers: 0,
            page: EntriesBuffer::default(),
            rng,
        };
        for number in 0..count {
            let skew_ms = world.rng.random_range(-(SKEW_MS as i64)..=SKEW_MS as i64);
            let tracker = Tracker {
                up: true,
                skew_ms,
                wrong_ms: 0,
                set_ms: 0,
                is_full: false,
                refuses: false,
                highest: Version::default(),
                found: vec![!world.is_named; count],
                name_due_ms: START_MS,
                measured: vec![0; count],
                table: table(number, &mut world.rng),
                disk: BTreeMap::new(),
                unsynced: Vec::new(),
                links: (0..count).map(|_| Peer::new()).collect(),
                down_until_ms: 0,
            };
            world.trackers.push(tracker);
        }
        world
    }

    pub fn run(mut self) {
        let end_ms = self.plan();
        while self.now_ms < end_ms {
            self.fail();
            self.set_clocks();
            self.step(true);
        }
        let loses = self.clock_set.is_some() || self.is_apart();
        self.heal();
        if self.is_named {
            self.run_until(self.now_ms + NAME_MS);
        }
        self.settle(loses);
        self.check();
        // The tables stay the same while bytes held back on broken connections still arrive.
        self.settle(loses);
        self.check();
    }

    /// Checks all invariants. If clocks are minutes apart, an entry that is about to lapse may have a higher version
    /// than a live one, and may hide it briefly at some trackers: the next ordinary repair restores it there. If an
    /// address left more tombstones than are kept, one repair determines which are kept, and the next restores the
    /// entries under the others.
    fn check(&mut self) {
        self.check_claims();
        let repairs = if self.flood.is_some() { 2 } else { u64::from(self.is_apart()) };
        for _ in 0..repairs {
            if !self.agrees() {
                self.run_until(self.now_ms + REPAIR_INTERVAL.as_millis() as u64 + HEAL_MS);
            }
        }
        self.check_agreement();
    }

    fn is_apart(&self) -> bool {
        self.trackers.iter().any(|tracker| tracker.skew_ms.unsigned_abs() > SKEW_MS)
    }

    /// Runs until all tables must be the same. If a clock was set, all trackers lose the entries that it issued, and
    /// those replaced by them; if clocks are minutes apart, a removal that won over a newer entry ends. Some of these
    /// may still be in flight and change tables once more, which takes time to spread.
    fn settle(&mut self, loses: bool) {
        let least_ms = self.now_ms + HEAL_MS;
        self.run_until(least_ms);
        while loses && self.now_ms < (self.late_news_ms + HEAL_MS).min(least_ms + LATE_MS_MAX) {
            self.run_until(self.now_ms + STEP_MS);
        }
    }

    fn run_until(&mut self, end_ms: u64) {
        while self.now_ms < end_ms {
            self.step(false);
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>7} ms: {}", self.now_ms - START_MS, text());
        }
    }

    fn wall_ms(&self, tracker: usize) -> u64 {
        self.now_ms.saturating_add_signed(self.trackers[tracker].off_ms())
    }

    /// Current difference of the clocks, milliseconds.
    fn spread_ms(&self) -> u64 {
        let off_ms = || self.trackers.iter().map(Tracker::off_ms);
        off_ms().max().unwrap_or_default().abs_diff(off_ms().min().unwrap_or_default())
    }

    /// True time at which a version was issued, if its tracker's clock had its present error then, milliseconds.
    fn given_ms(&self, version: Version) -> u64 {
        let tracker = (version.tracker.0 - id(0).0) as usize;
        version.time_ms().saturating_add_signed(-self.trackers[tracker].off_ms())
    }

    /// Lets a tracker measure the clock of another one.
    fn measure(&mut self, at: usize, other: usize) {
        let skew_ms = self.trackers[other].off_ms() - self.trackers[at].off_ms();
        if self.trackers[at].measured[other] != skew_ms {
            self.trackers[at].measured[other] = skew_ms;
            let all = self.trackers[at].measured.iter().enumerate().map(|(other, skew_ms)| (id(other), *skew_ms, None));
            let skews = Skews::new(all);
            let wall_ms = self.wall_ms(at);
            self.trackers[at].table.set_skews(skews, wall_ms);
        }
    }

    fn times(&self, tracker: usize) -> Times {
        Times { wall_ms: self.wall_ms(tracker), steady_ms: self.now_ms - START_MS }
    }

    fn step(&mut self, clients_too: bool) {
        self.now_ms += STEP_MS;
        while self.packets.peek().is_some_and(|packet| packet.0.at_ms <= self.now_ms) {
            if let Some(Reverse(packet)) = self.packets.pop() {
                self.deliver(packet);
            }
        }
        for tracker in 0..self.trackers.len() {
            self.wake(tracker);
        }
        if clients_too {
            self.flood();
            for client in 0..self.clients.len() {
                for file in 0..self.clients[client].len() {
                    self.act(client, file);
                }
            }
        }
    }

    fn wake(&mut self, at: usize) {
        if !self.trackers[at].up {
            if self.now_ms >= self.trackers[at].down_until_ms && !self.is_exiled(at, true) {
                self.restart(at);
            }
            return;
        }
        let wall_ms = self.wall_ms(at);
        if self.rng.random_bool(0.3) {
            self.trackers[at].sync();
        }
        let Tracker { table, disk, .. } = &mut self.trackers[at];
        if self.now_ms.is_multiple_of(5 * STEP_MS) {
            table.sweep(wall_ms, 64, &mut |entry| {
                disk.remove(&key(entry));
            });
        }
        self.look_at_name(at);
        for to in (0..self.trackers.len()).filter(|to| *to != at) {
            if self.trackers[at].found[to] {
                self.drive(at, to);
            }
        }
    }

    /// Resolves the group's name: to some members during faults, and to all of them afterwards.
    fn look_at_name(&mut self, at: usize) {
        if self.now_ms < self.trackers[at].name_due_ms {
            return;
        }
        self.trackers[at].name_due_ms = self.now_ms + NAME_MS;
        let is_whole = self.is_healed;
        for to in 0..self.trackers.len() {
            if is_whole || self.rng.random_bool(0.3) {
                self.trackers[at].found[to] = true;
            }
        }
    }

    /// Opens a link, or starts its next exchange.
    fn drive(&mut self, at: usize, to: usize) {
        let times = self.times(at);
        let reachable = self.trackers[to].up && !self.is_cut(at, to);
        let peer = &mut self.trackers[at].links[to];
        match peer.connection {
            Some(_) if !reachable => {
                peer.close(self.now_ms);
                return;
            }
            None if !reachable || self.now_ms < peer.retry_ms => return,
            None => {
                self.numbers += 1;
                peer.connection = Some(self.numbers);
                peer.link.opened(id(to), times);
                // The other side dials back, and receives what it missed.
                self.trackers[to].found[at] = true;
                self.trackers[to].links[at].link.repair_now();
                self.measure(at, to);
                self.measure(to, at);
            }
            Some(_) => {}
        }
        let Tracker { table, links, .. } = &mut self.trackers[at];
        let Peer { link, connection, last_delivery_ms, .. } = &mut links[to];
        let Some(connection) = *connection else { return };
        if !link.is_idle() || !link.is_due(times) {
            return;
        }
        let mut out = Vec::new();
        link.send(table, &hello(at), times, &mut out);
        let mut rest = &out[..];
        while !rest.is_empty() {
            let len = frame(rest).1;
            *last_delivery_ms = (*last_delivery_ms).max(self.now_ms + self.rng.random_range(0..400));
            self.numbers += 1;
            let packet = Packet {
                at_ms: *last_delivery_ms,
                number: self.numbers,
                connection,
                dialler: at,
                acceptor: to,
                is_answer: false,
                bytes: rest[..len].to_vec(),
            };
            // Redelivered late: a message that a broken connection held back.
            if self.rng.random_bool(0.1) && matches!(message(&packet.bytes), Message::SyncEntry(_)) {
                let at_ms = self.now_ms + self.rng.random_range(0..LATE_MS_MAX);
                self.packets.push(Reverse(Packet { at_ms, connection: HELD_BACK, ..packet.clone() }));
            }
            self.packets.push(Reverse(packet));
            rest = &rest[len..];
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let Packet { dialler, acceptor, connection, .. } = packet;
        if packet.is_answer {
            if self.trackers[dialler].links[acceptor].connection == Some(connection) {
                self.take_answer(dialler, acceptor, &packet.bytes);
            }
            return;
        }
        if !self.trackers[acceptor].up || self.is_cut(dialler, acceptor) {
            return;
        }
        let answer = self.answer(acceptor, dialler, &packet);
        let at_ms = self.now_ms.max(packet.at_ms);
        self.packets.push(Reverse(Packet { at_ms, is_answer: true, bytes: answer, ..packet }));
    }

    fn answer(&mut self, at: usize, from: usize, packet: &Packet) -> Vec<u8> {
        let mut out = Vec::new();
        let wall_ms = self.wall_ms(at);
        match message(&packet.bytes) {
            Message::SyncEntry(entry) => {
                let merged = self.trackers[at].table.merge(&entry, wall_ms);
                if merged == Merged::Late {
                    self.trackers[at].unsynced.push((Owned::new(&entry), Loss::Nothing));
                }
                if merged == Merged::New {
                    if packet.connection == HELD_BACK {
                        self.late_news_ms = self.now_ms;
                    }
                    self.pass_on(at, from, vec![(Owned::new(&entry), Loss::Nothing)]);
                }
                if let Merged::Ahead(error) = merged {
                    let due_ms = self.now_ms - START_MS + error.due_in_ms();
                    self.trackers[at].links[from].link.repair_by(due_ms);
                }
                Message::Response(answer::to_entry(merged, &entry)).encode(&mut out);
            }
            Message::SyncSeederListRequest(request) => {
                if request.digests.is_empty() {
                    self.measure(at, from);
                }
                let table = &self.trackers[at].table;
                let page = answer::to_list(table, &request, wall_ms, &mut self.page);
                Message::SyncSeederListResponse(page).encode(&mut out);
            }
            Message::SyncHello(_) => {
                self.trackers[at].links[from].link.repair_now();
                let ok = mtorrent::wire::Response::new(mtorrent::wire::Status::Ok, "", None);
                Message::Response(ok).encode(&mut out);
            }
            other => panic!("{other:?}"),
        }
        out
    }

    fn take_answer(&mut self, at: usize, from: usize, bytes: &[u8]) {
        let wall_ms = self.wall_ms(at);
        let Tracker { table, links, .. } = &mut self.trackers[at];
        let link = &mut links[from].link;
        let (mut changes, mut late) = (Vec::new(), Vec::new());
        let page = link.receive(frame(bytes).0, |entry| {
            let merged = table.merge(entry, wall_ms);
            if merged == Merged::Late {
                late.push((Owned::new(entry), Loss::Nothing));
            }
            if merged == Merged::New {
                changes.push((Owned::new(entry), Loss::Nothing));
            }
            merged
        });
        if let Some(page) = page.unwrap() {
            link.page_taken(page, table).unwrap();
        }
        self.trackers[at].unsynced.append(&mut late);
        self.pass_on(at, from, changes);
    }

    /// Sends entries that changed the table to the disk and to all other peers.
    fn pass_on(&mut self, at: usize, from: usize, changes: Vec<(Owned, Loss)>) {
        for (entry, loss) in changes {
            for (peer, link) in self.trackers[at].links.iter_mut().enumerate() {
                if peer != from && peer != at {
                    link.link.push(&entry.entry());
                }
            }
            self.trackers[at].unsynced.push((entry, loss));
        }
    }

    fn restart(&mut self, at: usize) {
        self.say(|| format!("tracker {at} is back"));
        self.take_clock(at);
        let wall_ms = self.wall_ms(at);
        let mut table = table(at, &mut self.rng);
        table.start_above(self.trackers[at].highest, wall_ms);
        self.trackers[at].disk.values().for_each(|entry| _ = table.restore(&entry.entry(), wall_ms));
        let count = self.trackers.len();
        let tracker = &mut self.trackers[at];
        (tracker.table, tracker.up) = (table, true);
        tracker.links = (0..count).map(|_| Peer::new()).collect();
        tracker.measured = vec![0; count];
        tracker.refuses = false;
        (tracker.found, tracker.name_due_ms) = (vec![!self.is_named; count], self.now_ms);
    }
}

impl Tracker {
    /// Error of its clock, milliseconds.
    fn off_ms(&self) -> i64 {
        self.skew_ms + self.wrong_ms
    }

    /// Makes its writes durable, unless the disk is full.
    fn sync(&mut self) {
        self.refuses = self.is_full;
        if self.is_full {
            return;
        }
        for (entry, _) in self.unsynced.drain(..) {
            self.highest = self.highest.max(entry.entry().version);
            self.disk.insert(entry.key(), entry);
        }
    }
}

impl Peer {
    fn new() -> Self {
        Self { link: Link::default(), connection: None, retry_ms: 0, last_delivery_ms: 0 }
    }

    fn close(&mut self, now_ms: u64) {
        if self.connection.take().is_some() {
            self.link.closed();
            self.retry_ms = now_ms + SYNC_RETRY_MAX.as_millis() as u64;
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (0..count).map(move |b| (a, b)))
}

fn id(tracker: usize) -> TrackerId {
    TrackerId(100 + tracker as u64)
}

/// A file among the simulated buckets.
fn hash(file: u8) -> InfoHash {
    let mut hash = [file; 20];
    hash[0] = file * 9 % (BUCKETS / 16) as u8;
    InfoHash(hash)
}

fn hello(at: usize) -> SyncHello<'static> {
    SyncHello {
        protocol: mtorrent::wire::sync::SYNC_PROTOCOL,
        tracker: id(at),
        lease_ms: TTLS.lease_ms,
        tombstone_ms: TTLS.tombstone_ms,
        endpoint: Endpoint::new([127, 0, 0, 1].into(), 1).unwrap(),
        nonce: [0; 16],
        proof: None,
    }
}

fn table(number: usize, rng: &mut SmallRng) -> Table {
    let rules = Rules { ttls: TTLS, endpoints_per_address_max: ENDPOINTS_MAX, ..Rules::default() };
    let counts = Arc::new(AddressCounts::new(COUNTERS, rng.random()));
    Table::new(Arc::new(rules), counts, 0..BUCKETS, id(number), rng.random())
}
