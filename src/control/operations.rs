//! Changes of running work: pause, resume, cancel and move.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::{self, Change, Target, Which};
use super::listener::Origin;
use super::listeners::Listeners;
use crate::console::download_text;
use crate::console::exit::{CommandError, Exit};
use crate::console::file_errors;
use crate::console::output_event::OutputEvent;
use crate::node::{DownloadId, Event, MoveTarget, Moving, Node, NodeError};

/// Changes each of the downloads; the first refusal is returned once the others are changed.
pub(super) fn change(
    client: &Node,
    change: Change,
    which: &Which,
    answer: impl FnOnce(&OutputEvent<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let ids = match which {
        Which::Ids(ids) => ids.clone(),
        Which::All => unfinished(client),
    };
    let (mut changed, mut refusal) = (Vec::new(), None);
    for id in ids {
        let done = match change {
            Change::Pause => client.pause(id),
            Change::Resume => client.resume(id),
            Change::Cancel => client.cancel(id),
        };
        match done {
            Ok(()) => changed.push(id),
            Err(error) => _ = refusal.get_or_insert(error),
        }
    }
    let ids = &changed;
    let event = match change {
        Change::Pause => OutputEvent::Paused { ids },
        Change::Resume => OutputEvent::Resumed { ids },
        Change::Cancel => OutputEvent::Cancelled { ids },
    };
    if refusal.is_none() || !ids.is_empty() {
        answer(&event)?;
    }
    refusal.map_or(Ok(()), |error: NodeError| Err(error.into()))
}

fn unfinished(client: &Node) -> Vec<DownloadId> {
    let all = client.downloads();
    all.iter().filter(|status| !download_text::is_over(&status.state)).map(|status| status.id).collect()
}

/// The moves that have not ended, by the old path, with their origins.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// With each origin: whether its command ends with the move.
    open: BTreeMap<PathBuf, (Origin, bool)>,
}

impl Moves {
    /// Starts a move.
    pub(super) fn start(
        &mut self,
        client: &Node,
        (origin, waits): (Origin, bool),
        target: &Target,
        to: &Path,
    ) -> Result<Moving, CommandError> {
        let target = match target {
            Target::Id(id) => MoveTarget::Download(*id),
            Target::Name(name) if command::is_bare(name) => MoveTarget::Share(name.clone()),
            Target::Name(name) => MoveTarget::Share(absolute(name)?),
        };
        let moving = client.move_to(&target, &absolute(to)?)?;
        self.open.insert(moving.from.clone(), (origin, waits));
        Ok(moving)
    }

    /// Whether no move is running.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Reports the end of a move to its origin, and as an event to the others; returns whether it failed for the front
    /// end.
    pub(super) fn ended(&mut self, event: &Event, listeners: &Listeners<'_>) -> Result<bool, CommandError> {
        let (Event::Moved { from, .. } | Event::MoveFailed { from, .. }) = event else { return Ok(false) };
        let (origin, waits) = self.open.remove(from).unwrap_or((Origin::FRONT_END, false));
        let failure = match (event, OutputEvent::of(event)) {
            (Event::MoveFailed { .. }, Some(event)) => {
                let error = CommandError::failed(event.to_string());
                listeners.refuse(origin, &error);
                listeners.tell_others(origin, &event)?;
                Some(error)
            }
            (_, event) => {
                event.iter().try_for_each(|event| listeners.result_and_tell(origin, event))?;
                None
            }
        };
        if waits {
            listeners.end(origin, failure.as_ref().map_or(Exit::Done, |error| error.exit));
        }
        Ok(failure.is_some() && origin == Origin::FRONT_END)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| file_errors::cannot_read(path, &error))
}
