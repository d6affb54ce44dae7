//! Reads lines from a pipe or a file on a separate thread: no prompt, one command a line. The thread reads a line only
//! on request, so that a command that takes long holds up those behind it.

use std::io::{self, BufRead, Read as _};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::console::exit::CommandError;
use crate::control::{Input, Request};
use crate::limits::REPL_LINE_BYTES_MAX;

/// The thread that reads lines.
#[derive(Debug)]
pub(super) struct Reader {
    asked: SyncSender<()>,
}

impl Reader {
    /// Requests one more line.
    pub(super) fn read_next(&self) {
        // The queue has room, because each line is requested once. A thread that has ended has reported the end.
        let _ = self.asked.try_send(());
    }
}

/// Starts the thread. It ends with the input, or when the receiver is dropped.
pub(super) fn start(to: SyncSender<Input>) -> Result<Reader, CommandError> {
    let (asked, asks) = sync_channel(1);
    let work = move || {
        let mut stdin = io::stdin().lock();
        while asks.recv().is_ok() {
            let line = match next_line(&mut stdin) {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    let _ = to.send(Request::line(Err(format!("cannot read the commands: {error}"))).into());
                    break;
                }
            };
            if to.send(Request::line(line).into()).is_err() {
                return;
            }
        }
        // Sending fails only when the client is closing.
        let _ = to.send(Input::End);
    };
    std::thread::Builder::new().name("lines".into()).spawn(work).map_err(CommandError::no_thread)?;
    Ok(Reader { asked })
}

/// The next line without its line end, or the reason why it is invalid; `None` at the end of the input.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = Vec::new();
    let limit = REPL_LINE_BYTES_MAX as u64 + 1;
    if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > REPL_LINE_BYTES_MAX {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!("a line of more than {REPL_LINE_BYTES_MAX} bytes is not a command"))));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8(line).map_err(|_| "a line is not UTF-8".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_kind() {
        let long = "x".repeat(REPL_LINE_BYTES_MAX);
        let longer = "x".repeat(3 * REPL_LINE_BYTES_MAX);
        let text = [b"one\r\n\n\xff\n", long.as_bytes(), b"\n", longer.as_bytes(), b"\nlast"].concat();
        let mut input = text.as_slice();
        let mut next = || next_line(&mut input).unwrap();
        assert_eq!(next(), Some(Ok("one".into())));
        assert_eq!(next(), Some(Ok(String::new())));
        assert_eq!(next(), Some(Err("a line is not UTF-8".into())));
        assert_eq!(next(), Some(Ok(long)));
        assert!(matches!(next(), Some(Err(why)) if why.contains("not a command")));
        assert_eq!(next(), Some(Ok("last".into())));
        assert_eq!(next(), None);
    }
}
