//! A connection for plain threads that wait for each answer.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::error::RpcError;
use crate::limits::{CONNECT_TIMEOUT, FRAME_CONTROL_BYTES_MAX};
use crate::net::NetError;
use crate::wire::{self, Message, Parsed};

/// An open connection, with what was received behind the last answer.
pub(crate) struct BlockingConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl BlockingConnection {
    /// Connects to the first address that accepts; each answer must arrive within `patience`.
    pub(crate) fn open(addresses: &[SocketAddr], patience: Duration) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    return Ok(Self { stream, buffer: Vec::new() });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Address of the other side.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// From now on an answer must arrive within `patience`.
    pub(crate) fn wait_up_to(&mut self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Sends a request and passes its answer to `take`.
    pub(crate) fn ask<T>(&mut self, request: &Message<'_>, take: impl FnOnce(Message<'_>) -> T) -> Result<T, RpcError> {
        let mut frame = Vec::with_capacity(request.encoded_len());
        request.encode(&mut frame);
        self.stream.write_all(&frame).map_err(of_io)?;
        loop {
            if let Parsed::Frame { frame, len } = wire::parse(&self.buffer, FRAME_CONTROL_BYTES_MAX)? {
                let answer =
                    Message::decode(frame).map_err(|_| RpcError::Misbehaved("that is no answer of a tracker"))?;
                let taken = take(answer);
                self.buffer.drain(..len);
                return Ok(taken);
            }
            let mut received = [0; 16 << 10];
            match self.stream.read(&mut received) {
                Ok(0) => return Err(NetError::Closed.into()),
                Ok(len) => self.buffer.extend_from_slice(&received[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_io(error)),
            }
        }
    }
}

fn of_io(error: io::Error) -> RpcError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NetError::Silent.into(),
        _ => NetError::Io(error).into(),
    }
}
