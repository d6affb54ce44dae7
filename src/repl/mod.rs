//! The commands of a running client, typed on a terminal or piped in.
//!
//! [`command`] reads a line (pure), [`session`] does what it says and keeps the books, [`screen`] knows
//! who owns the terminal, and [`terminal`] and [`pipe`] bring the lines, each on a thread of its own.
//! Lines, the client's events, finished hashing and signals meet in one bounded queue that the session
//! reads, so that a command never waits for another and the session needs no lock.
//!
//! It must never speak the protocol or touch a core: it asks [`crate::node`].

pub mod command;
pub mod downloads_table;
pub mod interpreter;
pub mod pipe;
pub mod screen;
pub mod terminal;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::console::create_torrent::Created;
use crate::console::exit::{CommandError, CommandResult};
use crate::console::inputs::forward_events;
use crate::console::output;
use crate::console::output::Output;
use crate::console::signals;
use crate::console::signals::Signal;
use crate::limits::{INPUTS_MAX, PIPE_WAIT_DEFAULT};
use crate::node::{Event, Node};

use interpreter::Session;
use screen::Screen;

/// Something that the session reacts to.
#[derive(Debug)]
pub enum Input {
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
        /// Which `share` it was, counted by the session.
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

/// What the session needs to know of the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Trackers for new `.mtorrent` files.
    pub trackers: Vec<String>,
    /// Threads that hash.
    pub threads: usize,
    /// How long a download waits for trackers and seeders; `None` leaves it to the kind of input.
    pub wait: Option<Duration>,
    /// Where the history of lines is kept.
    pub history: PathBuf,
}

/// Says that the client is ready, once signals are handled, and runs the commands until the input ends, `quit` or a
/// signal. The caller closes the client.
pub fn run(client: &Node, mut settings: Settings, output: Output) -> CommandResult {
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    let on_signal = sender.clone();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let saved = is_terminal.then(terminal::SavedModes::save);
    let restore = saved.clone();
    signals::watch(
        move |signal| signals::queue(&on_signal, Input::Signal(signal)),
        move || restore.iter().flatten().for_each(terminal::SavedModes::restore),
    )?;
    output.ready(client.listen_addr(), None, None)?;
    let to_queue = sender.clone();
    forward_events(client, move |event| to_queue.send(event.map_or(Input::Closed, Input::Event)).is_ok())?;
    let result = if is_terminal {
        on_terminal(client, settings, output, sender, &inputs)
    } else {
        settings.wait = settings.wait.or(Some(PIPE_WAIT_DEFAULT));
        pipe::start(sender.clone())?;
        Session::new(client, settings, Screen::pipe(output), sender).run(&inputs, || {})
    };
    saved.iter().flatten().for_each(terminal::SavedModes::restore);
    result
}

fn on_terminal(
    client: &Node,
    settings: Settings,
    output: Output,
    sender: SyncSender<Input>,
    inputs: &Receiver<Input>,
) -> CommandResult {
    let reader = terminal::start(&settings.history, sender.clone())?;
    let printer = reader.printer.clone();
    let redirected = output::redirect_talk(move |sentence| printer.print(sentence));
    let screen = Screen::terminal(output, reader.printer.clone());
    let result = Session::new(client, settings, screen, sender).run(inputs, || reader.read_next());
    drop(redirected);
    result
}
