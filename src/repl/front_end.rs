//! The front end of a client: a terminal, a pipe, or none for a daemon. Lines, the commands of other programs, signals and
//! the client's events share one queue.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::screen::Screen;
use super::{pipe, terminal};
use crate::console::exit::CommandResult;
use crate::console::inputs::forward_events;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::service_manager::ServiceManager;
use crate::console::signals::{Ends, Signal};
use crate::console::{signals, stderr_sink};
use crate::control::socket::ControlSocket;
use crate::control::{Input, Interpreter, Settings};
use crate::limits::{INPUTS_MAX, PIPE_WAIT_DEFAULT};
use crate::node::Node;

/// Prints that the client is ready once signals are handled, and runs commands until the end of the input, `quit` or a
/// signal. The caller closes the client.
pub(crate) fn run(client: &Node, mut settings: Settings, output: Output) -> CommandResult {
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    let on_signal = sender.clone();
    let is_terminal = !settings.is_daemon && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let saved = is_terminal.then(terminal::SavedModes::save);
    let restore = saved.clone();
    signals::watch(
        move |signal| {
            signals::queue(&on_signal, Input::Signal(signal));
            // On a terminal, Ctrl-C ends what is typed or waited for.
            if is_terminal && signal == Signal::Interrupt { Ends::Command } else { Ends::Process }
        },
        move || restore.iter().flatten().for_each(terminal::SavedModes::restore),
    )?;
    let control = control_socket(&settings.data_dir, sender.clone());
    output.print(&OutputEvent::Ready {
        listen: client.listen_addr(),
        info_hash: None,
        synced: None,
        metrics: settings.metrics,
    })?;
    if settings.is_daemon {
        signals::work_is_done();
    }
    let service = ServiceManager::ready();
    let to_queue = sender.clone();
    forward_events(client, move |event| to_queue.send(event.map_or(Input::Closed, Input::Event)).is_ok())?;
    let result = if is_terminal {
        on_terminal(client, settings, output, sender, &inputs, &service)
    } else if settings.is_daemon {
        Interpreter::new(client, settings, Screen::daemon(output), sender, &service).run(&inputs)
    } else {
        settings.wait = settings.wait.or(Some(PIPE_WAIT_DEFAULT));
        let reader = pipe::start(sender.clone())?;
        reader.read_next();
        Interpreter::new(client, settings, Screen::pipe(output, reader), sender, &service).run(&inputs)
    };
    saved.iter().flatten().for_each(terminal::SavedModes::restore);
    service.stopping();
    drop(control);
    result
}

/// Takes the commands of other programs. A client without them is better than none, as where the file system has no
/// sockets.
fn control_socket(data_dir: &Path, to: SyncSender<Input>) -> Option<ControlSocket> {
    let started = ControlSocket::start(data_dir, to);
    let failed =
        |error| log::warn!("`mtorrent ctl` does not reach this client: no socket in {}: {error}", data_dir.display());
    started.map_err(failed).ok()
}

fn on_terminal(
    client: &Node,
    settings: Settings,
    output: Output,
    sender: SyncSender<Input>,
    inputs: &Receiver<Input>,
    service: &ServiceManager,
) -> CommandResult {
    let reader = terminal::start(&terminal::history_path(&settings.data_dir), client.observer(), sender.clone())?;
    let printer = reader.printer.clone();
    let redirected = stderr_sink::redirect(move |sentence| printer.print(sentence));
    reader.read_next();
    let result = Interpreter::new(client, settings, Screen::terminal(output, reader), sender, service).run(inputs);
    drop(redirected);
    result
}
