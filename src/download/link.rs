//! One data connection to one peer: requests go out in a pipeline, answers come back in order, each
//! received from the socket straight into the buffer that is hashed and written.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::job::PeerProgress;
use super::picker::{Assignment, PeerSlot};
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::InfoHash;
use crate::limits::{
    CHUNK_RATE_BYTES_S_MIN, CONNECT_TIMEOUT, DATA_COPIED_BYTES_MAX, DATA_SILENCE_TIMEOUT, FRAME_TIMEOUT, IDLE_TIMEOUT,
    RECEIVE_LOW_WATER_BYTES,
};
use crate::net::{Net, NetError, Stream};
use crate::runtime::{Signal, deadline};
use crate::storage::{ChunkBuffer, Memory};
use crate::wire::{DATA_HEAD_LEN, DataHead, DataParsed, MAGIC_END, Message, SendChunkRequest, Status, parse_data};

/// What a link tells its shard.
pub trait LinkOwner {
    /// The chunk has arrived in whole, unverified; `time` since the answer before it or its request.
    fn received(&self, link: &Link, chunk: ChunkIndex, buffer: ChunkBuffer, time: Duration);
    /// The peer does not deliver the chunk.
    fn refused(&self, link: &Link, chunk: ChunkIndex, status: Status);
    /// Bytes have arrived.
    fn arrived(&self, bytes: usize);
    /// Whether the link's peer is much slower than others, or has not proven itself yet.
    fn is_limited(&self, link: &Link) -> bool;
}

/// The file that is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its info hash.
    pub info_hash: InfoHash,
    /// Its geometry.
    pub geometry: Geometry,
}

/// A data connection as its shard sees it.
pub struct Link {
    /// The peer's number.
    pub slot: PeerSlot,
    /// Its figures, with its endpoint.
    pub peer: Arc<PeerProgress>,
    wanted: Wanted,
    /// Asked and not answered, oldest first; the last `unsent` of them are not sent yet.
    asked: RefCell<VecDeque<Asked>>,
    unsent: Cell<usize>,
    closing: Cell<bool>,
    wake: Signal,
}

#[derive(Clone, Copy)]
struct Asked {
    chunk: ChunkIndex,
    since: Duration,
}

