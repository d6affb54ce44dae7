//! Executes the commands, and records running work, failures and the end of the client.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::command::{self, Command, Target};
use super::hashing_queue::{HashingQueue, NewShare};
use super::input::{Input, Request};
use super::listener::{Listener, Origin};
use super::listeners::{Hears, Listeners};
use super::listing;
use super::operations::{self, Moves};
use super::waits::{self, Waits};
use crate::console::create_torrent;
use crate::console::create_torrent::Created;
use crate::console::destination;
use crate::console::download_text;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_errors;
use crate::console::metainfo_file;
use crate::console::on_done::OnDoneQueue;
use crate::console::output_event::OutputEvent;
use crate::console::service_manager::ServiceManager;
use crate::console::signals::Signal;
use crate::console::source;
use crate::console::units::{Rate, RateLimit};
use crate::ids::InfoHash;
use crate::limits::{SESSION_TICK, TORRENTS_MAX};
use crate::node::{
    Direction, DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, FailureKind, Moving, Node,
    ShareRequest, ShareStatus, Verified,
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
    /// Command to run after each download.
    pub on_done: Option<String>,
    /// Whether the client runs until a signal or `quit` ends it, and without a failure then.
    pub is_daemon: bool,
    /// Address of the figures, for the ready line.
    pub metrics: Option<SocketAddr>,
}

/// How far a command has come when it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The command has ended.
    Ended,
    /// The command has ended with an exit code, and its origin knows why.
    EndedWith(Exit),
    /// A later input ends the command.
    Waits,
}

