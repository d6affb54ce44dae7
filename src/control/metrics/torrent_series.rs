//! The files that have series of their own. Later ones are counted together, as `other`.

use std::collections::{HashMap, HashSet};

use crate::ids::InfoHash;
use crate::limits::TORRENTS_LABELLED_MAX;
use crate::node::ByClass;

/// Which files have series of their own, and what the others have had so far. A file keeps its series as long as it is
/// there.
#[derive(Debug, Default)]
pub(super) struct TorrentSeries {
    labelled: HashSet<InfoHash>,
    received: Others,
    sent: Others,
}

/// The counts of the files without a series.
#[derive(Debug, Default)]
struct Others {
    /// The last counts of each.
    last: HashMap<InfoHash, ByClass>,
    /// All that was ever counted: a file that goes takes nothing with it.
    total: ByClass,
}

impl TorrentSeries {
    /// Learns which files are there now.
    pub(super) fn update(&mut self, present: impl Iterator<Item = InfoHash>) {
        let present: Vec<InfoHash> = present.collect();
        let there: HashSet<InfoHash> = present.iter().copied().collect();
        self.labelled.retain(|file| there.contains(file));
        for file in present {
            if self.labelled.len() >= TORRENTS_LABELLED_MAX {
                break;
            }
            // The counts of a file that was among the others stay there.
            if !self.received.last.contains_key(&file) && !self.sent.last.contains_key(&file) {
                self.labelled.insert(file);
            }
        }
        for others in [&mut self.received, &mut self.sent] {
            others.last.retain(|file, _| there.contains(file));
        }
    }

    /// Whether the file has series of its own.
    pub(super) fn is_labelled(&self, file: InfoHash) -> bool {
        self.labelled.contains(&file)
    }

    /// Counts the received bytes of a file without series.
    pub(super) fn other_received(&mut self, file: InfoHash, bytes: ByClass) {
        self.received.count(file, bytes);
    }

    /// Counts the sent bytes of a file without series.
    pub(super) fn other_sent(&mut self, file: InfoHash, bytes: ByClass) {
        self.sent.count(file, bytes);
    }

    /// Received and sent bytes of all files without series; `None` if there never was one.
    pub(super) fn others(&self) -> [Option<ByClass>; 2] {
        [&self.received, &self.sent].map(|others| Some(others.total).filter(|total| total.iter().any(|n| *n > 0)))
    }
}

impl Others {
    fn count(&mut self, file: InfoHash, bytes: ByClass) {
        let last = self.last.insert(file, bytes).unwrap_or_default();
        for ((total, bytes), last) in self.total.iter_mut().zip(bytes).zip(last) {
            *total += bytes.saturating_sub(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_files_have_series_and_the_sum_of_the_others_never_falls() {
        let file = |number: usize| {
            let mut hash = [0; 20];
            hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
            InfoHash(hash)
        };
        let mut series = TorrentSeries::default();
        let many = TORRENTS_LABELLED_MAX + 2;
        series.update((0..many).map(file));
        assert_eq!((0..many).filter(|n| series.is_labelled(file(*n))).count(), TORRENTS_LABELLED_MAX);
        let [last, second_last] = [many - 1, many - 2].map(file);
        for (bytes, sum) in [(5, 8), (9, 12)] {
            series.other_sent(last, [bytes, 0, 0]);
            series.other_sent(second_last, [0, 3, 0]);
            assert_eq!(series.others()[1].unwrap().iter().sum::<u64>(), sum);
        }
        // Two files go: one of the others keeps its place there, and a new file takes the free series.
        series.update((2..many - 1).chain([many]).map(file));
        assert!(!series.is_labelled(second_last) && series.is_labelled(file(many)));
        assert_eq!(series.others(), [None, Some([9, 3, 0])]);
    }
}
