//! One repair: the buckets of a table are compared with a peer's, and what differs is taken, page by page.
//!
//! Only takes: the peer repairs itself over its own link. Both together heal any difference.

use crate::limits::REPAIR_BUCKETS_MAX;
use crate::tracker::table::Table;
use crate::wire::{Cursor, ListRequest};

/// How far a repair has come; ready for the next when it is done.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    running: Option<Running>,
    digests: Vec<u128>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    at: Cursor,
    /// The bucket behind the last one of the request that is being answered.
    window_end: usize,
    cut_off_ms: u64,
}

/// The peer answered with a cursor that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page of sync goes on where it does not belong")]
pub struct CursorError;

impl Repair {
    /// Starts from the table's first bucket.
    pub(crate) fn begin(&mut self, table: &Table, now_ms: u64) {
        let first = table.buckets().start;
        self.running = Some(Running { at: Cursor::at(first), window_end: first, cut_off_ms: table.cut_off(now_ms) });
    }

    /// Whether there is more to ask.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether entries of a bucket belong to the answer that is awaited.
    pub(crate) fn asks_for(&self, bucket: usize) -> bool {
        let asked = |running: &Running| usize::from(running.at.bucket) <= bucket && bucket < running.window_end;
        self.running.as_ref().is_some_and(asked)
    }

    /// The next question; `None` when nothing runs.
    pub(crate) fn request(&mut self, table: &Table) -> Option<ListRequest<'_>> {
        let running = self.running.as_mut()?;
        let first = usize::from(running.at.bucket);
        running.window_end = (first + REPAIR_BUCKETS_MAX).min(table.buckets().end);
        self.digests.clear();
        self.digests.extend((first..running.window_end).map(|bucket| table.digest(bucket, running.cut_off_ms)));
        Some(ListRequest { start: running.at, cut_off_ms: running.cut_off_ms, digests: self.digests.as_slice().into() })
    }

    /// A page was taken. True when the repair is done.
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

    /// The link is lost.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }
}
