//! Caps on what one address, one file and one table may hold.

use super::*;

#[test]
fn caps_hold_for_strangers_only() {
    let rules = Rules { endpoints_per_file_max: 3, files_per_address_max: 2, ..rules() };
    let mut table = table_of(rules, 1);
    let ip = endpoint(1).ip();
    add(&mut table, 1, 1, None, NOW).unwrap();
    add(&mut table, 2, 1, None, NOW).unwrap();
    assert_eq!(add(&mut table, 3, 1, None, NOW), Err(Refusal::FilesOfAddress { ip, max: 2 }));
    add(&mut table, 2, 1, None, NOW + LEASE / 2).unwrap();
    let trusted = Sender { ip, trusted: true };
    table.add(claim(3, endpoint(1), None), None, trusted, NOW, &mut Log::default()).unwrap();
    remove(&mut table, 3, 1, None, NOW).unwrap();
    remove(&mut table, 2, 1, None, NOW + LEASE / 2).unwrap();
    add(&mut table, 4, 1, None, NOW).unwrap();
    // Lapsed entries count no longer once they are swept, and may be renewed before.
    assert!(add(&mut table, 1, 1, None, NOW + LEASE).is_ok());
    table.sweep(NOW + 2 * LEASE, usize::MAX, &mut |_| ());
    assert!(add(&mut table, 5, 1, None, NOW + 2 * LEASE).is_ok());
    for host in 2..4 {
        add(&mut table, 5, host, None, NOW + 2 * LEASE).unwrap();
    }
    assert_eq!(add(&mut table, 5, 4, None, NOW + 2 * LEASE), Err(Refusal::EndpointsOfFile { max: 3 }));
    assert!(add(&mut table, 5, 3, None, NOW + 2 * LEASE).is_ok());
    assert!(add(&mut table, 5, 4, None, NOW + 3 * LEASE).is_ok());
}

/// An endpoint of an address, in a network of 64 bits if the address is IPv6.
fn at(ip: &str, port: u16) -> Endpoint {
    Endpoint::new(ip.parse().unwrap(), port).unwrap()
}

fn add_at(table: &mut Table, endpoint: Endpoint, now: u64) -> Result<Accepted, Refusal> {
    table.add(claim(1, endpoint, None), None, from(endpoint), now, &mut Log::default())
}

/// An address that announces many endpoints gets few, and displaces no other seeder at its address or elsewhere.
#[test]
fn an_address_has_few_endpoints_of_a_file() {
    for (honest, ips) in [
        ("10.0.0.1", vec!["10.0.0.1".to_owned()]),
        ("10.0.0.2", vec!["10.0.0.1".to_owned()]),
        ("fd00::1", vec!["fd00::1".to_owned()]),
        ("fd00::1", (2..400).map(|host| format!("fd00::{host:x}")).collect()),
        ("fd00:0:0:1::1", (2..400).map(|host| format!("fd00::{host:x}")).collect()),
    ] {
        for honest_first in [true, false] {
            let mut table = table();
            let honest = at(honest, 7);
            if honest_first {
                add_at(&mut table, honest, NOW).unwrap();
            }
            let mut dead = 0;
            for (number, port) in (1000..2000).enumerate() {
                dead += u16::from(add_at(&mut table, at(&ips[number % ips.len()], port), NOW + 1).is_ok());
            }
            assert_eq!(dead, 1000, "a client that comes back on another port is not locked out");
            if !honest_first {
                add_at(&mut table, honest, NOW + 2).unwrap();
            }
            let mut out = Vec::new();
            let mut found = 0;
            for seed in 0..100 {
                let mut rng = SmallRng::seed_from_u64(seed);
                table.list(hash(1), endpoint(9).ip(), NOW + 3, &mut rng, &mut out).unwrap();
                found += usize::from(out.contains(&honest));
            }
            let one_network = ips.len() > 1 && honest == at("fd00::1", 7);
            assert!(found > if one_network { 20 } else { 99 }, "{honest} among {} addresses: {found}", ips.len());
            assert!(table.totals().seeders as usize <= 1 + 8 * ips.len().min(16));
        }
    }
    // A trusted sender has no limit.
    let mut table = table();
    let trusted = Sender { ip: endpoint(1).ip(), trusted: true };
    for port in 1..200 {
        let claim = claim(1, at("10.0.0.1", port), None);
        table.add(claim, None, trusted, NOW, &mut Log::default()).unwrap();
    }
    add_at(&mut table, endpoint(2), NOW).unwrap();
    let mut out = Vec::new();
    for seed in 0..100 {
        let mut rng = SmallRng::seed_from_u64(seed);
        table.list(hash(1), endpoint(9).ip(), NOW, &mut rng, &mut out).unwrap();
        assert!(out.len() == ANSWER_ENDPOINTS_MAX && out.contains(&endpoint(2)), "addresses are drawn first");
        assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), out.len());
    }
}

/// The servers of one LAN share a network of 64 bits, and each is a peer of its own; of strangers it may be one host.
#[test]
fn the_servers_of_a_lan_get_one_file_each() {
    let hosts = || (1..=1025).map(|host| at(&format!("2001:db8::{host:x}"), 7000));
    for (lan, live) in [(vec!["2001:db8::/64".parse().unwrap()], 1025), (Vec::new(), 8 * 16)] {
        let mut table = table_of(Rules { lan: lan.into(), files_per_address_max: 100, ..rules() }, 1);
        for host in hosts() {
            assert!(add_at(&mut table, host, NOW).is_ok() || live < 1025, "{host}");
        }
        assert_eq!(table.totals().seeders, live);
    }
}

