//! Division of a stream of bytes into frames, and encoding of payloads as frames.
//!
//! This module knows nothing of messages. It validates every byte as soon as it arrives: a wrong magic or a size over
//! its limit is an error before the rest has arrived, so a hostile sender occupies no buffer.

use bytes::BufMut;

use crate::ids::InfoHash;
use crate::limits::TYPE_BYTES_MAX;

use super::FrameError;
use super::arguments::{Arguments, Buffer, Payload};

/// First bytes of a frame.
pub const MAGIC_START: [u8; 4] = *b"mTor";
/// Last bytes of a frame.
pub const MAGIC_END: [u8; 4] = *b"roTm";

/// Offset of the type's bytes: after the magic and the type's size.
pub(super) const TYPE_AT: usize = 8;
/// Bytes of a frame beyond its type and its payload: two magics, two sizes.
const AROUND_LEN: usize = 16;

/// A complete frame, borrowed from the buffer into which it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message type: 1 to 32 bytes of printable ASCII.
    pub kind: &'a [u8],
    /// The arguments as received, each preceded by its size.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The first argument, if it has the length of an info hash. Requests to a tracker for a file start with it.
    pub fn leading_info_hash(&self) -> Option<InfoHash> {
        Arguments::new(self.payload).info_hash().ok()
    }
}

/// Content at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A complete frame.
    Frame {
        /// The frame.
        frame: Frame<'a>,
        /// Length of the frame in the buffer, bytes.
        len: usize,
    },
    /// The start of a frame, valid so far.
    Partial {
        /// Minimum length of the frame, bytes: always more than the buffer had, and exact once the payload's size has
        /// arrived. A reader that waits for this many bytes never waits too long.
        need: usize,
    },
}

/// Parses the frame at the start of `buf`, with a payload of at most `payload_max` bytes.
///
/// After an error the connection is closed, because the start of the next frame is unknown.
pub fn parse(buf: &[u8], payload_max: usize) -> Result<Parsed<'_>, FrameError> {
    let header = match parse_header(buf)? {
        HeaderParsed::Header(header) => header,
        HeaderParsed::Partial { need } => return Ok(Parsed::Partial { need }),
    };
    header.check_payload_size(payload_max)?;
    let payload_end = header.payload_at + header.payload_size as usize;
    let len = payload_end + MAGIC_END.len();
    check_magic(buf.get(payload_end..).unwrap_or_default(), MAGIC_END, FrameError::MagicEnd)?;
    if buf.len() < len {
        return Ok(Parsed::Partial { need: len });
    }
    let payload = &buf[header.payload_at..payload_end];
    if !Arguments::new(payload).fill_the_payload() {
        return Err(FrameError::Arguments);
    }
    Ok(Parsed::Frame { frame: Frame { kind: header.kind, payload }, len })
}

/// The fields before a payload.
pub(super) struct Header<'a> {
    pub(super) kind: &'a [u8],
    pub(super) payload_size: u32,
    /// Offset of the payload in the buffer.
    pub(super) payload_at: usize,
}

impl Header<'_> {
    pub(super) fn check_payload_size(&self, max: usize) -> Result<(), FrameError> {
        let size = self.payload_size;
        if size as usize > max { Err(FrameError::PayloadTooLarge { size, max }) } else { Ok(()) }
    }
}

pub(super) enum HeaderParsed<'a> {
    Header(Header<'a>),
    Partial { need: usize },
}

/// Parses everything before the payload; `need` is as in [`Parsed::Partial`].
pub(super) fn parse_header(buf: &[u8]) -> Result<HeaderParsed<'_>, FrameError> {
    check_magic(buf, MAGIC_START, FrameError::MagicStart)?;
    let Some(type_size) = read_u32(buf, MAGIC_START.len()) else {
        return Ok(HeaderParsed::Partial { need: AROUND_LEN + 1 });
    };
    if !(1..=TYPE_BYTES_MAX).contains(&(type_size as usize)) {
        return Err(FrameError::TypeSize(type_size));
    }
    let type_end = TYPE_AT + type_size as usize;
    let kind = &buf[TYPE_AT..type_end.min(buf.len())];
    if !kind.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(FrameError::Type);
    }
    match read_u32(buf, type_end) {
        Some(payload_size) => Ok(HeaderParsed::Header(Header { kind, payload_size, payload_at: type_end + 4 })),
        None => Ok(HeaderParsed::Partial { need: AROUND_LEN + type_size as usize }),
    }
}

/// Compares the bytes of the magic that have arrived.
fn check_magic(buf: &[u8], magic: [u8; 4], error: FrameError) -> Result<(), FrameError> {
    if buf.iter().zip(magic).all(|(byte, expected)| *byte == expected) { Ok(()) } else { Err(error) }
}

fn read_u32(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*buf.get(at..)?.first_chunk()?))
}

/// Length of the frame around `payload`, bytes.
pub(super) fn encoded_len(kind: &str, payload: &impl Payload) -> usize {
    AROUND_LEN + kind.len() + payload.len()
}

/// Writes the frame around `payload`; `out` must have room for [`encoded_len`].
pub(super) fn encode(kind: &str, payload: &impl Payload, out: &mut impl BufMut) {
    encode_header(kind, payload.len(), out);
    payload.write(&mut Buffer(out));
    out.put_slice(&MAGIC_END);
}

/// Writes everything that precedes a payload of `payload_size` bytes.
pub(super) fn encode_header(kind: &str, payload_size: usize, out: &mut impl BufMut) {
    debug_assert!((1..=TYPE_BYTES_MAX).contains(&kind.len()));
    debug_assert!(u32::try_from(payload_size).is_ok(), "a payload of 4 GiB is over every limit of frames");
    out.put_slice(&MAGIC_START);
    out.put_u32(kind.len() as u32);
    out.put_slice(kind.as_bytes());
    out.put_u32(payload_size as u32);
}
