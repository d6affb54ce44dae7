//! Executes the commands, and records running work, failures and the end of the client.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::command::{self, Command, Target};
use super::hashing_queue::HashingQueue;
use super::input::{Input, Request};
use super::listener::{Listener, Origin};
use super::listeners::{Hears, Listeners};
use super::listing;
use super::operations::{self, Moves};
use super::pending_shares::{PendingShare, PendingShares};
use super::waits::Waits;
use crate::console::download_text;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_errors;
use crate::console::on_done::OnDoneQueue;
use crate::console::output_event::OutputEvent;
use crate::console::service_manager::ServiceManager;
use crate::console::signals::Signal;
use crate::console::units::{Rate, RateLimit};
use crate::ids::InfoHash;
use crate::limits::SESSION_TICK;
use crate::node::{Direction, DownloadId, DownloadState, DownloadStatus, Event, Moving, Node, ShareStatus};
use crate::text;

/// The settings from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Trackers for new `.mtorrent` files.
    pub trackers: Vec<String>,
    /// The data folder, which the client has locked.
    pub data_dir: PathBuf,
    /// Number of threads that hash.
    pub threads: usize,
    /// Time that a download waits for trackers and seeders; `None` chooses the default for the kind of input.
    pub wait: Option<Duration>,
    /// Command to run after each download.
    pub on_done: Option<String>,
    /// Whether the client runs until a signal or `quit` ends it, and without a failure then.
    pub is_daemon: bool,
    /// Address of the figures, for the ready line.
    pub metrics: Option<SocketAddr>,
}

/// How far a command has come when it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The command has ended.
    Ended,
    /// The command has ended with an exit code, and its origin knows why.
    EndedWith(Exit),
    /// A later input ends the command.
    Waits,
}

/// The state of all commands.
pub(crate) struct Interpreter<'a> {
    pub(super) client: &'a Node,
    pub(super) service: &'a ServiceManager,
    pub(super) settings: Settings,
    /// Runs the user's command after each download.
    pub(super) on_done: Option<OnDoneQueue>,
    pub(super) listeners: Listeners<'a>,
    /// Downloads that have not ended, with their origins; `restored` has those that an earlier run left.
    pub(super) open: BTreeMap<DownloadId, Origin>,
    pub(super) restored: BTreeSet<DownloadId>,
    /// Files of `share` commands that are being hashed or wait for that.
    pub(super) hashing: HashingQueue,
    /// Shares that an earlier run had not hashed yet.
    pending: Vec<PendingShare>,
    /// Numbers of those whose command ends when they are hashed.
    pub(super) awaited: BTreeSet<u64>,
    /// Commands that end with downloads.
    pub(super) waits: Waits,
    /// Shares whose first acknowledgement was not reported yet.
    pub(super) unannounced: HashMap<InfoHash, PathBuf>,
    /// Files that are being moved.
    pub(super) moves: Moves,
    /// Whether a command of the front end has failed.
    pub(super) failed: bool,
    /// Time of the end of the input; since then the client waits for running work and ends.
    pub(super) ending: Option<Instant>,
    /// Whether the user was asked to confirm `quit` while work runs.
    pub(super) asked: bool,
}

impl<'a> Interpreter<'a> {
    /// Creates an interpreter for a running client; `to_self` sends into the queue that [`Interpreter::run`] reads.
    pub(crate) fn new(
        client: &'a Node,
        settings: Settings,
        front_end: impl Listener + 'a,
        to_self: SyncSender<Input>,
        service: &'a ServiceManager,
    ) -> Self {
        let running = client.downloads().into_iter().filter(|status| !download_text::is_over(&status.state));
        let restored: BTreeSet<DownloadId> = running.map(|status| status.id).collect();
        let kept = PendingShares::in_folder(&settings.data_dir);
        let pending = kept.load();
        let is_daemon = settings.is_daemon;
        let restored_shares = client.shares().into_iter().filter(|_| is_daemon);
        Self {
            open: restored.iter().map(|id| (*id, Origin::FRONT_END)).collect(),
            restored,
            client,
            service,
            listeners: Listeners::new(Box::new(front_end)),
            pending,
            hashing: HashingQueue::new(settings.threads, kept, to_self),
            on_done: settings.on_done.clone().map(OnDoneQueue::new),
            settings,
            awaited: BTreeSet::new(),
            waits: Waits::default(),
            unannounced: restored_shares.filter_map(|share| Some((share.info_hash?, share.metainfo_path))).collect(),
            moves: Moves::default(),
            failed: false,
            ending: None,
            asked: false,
        }
    }

