//! Executes the commands, and records running work, failures and the end of the REPL.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::command::{self, Command};
use super::hashing_queue::{HashingQueue, NewShare};
use super::input::Input;
use super::screen::Screen;
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
    /// Path of the history file.
    pub history: PathBuf,
}

/// The REPL's state.
pub(super) struct Interpreter<'a> {
    client: &'a Node,
    settings: Settings,
    screen: Screen,
    home: Option<PathBuf>,
    /// Downloads that have not ended; `restored` has those that an earlier run left.
    open: BTreeSet<DownloadId>,
    restored: BTreeSet<DownloadId>,
    /// Files of `share` commands that are being hashed or wait for that.
    hashing: HashingQueue,
    /// Shares whose first acknowledgement was not reported yet.
    unannounced: HashMap<InfoHash, PathBuf>,
    /// Whether a command has failed.
    failed: bool,
    /// Time of the end of the input; since then the REPL waits for running work.
    ending: Option<Instant>,
    /// Whether the user was asked to confirm `quit` while work runs.
    asked: bool,
}

impl<'a> Interpreter<'a> {
    /// Creates an interpreter for a running client; `to_self` sends into the queue that [`Interpreter::run`] reads.
    pub(super) fn new(client: &'a Node, settings: Settings, screen: Screen, to_self: SyncSender<Input>) -> Self {
        let running = client.downloads().into_iter().filter(|status| !download_text::is_over(&status.state));
        let restored: BTreeSet<DownloadId> = running.map(|status| status.id).collect();
        Self {
            open: restored.clone(),
            restored,
            client,
            screen,
            home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
            hashing: HashingQueue::new(settings.threads, to_self),
            settings,
            unannounced: HashMap::new(),
            failed: false,
            ending: None,
            asked: false,
        }
    }

