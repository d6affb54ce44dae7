//! A request: its frame, what the frame asks for, and its sender.

use crate::ids::{InfoHash, TrackerId};
use crate::tracker::requests::{Denial, Request};
use crate::tracker::table::Sender;
use crate::wire::{Entry, Frame, ListRequest, Response, SyncHello};

/// A whole frame, and the file that it begins with: by that its record is prefetched, and its core is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFrame<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) file: Option<InfoHash>,
}

impl<'a> RequestFrame<'a> {
    /// Stands for no frame.
    pub(crate) const EMPTY: RequestFrame<'static> =
        RequestFrame { frame: Frame { kind: &[], payload: &[] }, file: None };

    pub(crate) fn new(frame: Frame<'a>) -> Self {
        Self { frame, file: frame.leading_info_hash() }
    }
}

/// The sender of a request: a client, or a tracker whose link is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    pub(crate) sender: Sender,
    pub(crate) tracker: Option<TrackerId>,
}

/// What a frame asks for, once it is decoded.
pub(crate) enum ParsedRequest<'a> {
    /// A client's request of the table; the core that has the file executes it.
    Request(Request<'a>),
    /// A tracker's change.
    Entry(Entry<'a>),
    /// A tracker's question for what differs.
    List(ListRequest<'a>),
    /// A tracker opens a link; its connection answers.
    Hello(SyncHello<'a>),
    /// The sender may not do it, or it is not for a tracker.
    Denied(Denial),
    /// A change or question of a tracker that did not open a link.
    Unlinked,
    /// This tracker still takes the table from the others.
    Starting,
    /// The frame is no message.
    Undecodable(Response<'static>),
}
