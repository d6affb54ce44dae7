//! What trackers say of this machine: how its clock compares with theirs, and whether they can connect to its port.
//! Nothing is judged here.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ids::Endpoint;
use crate::limits::{
    REACH_ARRIVAL_MAX, REACH_ATTEMPTS_MAX, REACH_CONNECT_TIMEOUT, REACH_TEST_INTERVAL, TRACKER_TIMEOUT,
};
use crate::net::{ListenError, Listener};
use crate::rpc::{BlockingConnection, RpcError};
use crate::text;
use crate::tracker::status_rows;
use crate::wire::{Cursor, Message, Status, StatusPage};

/// Pause between two looks for the connection of a test.
const ARRIVAL_POLL: Duration = Duration::from_millis(10);

/// The answers of all trackers.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub port: Port,
    pub trackers: Vec<Answer>,
}

/// The port that trackers are to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// The doctor listens there.
    Free(SocketAddr),
    /// Another program listens there, perhaps a client.
    Taken(SocketAddr),
    /// No program can listen there, for this reason.
    Unusable(String),
}

/// The answers of one tracker.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// `HOST:PORT`.
    pub tracker: String,
    /// What it said, or why it said nothing.
    pub told: Result<Told, String>,
}

/// What a tracker said.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Whether it was asked over loopback.
    pub over_loopback: bool,
    pub clock: Clock,
    /// `None` if there is no port to test.
    pub reach: Option<Reach>,
}

/// A comparison of clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// This machine's clock is this much ahead of the tracker's, give or take half of a round trip, milliseconds.
    Ahead { ahead_ms: i64, round_trip_ms: u64 },
    /// The tracker is older than the question.
    Older,
    /// It did not say, for this reason.
    Unknown(String),
}

/// The outcome of a tracker's connection to the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It was accepted, in the tracker's words.
    Accepted(String),
    /// It was accepted by something else than the port of this machine.
    AcceptedElsewhere(String),
    /// It failed, for this reason.
    Failed(String),
    /// The tracker may not make it for this machine, for this reason.
    Denied(String),
    /// The tracker is older than the question.
    Older,
    /// The tracker did not make it, for this reason.
    Unknown(String),
}

impl Answers {
    /// Asks all trackers, one after the other, about the port of `listen`.
    pub(super) fn gather(trackers: &[String], listen: SocketAddr) -> Self {
        let (port, listener) = match bind(listen) {
            Ok((address, listener)) => (Port::Free(address), Some(listener)),
            Err(ListenError::InUse(address)) => (Port::Taken(address), None),
            Err(error) => (Port::Unusable(error.to_string()), None),
        };
        let endpoint = match &port {
            Port::Free(address) | Port::Taken(address) => Endpoint::from_socket(*address),
            Port::Unusable(_) => None,
        };
        let ask =
            |tracker: &String| Answer { tracker: tracker.clone(), told: ask(tracker, endpoint, listener.as_ref()) };
        Self { port, trackers: trackers.iter().map(ask).collect() }
    }
}