/// The state of all commands.
pub(crate) struct Interpreter<'a> {
    client: &'a Node,
    service: &'a ServiceManager,
    settings: Settings,
    /// Runs the user's command after each download.
    on_done: Option<OnDoneQueue>,
    listeners: Listeners<'a>,
    /// Downloads that have not ended, with their origins; `restored` has those that an earlier run left.
    open: BTreeMap<DownloadId, Origin>,
    restored: BTreeSet<DownloadId>,
    /// Files of `share` commands that are being hashed or wait for that.
    hashing: HashingQueue,
    /// Numbers of those whose command ends when they are hashed.
    awaited: BTreeSet<u64>,
    /// Commands that end with downloads.
    waits: Waits,
    /// Shares whose first acknowledgement was not reported yet.
    unannounced: HashMap<InfoHash, PathBuf>,
    /// Files that are being moved.
    moves: Moves,
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
        service: &'a ServiceManager,
    ) -> Self {
        let running = client.downloads().into_iter().filter(|status| !download_text::is_over(&status.state));
        let restored: BTreeSet<DownloadId> = running.map(|status| status.id).collect();
        let is_daemon = settings.is_daemon;
        let restored_shares = client.shares().into_iter().filter(|_| is_daemon);
        Self {
            open: restored.iter().map(|id| (*id, Origin::FRONT_END)).collect(),
            restored,
            client,
            service,
            listeners: Listeners::new(Box::new(front_end)),
            hashing: HashingQueue::new(settings.threads, to_self),
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
            .map(|status| self.listeners.event(Hears::Progress, &OutputEvent::progress(&status)))
            .collect()
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
            Command::Get { metainfo, dest, force, wait } => return self.get(origin, &metainfo, &dest, force, wait),
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

    fn share(
        &mut self,
        origin: Origin,
        file: &Path,
        metainfo: &Path,
        force: bool,
        wait: Option<bool>,
    ) -> Result<Progress, CommandError> {
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
        let id = self.hashing.push(share);
        let waits = wait.unwrap_or_else(|| self.listeners.waits_by_default(origin));
        if waits {
            self.awaited.insert(id);
        }
        self.listeners.answer(origin, &OutputEvent::Hashing { file: &file })?;
        self.start_hashing();
        Ok(if waits { Progress::Waits } else { Progress::Ended })
    }

    fn start_hashing(&mut self) {
        for (id, origin, refusal) in self.hashing.start_next() {
            self.refuse(origin, &refusal);
            self.end_share(id, origin, refusal.exit);
        }
    }

    /// Serves and announces a file that was hashed.
    fn hashed(
        &self,
        file: &Path,
        metainfo_path: &Path,
        result: Result<Created, CommandError>,
    ) -> Result<InfoHash, CommandError> {
        let created = result?;
        if self.settings.trackers.is_empty() && created.metainfo.trackers().is_empty() {
            return Err(no_tracker(metainfo_path));
        }
        let (info_hash, metainfo) = (created.metainfo.info_hash(), Arc::new(created.metainfo));
        let request = ShareRequest { metainfo, metainfo_path: metainfo_path.to_owned(), file: file.to_owned() };
        let verified = Verified { identity: created.identity, unreadable: created.unreadable };
        self.client.share_verified(request, Some(verified))?;
        Ok(info_hash)
    }

    fn report_share(
        &mut self,
        id: u64,
        origin: Origin,
        (file, metainfo_path): (&Path, PathBuf),
        shared: Result<InfoHash, CommandError>,
    ) -> Result<(), CommandError> {
        let exit = match shared {
            Ok(info_hash) => {
                let event = OutputEvent::Sharing { file, path: &metainfo_path, info_hash };
                self.listeners.result_and_tell(origin, &event)?;
                self.unannounced.insert(info_hash, metainfo_path);
                Exit::Done
            }
            Err(error) => {
                let message = format!("share {}: {error}", text::path(&metainfo_path));
                if self.listeners.is_there(origin) {
                    self.refuse(origin, &CommandError { message, ..error });
                } else {
                    self.listeners.event(Hears::News, &OutputEvent::Notice { text: &message })?;
                }
                error.exit
            }
        };
        self.end_share(id, origin, exit);
        Ok(())
    }

    /// Ends the command of a share, if it waits for the hashing.
    fn end_share(&mut self, id: u64, origin: Origin, exit: Exit) {
        if self.awaited.remove(&id) {
            self.listeners.end(origin, exit);
        }
    }

    fn get(
        &mut self,
        origin: Origin,
        metainfo_path: &Path,
        dest: &Path,
        force: bool,
        waits: Option<bool>,
    ) -> Result<Progress, CommandError> {
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
        self.listeners.answer_and_tell(origin, &OutputEvent::Started { id, name: &name, dest: &dest, info_hash })?;
        if waits != Some(true) {
            return Ok(Progress::Ended);
        }
        self.waits.push(origin, BTreeSet::from([id]), Exit::Done);
        Ok(Progress::Waits)
    }

    /// Waits for the end of a download, or of all that are listed. A failure counts until the same file is requested
    /// again; a download that the user has cancelled does not count, unless it is named.
    fn wait(&mut self, origin: Origin, id: Option<DownloadId>) -> Result<Progress, CommandError> {
        let all = self.client.downloads();
        let is_meant = |status: &&DownloadStatus| match id {
            Some(id) => status.id == id,
            None => !is_cancelled(status) && !all.iter().any(|later| is_again(later, status)),
        };
        let meant: Vec<&DownloadStatus> = all.iter().filter(is_meant).collect();
        if let (Some(id), []) = (id, meant.as_slice()) {
            return Err(CommandError::failed(format!("there is no download #{id}: `show downloads` lists all")));
        }
        let (ended, open): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|status| download_text::is_over(&status.state));
        let exit = ended.iter().fold(Exit::Done, |exit, status| waits::worse(exit, exit_of(status)));
        for status in &ended {
            self.listeners.answer(origin, &OutputEvent::ended(status, true))?;
        }
        let left: BTreeSet<DownloadId> = open.iter().map(|status| status.id).collect();
        if left.is_empty() {
            self.failed |= origin == Origin::FRONT_END && exit != Exit::Done;
            return Ok(Progress::EndedWith(exit));
        }
        self.waits.push(origin, left, exit);
        Ok(Progress::Waits)
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

    fn ended(&mut self, status: &DownloadStatus) -> Result<(), CommandError> {
        let origin = self.open.remove(&status.id);
        // What the user has cancelled has not failed.
        let is_failure = matches!(status.state, DownloadState::Failed(_)) && !is_cancelled(status);
        self.failed |= origin == Some(Origin::FRONT_END) && is_failure;
        let event = OutputEvent::ended(status, true);
        self.listeners.event(Hears::News, &event)?;
        self.on_done.iter().for_each(|on_done| on_done.push(status));
        let waiting = self.waits.of(status.id).filter(|origin| !self.listeners.hears_news(*origin));
        waiting.map(|origin| self.listeners.result(origin, &event)).collect::<Result<(), _>>()?;
        for (origin, exit) in self.waits.ended(status.id, exit_of(status)) {
            self.listeners.end(origin, exit);
        }
        Ok(())
    }

    fn refuse(&mut self, origin: Origin, error: &CommandError) {
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

/// The exit code for an ended download.
fn exit_of(status: &DownloadStatus) -> Exit {
    match &status.state {
        DownloadState::Failed(failure) => CommandError::from(failure.clone()).exit,
        _ => Exit::Done,
    }
}

fn is_cancelled(status: &DownloadStatus) -> bool {
    matches!(&status.state, DownloadState::Failed(failure) if failure.kind == FailureKind::Cancelled)
}

/// Whether `later` is another attempt at a failed download.
fn is_again(later: &DownloadStatus, earlier: &DownloadStatus) -> bool {
    let has_failed = matches!(earlier.state, DownloadState::Failed(_));
    has_failed && later.id > earlier.id && (later.dest == earlier.dest || later.info_hash == earlier.info_hash)
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| file_errors::cannot_read(path, &error))
}

fn no_tracker(metainfo: &Path) -> CommandError {
    let path = text::path(metainfo);
    CommandError::failed(format!("no tracker is known for {path}: start the client with --tracker HOST:PORT"))
}
