//! A tracker's steady state allocates nothing per request: from the bytes of a frame to the bytes of its reply,
//! including the writes to the store and to a peer, whether the request is accepted or refused.

use std::net::IpAddr;
use std::sync::Arc;

use crate::counting::allocations;
use mtorrent::ids::{Endpoint, InfoHash, TrackerId, Version};
use mtorrent::limits::FRAME_CONTROL_BYTES_MAX;
use mtorrent::tracker::Ttls;
use mtorrent::tracker::bounded_text::BoundedText;
use mtorrent::tracker::replica::relay::Relay;
use mtorrent::tracker::requests::Request;
use mtorrent::tracker::table::entry::{BUCKETS, Entry};
use mtorrent::tracker::table::rights::AddressCounts;
use mtorrent::tracker::table::{Durability, Journal, Rules, Sender, Table};
use mtorrent::wire::{Message, Parsed, Response, SeederChange, Share, Status, parse};
use rand::SeedableRng;
use rand::rngs::SmallRng;

const NOW_MS: u64 = 1_700_000_000_000;
const LEASE_MS: u64 = 900_000;
const ROUNDS: usize = 200;

/// One core's part of a tracker, assembled as in the server.
struct Service {
    table: Table,
    rng: SmallRng,
    endpoints: Vec<Endpoint>,
    written: Written,
    out: Vec<u8>,
    sent: Vec<u8>,
}

/// Pending writes to the store, and to a peer.
#[derive(Default)]
struct Written {
    log: Vec<u8>,
    relay: Relay,
}

impl Journal for Written {
    fn write(&mut self, entry: &Entry<'_>, _weight: Durability) {
        Message::SyncEntry(*entry).encode(&mut self.log);
        self.relay.push(entry);
    }
}

