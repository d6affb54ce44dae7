//! Reads lines from a terminal: editing, history, completion, and a printer that keeps the prompt intact.
//!
//! The editor runs on a separate thread and reads a line only on request, so that the answer to the last line is
//! printed before the next prompt. The printer runs on another thread, because the editor accepts text only while it
//! reads a line.

use std::borrow::Cow;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use super::completion::{self, Candidate, Known};
use crate::console::exit::CommandError;
use crate::control::{Input, Request};
use crate::limits::{HISTORY_LINES_MAX, PRINTS_QUEUED_MAX};
use crate::node::NodeObserver;

const PROMPT: &str = "mtorrent> ";
/// Mode of the history file: lines may name what others must not know.
const HISTORY_MODE: u32 = 0o600;

/// The thread that reads lines.
#[derive(Debug)]
pub(super) struct Reader {
    /// Printer for text above the prompt.
    pub printer: Printer,
    asked: SyncSender<()>,
}

impl Reader {
    /// Requests one more line.
    pub(super) fn read_next(&self) {
        // The queue has room, because each line is requested once. A thread that has ended has reported the reason.
        let _ = self.asked.try_send(());
    }
}

/// Prints lines above the prompt, in order.
#[derive(Clone, Debug)]
pub(super) struct Printer(SyncSender<String>);

impl Printer {
    /// Prints one text. If too many texts are queued it is dropped, because a terminal must not stop the work.
    pub(super) fn print(&self, text: &str) {
        let _ = self.0.try_send(format!("{text}\n"));
    }
}

/// Starts the reader and its printer; the reader sends lines to `to`.
pub(super) fn start(history: &Path, client: NodeObserver, to: SyncSender<Input>) -> Result<Reader, CommandError> {
    let mut editor = editor(history, client).map_err(|error| no_terminal(&error))?;
    let external = editor.create_external_printer().map_err(|error| no_terminal(&error))?;
    let (print, prints) = sync_channel(PRINTS_QUEUED_MAX);
    let (asked, asks) = sync_channel(1);
    let history = history.to_owned();
    spawn("printer", move || print_all(external, &prints))?;
    spawn("lines", move || read_all(editor, &history, &asks, &to))?;
    Ok(Reader { printer: Printer(print), asked })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CommandError> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop).map_err(CommandError::no_thread)
}

fn no_terminal(error: &ReadlineError) -> CommandError {
    CommandError::failed(format!("cannot use the terminal: {error}; pipe the commands in instead"))
}

fn editor(history: &Path, client: NodeObserver) -> rustyline::Result<Editor<Completion, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Completion(client)));
    if let Err(error) = load(&mut editor, history) {
        log::warn!("cannot keep the history in {}: {error}", history.display());
    }
    Ok(editor)
}

/// Loads the history from its file, which only its owner may read, and cuts the file to the lines that are kept.
fn load(editor: &mut Editor<Completion, FileHistory>, history: &Path) -> rustyline::Result<()> {
    let file = OpenOptions::new().create(true).append(true).mode(HISTORY_MODE).open(history)?;
    file.set_permissions(Permissions::from_mode(HISTORY_MODE))?;
    if file.metadata()?.len() > 0 {
        editor.load_history(history)?;
        editor.save_history(history)?;
    }
    Ok(())
}

fn print_all(mut external: impl ExternalPrinter, prints: &Receiver<String>) {
    while let Ok(text) = prints.recv() {
        if external.print(text).is_err() {
            return;
        }
    }
}

fn read_all(mut editor: Editor<Completion, FileHistory>, history: &Path, asks: &Receiver<()>, to: &SyncSender<Input>) {
    while asks.recv().is_ok() {
        let input = match read_line(&mut editor) {
            Ok(line) => {
                remember(&mut editor, &line, history);
                Request::line(Ok(line)).into()
            }
            Err(ReadlineError::Eof) => Input::End,
            Err(error) => {
                // A terminal that can no longer be read counts as the end of the input.
                log::warn!("cannot read from the terminal: {error}");
                Input::End
            }
        };
        if to.send(input).is_err() {
            return;
        }
    }
}

/// Reads one line; Ctrl-C clears it.
fn read_line(editor: &mut Editor<Completion, FileHistory>) -> rustyline::Result<String> {
    loop {
        match editor.readline(PROMPT) {
            Err(ReadlineError::Interrupted) => {}
            other => return other,
        }
    }
}

fn remember(editor: &mut Editor<Completion, FileHistory>, line: &str, history: &Path) {
    let kept =
        editor.add_history_entry(line).and_then(|is_new| if is_new { editor.append_history(history) } else { Ok(()) });
    if let Err(error) = kept {
        log::debug!("cannot keep the history {}: {error}", history.display());
    }
}

/// Completes from what the client has at the moment.
struct Completion(NodeObserver);

impl Completion {
    fn known(&self) -> Known {
        let downloads = self.0.downloads().into_iter().map(|status| (status.id, status.state)).collect();
        let shares = self.0.shares().into_iter().map(|share| share.metainfo_path).collect();
        // A client that is too busy to list its trackers completes none.
        let trackers = self.0.trackers().unwrap_or_default().into_iter().map(|tracker| tracker.name).collect();
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Known { downloads, shares, trackers, home }
    }
}

impl Helper for Completion {}
impl Validator for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = completion::complete(&line[..position], &self.known());
        let pair = |candidate: Candidate| Pair { display: candidate.shown, replacement: candidate.replacement };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

/// The terminal's modes before the editor changed them, to restore when the process ends during a read.
#[derive(Clone, Debug)]
pub(super) struct SavedModes(rustix::termios::Termios);

impl SavedModes {
    /// Reads the current modes.
    pub(super) fn save() -> Option<Self> {
        rustix::termios::tcgetattr(std::io::stdin()).ok().map(Self)
    }

    /// Restores the modes.
    pub(super) fn restore(&self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // An error means that the terminal is closed.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        // The editor makes the terminal mark pasted text while it reads a line.
        let _ = std::io::stdout().write_all(b"\x1b[?2004l").and_then(|()| std::io::stdout().flush());
    }
}

/// The path of the history file in a data folder.
pub(super) fn history_path(data_dir: &Path) -> PathBuf {
    data_dir.join("history")
}
