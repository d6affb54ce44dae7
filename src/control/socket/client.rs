//! The other end: gives one command to a running client.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::address::SocketPath;
use super::protocol::{AnswerLine, CommandLine};
use crate::limits::CONTROL_ANSWER_BYTES_MAX;

/// The reason why a client cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// None is running on the data folder.
    #[error("no client is running on {}: start one by `mtorrent client --daemon --data-dir {}`", .0.display(), .0.display())]
    NoClient(PathBuf),
    /// Another failure.
    #[error("cannot reach the client on {}: {error}", data_dir.display())]
    Io {
        /// The data folder.
        data_dir: PathBuf,
        /// The failure.
        error: io::Error,
    },
}

/// A connection to a running client, for one command.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<UnixStream>);

/// An object from the client.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An answer, as JSON and as text.
    Object(Map<String, Value>, String),
    /// The exit code of the command.
    Exit(u8),
}

impl Connection {
    /// Connects to the client that runs on the data folder.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, ConnectError> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ConnectError::NoClient(data_dir.to_owned()),
            _ => ConnectError::Io { data_dir: data_dir.to_owned(), error },
        };
        let path = SocketPath::in_folder(data_dir).map_err(failed)?;
        UnixStream::connect(path.path()).map(BufReader::new).map(Self).map_err(failed)
    }

    /// Sends the command.
    pub(crate) fn send(&mut self, command: Vec<String>, cwd: PathBuf, home: Option<PathBuf>) -> io::Result<()> {
        let line = serde_json::to_string(&CommandLine::new(command, cwd, home))?;
        self.0.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    /// Waits for the next object; `None` if the client has ended.
    pub(crate) fn next(&mut self) -> io::Result<Option<Answer>> {
        loop {
            let mut line = Vec::new();
            match self.0.by_ref().take(CONTROL_ANSWER_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => {}
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
            let AnswerLine { schema, answer, text, exit } = serde_json::from_slice(&line)?;
            match (answer, exit) {
                (Some(mut object), _) => {
                    if let Some(schema) = schema {
                        object.insert("schema".into(), schema.into());
                    }
                    return Ok(Some(Answer::Object(object, text)));
                }
                (None, Some(exit)) => return Ok(Some(Answer::Exit(exit))),
                // An object of a later version.
                (None, None) => {}
            }
        }
    }
}
