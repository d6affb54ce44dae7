//! Bytes that a connection keeps between two turns: the start of a frame, or whole frames that exceeded one turn.

use std::rc::Rc;

use crate::limits::{BUFFER_SMALL_BYTES, FRAME_CONTROL_BYTES_MAX};
use crate::net::{BufferPool, PooledBuffer};

/// The bytes that a connection keeps. An idle connection keeps no buffer.
pub(super) enum Held {
    Nothing,
    /// The start of a frame whose rest has not been received.
    PartialFrame(HeldBytes),
    /// Mostly whole frames; they are answered before more is received.
    WholeFrames(HeldBytes),
}

/// Received bytes in a separate buffer.
pub(super) struct HeldBytes {
    buffer: PooledBuffer,
    start: usize,
    end: usize,
}

impl HeldBytes {
    /// Copies `bytes` to a buffer with room for a frame of `need` bytes, if that is known.
    pub(super) fn copied(bytes: &[u8], need: Option<usize>, buffers: &Rc<BufferPool>) -> Self {
        let is_small = need.unwrap_or_default() <= BUFFER_SMALL_BYTES;
        let mut buffer = buffers.take(if is_small { BUFFER_SMALL_BYTES } else { FRAME_CONTROL_BYTES_MAX });
        buffer[..bytes.len()].copy_from_slice(bytes);
        Self { buffer, start: 0, end: bytes.len() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The room behind the bytes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// Makes room for at least one more byte.
    pub(super) fn has_room(&self) -> bool {
        self.end < self.buffer.len()
    }

    /// Adds the first `len` bytes of the room, which were received.
    pub(super) fn extend(&mut self, len: usize) {
        self.end += len;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// Returns the bytes behind the first `len`, with room for a frame of `need` bytes, if that is known.
    pub(super) fn after(mut self, len: usize, need: Option<usize>, buffers: &Rc<BufferPool>) -> Option<Self> {
        self.start += len;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            return None;
        }
        let need = need.unwrap_or_default();
        if self.start + need > self.buffer.len() {
            if need > self.buffer.len() {
                return Some(Self::copied(self.bytes(), Some(need), buffers));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        Some(self)
    }
}
