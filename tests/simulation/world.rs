//! The played world: trackers, the network between them, their clients, and what goes wrong.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use mtorrent::ids::{Endpoint, InfoHash, TrackerId};
use mtorrent::limits::{FRAME_SYNC_BYTES_MAX, SYNC_RETRY_MAX};
use mtorrent::tracker::Lives;
use mtorrent::tracker::entry::{Body, Entry, FileInfo};
use mtorrent::tracker::replica::answer;
use mtorrent::tracker::replica::link::{Link, Times};
use mtorrent::tracker::rights::AddressCounts;
use mtorrent::tracker::table::{Claim, Journal, Merged, Refusal, Rules, Sender, Table, Weight};
use mtorrent::wire::{EntriesBuffer, Frame, Message, Parsed, SyncHello, parse};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::client::{Claimed, Expected};

const LEASE_MS: u64 = 60_000;
const LIVES: Lives = Lives { lease_ms: LEASE_MS, tombstone_ms: 2 * LEASE_MS };
/// Clocks that are taken for right differ by so much from the true time.
const SKEW_MS: u64 = 2000;
const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 1_700_000_000_000;
/// Buckets of the played tables: fewer than there are, so that a seed takes little time.
const BUCKETS: usize = 64;
const FILES: u8 = 4;
/// In which all must be the same after the last failure.
const HEAL_MS: u64 = 5000;
/// What lapses so soon is not repaired: see `Table::cut_off`; and clocks differ.
const MARGIN_MS: u64 = LEASE_MS / 4 + 2 * SKEW_MS;
const STEP_MS: u64 = 100;
const SENDER: Sender = Sender { ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), trusted: true };

/// An entry that owns what it says.
#[derive(Clone, PartialEq)]
struct Owned {
    frame: Vec<u8>,
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry();
        write!(f, "{:?} at {}", entry.body, entry.version.time_ms() as i64 - START_MS as i64)
    }
}

impl Owned {
    fn new(entry: &Entry<'_>) -> Self {
        let mut frame = Vec::new();
        Message::SyncEntry(*entry).encode(&mut frame);
        Self { frame }
    }

    fn entry(&self) -> Entry<'_> {
        match message(&self.frame) {
            Message::SyncEntry(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    fn key(&self) -> (InfoHash, Option<Endpoint>) {
        key(&self.entry())
    }
}

fn key(entry: &Entry<'_>) -> (InfoHash, Option<Endpoint>) {
    match entry.body {
        Body::File(_) => (entry.info_hash, None),
        Body::Seeder(endpoint) | Body::Removed(endpoint) => (entry.info_hash, Some(endpoint)),
    }
}

fn frame(bytes: &[u8]) -> (Frame<'_>, usize) {
    match parse(bytes, FRAME_SYNC_BYTES_MAX) {
        Ok(Parsed::Frame { frame, len }) => (frame, len),
        other => panic!("{other:?}"),
    }
}

fn message(bytes: &[u8]) -> Message<'_> {
    Message::decode(frame(bytes).0).unwrap()
}

/// What a change writes: to the disk, and to the links.
#[derive(Default)]
struct Written(Vec<(Owned, Weight)>);

impl Journal for Written {
    fn write(&mut self, entry: &Entry<'_>, weight: Weight) {
        self.0.push((Owned::new(entry), weight));
    }
}

struct Tracker {
    up: bool,
    /// What its clock is off.
    skew_ms: i64,
    table: Table,
    disk: BTreeMap<(InfoHash, Option<Endpoint>), Owned>,
    unsynced: Vec<Owned>,
    links: Vec<Peer>,
    down_until_ms: u64,
}

/// A tracker's link to another.
struct Peer {
    link: Link,
    /// The open connection's number.
    connection: Option<u64>,
    retry_ms: u64,
    last_delivery_ms: u64,
}

/// Bytes on their way on a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at_ms: u64,
    number: u64,
    connection: u64,
    /// Who dialled, and whom.
    dialler: usize,
    acceptor: usize,
    is_answer: bool,
    bytes: Vec<u8>,
}