    /// Runs until the client is to end.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) -> CommandResult {
        let pending = std::mem::take(&mut self.pending);
        self.restore_shares(pending);
        let mut next_tick = Instant::now() + SESSION_TICK;
        let result = loop {
            // `self` holds a sender, so the queue cannot close.
            let input = inputs.recv_timeout(next_tick.saturating_duration_since(Instant::now())).ok();
            let was_idle = input.is_none();
            let taken = input.map_or(Ok(None), |input| self.take(input));
            match taken.and_then(|end| if Instant::now() < next_tick { Ok(end) } else { self.tick().map(|()| end) }) {
                Ok(None) => {}
                Ok(Some(exit)) => break Ok(exit),
                Err(error) => break Err(error),
            }
            if next_tick <= Instant::now() {
                next_tick = Instant::now() + SESSION_TICK;
            }
            let is_over = |since| self.is_at_rest() || was_idle && self.has_nothing_to_wait_for(since);
            if self.ending.is_some_and(is_over) {
                break Ok(self.exit());
            }
        };
        self.end_waiting_commands();
        self.hashing.stop_all(inputs);
        result
    }

    /// What is due once a second.
    fn tick(&self) -> Result<(), CommandError> {
        if !self.listeners.any_hears(Hears::Progress) && !self.service.is_there() {
            return Ok(());
        }
        let mut running = self.client.downloads();
        running.retain(|status| !download_text::is_over(&status.state));
        let rate = Rate(running.iter().map(|status| status.rate_bytes_s).sum());
        let (shares, downloads) = (self.client.shares().len(), running.len());
        self.service.set_status(&format!("{shares} shares, {downloads} downloads at {rate}"));
        running
            .into_iter()
            .try_for_each(|status| self.listeners.event(Hears::Progress, &OutputEvent::progress(&status)))
    }

    /// Ends the commands that wait when the client ends.
    fn end_waiting_commands(&mut self) {
        let message = "the client ended before this was done; it goes on when the client is started again";
        let error = CommandError { exit: Exit::Retry, message: message.into() };
        for origin in self.waits.take_all().into_iter().filter(|origin| *origin != Origin::FRONT_END) {
            self.listeners.refuse(origin, &error);
            self.listeners.end(origin, error.exit);
        }
        self.listeners.end_streams();
    }

    /// Handles one input; `Some` ends the client.
    fn take(&mut self, input: Input) -> Result<Option<Exit>, CommandError> {
        match input {
            Input::Connected(origin, listener) => {
                self.listeners.add(origin, listener);
                Ok(None)
            }
            Input::Gone(origin) => {
                self.listeners.remove(origin);
                self.waits.remove(origin);
                Ok(None)
            }
            Input::Request(request) => self.request(request),
            Input::End if self.listeners.is_terminal(Origin::FRONT_END) => {
                let exit = self.quit(Origin::FRONT_END)?;
                if exit.is_none() {
                    self.listeners.end(Origin::FRONT_END, Exit::Done);
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
                let shared = match is_removed {
                    true if !self.awaited.contains(&id) => return Ok(None),
                    true => Err(CommandError::failed("it was removed while its file was hashed")),
                    false => self.hashed(&file, &metainfo_path, *result),
                };
                self.report_share(id, origin, (&file, metainfo_path), shared).map(|()| None)
            }
            // Ctrl-C while no line is edited ends a waiting command: the next prompt follows at once.
            Input::Signal(Signal::Interrupt) if self.listeners.is_terminal(Origin::FRONT_END) => {
                if self.waits.remove(Origin::FRONT_END) {
                    self.listeners.end(Origin::FRONT_END, Exit::Interrupted);
                }
                Ok(None)
            }
            Input::Signal(_) if self.settings.is_daemon || self.is_idle() => Ok(Some(Exit::Done)),
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
        let executed = match parsed {
            Ok(Some(Command::Quit)) => match self.quit(origin)? {
                None => Ok(Progress::Ended),
                exit => {
                    // The front end must not read a further line: it would change the terminal's modes once more.
                    if origin != Origin::FRONT_END {
                        self.listeners.end(origin, Exit::Done);
                    }
                    return Ok(exit);
                }
            },
            Ok(Some(command)) => {
                self.asked = false;
                self.command(origin, command)
            }
            Ok(None) => Ok(Progress::Ended),
            Err(error) => Err(error),
        };
        match executed {
            Ok(Progress::Ended) => self.listeners.end(origin, Exit::Done),
            Ok(Progress::EndedWith(exit)) => self.listeners.end(origin, exit),
            Ok(Progress::Waits) => {}
            Err(error) => {
                self.refuse(origin, &error);
                self.listeners.end(origin, error.exit);
            }
        }
        Ok(None)
    }

    fn command(&mut self, origin: Origin, command: Command) -> Result<Progress, CommandError> {
        let answered = match command {
            Command::Share { file, metainfo, force, wait } => return self.share(origin, &file, &metainfo, force, wait),
            Command::Get { metainfo, dest, force, in_place, wait } => {
                return self.get(origin, &metainfo, &dest, (force, in_place), wait);
            }
            Command::Wait(id) => return self.wait(origin, id),
            Command::Events { progress } => return self.events(origin, progress),
            Command::Show(listing, target) => {
                listing::show(self.client, listing, target.as_ref(), |list| self.listeners.answer(origin, list))
            }
            Command::Change(change, which) => operations::change(self.client, change, &which, |changed| {
                self.listeners.answer_and_tell(origin, changed)
            }),
            Command::Move { target, to } => return self.move_to(origin, &target, &to),
            Command::Remove { name } => self.remove(origin, &name),
            Command::Limit(change) => self.limit(origin, change),
            Command::Help(text) => self.listeners.answer(origin, &OutputEvent::Help { text: &text }),
            // The caller handles it.
            Command::Quit => Ok(()),
        };
        answered.map(|()| Progress::Ended)
    }

    /// Streams events to another program from now on.
    fn events(&mut self, origin: Origin, progress: bool) -> Result<Progress, CommandError> {
        if origin == Origin::FRONT_END {
            let message = "events are printed here by themselves: `mtorrent ctl events` is for other programs";
            return Err(CommandError::usage(message));
        }
        self.listeners.answer(origin, &OutputEvent::Subscribed)?;
        self.listeners.subscribe(origin, if progress { Hears::Progress } else { Hears::Events });
        Ok(Progress::Waits)
    }

    fn move_to(&mut self, origin: Origin, target: &Target, to: &Path) -> Result<Progress, CommandError> {
        let waits = self.listeners.waits_by_default(origin);
        let Moving { id, from, to } = self.moves.start(self.client, (origin, waits), target, to)?;
        self.listeners.answer_and_tell(origin, &OutputEvent::Moving { id, from: &from, to: &to })?;
        Ok(if waits { Progress::Waits } else { Progress::Ended })
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
        self.listeners.answer_and_tell(origin, &OutputEvent::Removed { path: name })
    }

    /// Changes a limit, if requested, and prints both limits.
    fn limit(&self, origin: Origin, change: Option<(Direction, RateLimit)>) -> Result<(), CommandError> {
        let limits = self.client.limits();
        if let Some((direction, limit)) = change {
            self.client.set_limit(direction, limit.0);
        }
        let (up_bytes_s, down_bytes_s) = (limits.get(Direction::Up), limits.get(Direction::Down));
        self.listeners.answer(origin, &OutputEvent::Limit { up_bytes_s, down_bytes_s })
    }

    fn quit(&mut self, origin: Origin) -> Result<Option<Exit>, CommandError> {
        let running = self.open.len() + self.hashing.unfinished();
        if self.listeners.is_terminal(origin) && running > 0 && !self.asked {
            self.asked = true;
            let what = if running == 1 { "1 command is".into() } else { format!("{running} commands are") };
            let text = format!("{what} running; downloads resume at the next start: quit again to end now");
            self.listeners.answer(origin, &OutputEvent::Question { text: &text })?;
            return Ok(None);
        }
        Ok(Some(self.exit()))
    }

    fn event(&mut self, event: Event) -> Result<(), CommandError> {
        match event {
            Event::Ended(status) => self.ended(&status),
            Event::Announced { info_hash, tracker } => self.announced(info_hash, &tracker),
            Event::Moved { .. } | Event::MoveFailed { .. } => {
                self.failed |= self.moves.ended(&event, &self.listeners)?;
                Ok(())
            }
            other => OutputEvent::of(&other).map_or(Ok(()), |event| self.listeners.event(Hears::News, &event)),
        }
    }

    /// Reports that a tracker knows a share: at a prompt the first one, elsewhere each.
    fn announced(&mut self, info_hash: InfoHash, tracker: &str) -> Result<(), CommandError> {
        let (first, hears) = match self.unannounced.remove(&info_hash) {
            Some(path) => (Some(path), Hears::News),
            None => (None, Hears::Events),
        };
        if !self.listeners.any_hears(hears) {
            return Ok(());
        }
        let is_it = |share: &ShareStatus| share.info_hash == Some(info_hash);
        let known = || self.client.shares().into_iter().find(is_it).map(|share| share.metainfo_path);
        let path = first.or_else(known);
        let (path, info_hash) = (path.as_deref(), Some(info_hash));
        self.listeners.event(hears, &OutputEvent::Announced { tracker, path, info_hash })
    }

    /// Reports a failure to its origin.
    pub(super) fn refuse(&mut self, origin: Origin, error: &CommandError) {
        self.failed |= origin == Origin::FRONT_END;
        self.listeners.refuse(origin, error);
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.hashing.unfinished() == 0
    }

    /// Whether nothing runs: what is open is paused, and goes on only by a command.
    fn is_at_rest(&self) -> bool {
        let paused = |id: &DownloadId| {
            self.client.downloads().iter().any(|status| status.id == *id && status.state == DownloadState::Paused)
        };
        self.hashing.unfinished() == 0 && self.moves.is_empty() && self.open.keys().all(paused)
    }

    /// Whether the wait is over and every download has ended, is restored and without a seeder, or waits for its disk.
    /// A later run resumes the last two kinds.
    fn has_nothing_to_wait_for(&self, since: Instant) -> bool {
        let has_waited = self.settings.wait.is_some_and(|wait| since.elapsed() >= wait);
        let waits = |status: &DownloadStatus| {
            (self.restored.contains(&status.id) || status.waits_for.is_some()) && status.state == DownloadState::Waiting
                || status.state == DownloadState::Paused
                || download_text::is_over(&status.state)
        };
        has_waited
            && self.moves.is_empty()
            && self.hashing.unfinished() == 0
            && self.client.downloads().iter().all(waits)
    }

    /// The exit code: a user at a terminal has seen the failures, but a script needs the code.
    fn exit(&self) -> Exit {
        if self.failed && !self.listeners.is_terminal(Origin::FRONT_END) { Exit::Failed } else { Exit::Done }
    }
}

/// The path from the root, for a client that may be restarted in another folder.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| file_errors::cannot_read(path, &error))
}

/// The failure of a command that needs a tracker where none is known.
pub(super) fn no_tracker(metainfo: &Path) -> CommandError {
    let path = text::path(metainfo);
    CommandError::failed(format!("no tracker is known for {path}: start the client with --tracker HOST:PORT"))
}
