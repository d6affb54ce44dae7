//! What plain threads ask core 0 to show: answers that only it can give, from state that no other core reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::SyncSender;

use super::status::DownloadId;
use crate::download::{SourceView, View};
use crate::geometry::ChunkIndex;
use crate::tracker_client::TrackerRecord;

/// A question with the channel for its answer.
#[derive(Debug)]
pub(super) enum Inspection {
    /// The peers that send to each running download.
    Sources(SyncSender<Vec<(DownloadId, SourceView)>>),
    /// The chunks that arrive in each running download.
    Arriving(SyncSender<HashMap<DownloadId, Vec<ChunkIndex>>>),
    /// The trackers.
    Trackers(SyncSender<Vec<TrackerRecord>>),
}

impl Inspection {
    /// Answers the question; one whose asker has gone away needs no answer.
    pub(super) fn answer(
        self,
        downloads: &BTreeMap<DownloadId, std::rc::Rc<dyn View>>,
        trackers: impl FnOnce() -> Vec<TrackerRecord>,
    ) {
        match self {
            Self::Sources(answer) => {
                let of = |(id, view): (&DownloadId, &std::rc::Rc<dyn View>)| {
                    let id = *id;
                    view.sources().into_iter().map(move |source| (id, source))
                };
                let _ = answer.try_send(downloads.iter().flat_map(of).collect());
            }
            Self::Arriving(answer) => {
                let _ = answer.try_send(downloads.iter().map(|(id, view)| (*id, view.arriving())).collect());
            }
            Self::Trackers(answer) => {
                let _ = answer.try_send(trackers());
            }
        }
    }
}
