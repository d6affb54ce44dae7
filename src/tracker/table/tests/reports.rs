//! Reports of downloaders, and the list of files.

use std::collections::BTreeMap;

use super::{BUCKETS, Cursor, NOW, add, endpoint, hash, remove, table};
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{REPORT_TTL, REPORTS_PER_FILE_MAX};
use crate::tracker::table::reports::Report;
use crate::tracker::table::{Claim, Refusal, Sender, Table};
use crate::wire::{Progress, ProgressState};

const TTL: u64 = REPORT_TTL.as_millis() as u64;

fn report(endpoint: Endpoint, done: u32, at_ms: u64) -> Report {
    let progress = Progress { done, count: 10, rate_bytes_s: 5, state: ProgressState::Running };
    Report { endpoint, progress, at_ms }
}

fn reported(table: &Table, file: u8, now: u64) -> Vec<(Endpoint, u32)> {
    table.reports(hash(file), now).map(|report| (report.endpoint, report.progress.done)).collect()
}

#[test]
fn a_seeder_reports_until_it_leaves_or_is_silent() {
    let mut table = table();
    assert_eq!(table.report(hash(1), report(endpoint(1), 3, NOW)), Err(Refusal::NotAnnounced));
    add(&mut table, 1, 1, None, NOW).unwrap();
    add(&mut table, 1, 2, None, NOW).unwrap();
    assert_eq!(table.report(hash(1), report(endpoint(1), 3, NOW)), Ok(()));
    assert_eq!(table.report(hash(1), report(endpoint(1), 4, NOW + 1)), Ok(()));
    assert_eq!(table.report(hash(1), report(endpoint(2), 9, NOW + 5)), Ok(()));
    assert_eq!(reported(&table, 1, NOW + 5), [(endpoint(1), 4), (endpoint(2), 9)]);
    remove(&mut table, 1, 2, None, NOW + 6).unwrap();
    assert_eq!(reported(&table, 1, NOW + 6), [(endpoint(1), 4)]);
    assert_eq!(reported(&table, 1, NOW + 1 + TTL), []);
    assert_eq!(table.report_count(), 2);
    table.sweep(NOW + 5 + TTL, 1 << 20, &mut |_| ());
    assert_eq!(table.report_count(), 0);
}

#[test]
fn reports_are_bounded() {
    let mut table = table();
    let at = |number: usize| Endpoint::new([10, 1, (number >> 8) as u8, number as u8].into(), 7000).unwrap();
    for number in 0..=REPORTS_PER_FILE_MAX {
        let (endpoint, sender) = (at(number), Sender { ip: at(number).ip(), trusted: true });
        let claim = Claim { info_hash: hash(1), endpoint, seen: None };
        table.add(claim, None, sender, NOW, &mut super::Log::default()).unwrap();
        let expected =
            if number < REPORTS_PER_FILE_MAX { Ok(()) } else { Err(Refusal::Reports { max: REPORTS_PER_FILE_MAX }) };
        assert_eq!(table.report(hash(1), report(endpoint, 1, NOW)), expected, "{number}");
    }
    // Those that are known may go on.
    assert_eq!(table.report(hash(1), report(at(0), 2, NOW + 1)), Ok(()));
    assert_eq!(table.report_count(), REPORTS_PER_FILE_MAX);
}

/// Every live file is listed once, whatever the size of the pages.
#[test]
fn pages_list_every_file_once() {
    let mut table = table();
    let file = |number: u32| {
        // Few buckets, so that pages end within them.
        let mut hash = [9; 20];
        hash[..2].copy_from_slice(&((number % 3) as u16).to_be_bytes());
        hash[16..].copy_from_slice(&number.to_be_bytes());
        InfoHash(hash)
    };
    let mut expected = BTreeMap::new();
    for number in 0..200 {
        for host in 0..=(number % 3) as u8 {
            let claim = Claim { info_hash: file(number), endpoint: endpoint(host + 1), seen: None };
            let sender = Sender { ip: claim.endpoint.ip(), trusted: true };
            table.add(claim, None, sender, NOW, &mut super::Log::default()).unwrap();
        }
        expected.insert(file(number), number % 3 + 1);
    }
    for page_len in [1, 7, 1000] {
        let (mut next, mut listed, mut pages) = (Some(Cursor::default()), BTreeMap::new(), 0);
        while let Some(start) = next {
            let mut on_page = 0;
            next = table.list_files(start, NOW, |file| {
                let is_taken = on_page < page_len;
                if is_taken {
                    assert_eq!(listed.insert(file.info_hash, file.seeders), None, "listed twice");
                    on_page += 1;
                }
                is_taken
            });
            pages += 1;
            assert!(pages <= BUCKETS);
        }
        assert_eq!(listed, expected, "by {page_len}");
    }
}
