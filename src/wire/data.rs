//! The head of a SendChunkResponse, parsed and sent apart from its data.
//!
//! The data goes from the socket straight into the buffer that is hashed and written, and to the socket straight from
//! the map of the file. It is never in one buffer with its head.

use bytes::BufMut;

use crate::ids::InfoHash;
use crate::limits::{FRAME_CONTROL_BYTES_MAX, FRAME_DATA_EXTRA_BYTES_MAX};

use super::arguments::{Arguments, SIZE_LEN};
use super::frame::{self, Header, HeaderParsed, Parsed};
use super::message::SEND_CHUNK_RESPONSE;
use super::{Frame, FrameError, Status};

/// The fields before a chunk's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHead {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Index of the requested chunk.
    pub index: u32,
    /// Outcome of the request.
    pub status: Status,
    /// Length of the data that follows, bytes; 0 with an error.
    pub data_len: u32,
}

/// Length of everything in the frame before the data, bytes. The data is followed by [`super::MAGIC_END`].
pub const DATA_HEAD_LEN: usize = PAYLOAD_AT + BEFORE_DATA_LEN;

/// Offset of the payload: magic start, type size, type, payload size.
const PAYLOAD_AT: usize = frame::TYPE_AT + SEND_CHUNK_RESPONSE.len() + 4;
/// Length of info hash, index and status, each with its size.
const FIXED_LEN: usize = (SIZE_LEN + 20) + (SIZE_LEN + 4) + (SIZE_LEN + 1);
/// The same, plus the size of the data.
const BEFORE_DATA_LEN: usize = FIXED_LEN + SIZE_LEN;

const _: () = assert!(DATA_HEAD_LEN == 70 && BEFORE_DATA_LEN <= FRAME_DATA_EXTRA_BYTES_MAX);

/// Content at the start of a data connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataParsed<'a> {
    /// A SendChunkResponse, which always has this form: it used [`DATA_HEAD_LEN`] bytes; `data_len` bytes of data and
    /// [`super::MAGIC_END`] follow.
    Head(DataHead),
    /// Another message, complete.
    Frame {
        /// The frame.
        frame: Frame<'a>,
        /// Length of the frame in the buffer, bytes.
        len: usize,
    },
    /// The start of a head or of another frame, valid so far.
    Partial {
        /// Minimum length, in bytes, up to the data or, for another message, up to the frame's end; always more than
        /// the buffer had. A reader that never reads beyond it never reads data into its buffer.
        need: usize,
    },
}

/// Parses the start of `buf`: the head of a SendChunkResponse with at most `chunk_size_max` bytes of data, or a control
/// frame.
///
/// After an error the connection is closed. A wrong argument of a SendChunkResponse is an error too, because its
/// request can no longer be answered.
pub fn parse_data(buf: &[u8], chunk_size_max: u32) -> Result<DataParsed<'_>, FrameError> {
    match frame::parse_header(buf)? {
        HeaderParsed::Header(header) if header.kind == SEND_CHUNK_RESPONSE.as_bytes() => {
            header.check_payload_size(chunk_size_max as usize + FRAME_DATA_EXTRA_BYTES_MAX)?;
            parse_head(buf, &header, chunk_size_max)
        }
        HeaderParsed::Header(_) => Ok(match frame::parse(buf, FRAME_CONTROL_BYTES_MAX)? {
            Parsed::Frame { frame, len } => DataParsed::Frame { frame, len },
            Parsed::Partial { need } => DataParsed::Partial { need },
        }),
        HeaderParsed::Partial { need } => Ok(DataParsed::Partial { need }),
    }
}

fn parse_head<'a>(buf: &[u8], header: &Header<'_>, chunk_size_max: u32) -> Result<DataParsed<'a>, FrameError> {
    let Some(data_len) = (header.payload_size as usize).checked_sub(BEFORE_DATA_LEN) else {
        return Err(FrameError::Arguments);
    };
    if data_len > chunk_size_max as usize {
        return Err(FrameError::Arguments);
    }
    let Some(arguments) = buf.get(PAYLOAD_AT..DATA_HEAD_LEN) else {
        return Ok(DataParsed::Partial { need: DATA_HEAD_LEN });
    };
    let (fixed, data_size) = arguments.split_at(FIXED_LEN);
    let head = DataHead::from_arguments(Arguments::new(fixed), data_len as u32).ok_or(FrameError::Arguments)?;
    if data_size != head.data_len.to_be_bytes() || (!head.status.is_ok() && head.data_len != 0) {
        return Err(FrameError::Arguments);
    }
    Ok(DataParsed::Head(head))
}

impl DataHead {
    fn from_arguments(mut fixed: Arguments<'_>, data_len: u32) -> Option<Self> {
        Some(Self {
            info_hash: fixed.info_hash().ok()?,
            index: fixed.u32().ok()?,
            status: fixed.status().ok()?,
            data_len,
        })
    }

    /// Writes everything that precedes the data.
    pub fn encode(&self, out: &mut [u8; DATA_HEAD_LEN]) {
        let (header, arguments) = out.split_at_mut(PAYLOAD_AT);
        frame::encode_header(SEND_CHUNK_RESPONSE, BEFORE_DATA_LEN + self.data_len as usize, &mut &mut header[..]);
        let mut arguments = &mut arguments[..];
        arguments.put_u32(20);
        arguments.put_slice(&self.info_hash.0);
        arguments.put_u32(4);
        arguments.put_u32(self.index);
        arguments.put_u32(1);
        arguments.put_u8(self.status as u8);
        arguments.put_u32(self.data_len);
    }
}
