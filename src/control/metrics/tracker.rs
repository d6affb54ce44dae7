//! Figures of a tracker.

use super::samples::{Labels, Samples, Value};
use crate::metrics::{self, Counter, Timing};
use crate::tracker::server::{PeerFigures, TrackerObserver};

/// Adds the figures of a tracker.
pub(super) fn add_to(samples: &mut Samples, observer: &TrackerObserver) {
    let (stats, activity, connections) = (observer.stats(), observer.activity(), observer.connections());
    samples.count("mtorrent_connections_open", connections.open);
    samples.count("mtorrent_connections_max", connections.max);
    samples.count("mtorrent_connections_refused", connections.refused);
    samples.count("mtorrent_connections_evicted", connections.evicted);
    for (kind, status, count) in activity.requests() {
        let labels = vec![("type", kind.to_owned()), ("status", status.to_owned())];
        samples.add("mtorrent_tracker_requests", labels, Value::Count(count));
    }
    for (reason, count) in activity.refusals() {
        samples.labelled("mtorrent_tracker_refusals", ("reason", reason), count);
    }
    for (change, count) in activity.leases() {
        samples.labelled("mtorrent_tracker_leases", ("change", change), count);
    }
    samples.count("mtorrent_tracker_files", stats.files);
    samples.count("mtorrent_tracker_downloads", stats.downloads);
    samples.count("mtorrent_tracker_leases_live", stats.seeders);
    samples.count("mtorrent_tracker_tombstones", stats.removals);
    samples.count("mtorrent_tracker_table_bytes", stats.table_bytes);
    samples.count("mtorrent_tracker_peers", stats.peers);
    samples.count("mtorrent_tracker_links_refused", stats.links_refused);
    // Operators configure the names, and a group has at most `SYNC_PEERS_MAX` members.
    observer.peers().iter().for_each(|peer| add_peer(samples, peer));
    let commits = metrics::timings(Timing::StoreCommit);
    samples.add("mtorrent_tracker_store_commit_seconds", Labels::new(), Value::Durations(commits));
    samples.counter("mtorrent_tracker_store_failures", Counter::StoreFailures);
    samples.counter("mtorrent_tracker_store_entries", Counter::StoreEntries);
}

fn add_peer(samples: &mut Samples, peer: &PeerFigures) {
    let PeerFigures { row, repairs, repaired_entries } = peer;
    let lag = row.lag_ms.map(|lag_ms| ("mtorrent_tracker_peer_lag_seconds", Value::Real(lag_ms as f64 / 1e3)));
    let others = [
        ("mtorrent_tracker_peer_linked", Value::Count(row.linked.into())),
        ("mtorrent_tracker_peer_in_sync", Value::Count(row.in_sync.into())),
        ("mtorrent_tracker_peer_clock_skew_seconds", Value::Real(row.skew_ms as f64 / 1e3)),
        ("mtorrent_tracker_peer_repairs", Value::Count(*repairs)),
        ("mtorrent_tracker_peer_repaired_entries", Value::Count(*repaired_entries)),
    ];
    for (name, value) in others.into_iter().chain(lag) {
        samples.add(name, vec![("peer", row.name.clone())], value);
    }
}
