//! Figures about a tracker's contents and activity.

use std::sync::atomic::{AtomicU64, Ordering};

use super::activity::{ActivityCounts, CELLS};

/// Figures about a tracker's contents and activity, summed over its cores and updated ten times a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerStats {
    /// Files with any entry.
    pub files: u64,
    /// Seeder entries.
    pub seeders: u64,
    /// Reports of downloaders that are kept.
    pub downloads: u64,
    /// Records of removals.
    pub removals: u64,
    /// Bytes that the table occupies.
    pub table_bytes: u64,
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Requests refused because they are not allowed, over a limit or invalid, and entries of other trackers that
    /// cannot be taken.
    pub refusals: u64,
    /// Connections refused because there are too many in total or of one address.
    pub connections_refused: u64,
    /// Links of other trackers refused: no key or a wrong one, another lease, another protocol.
    pub links_refused: u64,
    /// Known other trackers.
    pub peers: u64,
    /// Other trackers to which all cores have a link.
    pub peers_linked: u64,
    /// Linked trackers from which all cores have repaired.
    pub peers_in_sync: u64,
    /// Largest difference between the clock of another tracker and this one's, milliseconds.
    pub skew_ms_max: u64,
}

/// One row of numbers per core, written by that core only.
#[derive(Debug)]
pub(crate) struct Figures {
    cores: Vec<CoreFigures>,
}

#[derive(Debug)]
struct CoreFigures {
    table: [AtomicU64; 7],
    activity: [AtomicU64; CELLS],
}

impl Figures {
    pub(crate) fn new(cores: usize) -> Self {
        let new = || CoreFigures { table: Default::default(), activity: [const { AtomicU64::new(0) }; CELLS] };
        Self { cores: (0..cores).map(|_| new()).collect() }
    }

    pub(super) fn set(&self, core: usize, stats: TrackerStats, activity: &ActivityCounts) {
        let TrackerStats { files, seeders, removals, table_bytes, requests, refusals, downloads, .. } = stats;
        let CoreFigures { table, activity: cells } = &self.cores[core];
        for (cell, value) in table.iter().zip([files, seeders, removals, table_bytes, requests, refusals, downloads]) {
            cell.store(value, Ordering::Relaxed);
        }
        for (cell, value) in cells.iter().zip(activity.0) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> TrackerStats {
        let total = |index: usize| self.cores.iter().map(|core| core.table[index].load(Ordering::Relaxed)).sum();
        TrackerStats {
            files: total(0),
            seeders: total(1),
            removals: total(2),
            table_bytes: total(3),
            requests: total(4),
            refusals: total(5),
            downloads: total(6),
            ..TrackerStats::default()
        }
    }

    pub(super) fn activity(&self) -> ActivityCounts {
        let total = |index: usize| self.cores.iter().map(|core| core.activity[index].load(Ordering::Relaxed)).sum();
        ActivityCounts(std::array::from_fn(total))
    }
}
