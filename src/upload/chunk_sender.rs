//! Sends chunks on one connection: from this core's memory, else from the page cache by sendfile, else from another
//! core's memory, else from the disk.
//!
//! A frame that was begun and cannot be completed closes the connection: no frame is ever padded.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::context::UploadContext;
use crate::geometry::ChunkIndex;
use crate::limits::{
    IDLE_TIMEOUT, SEND_SILENCE_TIMEOUT, UNSENT_BYTES_MAX, UNSENT_BYTES_MIN, UNSENT_BYTES_START, UNSENT_TIME,
};
use crate::metrics::{self, Counter, PeerClass};
use crate::net::{NetError, SendFileError, Stream};
use crate::runtime::{Blocking, BlockingError};
use crate::storage::Loan;
use crate::torrent::{Content, Torrent};
use crate::wire::{DATA_HEAD_LEN, DataHead, MAGIC_END, Status};

/// The sender of one connection.
pub(crate) struct ChunkSender {
    context: Rc<UploadContext>,
    /// Limit on unsent bytes in the socket; 0 before the first chunk.
    unsent_bytes: u32,
}

impl ChunkSender {
    /// A sender that has sent nothing yet.
    pub(crate) fn new(context: Rc<UploadContext>) -> Self {
        Self { context, unsent_bytes: 0 }
    }

    /// Sends the chunk, or a refusal if it cannot be read any more; returns the bytes of data that were sent.
    pub(crate) async fn send(
        &mut self,
        torrent: &Arc<Torrent>,
        chunk: ChunkIndex,
        stream: &mut Stream,
    ) -> Result<Option<u64>, NetError> {
        let (data_len, began) = (torrent.metainfo.geometry().chunk_len(chunk), Instant::now());
        let head = DataHead { info_hash: torrent.info_hash(), index: chunk.get(), status: Status::Ok, data_len };
        self.bound_unsent(stream, None)?;
        let sent = if let Some(cached) = self.context.memory.cached(&(head.info_hash, chunk)) {
            send_blocks(head, (0..).map_while(|n| cached.block(n)), stream).await.map(Ok)?
        } else {
            self.send_from_elsewhere(head, torrent, chunk, stream).await?
        };
        if let Err(status) = sent {
            return refuse(DataHead { status, data_len: 0, ..head }, stream).await.map(|()| None);
        }
        torrent.count_sent(PeerClass::of(stream.peer().ip()), data_len.into());
        self.bound_unsent(stream, Some(f64::from(data_len) / began.elapsed().as_secs_f64().max(1e-6)))?;
        Ok(Some(data_len.into()))
    }

    /// Bounds the data queued in the socket, because the next chunk, on another connection, waits behind it. The bound
    /// is what the connection sends in some milliseconds at `bytes_s`.
    fn bound_unsent(&mut self, stream: &Stream, bytes_s: Option<f64>) -> Result<(), NetError> {
        let wanted = match bytes_s {
            Some(bytes_s) => (bytes_s * UNSENT_TIME.as_secs_f64()) as u32,
            None if self.unsent_bytes == 0 => UNSENT_BYTES_START,
            None => return Ok(()),
        };
        let wanted = wanted.clamp(UNSENT_BYTES_MIN, UNSENT_BYTES_MAX).next_power_of_two();
        if wanted != std::mem::replace(&mut self.unsent_bytes, wanted) {
            stream.set_unsent_low_water(wanted)?;
        }
        Ok(())
    }

