//! Reads frames from a stream: one pooled buffer, borrowed views, no allocation per frame.

use std::rc::Rc;
use std::time::Duration;

use super::error::RpcError;
use crate::limits::BUFFER_SMALL_BYTES;
use crate::net::{BufferPool, Net, NetError, PooledBuffer, Stream};
use crate::wire::{self, Frame, Parsed};

/// The read side of a connection that carries frames.
///
/// Bytes `start..end` of the buffer are received and not consumed. The first `frame_len` of them are the frame that was
/// returned last.
pub(crate) struct FrameReader {
    pool: Rc<BufferPool>,
    buffer: PooledBuffer,
    start: usize,
    end: usize,
    frame_len: usize,
    payload_bytes_max: usize,
}

impl FrameReader {
    /// Creates a reader that accepts payloads of at most `payload_bytes_max` bytes.
    pub(crate) fn new(net: &Net, payload_bytes_max: usize) -> Self {
        let pool = net.buffers().clone();
        let buffer = pool.take(BUFFER_SMALL_BYTES);
        Self { pool, buffer, start: 0, end: 0, frame_len: 0, payload_bytes_max }
    }

    /// Returns the next frame, or `None` if the other side closed the connection between two frames.
    pub(crate) async fn next(&mut self, stream: &mut Stream) -> Result<Option<Frame<'_>>, RpcError> {
        if self.fill(stream).await? { Ok(Some(self.frame()?)) } else { Ok(None) }
    }

    /// Consumes the last frame and waits until the next one has arrived completely. Returns `false` if the other side
    /// closed the connection between two frames.
    ///
    /// Cancel-safe: a dropped call loses no received bytes.
    pub(crate) async fn fill(&mut self, stream: &mut Stream) -> Result<bool, RpcError> {
        self.fill_timed(stream, None).await
    }

    /// Like [`FrameReader::fill`], but a frame must arrive completely within `limit` of its first byte, however slowly
    /// its bytes trickle in.
    pub(crate) async fn fill_within(&mut self, stream: &mut Stream, limit: Duration) -> Result<bool, RpcError> {
        self.fill_timed(stream, Some(limit)).await
    }

    async fn fill_timed(&mut self, stream: &mut Stream, limit: Option<Duration>) -> Result<bool, RpcError> {
        self.consume();
        loop {
            match wire::parse(&self.buffer[self.start..self.end], self.payload_bytes_max)? {
                Parsed::Frame { len, .. } => {
                    self.frame_len = len;
                    return Ok(true);
                }
                Parsed::Partial { need } => {
                    self.make_room(need);
                    let len = stream.read(&mut self.buffer[self.end..]).await?;
                    if len == 0 {
                        return if self.is_mid_frame() { Err(NetError::Closed.into()) } else { Ok(false) };
                    }
                    if let Some(limit) = limit.filter(|_| !self.is_mid_frame()) {
                        stream.allow(limit);
                    }
                    self.end += len;
                }
            }
        }
    }

    /// Returns the frame that [`FrameReader::fill`] waited for.
    pub(crate) fn frame(&self) -> Result<Frame<'_>, RpcError> {
        let whole = &self.buffer[self.start..self.start + self.frame_len];
        match wire::parse(whole, self.payload_bytes_max)? {
            Parsed::Frame { frame, .. } => Ok(frame),
            Parsed::Partial { .. } => Err(NetError::Closed.into()),
        }
    }

    /// Returns whether only a part of a frame has arrived.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.end - self.start > self.frame_len
    }

    fn consume(&mut self) {
        self.start += std::mem::take(&mut self.frame_len);
        debug_assert!(self.start <= self.end && self.end <= self.buffer.len());
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > BUFFER_SMALL_BYTES {
                self.buffer = self.pool.take(BUFFER_SMALL_BYTES);
            }
        }
    }

    /// Ensures that the buffer can store `need` bytes from `start`, and at least one more byte after `end`.
    fn make_room(&mut self, need: usize) {
        if self.start + need <= self.buffer.len() && self.end < self.buffer.len() {
            return;
        }
        let arrived = self.start..self.end;
        if need <= self.buffer.len() {
            self.buffer.copy_within(arrived.clone(), 0);
        } else {
            let mut larger = self.pool.take(self.payload_bytes_max.max(need));
            larger[..arrived.len()].copy_from_slice(&self.buffer[arrived.clone()]);
            self.buffer = larger;
        }
        (self.start, self.end) = (0, arrived.len());
    }
}
