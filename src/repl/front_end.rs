//! The REPL's front end: a terminal or a pipe. Lines, signals and the client's events share one queue.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::screen::Screen;
use super::{pipe, terminal};
use crate::console::exit::CommandResult;
use crate::console::inputs::forward_events;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::{signals, stderr_sink};
use crate::control::{Input, Interpreter, Settings};
use crate::limits::{INPUTS_MAX, PIPE_WAIT_DEFAULT};
use crate::node::Node;

/// Prints that the client is ready once signals are handled, and runs commands until the end of the input, `quit` or a
/// signal. The caller closes the client.
pub(crate) fn run(client: &Node, mut settings: Settings, history: &Path, output: Output) -> CommandResult {
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    let on_signal = sender.clone();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let saved = is_terminal.then(terminal::SavedModes::save);
    let restore = saved.clone();
    signals::watch(
        move |signal| signals::queue(&on_signal, Input::Signal(signal)),
        move || restore.iter().flatten().for_each(terminal::SavedModes::restore),
    )?;
    output.print(&OutputEvent::Ready {
        listen: client.listen_addr(),
        info_hash: None,
        synced: None,
        metrics: settings.metrics,
    })?;
    let to_queue = sender.clone();
    forward_events(client, move |event| to_queue.send(event.map_or(Input::Closed, Input::Event)).is_ok())?;
    let result = if is_terminal {
        on_terminal(client, settings, history, output, sender, &inputs)
    } else {
        settings.wait = settings.wait.or(Some(PIPE_WAIT_DEFAULT));
        let reader = pipe::start(sender.clone())?;
        reader.read_next();
        Interpreter::new(client, settings, Screen::pipe(output, reader), sender).run(&inputs)
    };
    saved.iter().flatten().for_each(terminal::SavedModes::restore);
    result
}

fn on_terminal(
    client: &Node,
    settings: Settings,
    history: &Path,
    output: Output,
    sender: SyncSender<Input>,
    inputs: &Receiver<Input>,
) -> CommandResult {
    let reader = terminal::start(history, sender.clone())?;
    let printer = reader.printer.clone();
    let redirected = stderr_sink::redirect(move |sentence| printer.print(sentence));
    reader.read_next();
    let result = Interpreter::new(client, settings, Screen::terminal(output, reader), sender).run(inputs);
    drop(redirected);
    result
}