fn bind(listen: SocketAddr) -> Result<(SocketAddr, TcpListener), ListenError> {
    let listener = Listener::bind(listen)?;
    let address = listener.address();
    let polled = || {
        let listener = listener.into_blocking()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    polled().map(|listener| (address, listener)).map_err(|error| ListenError::Io(address, error))
}

fn ask(tracker: &str, endpoint: Option<Endpoint>, listener: Option<&TcpListener>) -> Result<Told, String> {
    let addresses: Vec<_> = tracker.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    let opened = BlockingConnection::open(&addresses, TRACKER_TIMEOUT);
    let mut connection = opened.map_err(|error| error.to_string())?;
    let over_loopback = connection.peer().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    let clock = clock(&mut connection).map_err(|error| error.to_string())?;
    let reach = endpoint.map(|endpoint| reach(&mut connection, endpoint, listener));
    Ok(Told { over_loopback, clock, reach })
}

/// Asks for a status page, for the tracker's clock in it.
fn clock(connection: &mut BlockingConnection) -> Result<Clock, RpcError> {
    let mut attempts = 1..=REACH_ATTEMPTS_MAX;
    loop {
        let (begun, begun_ms) = (Instant::now(), wall_ms());
        let said = connection.ask(&Message::StatusRequest(Cursor::default()), said_of_the_clock)?;
        let round_trip_ms = begun.elapsed().as_millis() as u64;
        let busy = match said {
            Ok(Some(theirs_ms)) => {
                // The tracker read its clock in the middle of the round trip, as well as can be known.
                let ahead_ms = (begun_ms + round_trip_ms / 2).wrapping_sub(theirs_ms) as i64;
                return Ok(Clock::Ahead { ahead_ms, round_trip_ms });
            }
            Ok(None) | Err((Status::UnknownType, _)) => return Ok(Clock::Older),
            Err((Status::Busy, text)) => text,
            Err((_, text)) => return Ok(Clock::Unknown(text)),
        };
        if attempts.next() == Some(REACH_ATTEMPTS_MAX) {
            return Ok(Clock::Unknown(busy));
        }
        thread::sleep(REACH_TEST_INTERVAL);
    }
}

/// The tracker's time in a first status page, milliseconds since 1970; else the status and why.
fn said_of_the_clock(answer: Message<'_>) -> Result<Option<u64>, (Status, String)> {
    match answer {
        Message::StatusResponse(StatusPage { status: Status::Ok, json, .. }) => {
            let page = serde_json::from_str::<status_rows::StatusPage>(json);
            let page = page.map_err(|error| (Status::BadRequest, format!("its answer cannot be read: {error}")))?;
            Ok(page.tracker.and_then(|tracker| tracker.time_ms))
        }
        Message::StatusResponse(StatusPage { status, .. }) => Err((status, status.to_string())),
        other => Err(said(other)),
    }
}

/// Has the tracker connect to the endpoint.
fn reach(connection: &mut BlockingConnection, endpoint: Endpoint, listener: Option<&TcpListener>) -> Reach {
    if let Err(error) = connection.wait_up_to(REACH_CONNECT_TIMEOUT + TRACKER_TIMEOUT) {
        return Reach::Unknown(error.to_string());
    }
    let mut attempts = 1..=REACH_ATTEMPTS_MAX;
    loop {
        while listener.is_some_and(|listener| listener.accept().is_ok()) {}
        let (status, text) = match connection.ask(&Message::ReachRequest(endpoint), said) {
            Ok(said) => said,
            Err(error) => return Reach::Unknown(error.to_string()),
        };
        match status {
            Status::Ok if listener.is_none_or(has_arrived) => return Reach::Accepted(text),
            Status::Ok => return Reach::AcceptedElsewhere(text),
            Status::NotFound => return Reach::Failed(text),
            Status::NotAllowed => return Reach::Denied(text),
            Status::UnknownType => return Reach::Older,
            Status::Busy | Status::OverLimit if attempts.next() != Some(REACH_ATTEMPTS_MAX) => {
                thread::sleep(REACH_TEST_INTERVAL);
            }
            _ => return Reach::Unknown(text),
        }
    }
}

fn said(answer: Message<'_>) -> (Status, String) {
    match answer {
        Message::Response(response) if response.text.is_empty() => (response.status, response.status.to_string()),
        Message::Response(response) => (response.status, text::plain(response.text)),
        other => (Status::BadRequest, format!("it answered by {}", other.kind())),
    }
}

/// Whether a connection has come, or comes in a moment.
fn has_arrived(listener: &TcpListener) -> bool {
    let start = Instant::now();
    loop {
        if listener.accept().is_ok() {
            return true;
        }
        if start.elapsed() > REACH_ARRIVAL_MAX {
            return false;
        }
        thread::sleep(ARRIVAL_POLL);
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
