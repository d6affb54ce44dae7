//! Accepts the connections of other programs on `control.sock`.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use super::address::SocketPath;
use super::connection::{self, CommandConnection};
use crate::console::exit::{CommandError, Exit};
use crate::control::Input;
use crate::control::listener::Origin;
use crate::limits::{CONTROL_CLOSE_PATIENCE, CONTROL_CONNECTIONS_MAX};

/// The control socket of a running client. Dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: SocketPath,
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: SyncSender<Input>,
    open: AtomicUsize,
    refused: AtomicU64,
    is_closing: AtomicBool,
}

impl ControlSocket {
    /// Listens in the data folder, which this process must have locked. Commands go to `to`.
    pub(crate) fn start(data_dir: &Path, to: SyncSender<Input>) -> io::Result<Self> {
        let path = SocketPath::in_folder(data_dir)?;
        let listener = Arc::new(bind(path.path())?);
        let shared =
            Arc::new(Shared { to, open: AtomicUsize::new(0), refused: AtomicU64::new(0), is_closing: false.into() });
        let (for_thread, accepting) = (shared.clone(), listener.clone());
        std::thread::Builder::new().name("control".into()).spawn(move || for_thread.accept_all(&accepting))?;
        Ok(Self { path, listener, shared })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Nobody may remove the socket of the next client, so it goes before the lock of the data folder.
        let _ = std::fs::remove_file(self.path.path());
        self.shared.is_closing.store(true, Ordering::Relaxed);
        // Ends the wait for a connection.
        let _ = rustix::net::shutdown(&*self.listener, Shutdown::Both);
        let deadline = Instant::now() + CONTROL_CLOSE_PATIENCE;
        while self.shared.open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            std::thread::sleep(CLOSE_POLL);
        }
    }
}

/// Interval at which the end of the connections is awaited.
const CLOSE_POLL: Duration = Duration::from_millis(1);
/// Pause after a connection that could not be accepted, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Binds the socket; one that a dead client left behind is replaced.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file gets the mode that its socket has, so that nobody else may connect at any moment.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

impl Shared {
    fn accept_all(self: Arc<Self>, listener: &UnixListener) {
        for number in 1.. {
            let accepted = listener.accept();
            if self.is_closing.load(Ordering::Relaxed) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.admit(stream, Origin(number)),
                Err(error) => {
                    log::warn!("cannot accept a connection on control.sock: {error}");
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Starts the thread of a connection, unless its process may not give commands.
    fn admit(self: &Arc<Self>, stream: UnixStream, origin: Origin) {
        if let Err(refusal) = self.check(&stream) {
            self.count_refusal(&refusal);
            return connection::refuse(&stream, &refusal);
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let shared = self.clone();
        let work = move || {
            let Self { to, is_closing, .. } = &*shared;
            let served = CommandConnection { stream, origin, to, is_closing, has_begun: false }.serve();
            if let Err(refusal) = served {
                shared.count_refusal(&refusal);
            }
            shared.open.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = std::thread::Builder::new().name("ctl".into()).spawn(work) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            log::warn!("cannot serve a connection on control.sock: no thread: {error}");
        }
    }

    /// Checks whether there is room, and whether the process at the other end has our user or is root.
    fn check(&self, stream: &UnixStream) -> Result<(), CommandError> {
        let peer = rustix::net::sockopt::socket_peercred(stream)
            .map_err(|error| CommandError::failed(format!("cannot tell who you are: {error}")))?;
        let own = rustix::process::geteuid();
        if peer.uid != own && !peer.uid.is_root() {
            let (own, peer) = (own.as_raw(), peer.uid.as_raw());
            let message = format!("this client belongs to user {own}, and you are user {peer}: use that one, or root");
            return Err(CommandError::failed(message));
        }
        if self.open.load(Ordering::Relaxed) >= CONTROL_CONNECTIONS_MAX {
            let message = format!("{CONTROL_CONNECTIONS_MAX} programs are connected to this client: end one of them");
            return Err(CommandError { exit: Exit::Retry, message });
        }
        Ok(())
    }

    fn count_refusal(&self, refusal: &CommandError) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        log::warn!("refused a connection on control.sock ({count} so far): {refusal}");
    }
}