/// The open connection with the part of an answer's head that has arrived.
struct Receiver<'a, O> {
    stream: Stream,
    memory: &'a Memory,
    owner: &'a O,
    head: [u8; DATA_COPIED_BYTES_MAX],
    head_len: usize,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(slot: PeerSlot, peer: Arc<PeerProgress>, wanted: Wanted) -> Rc<Self> {
        Rc::new(Self {
            slot,
            peer,
            wanted,
            asked: RefCell::default(),
            unsent: Cell::new(0),
            closing: Cell::new(false),
            wake: Signal::default(),
        })
    }

    /// Requests that are not answered.
    pub fn depth(&self) -> usize {
        self.asked.borrow().len()
    }

    /// Asks for a chunk.
    pub fn ask(&self, chunk: ChunkIndex, now: Duration) {
        self.asked.borrow_mut().push_back(Asked { chunk, since: now });
        self.unsent.set(self.unsent.get() + 1);
        self.wake.notify();
    }

    /// Closes the connection soon; what was asked is for [`Link::take_asked`].
    pub fn close(&self) {
        self.closing.set(true);
        self.wake.notify();
    }

    /// Whether the chunk was asked here and not answered.
    pub fn is_asked(&self, chunk: ChunkIndex) -> bool {
        self.asked.borrow().iter().any(|asked| asked.chunk == chunk)
    }

    /// What was asked and will not be answered: after the end.
    pub fn take_asked(&self) -> Vec<Assignment> {
        self.unsent.set(0);
        self.asked.borrow_mut().drain(..).map(|asked| Assignment { chunk: asked.chunk, peer: self.slot }).collect()
    }

    /// Connects and works until closed or broken. `now` is the shard's clock.
    pub async fn run(
        &self,
        net: &Net,
        memory: &Memory,
        owner: &impl LinkOwner,
        now: impl Fn() -> Duration,
    ) -> Result<(), NetError> {
        // Nothing in the work is harmed by being dropped: no write to a disk happens here.
        let closed = async {
            self.wake.until(|| self.closing.get().then_some(())).await;
            Ok(())
        };
        self.work(net, memory, owner, now).or(closed).await
    }

    async fn work(
        &self,
        net: &Net,
        memory: &Memory,
        owner: &impl LinkOwner,
        now: impl Fn() -> Duration,
    ) -> Result<(), NetError> {
        let connect = || net.connect(self.peer.endpoint.socket_addr(), CONNECT_TIMEOUT);
        let stream = connect().await?;
        let mut receiver = Receiver { stream, memory, owner, head: [0; DATA_COPIED_BYTES_MAX], head_len: 0 };
        let mut last_answer = Duration::ZERO;
        loop {
            if self.depth() == 0 {
                receiver.stream.allow(2 * IDLE_TIMEOUT);
                let idle_since = now();
                self.wake.until(|| (self.depth() > 0).then_some(())).await;
                if now() - idle_since > IDLE_TIMEOUT / 2 {
                    // The peer may have closed what was idle for so long: that is no fault of its.
                    receiver.stream = connect().await?;
                }
            }
            self.send_requests(&mut receiver.stream).await?;
            let (asked, more) = {
                let asked = self.asked.borrow();
                (asked[0], asked.len() > 1)
            };
            let answer = receiver.answer(self.wanted, asked.chunk, more, owner.is_limited(self)).await?;
            self.asked.borrow_mut().pop_front();
            match answer {
                Ok(buffer) => {
                    let time = now().saturating_sub(asked.since.max(last_answer));
                    last_answer = now();
                    owner.received(self, asked.chunk, buffer, time);
                }
                Err(status) => owner.refused(self, asked.chunk, status),
            }
        }
    }

    /// Sends the requests that are not sent yet, together.
    async fn send_requests(&self, stream: &mut Stream) -> Result<(), NetError> {
        let mut frames = [0u8; 512];
        while self.unsent.get() > 0 {
            let mut used = 0;
            while self.unsent.get() > 0 {
                let chunk = {
                    let asked = self.asked.borrow();
                    asked[asked.len() - self.unsent.get()].chunk
                };
                let request = SendChunkRequest { info_hash: self.wanted.info_hash, index: chunk.get() };
                let message = Message::SendChunkRequest(request);
                let len = message.encoded_len();
                if used + len > frames.len() {
                    break;
                }
                message.encode(&mut &mut frames[used..used + len]);
                used += len;
                self.unsent.set(self.unsent.get() - 1);
            }
            stream.allow(DATA_SILENCE_TIMEOUT);
            stream.write_all(&frames[..used]).await?;
        }
        Ok(())
    }
}

impl Wanted {
    /// Time in which an answer must begin, and then arrive in whole, however slowly.
    fn time_max(&self) -> Duration {
        FRAME_TIMEOUT.max(Duration::from_secs(u64::from(self.geometry.chunk_size()) / CHUNK_RATE_BYTES_S_MIN))
    }
}

/// What the peer takes too long for is silence.
async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, NetError>>) -> Result<T, NetError> {
    deadline(limit, work).await.map_err(|_| NetError::Silent)?
}

