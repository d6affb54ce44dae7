//! What a group of connections has sent, cut into frames once.

use std::ops::Range;
use std::rc::Rc;

use super::held::{Held, HeldBytes};
use super::ids::ConnectionId;
use crate::limits::{BUFFER_SMALL_BYTES, FRAME_CONTROL_BYTES_MAX, GROUP_CONNECTIONS_MAX, TURN_REQUESTS_MAX};
use crate::net::BufferPool;
use crate::tracker::server::request::RequestFrame;
use crate::wire::{self, FrameError, Parsed};

/// The bytes of a group, connection by connection. Its buffers serve for the next group.
pub(super) struct GroupInput {
    /// What was received and is not behind kept bytes, one connection after the other.
    received: Vec<u8>,
    len: usize,
    turns: Vec<Turn>,
}

/// One connection's bytes.
pub(super) struct Turn {
    pub(super) id: ConnectionId,
    bytes: TurnBytes,
}

enum TurnBytes {
    /// These of the group's.
    Received(Range<usize>),
    Held(HeldBytes),
}

/// The frames of one connection's turn.
#[derive(Debug)]
pub(super) struct Cut {
    /// Which of the group's frames.
    pub(super) frames: Range<usize>,
    /// Their bytes.
    len: usize,
    /// What stands behind them.
    pub(super) rest: Rest,
}

/// What stands behind the frames of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// More whole frames, perhaps: the turn had as many as it may have.
    Frames,
    /// The start of a frame that has this many bytes at least.
    Partial(usize),
    Malformed(FrameError),
}

impl GroupInput {
    pub(super) fn new() -> Self {
        Self { received: vec![0; GROUP_CONNECTIONS_MAX * BUFFER_SMALL_BYTES], len: 0, turns: Vec::new() }
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.turns.clear();
    }

    /// The room for what the next connection has sent.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.received[self.len..self.len + BUFFER_SMALL_BYTES]
    }

    /// The first `len` bytes of the room are the connection's.
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

    /// Cuts all bytes into frames, which go behind those in `frames`; one cut a turn.
    pub(super) fn cut<'a>(&'a self, frames: &mut Vec<RequestFrame<'a>>, cuts: &mut Vec<Cut>) {
        cuts.extend(self.turns.iter().map(|turn| cut(turn.bytes.of(&self.received), frames)));
    }

    /// Calls `each` with every turn's connection and cut, with what it keeps, and whether it began with kept bytes.
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

    /// What is left behind the frames.
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
