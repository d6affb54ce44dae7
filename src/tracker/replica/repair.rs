//! A repair: the buckets of a table are compared with a peer's, and the entries that differ are taken, page by page.
//!
//! A repair only takes entries: the peer repairs over its own link. The two repairs together heal any difference.

use crate::limits::REPAIR_BUCKETS_MAX;
use crate::tracker::table::Table;
use crate::wire::{Cursor, ListRequest};

/// Progress of a repair; ready for the next when it is done.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    running: Option<Running>,
    digests: Vec<u128>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    at: Cursor,
    /// End of the bucket range of the request in flight, exclusive.
    window_end: usize,
    cut_off_ms: u64,
}

/// The peer answered with an invalid cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sync page continues at an invalid position")]
pub struct CursorError;

impl Repair {
    /// Starts a repair from the table's first bucket.
    pub(crate) fn begin(&mut self, table: &Table, now_ms: u64) {
        let first = table.buckets().start;
        self.running = Some(Running { at: Cursor::at(first), window_end: first, cut_off_ms: table.cut_off(now_ms) });
    }

    /// Returns whether there is more to request.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns whether the bucket belongs to the request in flight.
    pub(crate) fn asks_for(&self, bucket: usize) -> bool {
        let asked = |running: &Running| usize::from(running.at.bucket) <= bucket && bucket < running.window_end;
        self.running.as_ref().is_some_and(asked)
    }

    /// Returns the next request; `None` when no repair runs.
    pub(crate) fn request(&mut self, table: &Table) -> Option<ListRequest<'_>> {
        let running = self.running.as_mut()?;
        let first = usize::from(running.at.bucket);
        running.window_end = (first + REPAIR_BUCKETS_MAX).min(table.buckets().end);
        self.digests.clear();
        self.digests.extend((first..running.window_end).map(|bucket| table.digest(bucket, running.cut_off_ms)));
        Some(ListRequest { start: running.at, cut_off_ms: running.cut_off_ms, digests: self.digests.as_slice().into() })
    }

    /// Handles a page that was taken. Returns true when the repair is done.
    pub(crate) fn answered(&mut self, next: Option<Cursor>, table: &Table) -> Result<bool, CursorError> {
        let Some(running) = &mut self.running else { return Err(CursorError) };
        running.at = match next {
            None if running.window_end >= table.buckets().end => {
                self.running = None;
                return Ok(true);
            }
            None => Cursor::at(running.window_end),
            Some(next) if next > running.at && usize::from(next.bucket) < running.window_end => next,
            Some(_) => return Err(CursorError),
        };
        Ok(false)
    }

    /// Stops the repair when the link is lost.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }
}
