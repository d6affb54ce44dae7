//! The dialler's side of an open link, in exchanges. An exchange sends changes and at most one request of a repair, and
//! ends when all of them are answered.

use std::collections::VecDeque;

use super::relay::Relay;
use super::repair::Repair;
use crate::ids::TrackerId;
use crate::limits::{REPAIR_INTERVAL, SYNC_PING_INTERVAL};
use crate::text;
use crate::tracker::table::entry::bucket_of;
use crate::tracker::table::{Merged, Table};
use crate::wire::{Cursor, DecodeError, Digests, Entry, Frame, ListRequest, Message, SyncHello};

/// One core's link to one other tracker.
#[derive(Debug, Default)]
pub struct Link {
    peer: Option<TrackerId>,
    relay: Relay,
    repair: Repair,
    awaited: VecDeque<Awaited>,
    /// Time of the next repair, milliseconds on the steady clock.
    repair_due_ms: u64,
    /// Latest time of the next exchange, milliseconds on the steady clock.
    ping_due_ms: u64,
    repaired: bool,
    /// A warning has reported that the other tracker refused an entry on this connection.
    refusal_reported: bool,
    /// Wall clock minus steady clock. After a step of the wall clock, entries that were refused may be valid.
    wall_offset_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Entry,
    Page,
    /// An answer that only confirms that the link works.
    KeepAlive,
}

/// The readings of two clocks at one time, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Milliseconds since 1970; may step.
    pub wall_ms: u64,
    /// Milliseconds since an arbitrary start; never steps.
    pub steady_ms: u64,
}

impl Times {
    fn wall_offset_ms(self) -> u64 {
        self.wall_ms.wrapping_sub(self.steady_ms)
    }
}

/// Smallest change of the wall clock that counts as a step and not as drift.
const CLOCK_STEP_MS: u64 = 2000;

