//! One data connection to one peer. Requests go out as they are made, and answers come back in their order. Each answer
//! is received from the socket straight into the buffer that is hashed and written.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_lite::FutureExt;

use super::job::Report;
use super::pipeline::{Origin, Pipeline};
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::InfoHash;
use crate::limits::{
    DATA_COPIED_BYTES_MAX, DATA_SILENCE_TIMEOUT, IDLE_TIMEOUT, RECEIVE_LOW_WATER_BYTES, TURN_WAIT_MAX,
};
use crate::metrics::{self, Counter, PeerClass};
use crate::net::{Net, NetError, Outlet, Stream};
use crate::rpc::RpcError;
use crate::runtime::Signal;
use crate::storage::ChunkBuffer;
use crate::swarm::Choice;
use crate::wire::{
    DATA_HEAD_LEN, DataHead, DataParsed, HaveChunks, Indices, MAGIC_END, Message, SendChunkRequest, Status, parse_data,
};

/// The file that is downloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Geometry of the file.
    pub geometry: Geometry,
}

/// A data connection in its shard.
pub(crate) struct DataConnection {
    /// Slot of the connection, and the source at its other end.
    pub origin: Origin,
    wanted: Wanted,
    /// Unanswered requests, oldest first.
    asked: RefCell<VecDeque<Asked>>,
    /// Frames that wait for the connection to open.
    unsent: RefCell<Vec<u8>>,
    /// The sending side while the peer is connected.
    outlet: RefCell<Option<Outlet>>,
    idle_since: Cell<Option<Instant>>,
    /// Bytes of the current chunk that have arrived.
    arrived_bytes: Cell<Option<u64>>,
    closing: Cell<bool>,
    /// Whether a request could not be sent.
    is_stuck: Cell<bool>,
    wake: Signal,
}

#[derive(Clone)]
struct Asked {
    chunks: Choice,
    is_limited: bool,
}

/// The open connection and the received part of an answer's head.
struct Receiver<'a> {
    connection: &'a DataConnection,
    stream: Stream,
    pipeline: &'a Pipeline,
    head: [u8; DATA_COPIED_BYTES_MAX],
    head_len: usize,
}

impl DataConnection {
    /// A connection that is not open yet.
    pub(crate) fn new(origin: Origin, wanted: Wanted) -> Rc<Self> {
        Rc::new(Self {
            origin,
            wanted,
            asked: RefCell::default(),
            unsent: RefCell::default(),
            outlet: RefCell::default(),
            idle_since: Cell::new(None),
            arrived_bytes: Cell::new(None),
            closing: Cell::new(false),
            is_stuck: Cell::new(false),
            wake: Signal::default(),
        })
    }

    /// Requests one of the chunks, of which there must be at least one. The chunks of a limited peer, slow or not yet
    /// proven, must not take the memory that other peers need.
    pub(crate) fn request(&self, chunks: Choice, is_limited: bool) {
        let indices: Vec<u32> = chunks.iter().map(|chunk| chunk.get()).collect();
        let Some((index, others)) = indices.split_first() else { return };
        self.asked.borrow_mut().push_back(Asked { chunks, is_limited });
        let (info_hash, index, others) = (self.wanted.info_hash, *index, Indices::from(others));
        self.send(&Message::SendChunkRequest(SendChunkRequest { info_hash, index, others }));
        self.wake.notify();
    }

    /// Cancels chunks that come from another source.
    pub(crate) fn cancel(&self, chunks: &[u32]) {
        let (info_hash, indices) = (self.wanted.info_hash, Indices::from(chunks));
        self.send(&Message::HaveChunks(HaveChunks { info_hash, indices }));
    }

