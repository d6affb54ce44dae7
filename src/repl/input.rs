//! What the interpreter reacts to, from one queue.

use std::path::PathBuf;

use crate::console::create_torrent::Created;
use crate::console::exit::CommandError;
use crate::console::signals::Signal;
use crate::node::Event;

/// Something that the interpreter reacts to.
#[derive(Debug)]
pub(super) enum Input {
    /// A line, or why it could not be read.
    Line(Result<String, String>),
    /// There are no more lines.
    End,
    /// The client did something.
    Event(Event),
    /// The client ended, although nobody asked it to.
    Closed,
    /// The hashing of a `share` is over.
    Hashed {
        /// Which `share` it was, counted by the interpreter.
        id: u64,
        /// FILE of the command.
        file: PathBuf,
        /// NAME.mtorrent of the command.
        metainfo_path: PathBuf,
        /// What came of it.
        result: Box<Result<Created, CommandError>>,
    },
    /// The user wants the client to end.
    Signal(Signal),
}