/// The reason why a link is closed: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer sent an invalid message.
    #[error("the other tracker sent a bad message: {0}")]
    Decode(#[from] DecodeError),
    /// The peer sent an answer of the wrong type.
    #[error("the other tracker sent {0} out of place")]
    Unexpected(&'static str),
    /// The peer's page has entries that were not requested.
    #[error("the other tracker sent an entry that was not requested")]
    Foreign,
    /// The peer's pages do not advance.
    #[error(transparent)]
    Cursor(#[from] super::repair::CursorError),
}

/// The result of taking a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Number of entries that are new here.
    pub news: usize,
    /// The repair is done with this page.
    pub done: bool,
}

impl Link {
    /// Handles the opening of the link: unanswered changes are sent again, and a repair starts.
    pub fn opened(&mut self, peer: TrackerId, times: Times) {
        self.peer = Some(peer);
        self.refusal_reported = false;
        self.closed();
        self.repair_due_ms = times.steady_ms;
        self.ping_due_ms = times.steady_ms;
        self.wall_offset_ms = times.wall_offset_ms();
    }

    /// Handles the loss of the link.
    pub fn closed(&mut self) {
        self.awaited.clear();
        self.relay.retry();
        self.repair.stop();
    }

    /// Id of the tracker at the other end, once known.
    pub fn peer(&self) -> Option<TrackerId> {
        self.peer
    }

    /// Returns whether a repair from this peer was ever completed.
    pub fn repaired(&self) -> bool {
        self.repaired
    }

    /// Queues an entry for the peer.
    pub fn push(&mut self, entry: &Entry<'_>) {
        self.relay.push(entry);
    }

    /// Schedules a repair for this time at the latest: the peer has an entry ahead of our clock, which is valid then.
    pub fn repair_by(&mut self, steady_ms: u64) {
        self.repair_due_ms = self.repair_due_ms.min(steady_ms);
    }

    /// Starts a repair with the next exchange: the other tracker reports that it has entries to take.
    pub fn repair_now(&mut self) {
        self.repair_due_ms = 0;
    }

    /// Returns whether an exchange would send something.
    pub fn is_due(&self, times: Times) -> bool {
        self.relay.has_more()
            || self.repair.is_running()
            || times.steady_ms >= self.repair_due_ms
            || times.steady_ms >= self.ping_due_ms
            || self.clock_was_set(times)
    }

    /// Returns whether changes wait to be sent.
    pub fn has_more(&self) -> bool {
        self.relay.has_more()
    }

    /// Returns whether everything sent is answered, so that the next exchange may start.
    pub fn is_idle(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Starts an exchange: appends its frames to `out`. `hello` is the message that asks the peer to repair from us.
    pub fn send(&mut self, table: &Table, hello: &SyncHello<'_>, times: Times, out: &mut Vec<u8>) {
        debug_assert!(self.is_idle());
        for _ in 0..self.relay.send(out) {
            self.awaited.push_back(Awaited::Entry);
        }
        if !self.relay.has_more() && self.relay.take_lost() {
            Message::SyncHello(*hello).encode(out);
            self.awaited.push_back(Awaited::KeepAlive);
        }
        if self.clock_was_set(times) {
            self.wall_offset_ms = times.wall_offset_ms();
            self.repair_now();
        }
        if times.steady_ms >= self.repair_due_ms && !self.repair.is_running() {
            self.repair.begin(table, times.wall_ms);
            self.repair_due_ms = times.steady_ms + REPAIR_INTERVAL.as_millis() as u64;
        }
        if let Some(request) = self.repair.request(table) {
            Message::SyncSeederListRequest(request).encode(out);
            self.awaited.push_back(Awaited::Page);
        }
        if self.awaited.is_empty() && times.steady_ms >= self.ping_due_ms {
            let nothing = Digests::from(&[][..]);
            let nothing = ListRequest { start: Cursor::default(), cut_off_ms: times.wall_ms, digests: nothing };
            Message::SyncSeederListRequest(nothing).encode(out);
            self.awaited.push_back(Awaited::KeepAlive);
        }
        self.ping_due_ms = times.steady_ms + SYNC_PING_INTERVAL.as_millis() as u64;
    }

    fn clock_was_set(&self, times: Times) -> bool {
        times.wall_offset_ms().abs_diff(self.wall_offset_ms) > CLOCK_STEP_MS
    }

    /// Handles an answer. Entries of a page are passed to `merge`, which returns the outcome for each.
    pub fn receive(
        &mut self,
        frame: Frame<'_>,
        mut merge: impl FnMut(&Entry<'_>) -> Merged,
    ) -> Result<Option<PageEnd>, LinkError> {
        let message = Message::decode(frame)?;
        match (self.awaited.pop_front(), &message) {
            (Some(Awaited::Entry), Message::Response(response)) => {
                if !response.status.is_ok() && !std::mem::replace(&mut self.refusal_reported, true) {
                    log::warn!(
                        "another tracker did not take an entry: {} {}; further refusals are not logged until the link is opened again",
                        response.status,
                        text::plain(response.text)
                    );
                }
                self.relay.answered();
                Ok(None)
            }
            (Some(Awaited::KeepAlive), Message::Response(_) | Message::SyncSeederListResponse(_)) => Ok(None),
            (Some(Awaited::Page), Message::SyncSeederListResponse(page)) if page.status.is_ok() => {
                let mut news = 0;
                for entry in page.entries.iter() {
                    if !self.repair.asks_for(bucket_of(entry.info_hash)) {
                        return Err(LinkError::Foreign);
                    }
                    news += usize::from(merge(&entry) == Merged::New);
                }
                Ok(Some(PageEnd { news, next: page.next }))
            }
            _ => Err(LinkError::Unexpected(message.kind())),
        }
    }

    /// Completes a page after all its entries are merged.
    pub fn page_taken(&mut self, page: PageEnd, table: &Table) -> Result<Taken, LinkError> {
        let done = self.repair.answered(page.next, table)?;
        self.repaired |= done;
        Ok(Taken { news: page.news, done })
    }
}

/// The end of a page whose entries are merged.
#[derive(Clone, Copy, Debug)]
pub struct PageEnd {
    news: usize,
    next: Option<Cursor>,
}
