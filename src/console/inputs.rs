//! The input queue of a waiting command, for signals and the client's events.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use super::exit::CommandError;
use super::signals::{self, Ends, Signal, Stop};
use crate::limits::INPUTS_MAX;
use crate::node::{Event, Node};

/// An input of a waiting command.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of them, and each is moved twice")]
pub(crate) enum Input {
    /// A signal that asks the command to end.
    Signal(Signal),
    /// An event of the client.
    Event(Event),
    /// The client ended without a request.
    Closed,
}

/// The queue of a waiting command.
#[derive(Debug)]
pub(crate) struct Inputs {
    receiver: Receiver<Input>,
    sender: SyncSender<Input>,
    stop: Stop,
}

impl Inputs {
    /// Creates the queue, which receives signals from now on.
    pub(crate) fn start() -> Result<Self, CommandError> {
        let (sender, receiver) = sync_channel(INPUTS_MAX);
        let (to_queue, stop) = (sender.clone(), Stop::default());
        let setter = stop.clone();
        let notify = move |signal| {
            setter.set_by(signal);
            signals::queue(&to_queue, Input::Signal(signal));
            Ends::Process
        };
        signals::watch(notify, || {})?;
        Ok(Self { receiver, sender, stop })
    }

    /// The flag that a signal sets, for long work on the thread that reads the queue.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Adds the client's events to the queue.
    pub(crate) fn add_events(&self, client: &Node) -> Result<(), CommandError> {
        let to_queue = self.sender.clone();
        forward_events(client, move |event| to_queue.send(event.map_or(Input::Closed, Input::Event)).is_ok())
    }

    /// The next input; `None` if `deadline` is reached first.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Option<Input> {
        let Some(deadline) = deadline else {
            // `self` holds a sender, so the queue cannot close.
            return self.receiver.recv().ok();
        };
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

/// Calls `take` with each event of the client on a separate thread, and with `None` after the last one. `take` returns
/// whether it accepts further events.
pub(crate) fn forward_events(
    client: &Node,
    take: impl Fn(Option<Event>) -> bool + Send + 'static,
) -> Result<(), CommandError> {
    let events = client.events();
    let work = move || {
        loop {
            let event = events.recv_blocking().ok();
            let is_last = event.is_none();
            if !take(event) || is_last {
                return;
            }
        }
    };
    std::thread::Builder::new().name("events".into()).spawn(work).map(drop).map_err(CommandError::no_thread)
}