    /// Runs to the end of the REPL; `read_next` requests one more line.
    pub(super) fn run(mut self, inputs: &Receiver<Input>, read_next: impl Fn()) -> CommandResult {
        read_next();
        let result = loop {
            // `self` holds a sender, so the queue cannot close.
            let input = match inputs.recv_timeout(SESSION_TICK) {
                Ok(input) => input,
                Err(_) if self.ending.is_some_and(|since| self.has_nothing_to_wait_for(since)) => break Ok(self.exit()),
                Err(_) => continue,
            };
            let is_line = matches!(input, Input::Line(_) | Input::End);
            match self.take(input) {
                Ok(Some(exit)) => break Ok(exit),
                Ok(None) if self.ending.is_some() && self.is_idle() => break Ok(self.exit()),
                Ok(None) if is_line && self.ending.is_none() => read_next(),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        self.hashing.stop_all(inputs);
        result
    }

    /// Handles one input; `Some` ends the REPL.
    fn take(&mut self, input: Input) -> Result<Option<Exit>, CommandError> {
        match input {
            Input::Line(Ok(line)) => self.line(&line),
            Input::Line(Err(why)) => {
                self.refuse(&why);
                Ok(None)
            }
            Input::End if self.screen.is_terminal() => self.quit(),
            Input::End => {
                self.ending = Some(Instant::now());
                Ok(None)
            }
            Input::Event(event) => self.event(event).map(|()| None),
            Input::Hashed { id, file, metainfo_path, result } => {
                let is_removed = self.hashing.finish(id);
                self.start_hashing();
                if is_removed {
                    return Ok(None);
                }
                self.hashed(file, metainfo_path, *result).map(|()| None)
            }
            // Ctrl-C while no line is edited: the next prompt follows at once.
            Input::Signal(Signal::Interrupt) if self.screen.is_terminal() => Ok(None),
            Input::Signal(_) if self.is_idle() => Ok(Some(Exit::Done)),
            Input::Signal(signal) => Ok(Some(signal.exit())),
            Input::Closed => Err(CommandError::failed("internal error: the client ended unexpectedly")),
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Exit>, CommandError> {
        let command = match command::parse(line, self.home.as_deref()) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.refuse(&error.to_string());
                return Ok(None);
            }
        };
        if command == Command::Quit {
            return self.quit();
        }
        self.asked = false;
        if let Err(error) = self.command(command) {
            self.refuse(&error.message);
        }
        Ok(None)
    }

    fn command(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Share { file, metainfo, force } => self.share(file, metainfo, force),
            Command::Get { metainfo, dest, force } => self.get(&metainfo, &dest, force),
            Command::ShowDownloads => self.show_downloads(),
            Command::Remove { name } => self.remove(&name),
            Command::Limit(change) => self.limit(change),
            Command::Help => self.screen.answer(&OutputEvent::Help { text: command::HELP }),
            // The caller handles it.
            Command::Quit => Ok(()),
        }
    }

    fn share(&mut self, file: PathBuf, metainfo: PathBuf, force: bool) -> Result<(), CommandError> {
        if self.hashing.waiting() >= TORRENTS_MAX {
            let message = format!("{TORRENTS_MAX} files wait to be hashed: share the next when one is done");
            return Err(CommandError::failed(message));
        }
        let (file, metainfo) = (absolute(&file)?, absolute(&metainfo)?);
        // Errors that are known already are reported at once.
        source::Source::open(&file)?;
        let trackers = create_torrent::trackers_of(&self.settings.trackers, &metainfo);
        if trackers.as_ref().map_or(force, Vec::is_empty) {
            return Err(no_tracker(&metainfo));
        }
        let share = NewShare { file: file.clone(), metainfo, trackers: trackers.unwrap_or_default(), force };
        self.hashing.push(share);
        self.start_hashing();
        self.screen.answer(&OutputEvent::Hashing { file: &file })
    }

    fn start_hashing(&mut self) {
        for refusal in self.hashing.start_next() {
            self.refuse(&refusal);
        }
    }

    fn hashed(
        &mut self,
        file: PathBuf,
        metainfo_path: PathBuf,
        result: Result<Created, CommandError>,
    ) -> Result<(), CommandError> {
        let shared = result.and_then(|created| {
            if self.settings.trackers.is_empty() && created.metainfo.trackers().is_empty() {
                return Err(no_tracker(&metainfo_path));
            }
            let (info_hash, metainfo) = (created.metainfo.info_hash(), Arc::new(created.metainfo));
            let request = ShareRequest { metainfo, metainfo_path: metainfo_path.clone(), file: file.clone() };
            let verified = Verified { identity: created.identity, unreadable: created.unreadable };
            self.client.share_verified(request, Some(verified))?;
            Ok(info_hash)
        });
        let path = text::path(&metainfo_path);
        match shared {
            Ok(info_hash) => {
                let event = OutputEvent::Sharing { file: &file, path: &metainfo_path, info_hash };
                self.screen.later(&event)?;
                self.unannounced.insert(info_hash, metainfo_path);
                Ok(())
            }
            Err(error) => {
                self.refuse(&format!("share {path}: {error}"));
                Ok(())
            }
        }
    }

    fn get(&mut self, metainfo_path: &Path, dest: &Path, force: bool) -> Result<(), CommandError> {
        let metainfo_path = absolute(metainfo_path)?;
        let metainfo = Arc::new(metainfo_file::read_transferable(&metainfo_path)?);
        let dest = absolute(&destination::resolve(dest, &metainfo)?)?;
        if self.settings.trackers.is_empty() && metainfo.trackers().is_empty() && !dest.exists() {
            return Err(no_tracker(&metainfo_path));
        }
        let (name, info_hash) = (metainfo.name().to_owned(), metainfo.info_hash());
        let wait = self.settings.wait;
        let request = DownloadRequest { metainfo, metainfo_path, dest: Some(dest.clone()), force, wait, seed: true };
        let id = self.client.get(request)?;
        self.open.insert(id);
        self.screen.answer(&OutputEvent::Started { id, name: &name, dest: &dest, info_hash })
    }

    fn show_downloads(&self) -> Result<(), CommandError> {
        let all = self.client.downloads();
        self.screen.answer(&OutputEvent::downloads(&all))
    }

    fn remove(&mut self, name: &Path) -> Result<(), CommandError> {
        // A bare name may match a share in any folder; a path means one file.
        let is_bare = name.components().count() == 1 && name.file_name().is_some();
        let path = if is_bare { name.to_owned() } else { absolute(name)? };
        if let Err(error) = self.client.remove(&path) {
            // A share that is not hashed yet is removed before it is announced to any peer.
            if !self.hashing.remove(&path, is_bare) {
                return Err(error.into());
            }
        }
        self.screen.answer(&OutputEvent::Removed { path: name })
    }

    /// Changes a limit, if requested, and prints both limits.
    fn limit(&self, change: Option<(Direction, RateLimit)>) -> Result<(), CommandError> {
        let limits = self.client.limits();
        if let Some((direction, limit)) = change {
            limits.set(direction, limit.0);
        }
        let (up_bytes_s, down_bytes_s) = (limits.get(Direction::Up), limits.get(Direction::Down));
        self.screen.answer(&OutputEvent::Limit { up_bytes_s, down_bytes_s })
    }

    fn quit(&mut self) -> Result<Option<Exit>, CommandError> {
        let running = self.open.len() + self.hashing.unfinished();
        if self.screen.is_terminal() && running > 0 && !self.asked {
            self.asked = true;
            let what = if running == 1 { "1 command is".into() } else { format!("{running} commands are") };
            let text = format!("{what} running; downloads resume at the next start: quit again to end now");
            self.screen.answer(&OutputEvent::Question { text: &text })?;
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
                    self.screen.later(&OutputEvent::Announced { tracker: &tracker, path, info_hash })
                }
                None => Ok(()),
            },
            other => match OutputEvent::of_progress(&other) {
                Some(event) => self.screen.later(&event),
                None => {
                    event_report::report(&other);
                    Ok(())
                }
            },
        }
    }

    fn ended(&mut self, status: &DownloadStatus) -> Result<(), CommandError> {
        self.open.remove(&status.id);
        self.failed |= matches!(status.state, DownloadState::Failed(_));
        self.screen.later(&OutputEvent::ended(status, true))
    }

    fn refuse(&mut self, why: &str) {
        self.failed = true;
        self.screen.refuse(why);
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
        if self.failed && !self.screen.is_terminal() { Exit::Failed } else { Exit::Done }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| file_errors::cannot_read(path, &error))
}

fn no_tracker(metainfo: &Path) -> CommandError {
    let path = text::path(metainfo);
    CommandError::failed(format!("no tracker is known for {path}: start the client with --tracker HOST:PORT"))
}