/// The displaced seeder is written to the journal like any removal.
#[test]
fn the_youngest_makes_way_by_a_removal() {
    let mut table = table_of(Rules { endpoints_per_address_max: 2, ..rules() }, 1);
    for port in [1, 2] {
        add_at(&mut table, at("10.0.0.1", port), NOW + u64::from(port)).unwrap();
    }
    let mut log = Log::default();
    let third = at("10.0.0.1", 3);
    table.add(claim(1, third, None), None, from(third), NOW + 3, &mut log).unwrap();
    let written: Vec<_> = log.0.iter().map(|(entry, _)| (entry.endpoint.unwrap().port(), entry.removed)).collect();
    assert_eq!(written, [(2, true), (3, false)]);
    assert_eq!(list(&table, 1, NOW + 4), Ok(vec![at("10.0.0.1", 1), third]));
    add_at(&mut table, at("10.0.0.1", 1), NOW + LEASE / 2 + 1).unwrap();
    assert_eq!(
        list(&table, 1, NOW + LEASE / 2 + 1),
        Ok(vec![at("10.0.0.1", 1), third]),
        "a renewal takes nobody's place"
    );
}

/// A client on ever new ports leaves few records behind, is never refused, and does not change the answers.
#[test]
fn removals_cannot_fill_a_file() {
    let mut table = table();
    let mut log = Log::default();
    for host in 1..=15 {
        for port in 1..=500 {
            let endpoint = Endpoint::new([10, 0, 0, host].into(), port).unwrap();
            add_at(&mut table, endpoint, NOW).unwrap();
            table.remove(claim(1, endpoint, None), from(endpoint), NOW, &mut log).unwrap();
        }
        // Removals of absent entries leave few records too.
        let seen = Some(Version { clock: NOW << 16, tracker: TrackerId(9) });
        let never = Endpoint::new([10, 0, 0, host].into(), 9999).unwrap();
        table.remove(claim(1, never, seen), from(never), NOW, &mut log).unwrap();
    }
    assert_eq!(table.totals().removals, 15 * 64);
    add_at(&mut table, endpoint(99), NOW).unwrap();
    // A forgotten entry that is back is not removed from the store again.
    let back = Endpoint::new([10, 0, 0, 1].into(), 1).unwrap();
    add_at(&mut table, back, NOW).unwrap();
    assert_eq!(list(&table, 1, NOW), Ok(vec![back, endpoint(99)]));
    let mut gone = BTreeSet::new();
    table.sweep(NOW, usize::MAX, &mut |entry| assert!(gone.insert(Owned::from(entry).endpoint)));
    assert_eq!((gone.len(), gone.contains(&Some(back))), (15 * (501 - 64) - 1, false));
    // Another tracker's copies of them are not taken again, in any order of arrival.
    let mut other = table_of(rules(), 2);
    for (removal, _) in log.0.iter().rev() {
        other.merge(&removal.entry(), NOW);
    }
    let kept = |table: &Table| table.entries(hash(1)).map(|entry| Owned::from(&entry)).collect::<BTreeSet<_>>();
    let removals = kept(&table).into_iter().filter(|entry| entry.removed);
    assert_eq!(removals.collect::<BTreeSet<_>>(), kept(&other));
    for (removal, _) in &log.0 {
        assert_ne!(table.merge(&removal.entry(), NOW), Merged::New);
    }
}

/// Trackers pass new entries on: if a forgotten entry could be new again, they would do so endlessly.
#[test]
fn what_was_removed_and_forgotten_is_no_news_again() {
    let mut table = table();
    let endpoint = |port| Endpoint::new([10, 0, 0, 1].into(), port).unwrap();
    let entry = |port: u16, removed| {
        let version = Version { clock: NOW << 16 | u64::from(port) << 1 | u64::from(removed), tracker: TrackerId(9) };
        let body = if removed { Body::Removed(endpoint(port)) } else { Body::Seeder(endpoint(port)) };
        Entry { info_hash: hash(1), version, body }
    };
    for port in 1..=100 {
        assert_eq!(table.merge(&entry(port, false), NOW), Merged::New);
        assert_eq!(table.merge(&entry(port, true), NOW), Merged::New);
    }
    // The last 64 removals are remembered.
    for _ in 0..2 {
        assert_eq!(table.merge(&entry(20, false), NOW), Merged::Late);
        assert_eq!(list(&table, 1, NOW), Ok(vec![endpoint(20)]));
        assert_eq!(table.merge(&entry(20, true), NOW), Merged::Late);
        assert_eq!(table.merge(&entry(20, true), NOW), Merged::Old);
        assert_eq!(table.merge(&entry(90, false), NOW), Merged::Old);
    }
    assert_eq!((table.totals().seeders, table.totals().removals), (0, 64));
    assert_eq!(table.merge(&entry(101, false), NOW), Merged::New);
}

#[test]
fn removals_cannot_fill_the_table() {
    let rules = Rules { files_per_address_max: 2, ..rules() };
    let mut table = table_of(rules, 1);
    for file in 0..8 {
        add(&mut table, file, 1, None, NOW).unwrap();
        remove(&mut table, file, 1, None, NOW).unwrap();
    }
    assert!(matches!(add(&mut table, 8, 1, None, NOW), Err(Refusal::RemovalsOfAddress { .. })));
    assert!(add(&mut table, 7, 1, None, NOW).is_ok(), "what has a removal takes its place");
    assert!(remove(&mut table, 7, 1, None, NOW).is_ok(), "what is there can always be removed");
    assert!(add(&mut table, 8, 2, None, NOW).is_ok(), "others are not concerned");
}