    /// Closes the connection soon.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake.notify();
    }

    /// Bytes of the current chunk that have arrived; `None` while no chunk is arriving.
    pub(crate) fn arrived_bytes(&self) -> Option<u64> {
        self.arrived_bytes.get()
    }

    fn send(&self, message: &Message<'_>) {
        let mut frame = Vec::with_capacity(message.encoded_len());
        message.encode(&mut frame);
        let mut outlet = self.outlet.borrow_mut();
        // The peer may have closed a connection that was idle for so long: that is not its fault.
        let is_stale = self.idle_since.take().is_some_and(|since| since.elapsed() > IDLE_TIMEOUT / 2);
        if is_stale {
            *outlet = None;
        }
        match &*outlet {
            None => self.unsent.borrow_mut().extend_from_slice(&frame),
            Some(outlet) => {
                if outlet.send(&frame).is_err() {
                    self.is_stuck.set(true);
                    self.wake.notify();
                }
            }
        }
    }

    /// Connects, and works until the connection is closed or broken. Received chunks go into the pipeline.
    pub(crate) async fn run(&self, net: &Net, pipeline: &Pipeline) -> Result<(), RpcError> {
        // The work is safe to drop: no write to a disk happens here.
        let ended = async {
            self.wake.until(|| (self.closing.get() || self.is_stuck.get()).then_some(())).await;
            if self.closing.get() { Ok(()) } else { Err(NetError::Silent.into()) }
        };
        let result = self.work(net, pipeline).or(ended).await;
        *self.outlet.borrow_mut() = None;
        result
    }

    async fn work(&self, net: &Net, pipeline: &Pipeline) -> Result<(), RpcError> {
        let stream = self.connect(net).await?;
        let head = [0; DATA_COPIED_BYTES_MAX];
        let mut receiver = Receiver { connection: self, stream, pipeline, head, head_len: 0 };
        loop {
            if self.asked.borrow().is_empty() {
                receiver.stream.allow(2 * IDLE_TIMEOUT);
                self.idle_since.set(Some(Instant::now()));
                self.wake.until(|| (!self.asked.borrow().is_empty()).then_some(())).await;
                self.idle_since.set(None);
                if self.outlet.borrow().is_none() {
                    receiver.stream = self.connect(net).await?;
                }
            }
            receiver.answer().await?;
        }
    }

    /// Connects, and sends the frames that waited.
    async fn connect(&self, net: &Net) -> Result<Stream, RpcError> {
        let mut stream = self.origin.source.connect(net).await?;
        loop {
            let unsent = self.unsent.take();
            if unsent.is_empty() {
                *self.outlet.borrow_mut() = Some(stream.outlet());
                return Ok(stream);
            }
            stream.allow(DATA_SILENCE_TIMEOUT);
            stream.write_all(&unsent).await?;
        }
    }

    fn oldest(&self) -> Option<Asked> {
        self.asked.borrow().front().cloned()
    }
}

