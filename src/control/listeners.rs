//! All listeners of a client: the front end and the connections of other programs.

use std::collections::BTreeMap;

use super::listener::{Listener, Origin};
use crate::console::exit::{CommandError, Exit};
use crate::console::output_event::OutputEvent;

/// What a listener hears beside the answers to its own commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hears {
    /// Nothing else.
    Answers,
    /// What users of a prompt are told.
    News,
    /// All events.
    Events,
    /// All events, and the figures of running downloads once a second.
    Progress,
}

/// The listeners by origin.
pub(super) struct Listeners<'a>(BTreeMap<Origin, (Box<dyn Listener + 'a>, Hears)>);

impl<'a> Listeners<'a> {
    /// Creates the listeners of a client with this front end.
    pub(super) fn new(front_end: Box<dyn Listener + 'a>) -> Self {
        Self(BTreeMap::from([(Origin::FRONT_END, (front_end, Hears::News))]))
    }

    /// Adds the listener of a new origin.
    pub(super) fn add(&mut self, origin: Origin, listener: Box<dyn Listener + 'a>) {
        self.0.insert(origin, (listener, Hears::Answers));
    }

    /// Removes the listener of an origin that is gone.
    pub(super) fn remove(&mut self, origin: Origin) {
        self.0.remove(&origin);
    }

    /// Whether somebody waits for answers at the origin.
    pub(super) fn is_there(&self, origin: Origin) -> bool {
        self.0.contains_key(&origin)
    }

    /// Lets a listener hear more than it does.
    pub(super) fn subscribe(&mut self, origin: Origin, hears: Hears) {
        if let Some((_, known)) = self.0.get_mut(&origin) {
            *known = hears;
        }
    }

    /// Whether any listener hears at least this.
    pub(super) fn any_hears(&self, least: Hears) -> bool {
        self.0.values().any(|(_, hears)| *hears >= least)
    }

    /// Whether the listener hears of the end of every download.
    pub(super) fn hears_news(&self, origin: Origin) -> bool {
        self.0.get(&origin).is_some_and(|(_, hears)| *hears >= Hears::News)
    }

    /// Whether a person types the commands of the origin.
    pub(super) fn is_terminal(&self, origin: Origin) -> bool {
        self.get(origin).is_some_and(Listener::is_terminal)
    }

    /// Whether a command of the origin ends with its work unless the user says otherwise.
    pub(super) fn waits_by_default(&self, origin: Origin) -> bool {
        self.get(origin).is_some_and(Listener::waits_by_default)
    }

    /// Answers the command that is being executed.
    pub(super) fn answer(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.get(origin).map_or(Ok(()), |listener| listener.answer(event))
    }

    /// Answers the command that is being executed; for the others it is an event.
    pub(super) fn answer_and_tell(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.answer(origin, event)?;
        self.tell(Hears::News, Some(origin), event)
    }

    /// Sends a later result of a command to its origin only.
    pub(super) fn result(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.get(origin).map_or(Ok(()), |listener| listener.result(event))
    }

    /// Sends a later result of a command to its origin; for the others it is an event.
    pub(super) fn result_and_tell(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.result(origin, event)?;
        self.tell(Hears::News, Some(origin), event)
    }

    /// Sends an event to all who hear at least `least`.
    pub(super) fn event(&self, least: Hears, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.tell(least, None, event)
    }

    /// Sends an event to all but the origin that has heard it already.
    pub(super) fn tell_others(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.tell(Hears::News, Some(origin), event)
    }

    fn tell(&self, least: Hears, except: Option<Origin>, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        let others = self.0.iter().filter(|(to, (_, hears))| Some(**to) != except && *hears >= least);
        others.map(|(_, (listener, _))| listener).try_for_each(|listener| listener.event(event))
    }

    /// Sends the reason why a command failed to its origin.
    pub(super) fn refuse(&self, origin: Origin, error: &CommandError) {
        if let Some(listener) = self.get(origin) {
            listener.refuse(error);
        }
    }

    /// Ends the command of the origin, which may give the next one.
    pub(super) fn end(&self, origin: Origin, exit: Exit) {
        if let Some(listener) = self.get(origin) {
            listener.end(exit);
        }
    }

    /// Ends the commands of all other programs that hear events.
    pub(super) fn end_streams(&self) {
        let streams = self.0.values().filter(|(_, hears)| *hears >= Hears::Events);
        streams.for_each(|(listener, _)| listener.end(Exit::Done));
    }

    fn get(&self, origin: Origin) -> Option<&(dyn Listener + 'a)> {
        self.0.get(&origin).map(|(listener, _)| &**listener)
    }
}