impl<O: LinkOwner> Receiver<'_, O> {
    /// Receives the answer to the oldest request: the chunk, or why it does not come. `more` says that a
    /// further answer will follow, so that its head may be read together with this one's end.
    async fn answer(
        &mut self,
        wanted: Wanted,
        chunk: ChunkIndex,
        more: bool,
        is_limited: bool,
    ) -> Result<Result<ChunkBuffer, Status>, NetError> {
        let time_max = wanted.time_max();
        let head = match in_time(time_max, self.head(wanted.geometry.chunk_size())).await? {
            Ok(head) => head,
            Err(status) => return Ok(Err(status)),
        };
        if head.info_hash != wanted.info_hash || head.index != chunk.get() {
            return Err(NetError::Misbehaved("it answered another request than the oldest"));
        }
        let answer = if head.status == Status::Ok {
            let len = wanted.geometry.chunk_len(chunk) as usize;
            if head.data_len as usize != len {
                return Err(NetError::Misbehaved("the chunk has another length"));
            }
            // Waiting for memory is our own affair, not the peer's silence.
            self.stream.allow(IDLE_TIMEOUT);
            let mut buffer = self.memory.chunk(len, is_limited).await;
            self.data(&mut buffer, time_max).await?;
            Ok(buffer)
        } else {
            Err(head.status)
        };
        in_time(time_max, self.end_of_frame(more)).await?;
        Ok(answer)
    }

    /// The head of the next answer, or the status of another message in its place.
    async fn head(&mut self, chunk_size: u32) -> Result<Result<DataHead, Status>, NetError> {
        loop {
            match parse_data(&self.head[..self.head_len], chunk_size)? {
                DataParsed::Head(head) => {
                    self.consume_head(DATA_HEAD_LEN);
                    return Ok(Ok(head));
                }
                DataParsed::Frame { frame, len } => {
                    let status = match Message::decode(frame) {
                        Ok(Message::Response(response)) if response.status != Status::Ok => response.status,
                        _ => return Err(NetError::Misbehaved("that is no answer to a request for a chunk")),
                    };
                    self.consume_head(len);
                    return Ok(Err(status));
                }
                DataParsed::Partial { need } => {
                    if need > self.head.len() {
                        return Err(NetError::Misbehaved("an error answer is too long"));
                    }
                    self.fill_head(need).await?;
                }
            }
        }
    }

    /// The chunk's bytes: what came with the head is copied, the rest is received where it stays, within `time_max`
    /// but for the time that our own rate limit and memory take.
    async fn data(&mut self, buffer: &mut ChunkBuffer, time_max: Duration) -> Result<(), NetError> {
        let (started, throttled, mut without_memory) = (Instant::now(), self.stream.throttled(), Duration::ZERO);
        let (len, mut at) = (buffer.len(), 0);
        while at < len && self.head_len > 0 {
            without_memory += self.grow(buffer, at).await;
            let part = buffer.unfilled(at);
            let copied = part.len().min(self.head_len);
            part[..copied].copy_from_slice(&self.head[..copied]);
            self.consume_head(copied);
            at += copied;
        }
        while at < len {
            without_memory += self.grow(buffer, at).await;
            self.stream.set_receive_low_water(RECEIVE_LOW_WATER_BYTES.min(len - at))?;
            self.stream.allow(DATA_SILENCE_TIMEOUT);
            match self.stream.read_data(buffer.unfilled(at)).await? {
                0 => return Err(NetError::Closed),
                received => {
                    self.owner.arrived(received);
                    at += received;
                }
            }
            if started.elapsed() > time_max + without_memory + (self.stream.throttled() - throttled) {
                return Err(NetError::Silent);
            }
        }
        self.stream.set_receive_low_water(1)?;
        buffer.complete();
        Ok(())
    }

    /// Waits for memory, which is our own affair, not the peer's silence; says how long.
    async fn grow(&mut self, buffer: &mut ChunkBuffer, at: usize) -> Duration {
        let started = Instant::now();
        self.stream.allow(IDLE_TIMEOUT);
        buffer.grow(at).await;
        started.elapsed()
    }

    /// The end of the frame and, if another answer follows, as much of its head as came with it.
    async fn end_of_frame(&mut self, more: bool) -> Result<(), NetError> {
        let wanted = MAGIC_END.len() + if more { DATA_HEAD_LEN } else { 0 };
        while self.head_len < MAGIC_END.len() {
            self.fill_head(wanted).await?;
        }
        if self.head[..MAGIC_END.len()] != MAGIC_END {
            return Err(NetError::Misbehaved("the chunk's frame does not end where it should"));
        }
        self.consume_head(MAGIC_END.len());
        Ok(())
    }

    async fn fill_head(&mut self, need: usize) -> Result<(), NetError> {
        self.stream.allow(DATA_SILENCE_TIMEOUT);
        match self.stream.read(&mut self.head[self.head_len..need]).await? {
            0 => Err(NetError::Closed),
            received => {
                self.head_len += received;
                Ok(())
            }
        }
    }

    fn consume_head(&mut self, len: usize) {
        self.head.copy_within(len..self.head_len, 0);
        self.head_len -= len;
    }
}