impl Receiver<'_> {
    /// Receives the answer to the oldest request, and reports it.
    async fn answer(&mut self) -> Result<(), RpcError> {
        let wanted = self.connection.wanted;
        let refused = match self.head(wanted.geometry.chunk_size()).await? {
            Err(status) => status,
            Ok(head) => {
                let asked = self.connection.oldest().ok_or(RpcError::Misbehaved("it sent an unrequested answer"))?;
                let chunk = asked.chunks.iter().copied().find(|chunk| chunk.get() == head.index);
                let chunk = chunk.filter(|_| head.info_hash == wanted.info_hash);
                let chunk = chunk.ok_or(RpcError::Misbehaved("it answered another request than the oldest"))?;
                if head.status.is_ok() {
                    return self.chunk(chunk, head.data_len as usize, asked.is_limited).await;
                }
                self.end_of_frame().await?;
                head.status
            }
        };
        self.connection.asked.borrow_mut().pop_front();
        log::debug!("{} refuses a chunk: {refused}", self.connection.origin.source);
        self.report(Report::Refused { connection: self.connection.origin.connection, status: refused });
        Ok(())
    }

    async fn chunk(&mut self, chunk: ChunkIndex, len: usize, is_limited: bool) -> Result<(), RpcError> {
        if len != self.connection.wanted.geometry.chunk_len(chunk) as usize {
            return Err(RpcError::Misbehaved("the chunk has another length"));
        }
        let origin = &self.connection.origin;
        self.report(Report::AnswerStarted { connection: origin.connection, chunk });
        self.connection.arrived_bytes.set(Some(0));
        // The wait for memory is local, and does not count as the peer's silence.
        self.stream.allow(TURN_WAIT_MAX);
        let mut buffer = self.pipeline.buffer(len, is_limited).await;
        self.data(&mut buffer).await?;
        self.end_of_frame().await?;
        self.connection.arrived_bytes.set(None);
        self.connection.asked.borrow_mut().pop_front();
        self.report(Report::ChunkReceived { connection: origin.connection });
        // The session has written off all later chunks of a connection that it closed.
        if !self.connection.closing.get() {
            self.pipeline.received(chunk, buffer, origin.clone());
        }
        Ok(())
    }

    fn report(&self, report: Report) {
        self.pipeline.job().report(report);
    }

    /// Receives the head of the next answer, or the status of another message in its place. It may take long: the peer
    /// serves others first.
    async fn head(&mut self, chunk_size: u32) -> Result<Result<DataHead, Status>, RpcError> {
        self.stream.allow(TURN_WAIT_MAX);
        loop {
            match parse_data(&self.head[..self.head_len], chunk_size)? {
                DataParsed::Head(head) => {
                    self.consume_head(DATA_HEAD_LEN);
                    return Ok(Ok(head));
                }
                DataParsed::Frame { frame, len } => {
                    let status = match Message::decode(frame) {
                        Ok(Message::Response(response)) if response.status != Status::Ok => response.status,
                        _ => return Err(RpcError::Misbehaved("that is no answer to a request for a chunk")),
                    };
                    self.consume_head(len);
                    return Ok(Err(status));
                }
                DataParsed::Partial { need } => {
                    if need > self.head.len() {
                        return Err(RpcError::Misbehaved("an error answer is too long"));
                    }
                    self.fill_head(need).await?;
                    self.stream.allow(DATA_SILENCE_TIMEOUT);
                }
            }
        }
    }

    /// Receives the chunk's bytes: those that came with the head are copied, the rest is received in place.
    async fn data(&mut self, buffer: &mut ChunkBuffer) -> Result<(), RpcError> {
        let (len, mut at) = (buffer.len(), 0);
        let received_bytes = Counter::received(PeerClass::of(self.stream.peer().ip()));
        while at < len && self.head_len > 0 {
            self.grow(buffer, at).await;
            let part = buffer.unfilled(at);
            let copied = part.len().min(self.head_len);
            part[..copied].copy_from_slice(&self.head[..copied]);
            self.consume_head(copied);
            at += copied;
        }
        metrics::add(received_bytes, at as u64);
        while at < len {
            self.grow(buffer, at).await;
            self.stream.set_receive_low_water(RECEIVE_LOW_WATER_BYTES.min(len - at))?;
            self.stream.allow(DATA_SILENCE_TIMEOUT);
            match self.stream.read_data(buffer.unfilled(at)).await? {
                0 => return Err(NetError::Closed.into()),
                received => {
                    metrics::add(received_bytes, received as u64);
                    self.pipeline.job().progress.arrived_bytes.fetch_add(received as u64, Ordering::Relaxed);
                    at += received;
                    self.connection.arrived_bytes.set(Some(at as u64));
                }
            }
        }
        self.stream.set_receive_low_water(1)?;
        buffer.complete();
        Ok(())
    }

    /// Waits for memory; this wait is local, and does not count as the peer's silence.
    async fn grow(&mut self, buffer: &mut ChunkBuffer, at: usize) {
        self.stream.allow(TURN_WAIT_MAX);
        buffer.grow(at).await;
    }

    /// Receives the end of the frame and, if another answer follows, the part of its head that came with it.
    async fn end_of_frame(&mut self) -> Result<(), RpcError> {
        let more = self.connection.asked.borrow().len() > 1;
        let wanted = MAGIC_END.len() + if more { DATA_HEAD_LEN } else { 0 };
        self.stream.allow(DATA_SILENCE_TIMEOUT);
        while self.head_len < MAGIC_END.len() {
            self.fill_head(wanted).await?;
        }
        if self.head[..MAGIC_END.len()] != MAGIC_END {
            return Err(RpcError::Misbehaved("the chunk's frame does not end where it should"));
        }
        self.consume_head(MAGIC_END.len());
        Ok(())
    }

    async fn fill_head(&mut self, need: usize) -> Result<(), RpcError> {
        match self.stream.read(&mut self.head[self.head_len..need]).await? {
            0 => Err(NetError::Closed.into()),
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
