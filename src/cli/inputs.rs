//! What a waiting command listens to, in one queue: signals and the client's events.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use super::exit::CommandError;
use super::signals::{self, Signal};
use crate::client::{Client, Event};
use crate::limits::INPUTS_MAX;

/// Something that a waiting command reacts to.
#[derive(Debug)]
pub enum Input {
    /// The user wants the command to end.
    Signal(Signal),
    /// The client did something.
    Event(Event),
}

/// The queue of a waiting command.
#[derive(Debug)]
pub struct Inputs {
    receiver: Receiver<Input>,
    sender: SyncSender<Input>,
}

impl Inputs {
    /// A queue that signals go into from now on.
    pub fn start() -> Result<Self, CommandError> {
        let (sender, receiver) = sync_channel(INPUTS_MAX);
        let to_queue = sender.clone();
        // The queue only goes away when the command is over.
        signals::watch(move |signal| drop(to_queue.send(Input::Signal(signal))), || {})?;
        Ok(Self { receiver, sender })
    }

    /// Lets the client's events go into the queue, too.
    pub fn add_events(&self, client: &Client) -> Result<(), CommandError> {
        let to_queue = self.sender.clone();
        forward_events(client, move |event| to_queue.send(Input::Event(event)).is_ok())
    }

    /// The next input; `None` when `deadline` comes first.
    pub fn next(&self, deadline: Option<Instant>) -> Option<Input> {
        let Some(deadline) = deadline else {
            // `self` holds a sender, so the queue cannot close.
            return self.receiver.recv().ok();
        };
        match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The signal that waits in the queue already, if there is one; other inputs before it are dropped.
    pub fn pending_signal(&self) -> Option<Signal> {
        self.receiver.try_iter().find_map(|input| match input {
            Input::Signal(signal) => Some(signal),
            Input::Event(_) => None,
        })
    }
}

/// Hands the client's events to `take` on a thread of its own until it says `false` or the client ends.
pub fn forward_events(client: &Client, take: impl Fn(Event) -> bool + Send + 'static) -> Result<(), CommandError> {
    let events = client.events();
    let work = move || while events.recv_blocking().is_ok_and(&take) {};
    std::thread::Builder::new()
        .name("events".into())
        .spawn(work)
        .map(drop)
        .map_err(|error| CommandError::failed(format!("cannot start a thread: {error}")))
}