    /// Sends a chunk that is not in this core's memory; the inner error is the status of a refusal.
    async fn send_from_elsewhere(
        &self,
        head: DataHead,
        torrent: &Arc<Torrent>,
        chunk: ChunkIndex,
        stream: &mut Stream,
    ) -> Result<Result<(), Status>, NetError> {
        let Some(content) = &torrent.content else { return Ok(Err(Status::ChunkAbsent)) };
        if !content.is_resident(chunk) {
            if let Some(loan) = self.borrow(torrent, chunk).await {
                return send_blocks(head, loan.blocks(), stream).await.map(Ok);
            }
            stream.allow(IDLE_TIMEOUT);
            if let Err(status) = self.populate(torrent, chunk).await {
                return Ok(Err(status));
            }
        }
        match send_content(head, content, chunk, stream).await {
            Ok(()) => Ok(Ok(())),
            Err(SendFileError::Net(error)) => Err(error),
            Err(SendFileError::File) => {
                let sent = torrent.clone();
                let check = move || sent.content.as_ref().is_some_and(|content| content.is_cut(chunk));
                let is_cut = self.blocking(torrent).run(check).await.unwrap_or(false);
                torrent.cannot_read(chunk, is_cut, &"it failed while it was sent");
                // The head has been sent, so only closing can signal the failure.
                Err(NetError::Closed)
            }
        }
    }

    /// Threads for work on the torrent's file.
    fn blocking(&self, torrent: &Torrent) -> Blocking {
        let (device, inode) = torrent.content.as_ref().map_or((0, 0), Content::device_and_inode);
        self.context.blocking.on_file(device, inode)
    }

    /// Has a blocking thread load the chunk into memory.
    async fn populate(&self, torrent: &Arc<Torrent>, chunk: ChunkIndex) -> Result<(), Status> {
        let cold = torrent.clone();
        // The length is also read there: a mount that hangs must not block the core.
        let populate = move || {
            let Some(content) = &cold.content else { return Ok(()) };
            content.populate(chunk).map_err(|error| (error, content.is_cut(chunk)))
        };
        let began = Instant::now();
        match self.blocking(torrent).run(populate).await {
            Ok(Ok(())) => {
                metrics::add(Counter::DiskReadBytes, torrent.metainfo.geometry().chunk_len(chunk).into());
                metrics::add(Counter::DiskReadNanos, began.elapsed().as_nanos() as u64);
                Ok(())
            }
            Ok(Err((error, _))) if !matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => {
                log::warn!("a chunk could not be loaded: {error}");
                Err(Status::Internal)
            }
            Ok(Err((error, is_cut))) => Err(torrent.cannot_read(chunk, is_cut, &error)),
            Err(BlockingError::Busy) => Err(Status::Busy),
            Err(_) => Err(Status::Internal),
        }
    }

    /// Borrows the chunk from the core that received it, while it is in that core's memory.
    async fn borrow(&self, torrent: &Torrent, chunk: ChunkIndex) -> Option<Loan> {
        let keeper = torrent.keeper(chunk)?;
        if keeper == self.context.core.index || !torrent.is_awaited() {
            return None;
        }
        let (sender, answer) = async_channel::bounded(1);
        (self.context.borrow)(keeper, (torrent.info_hash(), chunk), sender);
        answer.recv().await.ok().flatten()
    }
}

/// Answers a request for a chunk without data.
pub(crate) async fn refuse(head: DataHead, stream: &mut Stream) -> Result<(), NetError> {
    metrics::add(Counter::ChunksRefused, 1);
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    stream.write_all(&MAGIC_END).await
}

async fn send_head(head: DataHead, stream: &mut Stream) -> Result<(), NetError> {
    let mut bytes = [0; DATA_HEAD_LEN];
    head.encode(&mut bytes);
    stream.write_all_more(&bytes).await
}

async fn send_blocks<'a>(
    head: DataHead,
    blocks: impl Iterator<Item = &'a [u8]>,
    stream: &mut Stream,
) -> Result<(), NetError> {
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    for block in blocks {
        stream.allow(SEND_SILENCE_TIMEOUT);
        stream.write_data(block).await?;
    }
    stream.write_all(&MAGIC_END).await
}

async fn send_content(
    head: DataHead,
    content: &Content,
    chunk: ChunkIndex,
    stream: &mut Stream,
) -> Result<(), SendFileError> {
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    content.send(chunk, stream).await?;
    Ok(stream.write_all(&MAGIC_END).await?)
}
