//! A blocking connection with the wire format, for the helpers that a run starts on its nodes beside the contestants.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mtorrent::limits::FRAME_CONTROL_BYTES_MAX;
use mtorrent::wire::{Message, Parsed, parse};

/// Time limit of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with its received, unread bytes.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Wraps an accepted connection.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Connects to `to`; replies must arrive within `timeout`.
    pub fn connect(to: SocketAddr, timeout: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(timeout))?;
        Self::new(stream)
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Message<'_>) -> Result<()> {
        let mut bytes = Vec::with_capacity(message.encoded_len());
        message.encode(&mut bytes);
        self.send_bytes(&bytes)
    }

    /// Sends some bytes of a message.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next message and returns the result of `read`; `None` if the message is unknown.
    pub fn next<T>(&mut self, read: impl FnOnce(Message<'_>) -> T) -> Result<Option<T>> {
        loop {
            let parsed = parse(&self.received, FRAME_CONTROL_BYTES_MAX);
            if let Parsed::Frame { frame, len } = parsed.map_err(|error| Error::new(ErrorKind::InvalidData, error))? {
                let made = Message::decode(frame).ok().map(read);
                self.received.drain(..len);
                return Ok(made);
            }
            let mut block = [0; 16 << 10];
            match self.stream.read(&mut block)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&block[..count]),
            }
        }
    }
}
