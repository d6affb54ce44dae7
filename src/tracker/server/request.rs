//! A request: its frame, its decoded form, and its sender.

use crate::ids::{Endpoint, InfoHash, TrackerId};
use crate::tracker::requests::{Denial, Request};
use crate::tracker::table::Sender;
use crate::wire::{Cursor, Entry, Frame, ListRequest, Response, SyncHello};

/// A whole frame, and the info hash at its start. The info hash selects the record to prefetch and the core that owns
/// it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFrame<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) file: Option<InfoHash>,
}

impl<'a> RequestFrame<'a> {
    /// A placeholder for no frame.
    pub(crate) const EMPTY: RequestFrame<'static> =
        RequestFrame { frame: Frame { kind: &[], payload: &[] }, file: None };

    pub(crate) fn new(frame: Frame<'a>) -> Self {
        Self { frame, file: frame.leading_info_hash() }
    }
}

/// The sender of a request: a client, or a tracker with an open link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    pub(crate) sender: Sender,
    pub(crate) tracker: Option<TrackerId>,
}

/// A decoded request.
pub(crate) enum ParsedRequest<'a> {
    /// A client's request; the core that owns the file executes it.
    Request(Request<'a>),
    /// A tracker's change.
    Entry(Entry<'a>),
    /// A tracker's request for the entries that differ.
    List(ListRequest<'a>),
    /// A request for a page of what this tracker knows; the core that owns the cursor's bucket makes it.
    Status(Cursor),
    /// A request to test whether this endpoint of the sender can be reached; the connection's core answers.
    Reach(Endpoint),
    /// A tracker's hello, which opens a link; its connection answers.
    Hello(SyncHello<'a>),
    /// The sender may not make the request, or the message is not for a tracker.
    Denied(Denial),
    /// A change or list request of a tracker without an open link.
    Unlinked,
    /// This tracker is still taking the table from the others.
    Starting,
    /// The frame is not a valid message.
    Undecodable(Response<'static>),
}
