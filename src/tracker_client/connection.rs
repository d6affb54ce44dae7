//! A connection to one tracker.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::answer::Answer;
use crate::ids::Endpoint;
use crate::limits::{FRAME_CONTROL_BYTES_MAX, TRACKER_TIMEOUT};
use crate::net::{Family, Net, NetError, Stream, resolve};
use crate::rpc::{self, FrameReader, RpcError};
use crate::runtime::deadline;
use crate::text;
use crate::wire::Message;

/// An open connection, with the received part of the next answer.
pub(super) struct Connection {
    stream: Stream,
    frames: FrameReader,
    net: Net,
}

/// The reason why a tracker gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The tracker's name cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] resolve::ResolveError),
    /// The tracker has no address of the required family.
    #[error("it has no {0} address")]
    NoAddress(Family),
    /// The connection cannot be opened, or it broke.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The tracker answered that it cannot serve the request now.
    #[error("{} {}", .0.1.status(), .0.1.text())]
    Unwell(Box<(Connection, Answer)>),
    /// The tracker knows no seeder of the file.
    #[error("it knows no seeder")]
    NoSeeder,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// The addresses of `name`, of one family if that is given.
    pub(super) async fn resolve(name: &str, family: Option<Family>) -> Result<Vec<SocketAddr>, ConnectionError> {
        let mut addresses = resolve::resolve(name).await?;
        if let Some(family) = family {
            addresses.retain(|address| Family::of(address.ip()) == family);
            if addresses.is_empty() {
                return Err(ConnectionError::NoAddress(family));
            }
        }
        Ok(addresses)
    }

    /// Connects to the first of the addresses that answers.
    pub(super) async fn open(net: &Net, addresses: Vec<SocketAddr>) -> Result<Self, ConnectionError> {
        let open = async {
            let mut failed = NetError::Closed;
            // The timeout is divided among the addresses, so that a silent one leaves time for the others.
            let limit = TRACKER_TIMEOUT / addresses.len().max(1) as u32;
            for address in addresses {
                match net.connect(address, limit).await {
                    Ok(stream) => {
                        return Ok(Self {
                            stream,
                            frames: FrameReader::new(net, FRAME_CONTROL_BYTES_MAX),
                            net: net.clone(),
                        });
                    }
                    Err(error) => failed = error,
                }
            }
            Err(RpcError::from(failed).into())
        };
        deadline(TRACKER_TIMEOUT, open).await.unwrap_or(Err(RpcError::from(NetError::Silent).into()))
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn request(&mut self, message: &Message<'_>) -> Result<Answer, RpcError> {
        let answer = async {
            rpc::send(&mut self.stream, message, self.net.buffers()).await?;
            let frame = self.frames.next(&mut self.stream).await?.ok_or(NetError::Closed)?;
            match Message::decode(frame) {
                Ok(Message::SeederInfoResponse(info)) => Ok(Answer::Seeders {
                    status: info.status,
                    endpoints: info.endpoints.iter().collect::<Vec<Endpoint>>(),
                }),
                Ok(Message::Response(response)) => Ok(Answer::Response {
                    status: response.status,
                    // The text is printed for the user, so control characters are removed.
                    text: text::plain(response.text),
                    version: response.version,
                }),
                _ => Err(RpcError::Misbehaved("that is not an answer of a tracker")),
            }
        };
        deadline(TRACKER_TIMEOUT, answer).await.unwrap_or(Err(NetError::Silent.into()))
    }

    /// Returns whether the tracker is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.address().is_loopback()
    }

    /// Returns the tracker's IP address.
    pub(super) fn address(&self) -> IpAddr {
        self.stream.peer().ip().to_canonical()
    }

    /// Returns the round trip as the kernel measured it, if it has.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.stream.rtt()
    }

    /// Waits until the tracker closes the connection or sends an unrequested message.
    pub(super) async fn closed(&mut self) {
        // In both cases the connection is unusable.
        let _ = self.frames.fill(&mut self.stream).await;
    }
}