pub struct World {
    rng: SmallRng,
    talk: bool,
    now_ms: u64,
    trackers: Vec<Tracker>,
    /// Whether two trackers, by number, cannot reach each other.
    parted: Vec<Vec<bool>>,
    /// Whether a client cannot reach a tracker.
    unreachable: Vec<Vec<bool>>,
    clients: Vec<Vec<Claimed>>,
    packets: BinaryHeap<Reverse<Packet>>,
    numbers: u64,
    page: EntriesBuffer,
}

impl World {
    pub fn new(seed: u64, talk: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(3..=5);
        let clients = rng.random_range(2..=4u8);
        let claimed = |client: u8, file: u8| Claimed {
            info_hash: hash(file),
            endpoint: Endpoint::new([10, 0, 0, client].into(), 7000).unwrap(),
            seeding: false,
            seen: None,
            acknowledged_ms: None,
            unclear_until_ms: 0,
            due_ms: START_MS,
        };
        let mut world = Self {
            talk,
            now_ms: START_MS,
            trackers: Vec::new(),
            parted: vec![vec![false; count]; count],
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
        let skewed = self.rng.random_bool(0.3).then(|| self.rng.random_range(0..self.trackers.len()));
        if let Some(skewed) = skewed {
            self.trackers[skewed].skew_ms += DAY_MS as i64;
        }
        let most_ms = if self.rng.random_bool(0.1) { 6 * LEASE_MS } else { 2 * LEASE_MS };
        let end_ms = START_MS + self.rng.random_range(30_000..most_ms);
        while self.now_ms < end_ms {
            self.fail();
            self.step(true);
        }
        self.heal();
        self.run_until(self.now_ms + HEAL_MS);
        self.check();
        // And it stays so, while what was held back on broken connections still arrives.
        self.run_until(self.now_ms + HEAL_MS);
        self.check();
    }

    fn run_until(&mut self, end_ms: u64) {
        while self.now_ms < end_ms {
            self.step(false);
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.talk {
            println!("{:>7} ms: {}", self.now_ms - START_MS, text());
        }
    }

    fn wall_ms(&self, tracker: usize) -> u64 {
        self.now_ms.saturating_add_signed(self.trackers[tracker].skew_ms)
    }

    fn times(&self, tracker: usize) -> Times {
        Times { wall_ms: self.wall_ms(tracker), steady_ms: self.now_ms - START_MS }
    }

    fn is_sane(&self, tracker: usize) -> bool {
        self.trackers[tracker].skew_ms.unsigned_abs() <= SKEW_MS
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
            for client in 0..self.clients.len() {
                for file in 0..self.clients[client].len() {
                    self.act(client, file);
                }
            }
        }
    }

    // ---- trackers ----

    fn wake(&mut self, at: usize) {
        if !self.trackers[at].up {
            if self.now_ms >= self.trackers[at].down_until_ms {
                self.restart(at);
            }
            return;
        }
        let wall_ms = self.wall_ms(at);
        if self.rng.random_bool(0.3) {
            self.trackers[at].sync();
        }
        let Tracker { table, disk, .. } = &mut self.trackers[at];
        table.sweep(wall_ms, 64, &mut |entry| {
            disk.remove(&key(entry));
        });
        for to in (0..self.trackers.len()).filter(|to| *to != at) {
            self.drive(at, to);
        }
    }

    /// Opens a link, or starts its next round.
    fn drive(&mut self, at: usize, to: usize) {
        let times = self.times(at);
        let reachable = self.trackers[to].up && !self.parted[at][to];
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
                // The other side dials back, and takes what it missed.
                self.trackers[to].links[at].link.repair_now();
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
            // Once more, and late: what a broken connection held back.
            if self.rng.random_bool(0.1) && matches!(message(&packet.bytes), Message::SyncEntry(_)) {
                let at_ms = self.now_ms + self.rng.random_range(0..30_000);
                self.packets.push(Reverse(Packet { at_ms, connection: 0, ..packet.clone() }));
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
        if !self.trackers[acceptor].up || self.parted[dialler][acceptor] {
            return;
        }
        let answer = self.answer(acceptor, dialler, &packet.bytes);
        let at_ms = self.now_ms.max(packet.at_ms);
        self.packets.push(Reverse(Packet { at_ms, is_answer: true, bytes: answer, ..packet }));
    }

    fn answer(&mut self, at: usize, from: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let wall_ms = self.wall_ms(at);
        match message(bytes) {
            Message::SyncEntry(entry) => {
                let merged = self.trackers[at].table.merge(&entry, wall_ms);
                if merged == Merged::News {
                    self.pass_on(at, from, vec![Owned::new(&entry)]);
                }
                Message::Response(answer::to_entry(merged, &entry)).encode(&mut out);
            }
            Message::SyncSeederListRequest(request) => {
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
        let mut news = Vec::new();
        let page = link.receive(frame(bytes).0, |entry| {
            let merged = table.merge(entry, wall_ms);
            if merged == Merged::News {
                news.push(Owned::new(entry));
            }
            merged
        });
        if let Some(page) = page.unwrap() {
            link.page_taken(page, table).unwrap();
        }
        self.pass_on(at, from, news);
    }

    /// News go to the disk and to all other peers.
    fn pass_on(&mut self, at: usize, from: usize, news: Vec<Owned>) {
        for entry in news {
            for (peer, link) in self.trackers[at].links.iter_mut().enumerate() {
                if peer != from && peer != at {
                    link.link.push(&entry.entry());
                }
            }
            self.trackers[at].unsynced.push(entry);
        }
    }

    fn restart(&mut self, at: usize) {
        self.say(|| format!("tracker {at} is back"));
        let wall_ms = self.wall_ms(at);
        let mut table = table(at, &mut self.rng);
        self.trackers[at].disk.values().for_each(|entry| _ = table.merge(&entry.entry(), wall_ms));
        let count = self.trackers.len();
        let tracker = &mut self.trackers[at];
        (tracker.table, tracker.up) = (table, true);
        tracker.links = (0..count).map(|_| Peer::new()).collect();
    }

    // ---- clients ----

    fn act(&mut self, client: usize, file: usize) {
        let claimed = &mut self.clients[client][file];
        if self.now_ms < claimed.due_ms {
            return;
        }
        let turns = claimed.acknowledged_ms.is_some() && self.rng.random_bool(0.4);
        if turns {
            claimed.seeding = !claimed.seeding;
            claimed.acknowledged_ms = None;
        } else if claimed.acknowledged_ms.is_none() && claimed.seen.is_none() && claimed.unclear_until_ms == 0 {
            claimed.seeding = true;
        }
        claimed.due_ms = self.now_ms + self.rng.random_range(1000..LEASE_MS / 3);
        let first = self.rng.random_range(0..self.trackers.len());
        for turn in 0..self.trackers.len() {
            // Mostly the same tracker first; the next one when it cannot be reached.
            let tracker = if self.rng.random_bool(0.8) { turn } else { (first + turn) % self.trackers.len() };
            let reachable = self.trackers[tracker].up && !self.unreachable[client][tracker];
            if reachable && self.ask(client, file, tracker) {
                return;
            }
        }
        self.clients[client][file].due_ms = self.now_ms + 500;
    }

    /// False if the client has no acknowledgement.
    fn ask(&mut self, client: usize, file: usize, at: usize) -> bool {
        let wall_ms = self.wall_ms(at);
        let claimed = self.clients[client][file].clone();
        let claim = Claim { info_hash: claimed.info_hash, endpoint: claimed.endpoint, seen: claimed.seen };
        let name = format!("file {file}");
        let info = self.rng.random_bool(0.5).then_some(FileInfo { name: &name, length: 1, chunk_size: 1 << 20 });
        let mut written = Written::default();
        let table = &mut self.trackers[at].table;
        let outcome = if claimed.seeding {
            table.add(claim, info, SENDER, wall_ms, &mut written)
        } else {
            table.remove(claim, SENDER, wall_ms, &mut written)
        };
        self.say(|| format!("client {client} file {file} seeding {} at tracker {at}: {outcome:?}", claimed.seeding));
        let awaited = written.0.iter().any(|(_, weight)| *weight == Weight::Change);
        self.pass_on(at, at, written.0.into_iter().map(|(entry, _)| entry).collect());
        // It may die before it has written, or its answer may be lost.
        let dies = self.rng.random_bool(0.02);
        if dies {
            self.crash(at);
        } else if awaited {
            self.trackers[at].sync();
        }
        let now_ms = self.now_ms;
        let lost = dies || self.rng.random_bool(0.03);
        let sane = self.is_sane(at);
        let claimed = &mut self.clients[client][file];
        // Another tracker's clock may be behind by as much as this one's is ahead.
        let unclear_ms = now_ms + 2 * SKEW_MS + 1;
        match outcome {
            _ if lost => {
                claimed.forget(unclear_ms);
                false
            }
            Ok(accepted) => {
                claimed.seen = Some(accepted.version);
                claimed.acknowledged_ms = Some(now_ms);
                if !sane {
                    claimed.forget(now_ms + LEASE_MS);
                }
                true
            }
            Err(Refusal::Ahead(_)) => {
                claimed.seen = None;
                claimed.forget(now_ms + LEASE_MS);
                false
            }
            Err(Refusal::NotFound) => {
                claimed.acknowledged_ms = Some(now_ms);
                true
            }
            Err(other) => panic!("{other}"),
        }
    }

    // ---- what goes wrong ----

    fn fail(&mut self) {
        let count = self.trackers.len();
        if self.rng.random_bool(0.01) {
            let side: Vec<bool> = (0..count).map(|_| self.rng.random_bool(0.5)).collect();
            self.say(|| format!("parted: {side:?}"));
            for (a, b) in pairs(count) {
                self.parted[a][b] = side[a] != side[b];
            }
        }
        if self.rng.random_bool(0.005) {
            self.say(|| "whole again".to_owned());
            self.parted.iter_mut().for_each(|row| row.fill(false));
        }
        if self.rng.random_bool(0.01) {
            let (a, b) = (self.rng.random_range(0..count), self.rng.random_range(0..count));
            let parted = self.rng.random_bool(0.5);
            (self.parted[a][b], self.parted[b][a]) = (parted, parted);
        }
        if self.rng.random_bool(0.02) {
            let (at, to) = (self.rng.random_range(0..count), self.rng.random_range(0..count));
            self.trackers[at].links[to].close(self.now_ms);
        }
        if self.rng.random_bool(0.02) {
            let (client, tracker) = (self.rng.random_range(0..self.clients.len()), self.rng.random_range(0..count));
            self.unreachable[client][tracker] = self.rng.random_bool(0.5);
        }
        if self.rng.random_bool(0.003) {
            let at = self.rng.random_range(0..count);
            self.crash(at);
        }
    }

    fn crash(&mut self, at: usize) {
        if !self.trackers[at].up {
            return;
        }
        let away_ms = if self.rng.random_bool(0.2) { 3 * LEASE_MS } else { 8000 };
        let down_until_ms = self.now_ms + self.rng.random_range(0..away_ms);
        self.say(|| format!("tracker {at} crashes until {}", down_until_ms - START_MS));
        let tracker = &mut self.trackers[at];
        (tracker.up, tracker.down_until_ms) = (false, down_until_ms);
        let lost = std::mem::take(&mut tracker.unsynced);
        let now_ms = self.now_ms;
        self.trackers.iter_mut().for_each(|tracker| tracker.links[at].close(now_ms));
        // Renewals are not awaited: what was lost of them is not missed.
        for (info_hash, endpoint) in lost.iter().map(Owned::key) {
            for claimed in self.clients.iter_mut().flatten() {
                if claimed.info_hash == info_hash && Some(claimed.endpoint) == endpoint && claimed.seeding {
                    claimed.forget(self.now_ms);
                }
            }
        }
    }

    fn heal(&mut self) {
        self.say(|| "all is healed".to_owned());
        self.parted.iter_mut().for_each(|row| row.fill(false));
        for at in 0..self.trackers.len() {
            self.trackers[at].down_until_ms = self.now_ms;
            if !self.is_sane(at) {
                self.trackers[at].skew_ms -= DAY_MS as i64;
            }
        }
    }

    // ---- what must hold ----

    fn check(&self) {
        let now_ms = self.now_ms;
        let tables: Vec<_> = (0..self.trackers.len()).map(|at| self.live(at)).collect();
        for (at, table) in tables.iter().enumerate().skip(1) {
            for key in table.keys().chain(tables[0].keys()) {
                assert_eq!(table.get(key), tables[0].get(key), "tracker {at} and tracker 0 on {key:?}");
            }
        }
        for claimed in self.clients.iter().flatten() {
            let key = (claimed.info_hash, Some(claimed.endpoint));
            let live = tables[0].get(&key).is_some_and(|entry| matches!(entry.entry().body, Body::Seeder(_)));
            match claimed.expected(now_ms, LEASE_MS, MARGIN_MS + SKEW_MS) {
                Expected::Live => assert!(live, "acknowledged and lost: {claimed:?}"),
                Expected::Gone => assert!(!live, "removed and back: {claimed:?}"),
                Expected::Anything => {}
            }
        }
    }

    /// What counts at a tracker for so long that the others, whose clocks differ, must count it too.
    fn live(&self, at: usize) -> BTreeMap<(InfoHash, Option<Endpoint>), Owned> {
        let mut live = BTreeMap::new();
        for file in 0..FILES {
            for entry in self.trackers[at].table.entries(hash(file)) {
                let ahead = entry.version.time_ms() > self.now_ms + DAY_MS / 2;
                let lives = entry.version.time_ms() + LEASE_MS > self.now_ms + MARGIN_MS && !ahead;
                // A tombstone that is older than an entry which has lapsed may be here and not there.
                if lives && !matches!(entry.body, Body::Removed(_)) {
                    live.insert(key(&entry), Owned::new(&entry));
                }
            }
        }
        live
    }
}

impl Tracker {
    fn sync(&mut self) {
        for entry in self.unsynced.drain(..) {
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

/// A file among the played buckets.
fn hash(file: u8) -> InfoHash {
    let mut hash = [file; 20];
    hash[0] = file % (BUCKETS / 16) as u8;
    InfoHash(hash)
}

fn hello(at: usize) -> SyncHello<'static> {
    SyncHello {
        protocol: mtorrent::wire::sync::SYNC_PROTOCOL,
        tracker: id(at),
        lease_ms: LIVES.lease_ms,
        tombstone_ms: LIVES.tombstone_ms,
        endpoint: Endpoint::new(SENDER.ip, 1).unwrap(),
        nonce: [0; 16],
        proof: None,
    }
}

fn table(number: usize, rng: &mut SmallRng) -> Table {
    let rules = Rules { lives: LIVES, trust: Arc::from([]), ..Rules::default() };
    let counts = Arc::new(AddressCounts::new(16, rng.random()));
    Table::new(Arc::new(rules), counts, 0..BUCKETS, id(number), rng.random())
}
