//! The streams of server-sent events: all on one thread, which waits for no reader.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::gate::Pass;
use crate::limits::{
    HTTP_STREAM_PENDING_BYTES_MAX, HTTP_STREAM_PING_INTERVAL, HTTP_STREAM_STUCK_TIMEOUT, HTTP_STREAM_TICK,
    HTTP_STREAMS_MAX,
};
use crate::runtime::failure::catch_panic;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// The name that the page listens for: letters only.
    pub name: &'static str,
    /// The data, JSON as a rule; lines are sent as lines.
    pub data: String,
}

/// The origin of a stream's events.
pub(crate) trait EventSource: Send {
    /// The next event, if there is one now. It is called on every tick of the streams' thread
    /// ([`HTTP_STREAM_TICK`]) while the reader keeps up; it must not wait.
    fn next(&mut self) -> Option<ServerEvent>;
}

/// A stream to be served.
pub(super) struct NewStream {
    pub(super) socket: TcpStream,
    pub(super) pass: Pass,
    pub(super) source: Box<dyn EventSource>,
}

/// The thread of the streams. It ends when this is dropped, and the streams with it.
#[derive(Debug)]
pub(super) struct EventStreams {
    new: SyncSender<NewStream>,
    open: Arc<AtomicUsize>,
}

impl EventStreams {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (new, received) = sync_channel(HTTP_STREAMS_MAX);
        let open = Arc::new(AtomicUsize::new(0));
        let counted = open.clone();
        thread::Builder::new().name("http-streams".to_owned()).spawn(move || run(&received, &counted))?;
        Ok(Self { new, open })
    }

    /// Whether no further stream is admitted.
    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= HTTP_STREAMS_MAX
    }

    /// Adds a stream. One too many, of several that arrive at the same time, is closed.
    pub(super) fn add(&self, stream: NewStream) {
        if self.open.fetch_add(1, Ordering::Relaxed) >= HTTP_STREAMS_MAX || self.new.try_send(stream).is_err() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn run(new: &Receiver<NewStream>, open: &AtomicUsize) {
    let mut streams: Vec<Stream> = Vec::new();
    loop {
        let received = if streams.is_empty() {
            new.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            new.recv_timeout(HTTP_STREAM_TICK)
        };
        match received {
            Ok(stream) => match Stream::new(stream) {
                Ok(stream) => streams.push(stream),
                Err(_) => _ = open.fetch_sub(1, Ordering::Relaxed),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        streams.retain_mut(|stream| {
            let goes_on = stream.step(now).is_ok();
            if !goes_on {
                open.fetch_sub(1, Ordering::Relaxed);
            }
            goes_on
        });
    }
}

struct Stream {
    socket: TcpStream,
    source: Box<dyn EventSource>,
    /// Bytes that wait for room in the socket.
    pending: VecDeque<u8>,
    /// Time of the last tick on which the source was asked.
    asked_at: Option<Instant>,
    /// Time at which bytes were sent last, or at which nothing waited.
    moved_at: Instant,
    /// Time of the last event or ping.
    sent_at: Instant,
    _pass: Pass,
}

impl Stream {
    fn new(stream: NewStream) -> io::Result<Self> {
        let NewStream { socket, pass, source } = stream;
        socket.set_nonblocking(true)?;
        // An event is not to wait for the acknowledgement of the one before it.
        socket.set_nodelay(true)?;
        let now = Instant::now();
        Ok(Self { socket, source, pending: VecDeque::new(), asked_at: None, moved_at: now, sent_at: now, _pass: pass })
    }

    /// One tick. An error ends the stream.
    fn step(&mut self, now: Instant) -> io::Result<()> {
        self.check_reader()?;
        // A new stream must not make the others tick faster.
        let is_due = self.asked_at.is_none_or(|asked_at| now.duration_since(asked_at) + TICK_EARLY >= HTTP_STREAM_TICK);
        if is_due && self.pending.is_empty() {
            self.asked_at = Some(now);
            let source = &mut self.source;
            let event = catch_panic(|| source.next());
            let event = event.map_err(|why| {
                log::error!("internal error: a stream of events ended: {why}");
                io::Error::other(why)
            })?;
            self.push(event, now)?;
        }
        self.flush(now)
    }

    fn push(&mut self, event: Option<ServerEvent>, now: Instant) -> io::Result<()> {
        match event {
            Some(event) => self.pending.extend(encode(&event).into_bytes()),
            // A reader that is gone is noticed by writing to it, and proxies close what is silent.
            None if now.duration_since(self.sent_at) >= HTTP_STREAM_PING_INTERVAL => self.pending.extend(b":\n\n"),
            None => return Ok(()),
        }
        self.sent_at = now;
        if self.pending.len() > HTTP_STREAM_PENDING_BYTES_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    fn flush(&mut self, now: Instant) -> io::Result<()> {
        while !self.pending.is_empty() {
            let (bytes, _) = self.pending.as_slices();
            match self.socket.write(bytes) {
                Ok(count) => {
                    self.pending.drain(..count);
                    self.moved_at = now;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let is_stuck = now.duration_since(self.moved_at) >= HTTP_STREAM_STUCK_TIMEOUT;
                    return if is_stuck { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) };
                }
                Err(error) => return Err(error),
            }
        }
        self.moved_at = now;
        Ok(())
    }

    /// Fails if the reader has closed its end. What it sends is dropped, a bounded part on every tick.
    fn check_reader(&mut self) -> io::Result<()> {
        match self.socket.read(&mut [0; 1024]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A tick that is early by less than this is on time.
const TICK_EARLY: Duration = Duration::from_millis(20);

fn encode(event: &ServerEvent) -> String {
    let mut text = format!("event: {}\n", event.name);
    // A carriage return ends a line too, so it must not stand in one.
    for line in event.data.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cannot_forge_another() {
        let event = ServerEvent { name: "status", data: "{}\r\nevent: x\n\ndata: y".to_owned() };
        assert_eq!(encode(&event), "event: status\ndata: {}\ndata: \ndata: event: x\ndata: \ndata: data: y\n\n");
    }
}
