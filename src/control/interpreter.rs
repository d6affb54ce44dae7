//! Executes the commands, and records running work, failures and the end of the client.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::command::{self, Command};
use super::hashing_queue::{HashingQueue, NewShare};
use super::input::{Input, Request};
use super::listener::{Listener, Origin};
use crate::console::create_torrent;
use crate::console::create_torrent::Created;
use crate::console::destination;
use crate::console::download_text;
use crate::console::event_report;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_errors;
use crate::console::metainfo_file;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Signal;
use crate::console::source;
use crate::console::units::RateLimit;
use crate::ids::InfoHash;
use crate::limits::{SESSION_TICK, TORRENTS_MAX};
use crate::node::{
    Direction, DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, Node, ShareRequest, Verified,
};
use crate::text;

/// The settings from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Trackers for new `.mtorrent` files.
    pub trackers: Vec<String>,
    /// Number of threads that hash.
    pub threads: usize,
    /// Time that a download waits for trackers and seeders; `None` chooses the default for the kind of input.
    pub wait: Option<Duration>,
    /// Address of the figures, for the ready line.
    pub metrics: Option<SocketAddr>,
}

/// The state of all commands.
pub(crate) struct Interpreter<'a> {
    client: &'a Node,
    settings: Settings,
    /// The listeners by origin; that of the front end is always there.
    listeners: BTreeMap<Origin, Box<dyn Listener + 'a>>,
    /// Downloads that have not ended, with their origins; `restored` has those that an earlier run left.
    open: BTreeMap<DownloadId, Origin>,
    restored: BTreeSet<DownloadId>,
    /// Files of `share` commands that are being hashed or wait for that.
    hashing: HashingQueue,
    /// Shares whose first acknowledgement was not reported yet.
    unannounced: HashMap<InfoHash, PathBuf>,
    /// Whether a command of the front end has failed.
    failed: bool,
    /// Time of the end of the input; since then the client waits for running work and ends.
    ending: Option<Instant>,
    /// Whether the user was asked to confirm `quit` while work runs.
    asked: bool,
}

impl<'a> Interpreter<'a> {
    /// Creates an interpreter for a running client; `to_self` sends into the queue that [`Interpreter::run`] reads.
    pub(crate) fn new(
        client: &'a Node,
        settings: Settings,
        front_end: impl Listener + 'a,
        to_self: SyncSender<Input>,
    ) -> Self {
        let running = client.downloads().into_iter().filter(|status| !download_text::is_over(&status.state));
        let restored: BTreeSet<DownloadId> = running.map(|status| status.id).collect();
        let front_end: Box<dyn Listener + 'a> = Box::new(front_end);
        Self {
            open: restored.iter().map(|id| (*id, Origin::FRONT_END)).collect(),
            restored,
            client,
            listeners: BTreeMap::from([(Origin::FRONT_END, front_end)]),
            hashing: HashingQueue::new(settings.threads, to_self),
            settings,
            unannounced: HashMap::new(),
            failed: false,
            ending: None,
            asked: false,
        }
    }

