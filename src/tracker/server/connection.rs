//! One client's connection: rounds of reading, answering and writing.
//!
//! A round takes all whole frames that have come, up to a bound, and sends their replies in one piece. The buffer
//! for replies is the core's: an idle connection holds its small read buffer and nothing else.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::forward::Forwarder;
use super::now_ms;
use super::peers::Peers;
use super::replies::Replies;
use super::session::Session;
use super::shard::{Asked, Asker, Shard};
use crate::limits::{
    BUFFER_SMALL_BYTES, FRAME_CONTROL_BYTES_MAX, FRAME_TIMEOUT, IDLE_TIMEOUT, MESH_BATCHES_KEPT_MAX,
    REPLIES_KEPT_BYTES_MAX, ROUND_REQUESTS_MAX,
};
use crate::net::{Accepted, Net, NetError, PooledBuffer, Stream};
use crate::wire::{self, FrameError, Parsed};

/// Serves a connection to its end.
pub(super) async fn serve(net: Net, shard: Rc<Shard>, forwarder: Rc<Forwarder>, peers: Arc<Peers>, accepted: Accepted) {
    let ip = accepted.peer().ip();
    let (slot, replies) = forwarder.waiting().enter();
    let connection = match net.adopt(accepted) {
        Ok(stream) => {
            let session = Session::new(peers, ip);
            Connection::new(&net, stream, shard, forwarder.clone(), session, slot, replies).serve().await
        }
        Err(error) => Err(error.into()),
    };
    forwarder.waiting().leave(slot);
    match connection {
        Ok(()) => {}
        Err(error @ (NetError::Frame(_) | NetError::Misbehaved(_))) => log::info!("closed {ip}: {error}"),
        Err(error) => log::debug!("closed {ip}: {error}"),
    }
}

/// What a connection speaks, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Our frames, which start with `mTor`.
    Frames,
    /// None of ours.
    Unknown,
}

impl Protocol {
    fn of(first: u8) -> Self {
        if first == wire::MAGIC_START[0] { Self::Frames } else { Self::Unknown }
    }
}

struct Connection {
    net: Net,
    stream: Stream,
    shard: Rc<Shard>,
    forwarder: Rc<Forwarder>,
    asker: Asker,
    session: Session,
    slot: u32,
    replies: Rc<Replies>,
    /// Bytes `start..end` have come and are not taken. Who waits with nothing has no buffer: whoever is served next
    /// takes the one that the last one used, and that is in the cache.
    buffer: Option<PooledBuffer>,
    start: usize,
    end: usize,
}

/// How a round's taking of frames ended.
struct Taken {
    frames: usize,
    /// Bytes that the frame at the front needs, from its first one; 0 if there may be a whole one.
    need: usize,
}

impl Connection {
    fn new(
        net: &Net,
        stream: Stream,
        shard: Rc<Shard>,
        forwarder: Rc<Forwarder>,
        session: Session,
        slot: u32,
        replies: Rc<Replies>,
    ) -> Self {
        let asker = Asker { sender: shard.sender(stream.peer().ip()), tracker: None };
        Self {
            net: net.clone(),
            stream,
            shard,
            forwarder,
            asker,
            session,
            slot,
            replies,
            buffer: None,
            start: 0,
            end: 0,
        }
    }

    async fn serve(mut self) -> Result<(), NetError> {
        self.stream.allow(IDLE_TIMEOUT);
        if self.receive().await? == 0 {
            return Ok(());
        }
        self.stream.allow(FRAME_TIMEOUT);
        match Protocol::of(self.arrived().first().copied().unwrap_or_default()) {
            Protocol::Frames => self.serve_frames().await,
            Protocol::Unknown => Err(NetError::Frame(FrameError::MagicStart)),
        }
    }

    async fn serve_frames(mut self) -> Result<(), NetError> {
        loop {
            let mut out = take_buffer();
            let written = self.shard.log().awaited();
            let taken = self.take_frames(&mut out);
            let sent = self.finish_round(&mut out, written).await;
            keep_buffer(out);
            sent?;
            let Taken { frames, need } = taken?;
            if need == 0 {
                continue;
            }
            self.make_room(need);
            // A frame that has begun must end in its time, however slowly its bytes trickle in.
            if self.start == self.end {
                self.stream.allow(IDLE_TIMEOUT);
            } else if frames > 0 {
                self.stream.allow(FRAME_TIMEOUT);
            }
            let is_idle = self.start == self.end;
            if self.receive().await? == 0 {
                return if is_idle { Ok(()) } else { Err(NetError::Closed) };
            }
            if is_idle {
                self.stream.allow(FRAME_TIMEOUT);
            }
        }
    }

