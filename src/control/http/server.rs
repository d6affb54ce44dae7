//! The listener and its threads.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection;
use super::event_streams::EventStreams;
use super::gate::{Gate, Pass};
use super::response::Response;
use super::site::Site;
use crate::limits::HTTP_STACK_BYTES;
use crate::metrics::{self, Counter};
use crate::net::{ListenError, Listener};

/// Pause after an accept that failed, for lack of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server. It ends when dropped; answers that are being sent are not waited for.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    parts: Arc<Parts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Parts {
    listener: TcpListener,
    site: Site,
    gate: Arc<Gate>,
    streams: EventStreams,
    ends: AtomicBool,
}

impl HttpServer {
    /// Binds the address and serves the site on threads of its own. Port 0 selects a free port.
    pub(crate) fn start(address: SocketAddr, site: Site) -> Result<Self, ListenError> {
        let listener = Listener::bind(address)?;
        let address = listener.address();
        let start = || {
            let parts = Parts {
                listener: listener.into_blocking()?,
                site,
                gate: Arc::default(),
                streams: EventStreams::start()?,
                ends: AtomicBool::new(false),
            };
            let parts = Arc::new(parts);
            let thread = spawn("http", {
                let parts = parts.clone();
                move || accept(&parts)
            })?;
            Ok(Self { address, parts, thread: Some(thread) })
        };
        start().map_err(|error| ListenError::Io(address, error))
    }

    /// The bound address, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.parts.ends.store(true, Ordering::Release);
        // On Linux this wakes the thread that accepts.
        if rustix::net::shutdown(&self.parts.listener, rustix::net::Shutdown::Both).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic of that thread was logged.
            let _ = thread.join();
        }
    }
}

fn accept(parts: &Arc<Parts>) {
    loop {
        let accepted = parts.listener.accept();
        if parts.ends.load(Ordering::Acquire) {
            return;
        }
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                log::warn!("cannot accept an HTTP connection: {error}");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        match parts.gate.admit(peer.ip()) {
            Some(pass) => start_connection(parts, socket, peer, pass),
            None => {
                metrics::add(Counter::HttpRefused, 1);
                log::warn!("refused an HTTP connection from {peer}: too many connections");
                refuse(socket);
            }
        }
    }
}

fn start_connection(parts: &Arc<Parts>, socket: TcpStream, peer: SocketAddr, pass: Pass) {
    let parts = parts.clone();
    let work = move || {
        if let Err(error) = connection::serve(socket, pass, &parts.site, &parts.streams) {
            log::debug!("an HTTP connection from {peer} ended: {error}");
        }
    };
    // The connection is closed with the closure.
    if let Err(error) = spawn("http-connection", work) {
        log::warn!("cannot serve an HTTP connection: {error}");
    }
}

/// Sends a refusal, if the socket takes it at once, and closes.
fn refuse(socket: TcpStream) {
    use io::Write as _;
    let refusal = Response::refusal(503, "too many connections: try again later").into_bytes(false);
    let send = || {
        socket.set_nonblocking(true)?;
        (&socket).write_all(&refusal)?;
        socket.shutdown(Shutdown::Write)
    };
    // The client finds the connection closed then.
    let _ = send();
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).stack_size(HTTP_STACK_BYTES).spawn(work)
}