impl Service {
    fn new() -> Self {
        let rules = Rules {
            ttls: Ttls { lease_ms: LEASE_MS, tombstone_ms: 2 * LEASE_MS },
            endpoints_per_file_max: 600,
            endpoints_per_address_max: 200,
            files_per_address_max: 100,
            trust: Arc::from(["10.9.0.0/16".parse().unwrap()]),
            ..Rules::default()
        };
        let counts = Arc::new(AddressCounts::new(1 << 12, 5));
        Self {
            table: Table::new(Arc::new(rules), counts, 0..BUCKETS, TrackerId(1), [1, 2, 3]),
            rng: SmallRng::seed_from_u64(1),
            endpoints: Vec::new(),
            written: Written::default(),
            out: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Answers a frame; returns the status.
    fn answer(&mut self, bytes: &[u8], from: IpAddr, now_ms: u64) -> Status {
        let sender = Sender::new(from, &self.table.rules().trust);
        self.out.clear();
        let Ok(Parsed::Frame { frame, .. }) = parse(bytes, FRAME_CONTROL_BYTES_MAX) else { panic!("no frame") };
        match Message::decode(frame).map(|message| Request::read(&message, sender)) {
            Ok(Ok(request)) => {
                let Self { table, rng, endpoints, written, out, .. } = self;
                let outcome = request.execute(table, sender, now_ms, rng, written, endpoints);
                outcome.reply(request.info_hash(), endpoints, |reply| reply.encode(out));
            }
            Ok(Err(denial)) => {
                let text = BoundedText::new(denial);
                Message::Response(Response::new(denial.status(), text.as_str(), None)).encode(&mut self.out);
            }
            Err(error) => Message::Response(Response::from(error)).encode(&mut self.out),
        }
        self.pass_on();
        let Ok(Parsed::Frame { frame, .. }) = parse(&self.out, FRAME_CONTROL_BYTES_MAX) else { panic!("no reply") };
        match Message::decode(frame).unwrap() {
            Message::Response(response) => response.status,
            Message::SeederInfoResponse(info) => info.status,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the store and the peer take the pending writes.
    fn pass_on(&mut self) {
        self.written.log.clear();
        self.sent.clear();
        for _ in 0..self.written.relay.send(&mut self.sent) {
            self.written.relay.answered();
        }
    }
}

fn hash(file: u8) -> InfoHash {
    InfoHash([file; 20])
}

fn ip(host: u8) -> IpAddr {
    [10, 0, 0, host].into()
}

fn endpoint(ip: IpAddr, port: u16) -> Endpoint {
    Endpoint::new(ip, port).unwrap()
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn change(file: u8, endpoint: Endpoint, version: Option<Version>) -> SeederChange {
    SeederChange { info_hash: hash(file), endpoint, version }
}

fn add(file: u8, endpoint: Endpoint) -> Vec<u8> {
    encoded(&Message::AddSeeder(change(file, endpoint, None)))
}

fn remove(file: u8, endpoint: Endpoint) -> Vec<u8> {
    encoded(&Message::RemoveSeeder(change(file, endpoint, None)))
}

fn share(file: u8, name: &str, endpoint: Endpoint) -> Vec<u8> {
    let info_hash = hash(file);
    encoded(&Message::Share(Share { info_hash, name, length: 9, chunk_size: 1 << 20, endpoint, version: None }))
}

/// Requests that clients repeat: the frame, its source, and the expected status.
fn requests() -> Vec<(&'static str, Vec<u8>, IpAddr, Status)> {
    let (ours, v6) = (endpoint(ip(1), 7), "2001:db8::1".parse::<IpAddr>().unwrap());
    let ahead = Version { clock: (NOW_MS * 2) << 16, tracker: TrackerId(9) };
    let ahead = encoded(&Message::AddSeeder(change(1, ours, Some(ahead))));
    vec![
        ("share", share(1, "a name", ours), ip(1), Status::Ok),
        ("renewal", add(1, ours), ip(1), Status::Ok),
        ("second seeder", add(1, endpoint(v6, 8)), v6, Status::Ok),
        ("another name", share(1, "another name", ours), ip(1), Status::Ok),
        ("list", encoded(&Message::SeederInfoRequest(hash(1))), ip(2), Status::Ok),
        ("list of many", encoded(&Message::SeederInfoRequest(hash(2))), ip(2), Status::Ok),
        ("list of nothing", encoded(&Message::SeederInfoRequest(hash(3))), ip(2), Status::NotFound),
        ("removal", remove(1, ours), ip(1), Status::Ok),
        ("removal of what is removed", remove(1, ours), ip(1), Status::Ok),
        ("removal of nothing", remove(3, ours), ip(1), Status::NotFound),
        ("foreign endpoint", add(1, endpoint(ip(2), 7)), ip(1), Status::NotAllowed),
        ("a file too many for the address", add(4, endpoint(ip(3), 7)), ip(3), Status::OverLimit),
        ("an endpoint too many for the file", add(2, endpoint(ip(4), 7)), ip(4), Status::OverLimit),
        ("a version of tomorrow", ahead, ip(1), Status::BadRequest),
        ("not for trackers", encoded(&Message::ChunkInfoRequest(hash(1))), ip(1), Status::BadRequest),
        ("unknown", Vec::from(*b"mTor\0\0\0\x04What\0\0\0\0roTm"), ip(1), Status::UnknownType),
        ("no arguments", Vec::from(*b"mTor\0\0\0\x09AddSeeder\0\0\0\0roTm"), ip(1), Status::BadRequest),
    ]
}

#[test]
fn a_request_allocates_nothing() {
    let mut service = Service::new();
    for seeder in 0..600u16 {
        let trusted = IpAddr::from([10, 9, (seeder >> 8) as u8, seeder as u8]);
        assert_eq!(service.answer(&add(2, endpoint(trusted, 7)), trusted, NOW_MS), Status::Ok);
    }
    for file in 100..200 {
        assert_eq!(service.answer(&add(file, endpoint(ip(3), 7)), ip(3), NOW_MS), Status::Ok);
    }
    let requests = requests();
    // Renewals take a new version whenever half a lease has passed.
    let mut now_ms = NOW_MS;
    for round in 0..ROUNDS {
        now_ms += LEASE_MS / 300;
        for (what, frame, from, status) in &requests {
            let mut judged = Status::Internal;
            let count = allocations(|| judged = service.answer(frame, *from, now_ms));
            assert_eq!(judged, *status, "round {round}: {what}");
            // Buffers grow to their size in the first rounds.
            assert!(round < 2 || count == 0, "round {round}: {what}: {count} allocations");
        }
    }
}

/// An endpoint that leaves frees its slot for the next one.
#[test]
fn entries_that_come_and_go_allocate_nothing() {
    let mut service = Service::new();
    let seeder = endpoint(ip(1), 7);
    let frames: Vec<_> = (0..90).map(|file| (add(file, seeder), remove(file, seeder))).collect();
    let mut now_ms = NOW_MS;
    for round in 0..ROUNDS {
        let count = allocations(|| {
            for (add, remove) in &frames {
                assert_eq!(service.answer(add, ip(1), now_ms), Status::Ok);
                assert_eq!(service.answer(remove, ip(1), now_ms), Status::Ok);
            }
            now_ms += 3 * LEASE_MS;
            service.table.sweep(now_ms, usize::MAX, &mut |_| ());
            assert_eq!(service.table.totals().files, 0);
        });
        assert!(round < 2 || count == 0, "round {round}: {count} allocations");
    }
}
