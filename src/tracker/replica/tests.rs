//! Tests of link opening, and of the relay, which keeps every entry until it is answered.

use std::net::IpAddr;
use std::sync::Arc;

use super::hello::{Accepting, Dialling, GroupKey, GroupMember, HelloError};
use super::link::{Link, Times};
use super::relay::Relay;
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
use crate::limits::{RELAY_BYTES_MAX, RELAY_IN_FLIGHT_MAX};
use crate::tracker::table::entry::BUCKETS;
use crate::tracker::table::records::Ttls;
use crate::tracker::table::rights::AddressCounts;
use crate::tracker::table::{Merged, Rules, Table};
use crate::wire::{Body, EntriesBuffer, Entry, ListResponse, Message, Parsed, Status, SyncHello, parse};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn member(id: u64, key: Option<&[u8]>) -> GroupMember {
    GroupMember {
        tracker: TrackerId(id),
        ttls: Ttls { lease_ms: 900_000, tombstone_ms: 1_800_000 },
        endpoint: Endpoint::new([0, 0, 0, 0].into(), 7001).unwrap(),
        key: key.map(GroupKey::new),
    }
}

fn open(dialler: &GroupMember, acceptor: &GroupMember, from: IpAddr) -> Result<(TrackerId, TrackerId), HelloError> {
    let dialling = Dialling::new(dialler.clone(), from, [1; 16])?;
    let first = dialling.hello();
    let accepting = Accepting::new(acceptor, from, &first, [2; 16])?;
    let (hello, proof) = accepting.hello(acceptor);
    let (them, proof) = dialling.answered(&SyncHello { proof: proof.as_ref(), ..hello })?;
    let (us, _) = accepting.finish(acceptor, &SyncHello { proof: proof.as_ref(), ..first })?;
    Ok((us, them))
}

#[test]
fn who_may_link() {
    let remote: IpAddr = [10, 0, 0, 1].into();
    let linked = Ok((TrackerId(1), TrackerId(2)));
    let (a, b): (&[u8], &[u8]) = (b"a key", b"another");
    for (one, other, from, expected) in [
        (None, None, LOOPBACK, linked),
        (Some(a), Some(a), LOOPBACK, linked),
        (Some(a), Some(a), remote, linked),
        (None, None, remote, Err(HelloError::KeyNeeded(remote))),
        (Some(a), None, remote, Err(HelloError::KeyNeeded(remote))),
        (Some(a), Some(b), remote, Err(HelloError::WrongKey)),
        (Some(a), None, LOOPBACK, Err(HelloError::WrongKey)),
        (None, Some(a), LOOPBACK, Err(HelloError::WrongKey)),
    ] {
        assert_eq!(open(&member(1, one), &member(2, other), from), expected, "{one:?} {other:?} {from}");
    }
    assert_eq!(open(&member(1, None), &member(1, None), LOOPBACK), Err(HelloError::Itself));
    let mut short = member(2, None);
    short.ttls.lease_ms = 1000;
    assert!(matches!(open(&member(1, None), &short, LOOPBACK), Err(HelloError::Ttls { .. })));
}

/// A proof from one link is invalid on another link, and from the other side.
#[test]
fn proofs_are_good_once() {
    let (a, b) = (member(1, Some(b"key")), member(2, Some(b"key")));
    let dialling = Dialling::new(a.clone(), LOOPBACK, [1; 16]).unwrap();
    let accepting = Accepting::new(&b, LOOPBACK, &dialling.hello(), [2; 16]).unwrap();
    let (hello, proof) = accepting.hello(&b);
    let answer = SyncHello { proof: proof.as_ref(), ..hello };
    let (_, mine) = dialling.answered(&answer).unwrap();
    let later = Accepting::new(&b, LOOPBACK, &dialling.hello(), [3; 16]).unwrap();
    let replay = SyncHello { proof: mine.as_ref(), ..dialling.hello() };
    assert_eq!(later.finish(&b, &replay), Err(HelloError::WrongKey));
    assert_eq!(accepting.finish(&b, &SyncHello { proof: proof.as_ref(), ..replay }), Err(HelloError::WrongKey));
    let other = SyncHello { tracker: TrackerId(9), ..replay };
    assert_eq!(accepting.finish(&b, &other), Err(HelloError::OutOfOrder));
    let lied = SyncHello { tracker: TrackerId(9), ..answer };
    assert_eq!(dialling.answered(&lied), Err(HelloError::WrongKey));
}

