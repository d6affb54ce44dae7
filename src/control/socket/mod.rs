//! `control.sock`: the commands of other programs for a running client, such as those of `mtorrent ctl`.
//!
//! Every client listens on a Unix socket in its data folder. The file has mode 0600, and a connection is refused unless
//! its process has the client's user or is root. The lock of the data folder decides who may create it, so a socket
//! that a dead client left behind is replaced.
//!
//! # The protocol, schema 1
//!
//! A connection carries one command. Each side sends JSON objects, one a line; a reader ignores keys that it does not
//! know. The caller sends one object:
//!
//! | key | value |
//! |---|---|
//! | `schema` | 1 |
//! | `command` | the words of the command, as at the prompt: `["get", "a.mtorrent", "/srv/"]` |
//! | `cwd` | absolute path of the caller's working directory, at which relative names begin |
//! | `home` (optional) | absolute path of the caller's home, which `~` names |
//!
//! The client answers with any number of objects, and a last one:
//!
//! | key | value |
//! |---|---|
//! | `schema` | 1; in the first object only |
//! | `answer` | an object of [`OutputEvent`]; an `error` says why the command failed |
//! | `text` | the same for people |
//! | `exit` | instead of the other two, in the last object: the exit code of the command |
//!
//! `events` answers until the caller closes the connection. A caller that reads too slowly for it misses events and
//! gets a `lost` object with their number in their place; the client never waits for it. After `quit` the connection
//! stays open until the process has ended. If the connection ends without `exit`, so has the client.
//!
//! What is not such an object, is too long or comes too slowly is answered by an `error` with exit code 2, counted, and
//! the connection is closed.
//!
//! [`OutputEvent`]: crate::console::output_event::OutputEvent

mod address;
mod answers;
mod client;
mod connection;
mod protocol;
mod server;

pub(crate) use client::{Answer, ConnectError, Connection};
pub(crate) use server::ControlSocket;
