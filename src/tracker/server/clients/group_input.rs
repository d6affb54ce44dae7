//! The input of a group of connections, cut into frames once.

use std::ops::Range;
use std::rc::Rc;

use super::held::{Held, HeldBytes};
use super::ids::ConnectionId;
use crate::limits::{BUFFER_SMALL_BYTES, FRAME_CONTROL_BYTES_MAX, GROUP_CONNECTIONS_MAX, TURN_REQUESTS_MAX};
use crate::net::BufferPool;
use crate::tracker::server::request::RequestFrame;
use crate::wire::{self, FrameError, Parsed};

/// The bytes of a group, connection by connection. Its buffers are reused for the next group.
pub(super) struct GroupInput {
    /// Received bytes that do not continue kept bytes, one connection after the other.
    received: Vec<u8>,
    len: usize,
    turns: Vec<Turn>,
}

/// The input of one connection.
pub(super) struct Turn {
    pub(super) id: ConnectionId,
    bytes: TurnBytes,
}

enum TurnBytes {
    /// A range of the group's received bytes.
    Received(Range<usize>),
    Held(HeldBytes),
}

/// The frames of one connection's turn.
#[derive(Debug)]
pub(super) struct Cut {
    /// Range among the group's frames.
    pub(super) frames: Range<usize>,
    /// Total bytes of the frames.
    len: usize,
    /// The content behind the frames.
    pub(super) rest: Rest,
}

/// The content behind the frames of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Possibly more whole frames: the turn has reached its maximum number of frames.
    Frames,
    /// The start of a frame of at least this many bytes.
    Partial(usize),
    Malformed(FrameError),
}

impl GroupInput {
    pub(super) fn new() -> Self {
        Self { received: vec![0; GROUP_CONNECTIONS_MAX * BUFFER_SMALL_BYTES], len: 0, turns: Vec::new() }
    }

    /// Discards all bytes.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.turns.clear();
    }

    /// The buffer for the next connection's bytes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.received[self.len..self.len + BUFFER_SMALL_BYTES]
    }

    /// Assigns the first `len` bytes of the room to the connection.
    pub(super) fn add_received(&mut self, id: ConnectionId, len: usize) {
        let start = self.len;
        self.len += len;
        self.turns.push(Turn { id, bytes: TurnBytes::Received(start..self.len) });
    }

    pub(super) fn add_held(&mut self, id: ConnectionId, held: HeldBytes) {
        self.turns.push(Turn { id, bytes: TurnBytes::Held(held) });
    }

    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Cuts all bytes into frames, appended to `frames`, with one cut per turn.
    pub(super) fn cut<'a>(&'a self, frames: &mut Vec<RequestFrame<'a>>, cuts: &mut Vec<Cut>) {
        cuts.extend(self.turns.iter().map(|turn| cut(turn.bytes.of(&self.received), frames)));
    }

    /// Calls `each` with the connection and the cut of every turn, the bytes to keep, and whether the turn began with
    /// kept bytes.
    pub(super) fn end_turns(
        &mut self,
        cuts: &mut Vec<Cut>,
        buffers: &Rc<BufferPool>,
        mut each: impl FnMut(ConnectionId, Cut, Held, bool),
    ) {
        let Self { received, len, turns } = self;
        for (turn, cut) in turns.drain(..).zip(cuts.drain(..)) {
            let began_within = matches!(turn.bytes, TurnBytes::Held(_));
            let held = turn.bytes.after(received, &cut, buffers);
            each(turn.id, cut, held, began_within);
        }
        *len = 0;
    }
}

impl TurnBytes {
    fn of<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Received(range) => &received[range.clone()],
            Self::Held(held) => held.bytes(),
        }
    }

    /// Returns the bytes behind the frames.
    fn after(self, received: &[u8], cut: &Cut, buffers: &Rc<BufferPool>) -> Held {
        let need = match cut.rest {
            Rest::Frames => None,
            Rest::Partial(need) => Some(need),
            Rest::Malformed(_) => return Held::Nothing,
        };
        let rest = match self {
            Self::Held(held) => held.after(cut.len, need, buffers),
            Self::Received(Range { start, end }) if start + cut.len < end => {
                Some(HeldBytes::copied(&received[start + cut.len..end], need, buffers))
            }
            Self::Received(_) => None,
        };
        match (rest, need) {
            (None, _) => Held::Nothing,
            (Some(rest), None) => Held::WholeFrames(rest),
            (Some(rest), Some(_)) => Held::PartialFrame(rest),
        }
    }
}

fn cut<'a>(bytes: &'a [u8], frames: &mut Vec<RequestFrame<'a>>) -> Cut {
    let (first, mut len) = (frames.len(), 0);
    let rest = loop {
        if frames.len() - first == TURN_REQUESTS_MAX {
            break Rest::Frames;
        }
        match wire::parse(&bytes[len..], FRAME_CONTROL_BYTES_MAX) {
            Ok(Parsed::Frame { frame, len: frame_len }) => {
                frames.push(RequestFrame::new(frame));
                len += frame_len;
            }
            Ok(Parsed::Partial { need }) => break Rest::Partial(need),
            Err(error) => break Rest::Malformed(error),
        }
    };
    Cut { frames: first..frames.len(), len, rest }
}