fn entry(number: u64) -> Entry<'static> {
    let version = Version { clock: number, tracker: TrackerId(1) };
    let endpoint = Endpoint::new(LOOPBACK, 1).unwrap();
    Entry { info_hash: InfoHash([7; 20]), version, body: Body::Seeder(endpoint) }
}

fn numbers(mut frames: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while !frames.is_empty() {
        let Ok(Parsed::Frame { frame, len }) = parse(frames, 1 << 16) else { panic!("no frame") };
        let Ok(Message::SyncEntry(entry)) = Message::decode(frame) else { panic!("no entry") };
        numbers.push(entry.version.clock);
        frames = &frames[len..];
    }
    numbers
}

#[test]
fn the_relay_sends_again_what_was_not_answered() {
    let mut relay = Relay::default();
    (0..10).for_each(|number| relay.push(&entry(number)));
    let mut out = Vec::new();
    assert_eq!(relay.send(&mut out), 10);
    (0..4).for_each(|_| relay.answered());
    relay.push(&entry(10));
    relay.retry();
    out.clear();
    relay.send(&mut out);
    assert_eq!(numbers(&out), (4..11).collect::<Vec<_>>());
    (4..11).for_each(|_| relay.answered());
    assert!(!relay.has_more() && !relay.take_lost());
}

#[test]
fn the_relay_is_bounded_and_says_what_it_lost() {
    let mut relay = Relay::default();
    let mut pushed = 0;
    while !relay.take_lost() {
        relay.push(&entry(pushed));
        pushed += 1;
    }
    assert!((pushed as usize) < RELAY_BYTES_MAX / 64 && pushed as usize > RELAY_BYTES_MAX / 128);
    let (mut out, mut taken) = (Vec::new(), Vec::new());
    while relay.has_more() {
        out.clear();
        let count = relay.send(&mut out);
        assert!(count <= RELAY_IN_FLIGHT_MAX);
        taken.extend(numbers(&out));
        (0..count).for_each(|_| relay.answered());
    }
    assert_eq!(taken, (0..pushed - 1).collect::<Vec<_>>());
}

/// A peer's page may have any content: entries that belong to another core or were not requested are never taken.
#[test]
fn a_page_of_foreign_buckets_ends_the_link() {
    let counts = Arc::new(AddressCounts::new(16, 1));
    let table = Table::new(Arc::new(Rules::default()), counts, 0..BUCKETS / 2, TrackerId(1), [1, 2, 3]);
    let times = Times { wall_ms: 1_000_000, steady_ms: 0 };
    let hello = Dialling::new(member(1, None), LOOPBACK, [1; 16]).unwrap().hello();
    for (first_byte, is_asked_for) in [(0x00, true), (0x0f, true), (0x10, false), (0x7f, false), (0xff, false)] {
        let mut link = Link::default();
        link.opened(TrackerId(2), times);
        link.send(&table, &hello, times, &mut Vec::new());
        let mut page = EntriesBuffer::default();
        let mut info_hash = InfoHash([7; 20]);
        info_hash.0[0] = first_byte;
        page.push(&Entry { info_hash, ..entry(1) });
        let mut frame = Vec::new();
        Message::SyncSeederListResponse(ListResponse { status: Status::Ok, next: None, entries: page.entries() })
            .encode(&mut frame);
        let Ok(Parsed::Frame { frame, .. }) = parse(&frame, 1 << 16) else { panic!("no frame") };
        let mut taken = 0;
        let received = link.receive(frame, |_| {
            taken += 1;
            Merged::New
        });
        assert_eq!((received.is_ok(), taken == 1), (is_asked_for, is_asked_for), "{first_byte:x}: {received:?}");
    }
}
