//! What a frame asks for, and who asks.

use crate::ids::TrackerId;
use crate::tracker::requests::{Denial, Request};
use crate::tracker::table::Sender;
use crate::wire::{Entry, ListRequest, Response, SyncHello};

/// Who asks: a client, or a tracker whose link is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    pub(crate) sender: Sender,
    pub(crate) tracker: Option<TrackerId>,
}

/// What a frame asks for, once it is read.
pub(crate) enum ParsedRequest<'a> {
    /// Something of the table: of the core that has the file.
    Request(Request<'a>),
    /// A tracker's change.
    Entry(Entry<'a>),
    /// A tracker's question for what differs.
    List(ListRequest<'a>),
    /// A tracker opens a link: the connection's affair.
    Hello(SyncHello<'a>),
    /// Nothing that can be done.
    Denied(Denial),
    /// A change or question of a tracker that did not open a link.
    Unlinked,
    /// The table is not there yet.
    Starting,
    /// The frame is no message.
    Undecodable(Response<'static>),
}