    /// Runs until the client is to end.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) -> CommandResult {
        let result = loop {
            // `self` holds a sender, so the queue cannot close.
            let input = match inputs.recv_timeout(SESSION_TICK) {
                Ok(input) => input,
                Err(_) if self.ending.is_some_and(|since| self.has_nothing_to_wait_for(since)) => break Ok(self.exit()),
                Err(_) => continue,
            };
            match self.take(input) {
                Ok(Some(exit)) => break Ok(exit),
                Ok(None) if self.ending.is_some() && self.is_idle() => break Ok(self.exit()),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        self.hashing.stop_all(inputs);
        result
    }

    /// Handles one input; `Some` ends the client.
    fn take(&mut self, input: Input) -> Result<Option<Exit>, CommandError> {
        match input {
            Input::Request(request) => self.request(request),
            Input::End if self.is_terminal(Origin::FRONT_END) => {
                let exit = self.quit(Origin::FRONT_END)?;
                if exit.is_none() {
                    self.end(Origin::FRONT_END, Exit::Done);
                }
                Ok(exit)
            }
            Input::End => {
                self.ending = Some(Instant::now());
                Ok(None)
            }
            Input::Event(event) => self.event(event).map(|()| None),
            Input::Hashed { id, origin, file, metainfo_path, result } => {
                let is_removed = self.hashing.finish(id);
                self.start_hashing();
                if is_removed {
                    return Ok(None);
                }
                self.hashed(origin, &file, metainfo_path, *result).map(|()| None)
            }
            // Ctrl-C while no line is edited: the next prompt follows at once.
            Input::Signal(Signal::Interrupt) if self.is_terminal(Origin::FRONT_END) => Ok(None),
            Input::Signal(_) if self.is_idle() => Ok(Some(Exit::Done)),
            Input::Signal(signal) => Ok(Some(signal.exit())),
            Input::Closed => Err(CommandError::failed("internal error: the client ended unexpectedly")),
        }
    }

    /// Executes a command; `Some` ends the client.
    fn request(&mut self, request: Request) -> Result<Option<Exit>, CommandError> {
        let origin = request.origin;
        let words = request.words.map_err(CommandError::usage);
        let parsed = words.and_then(|words| {
            command::parse(&words, &request.place).map_err(|error| CommandError::usage(error.to_string()))
        });
        let done = match parsed {
            Ok(Some(Command::Quit)) => match self.quit(origin)? {
                None => Ok(()),
                exit => return Ok(exit),
            },
            Ok(Some(command)) => {
                self.asked = false;
                self.command(origin, command)
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let exit = done.as_ref().err().map_or(Exit::Done, |error| error.exit);
        if let Err(error) = done {
            self.refuse(origin, &error);
        }
        self.end(origin, exit);
        Ok(None)
    }

    fn command(&mut self, origin: Origin, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Share { file, metainfo, force } => self.share(origin, &file, &metainfo, force),
            Command::Get { metainfo, dest, force } => self.get(origin, &metainfo, &dest, force),
            Command::ShowDownloads => self.show_downloads(origin),
            Command::Remove { name } => self.remove(origin, &name),
            Command::Limit(change) => self.limit(origin, change),
            Command::Help => self.answer(origin, &OutputEvent::Help { text: command::HELP }),
            // The caller handles it.
            Command::Quit => Ok(()),
        }
    }

    fn share(&mut self, origin: Origin, file: &Path, metainfo: &Path, force: bool) -> Result<(), CommandError> {
        if self.hashing.waiting() >= TORRENTS_MAX {
            let message = format!("{TORRENTS_MAX} files wait to be hashed: share the next when one is done");
            return Err(CommandError::failed(message));
        }
        let (file, metainfo) = (absolute(file)?, absolute(metainfo)?);
        // Errors that are known already are reported at once.
        source::Source::open(&file)?;
        let trackers = create_torrent::trackers_of(&self.settings.trackers, &metainfo);
        if trackers.as_ref().map_or(force, Vec::is_empty) {
            return Err(no_tracker(&metainfo));
        }
        let trackers = trackers.unwrap_or_default();
        let share = NewShare { origin, file: file.clone(), metainfo, trackers, force };
        self.hashing.push(share);
        self.start_hashing();
        self.answer(origin, &OutputEvent::Hashing { file: &file })
    }

    fn start_hashing(&mut self) {
        for (origin, refusal) in self.hashing.start_next() {
            self.refuse(origin, &refusal);
        }
    }

    fn hashed(
        &mut self,
        origin: Origin,
        file: &Path,
        metainfo_path: PathBuf,
        result: Result<Created, CommandError>,
    ) -> Result<(), CommandError> {
        let shared = result.and_then(|created| {
            if self.settings.trackers.is_empty() && created.metainfo.trackers().is_empty() {
                return Err(no_tracker(&metainfo_path));
            }
            let (info_hash, metainfo) = (created.metainfo.info_hash(), Arc::new(created.metainfo));
            let request = ShareRequest { metainfo, metainfo_path: metainfo_path.clone(), file: file.to_owned() };
            let verified = Verified { identity: created.identity, unreadable: created.unreadable };
            self.client.share_verified(request, Some(verified))?;
            Ok(info_hash)
        });
        let path = text::path(&metainfo_path);
        match shared {
            Ok(info_hash) => {
                self.result(origin, &OutputEvent::Sharing { file, path: &metainfo_path, info_hash })?;
                self.unannounced.insert(info_hash, metainfo_path);
                Ok(())
            }
            Err(error) => {
                let message = format!("share {path}: {error}");
                self.refuse(origin, &CommandError { message, ..error });
                Ok(())
            }
        }
    }

    fn get(&mut self, origin: Origin, metainfo_path: &Path, dest: &Path, force: bool) -> Result<(), CommandError> {
        let metainfo_path = absolute(metainfo_path)?;
        let metainfo = Arc::new(metainfo_file::read_transferable(&metainfo_path)?);
        let dest = absolute(&destination::resolve(dest, &metainfo)?)?;
        if self.settings.trackers.is_empty() && metainfo.trackers().is_empty() && !dest.exists() {
            return Err(no_tracker(&metainfo_path));
        }
        let (name, info_hash) = (metainfo.name().to_owned(), metainfo.info_hash());
        let wait = self.settings.wait;
        let request = DownloadRequest {
            metainfo,
            metainfo_path,
            dest: Some(dest.clone()),
            force,
            in_place: false,
            wait,
            seed: true,
        };
        let id = self.client.get(request)?;
        self.open.insert(id, origin);
        self.answer(origin, &OutputEvent::Started { id, name: &name, dest: &dest, info_hash })
    }

    fn show_downloads(&self, origin: Origin) -> Result<(), CommandError> {
        let all = self.client.downloads();
        self.answer(origin, &OutputEvent::downloads(&all))
    }

    fn remove(&mut self, origin: Origin, name: &Path) -> Result<(), CommandError> {
        // A bare name may match a share in any folder; a path means one file.
        let is_bare = command::is_bare(name);
        let path = if is_bare { name.to_owned() } else { absolute(name)? };
        if let Err(error) = self.client.remove(&path) {
            // A share that is not hashed yet is removed before it is announced to any peer.
            if !self.hashing.remove(&path, is_bare) {
                return Err(error.into());
            }
        }
        self.answer(origin, &OutputEvent::Removed { path: name })
    }

    /// Changes a limit, if requested, and prints both limits.
    fn limit(&self, origin: Origin, change: Option<(Direction, RateLimit)>) -> Result<(), CommandError> {
        let limits = self.client.limits();
        if let Some((direction, limit)) = change {
            self.client.set_limit(direction, limit.0);
        }
        let (up_bytes_s, down_bytes_s) = (limits.get(Direction::Up), limits.get(Direction::Down));
        self.answer(origin, &OutputEvent::Limit { up_bytes_s, down_bytes_s })
    }

    fn quit(&mut self, origin: Origin) -> Result<Option<Exit>, CommandError> {
        let running = self.open.len() + self.hashing.unfinished();
        if self.is_terminal(origin) && running > 0 && !self.asked {
            self.asked = true;
            let what = if running == 1 { "1 command is".into() } else { format!("{running} commands are") };
            let text = format!("{what} running; downloads resume at the next start: quit again to end now");
            self.answer(origin, &OutputEvent::Question { text: &text })?;
            return Ok(None);
        }
        Ok(Some(self.exit()))
    }

    fn event(&mut self, event: Event) -> Result<(), CommandError> {
        match event {
            Event::Ended(status) => self.ended(&status),
            Event::Announced { info_hash, tracker } => match self.unannounced.remove(&info_hash) {
                Some(path) => {
                    let (path, info_hash) = (Some(path.as_path()), Some(info_hash));
                    self.event_for_all(&OutputEvent::Announced { tracker: &tracker, path, info_hash })
                }
                None => Ok(()),
            },
            Event::TrackerTrouble { tracker, why } => self.event_for_all(&OutputEvent::tracker_trouble(&tracker, &why)),
            other => {
                event_report::report(&other);
                Ok(())
            }
        }
    }

    fn ended(&mut self, status: &DownloadStatus) -> Result<(), CommandError> {
        let origin = self.open.remove(&status.id);
        self.failed |= origin == Some(Origin::FRONT_END) && matches!(status.state, DownloadState::Failed(_));
        self.event_for_all(&OutputEvent::ended(status, true))
    }

    /// Answers the command that is being executed.
    fn answer(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.listeners.get(&origin).map_or(Ok(()), |listener| listener.answer(event))
    }

    /// Sends the result of an earlier command to its origin; for the others it is an event.
    fn result(&self, origin: Origin, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.listeners.iter().try_for_each(
            |(to, listener)| {
                if *to == origin { listener.result(event) } else { listener.event(event) }
            },
        )
    }

    /// Sends an event to all listeners.
    fn event_for_all(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.listeners.values().try_for_each(|listener| listener.event(event))
    }

    fn refuse(&mut self, origin: Origin, error: &CommandError) {
        self.failed |= origin == Origin::FRONT_END;
        if let Some(listener) = self.listeners.get(&origin) {
            listener.refuse(error);
        }
    }

    /// Ends the command of the origin, which may give the next one.
    fn end(&self, origin: Origin, exit: Exit) {
        if let Some(listener) = self.listeners.get(&origin) {
            listener.end(exit);
        }
    }

    fn is_terminal(&self, origin: Origin) -> bool {
        self.listeners.get(&origin).is_some_and(|listener| listener.is_terminal())
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.hashing.unfinished() == 0
    }

    /// Whether the wait is over and every download has ended, is restored and without a seeder, or waits for its disk.
    /// A later run resumes the last two kinds.
    fn has_nothing_to_wait_for(&self, since: Instant) -> bool {
        let has_waited = self.settings.wait.is_some_and(|wait| since.elapsed() >= wait);
        let waits = |status: &DownloadStatus| {
            (self.restored.contains(&status.id) || status.waits_for.is_some()) && status.state == DownloadState::Waiting
                || download_text::is_over(&status.state)
        };
        has_waited && self.hashing.unfinished() == 0 && self.client.downloads().iter().all(waits)
    }

    /// The exit code: a user at a terminal has seen the failures, but a script needs the code.
    fn exit(&self) -> Exit {
        if self.failed && !self.is_terminal(Origin::FRONT_END) { Exit::Failed } else { Exit::Done }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| file_errors::cannot_read(path, &error))
}

fn no_tracker(metainfo: &Path) -> CommandError {
    let path = text::path(metainfo);
    CommandError::failed(format!("no tracker is known for {path}: start the client with --tracker HOST:PORT"))
}
