//! The inputs of the interpreter, which arrive in one queue.

use std::path::PathBuf;

use crate::console::create_torrent::Created;
use crate::console::exit::CommandError;
use crate::console::signals::Signal;
use crate::node::Event;

/// An input of the interpreter.
#[derive(Debug)]
pub(super) enum Input {
    /// A line, or the reason why it could not be read.
    Line(Result<String, String>),
    /// The end of the lines.
    End,
    /// An event of the client.
    Event(Event),
    /// The client ended without a request.
    Closed,
    /// The end of the hashing for a `share`.
    Hashed {
        /// Number of the `share`, counted by the hashing queue.
        id: u64,
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