    /// Sends a round's replies when all are there, and what they acknowledge is safe.
    async fn finish_round(&mut self, out: &mut Vec<u8>, written_before: u64) -> Result<(), NetError> {
        let written = self.shard.log().awaited();
        if written > written_before && !self.shard.log().durable(written).await {
            return Err(NetError::Misbehaved("this tracker's own store failed: the change is not acknowledged"));
        }
        self.replies.complete().await;
        self.send(out).await
    }

    async fn receive(&mut self) -> Result<usize, NetError> {
        if self.buffer.is_none() {
            self.stream.readable().await;
        }
        let buffer = self.buffer.get_or_insert_with(|| self.net.buffers().take(BUFFER_SMALL_BYTES));
        let len = self.stream.read(&mut buffer[self.end..]).await?;
        self.end += len;
        Ok(len)
    }

    /// What has come and is not taken.
    fn arrived(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    async fn send(&mut self, out: &mut Vec<u8>) -> Result<(), NetError> {
        with_scratch(|scratch| self.replies.merge_into(out, scratch));
        if out.is_empty() {
            return Ok(());
        }
        self.stream.write_all(out).await
    }

    /// Answers whole frames into `out`; what other cores answer comes to [`Replies`]. The replies to what came
    /// before a malformed frame are in `out` too.
    fn take_frames(&mut self, out: &mut Vec<u8>) -> Result<Taken, NetError> {
        let now_ms = now_ms();
        for frames in 0..ROUND_REQUESTS_MAX {
            let bytes = self.buffer.as_ref().map_or(&[][..], |buffer| &buffer[self.start..self.end]);
            let (frame, len) = match wire::parse(bytes, FRAME_CONTROL_BYTES_MAX)? {
                Parsed::Frame { frame, len } => (frame, len),
                Parsed::Partial { need } => return Ok(Taken { frames, need }),
            };
            match self.shard.read(frame, self.asker) {
                Asked::Hello(hello) => {
                    self.session.hello(&hello, out);
                    self.asker.tracker = self.session.tracker();
                }
                asked => match self.shard.owner(&asked) {
                    Some(owner) if owner != self.forwarder.core().index => {
                        let place = self.replies.expect(out.len());
                        self.forwarder.ask(owner, &bytes[..len], self.asker, self.slot, place);
                    }
                    _ => self.shard.answer(&asked, self.asker, now_ms, out),
                },
            }
            self.start += len;
        }
        Ok(Taken { frames: ROUND_REQUESTS_MAX, need: 0 })
    }

    /// Makes `need` bytes from `start` on fit, with room for at least one more than have come.
    fn make_room(&mut self, need: usize) {
        let arrived = self.start..self.end;
        if arrived.is_empty() {
            (self.start, self.end) = (0, 0);
            self.buffer = None;
            return;
        }
        let Some(buffer) = &mut self.buffer else { return };
        if self.start + need <= buffer.len() {
            return;
        }
        if need <= buffer.len() {
            buffer.copy_within(arrived.clone(), 0);
        } else {
            let mut larger = self.net.buffers().take(FRAME_CONTROL_BYTES_MAX);
            larger[..arrived.len()].copy_from_slice(&buffer[arrived.clone()]);
            *buffer = larger;
        }
        (self.start, self.end) = (0, arrived.len());
    }
}

thread_local! {
    /// Buffers for the replies of a round; a connection has one while it answers and sends.
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn keep_buffer(mut buffer: Vec<u8>) {
    buffer.clear();
    FREE.with_borrow_mut(|free| {
        if free.len() < MESH_BATCHES_KEPT_MAX && buffer.capacity() <= REPLIES_KEPT_BYTES_MAX {
            free.push(buffer);
        }
    });
}

fn with_scratch(work: impl FnOnce(&mut Vec<u8>)) {
    let mut scratch = take_buffer();
    work(&mut scratch);
    keep_buffer(scratch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_the_protocol() {
        assert_eq!(Protocol::of(b'm'), Protocol::Frames);
        for other in [b'G', 0x13, 0x16, 0] {
            assert_eq!(Protocol::of(other), Protocol::Unknown);
        }
    }
}
