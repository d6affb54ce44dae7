//! The payload of a frame: arguments, each a u32 size and that many bytes.
//!
//! [`Arguments`] reads them, [`Payload`] writes them. A message writes its payload into any [`Sink`]: first into one
//! that counts, because the payload's size precedes it, then into the buffer. Reading neither allocates nor copies.

use bytes::BufMut;

use crate::ids::{Endpoint, InfoHash, Version};

use super::{DecodeError, Status};

/// Length of the size that precedes every argument, bytes.
pub(super) const SIZE_LEN: usize = 4;

/// Reads arguments in order; every method consumes the next one.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Whether the sizes of the arguments add up to the payload's.
    pub(super) fn fill_the_payload(mut self) -> bool {
        while !self.rest.is_empty() {
            if self.bytes().is_err() {
                return false;
            }
        }
        true
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let (size, rest) = self.rest.split_first_chunk().ok_or(MISSING)?;
        let size = u32::from_be_bytes(*size) as usize;
        let (argument, rest) = rest.split_at_checked(size).ok_or(OVERRUN)?;
        self.rest = rest;
        Ok(argument)
    }

    pub(super) fn array<const N: usize>(&mut self, error: DecodeError) -> Result<[u8; N], DecodeError> {
        self.bytes()?.try_into().map_err(|_| error)
    }

    pub(super) fn info_hash(&mut self) -> Result<InfoHash, DecodeError> {
        self.array(DecodeError::BadArguments("the info hash does not have 20 bytes")).map(InfoHash)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array(DecodeError::BadArguments("a u64 argument does not have 8 bytes")).map(u64::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array(DecodeError::BadArguments("a u32 argument does not have 4 bytes")).map(u32::from_be_bytes)
    }

    pub(super) fn id(&mut self) -> Result<[u8; 16], DecodeError> {
        self.array(DecodeError::BadArguments("the id does not have 16 bytes"))
    }

    pub(super) fn status(&mut self) -> Result<Status, DecodeError> {
        let [byte] = self.array(DecodeError::BadArguments("the status does not have 1 byte"))?;
        Status::from_byte(byte).ok_or(DecodeError::BadArguments("the status is unknown"))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::BadArguments("a text is not UTF-8"))
    }

    pub(super) fn endpoint(&mut self) -> Result<Endpoint, DecodeError> {
        Endpoint::from_bytes(self.bytes()?)
            .ok_or(DecodeError::BadArguments("the endpoint does not have 6 or 18 bytes, or its port is 0"))
    }

    /// 16 bytes, or none for no version.
    pub(super) fn version(&mut self) -> Result<Option<Version>, DecodeError> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes =
            bytes.try_into().map_err(|_| DecodeError::BadArguments("the version does not have 16 or 0 bytes"))?;
        Ok(Some(Version::from_bytes(bytes)))
    }

    /// The unread bytes, sizes included.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails if there are more arguments than the message has.
    pub(super) fn end(self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::BadArguments("there are too many arguments")) }
    }
}

const MISSING: DecodeError = DecodeError::BadArguments("an argument is missing");
const OVERRUN: DecodeError = DecodeError::BadArguments("an argument is longer than its payload");

/// A message body that writes arguments.
pub(super) trait Payload {
    /// Writes the arguments in order; every call writes the same ones.
    fn write(&self, sink: &mut impl Sink);

    /// Length of the payload, bytes.
    fn len(&self) -> usize {
        let mut counter = Counter(0);
        self.write(&mut counter);
        counter.0
    }
}

/// Destination of arguments.
pub(super) trait Sink {
    /// Writes bytes unchanged, without a size before them.
    fn raw(&mut self, bytes: &[u8]);

    /// Writes the size of an argument whose bytes follow by [`Sink::raw`].
    fn size(&mut self, size: usize) {
        debug_assert!(u32::try_from(size).is_ok(), "an argument of 4 GiB is over every limit of frames");
        self.raw(&(size as u32).to_be_bytes());
    }

    /// Writes one argument with its size.
    fn bytes(&mut self, argument: &[u8]) {
        self.size(argument.len());
        self.raw(argument);
    }

    fn status(&mut self, status: Status) {
        self.bytes(&[status as u8]);
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn endpoint(&mut self, endpoint: Endpoint) {
        self.bytes(endpoint.to_bytes(&mut [0; 18]));
    }

    fn version(&mut self, version: Option<Version>) {
        match version {
            Some(version) => self.bytes(&version.to_bytes()),
            None => self.bytes(&[]),
        }
    }
}

/// Counts the bytes that would be written.
struct Counter(usize);

impl Sink for Counter {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Writes into a buffer with sufficient room.
pub(super) struct Buffer<'b, B>(pub(super) &'b mut B);

impl<B: BufMut> Sink for Buffer<'_, B> {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}
