//! The inputs of the interpreter, which arrive in one queue.

use std::path::PathBuf;

use super::command::{self, Place};
use super::listener::{Listener, Origin};
use crate::console::create_torrent::Created;
use crate::console::exit::CommandError;
use crate::console::signals::Signal;
use crate::node::Event;

/// A command that was not parsed yet.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who asks.
    pub origin: Origin,
    /// The words of the command, or the reason why there are none.
    pub words: Result<Vec<String>, String>,
    /// Where relative paths and `~` begin.
    pub place: Place,
}

impl Request {
    /// The request of a line of this process, or of the reason why it could not be read.
    pub(crate) fn line(line: Result<String, String>) -> Self {
        let words = line.and_then(|line| command::split(&line).map_err(|error| error.to_string()));
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { origin: Origin::FRONT_END, words, place: Place { cwd: None, home } }
    }
}

impl From<Request> for Input {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

/// An input of the interpreter.
#[derive(Debug)]
pub(crate) enum Input {
    /// A new origin, before its first command.
    Connected(Origin, Box<dyn Listener + Send>),
    /// A command.
    Request(Request),
    /// The end of an origin: nobody waits for its answers any more.
    Gone(Origin),
    /// The end of the front end's commands.
    End,
    /// An event of the client.
    Event(Event),
    /// The client ended without a request.
    Closed,
    /// The end of the hashing for a `share`.
    Hashed {
        /// Number of the `share`, counted by the hashing queue.
        id: u64,
        /// Who gave the command.
        origin: Origin,
        /// FILE of the command.
        file: PathBuf,
        /// NAME.mtorrent of the command.
        metainfo_path: PathBuf,
        /// The result of the hashing.
        result: Box<Result<Created, CommandError>>,
    },
    /// A signal that asks the client to end.
    Signal(Signal),
}
