//! The course of the demo, from its start to its report: starts the children and kills tracker 1.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::children::{ChildOutput, Children, Role};
use super::race::Race;
use super::report::Report;
use super::{disk, sums};
use crate::cli::resolved::Demo;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_errors;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Stop;
use crate::console::stderr;
use crate::console::units::Size;
use crate::limits::{DEMO_FALLBACK_MAX, DEMO_RACE_BASE, DEMO_RACE_RATE_BYTES_S_MIN};
use crate::runtime;
use crate::text;

/// Interval at which a getter reports its bytes, short enough to detect half-way.
const REPORT_EVERY: &str = "10ms";

/// Runs the command.
pub(crate) fn run(args: &Demo, output: &Output) -> CommandResult {
    let runtime = runtime::check_backend().map_err(|error| CommandError::failed(error.to_string()))?;
    let folder = tempfile::Builder::new().prefix("mtorrent-demo-").tempdir_in(&args.dir);
    let folder = folder.map_err(|error| file_errors::cannot_write(&args.dir.join("mtorrent-demo"), &error))?;
    let path = std::path::absolute(folder.path()).map_err(|error| file_errors::cannot_read(folder.path(), &error))?;
    let result =
        Children::start(&path, runtime).and_then(|children| DemoRun { size: args.size, folder: path, children }.run());
    let shown = text::path(folder.path());
    if let Err(error) = folder.close() {
        stderr::report(format_args!("cannot remove {shown}: {error}"));
    }
    let report = result?;
    output.print(&OutputEvent::Demo(report.figures()))?;
    Ok(if report.faults().is_empty() { Exit::Done } else { Exit::Failed })
}

/// A running demo. Dropping it ends all its children.
struct DemoRun {
    size: u64,
    folder: PathBuf,
    children: Children,
}

impl DemoRun {
    fn run(mut self) -> Result<Report, CommandError> {
        disk::check_space(&self.folder, self.size)?;
        let [source, copy_1, copy_2] = ["source.bin", "copy-1.bin", "copy-2.bin"].map(|name| self.folder.join(name));
        stderr::report(format_args!("writing {} of random bytes to {}", Size(self.size), text::path(&self.folder)));
        sums::write_random(&source, self.size, self.stop())?;
        stderr::report("measuring the disk's O_DIRECT write limit");
        let limit = disk::write_limit(&self.folder.join("limit.bin"), self.size, self.stop())?;
        stderr::report("starting two trackers and a seeder");
        let first = self.start_tracker(Role::Tracker1, None)?;
        let trackers = [first, self.start_tracker(Role::Tracker2, Some(first))?];
        let seeder = self.start_seeder(&source, trackers)?;
        stderr::report("starting two getters; tracker 1 is killed half-way");
        let race = self.race(trackers, [&copy_1, &copy_2])?;
        for role in [Role::Seeder, Role::Tracker2] {
            self.children.terminate(role)?;
        }
        stderr::report("comparing the SHA-256 of the source and of the copies");
        let sums = sums::of_files([&source, &copy_1, &copy_2], self.stop())?;
        Ok(Report::new(self.size, limit, &race, seeder, sums))
    }

    fn stop(&self) -> &Stop {
        self.children.stop()
    }

    fn start_tracker(&mut self, role: Role, peer: Option<SocketAddr>) -> Result<SocketAddr, CommandError> {
        let peer = peer.map(|address| format!("--peer={address}"));
        let arguments = ["tracker", "--listen=127.0.0.1:0", "--cores=1"].into_iter().chain(peer.as_deref());
        self.children.spawn(role, &arguments.collect::<Vec<_>>())?;
        self.children.wait_ready(role)
    }

    fn start_seeder(&mut self, source: &Path, trackers: [SocketAddr; 2]) -> Result<SocketAddr, CommandError> {
        let (file, metainfo) = (as_text(source)?, as_text(&self.folder.join("source.mtorrent"))?);
        let trackers = trackers.map(|address| format!("--tracker={address}"));
        self.children
            .spawn(Role::Seeder, &["share", &file, &metainfo, "--listen=127.0.0.1:0", &trackers[0], &trackers[1]])?;
        self.children.wait_ready(Role::Seeder)
    }

    fn start_getter(&mut self, role: Role, copy: &Path, trackers: [SocketAddr; 2]) -> Result<(), CommandError> {
        let (metainfo, copy) = (as_text(&self.folder.join("source.mtorrent"))?, as_text(copy)?);
        let [first, second] = trackers.map(|address| format!("--tracker={address}"));
        let place = ["get", &metainfo, &copy, "--listen=127.0.0.1:0", &first, &second];
        self.children.spawn(role, &[&place[..], &["--wait=1m", "--report-every", REPORT_EVERY]].concat())
    }

    /// Runs the two getters, kills tracker 1 half-way, and waits for both downloads and the fallback.
    fn race(&mut self, trackers: [SocketAddr; 2], copies: [&Path; 2]) -> Result<Race, CommandError> {
        let mut race = Race::new(self.size, trackers[1], Instant::now());
        self.start_getter(Role::Getter1, copies[0], trackers)?;
        self.start_getter(Role::Getter2, copies[1], trackers)?;
        let deadline = Instant::now() + time_allowed(self.size);
        loop {
            let fallback = race.killed_at().filter(|_| race.all_ended()).map(|at| at + DEMO_FALLBACK_MAX);
            match self.children.next(fallback.unwrap_or(deadline).min(deadline))? {
                Some((role, at, ChildOutput::Object(object))) => race.take(role, at, object),
                Some((role, _, ChildOutput::Closed)) => self.take_end(role)?,
                None if race.all_ended() => return Ok(race),
                None => return Err(CommandError::failed("the getters took too long: the demo gave up")),
            }
            if race.is_half_way() && race.killed_at().is_none() {
                // The kill is recorded first, because the seeder may fall back before the call returns.
                race.note_kill(Instant::now());
                self.children.kill(Role::Tracker1);
            }
            if race.all_ended() && race.fell_back_after().is_some() {
                return Ok(race);
            }
        }
    }

    /// Checks the end of a child: during the race only tracker 1 and finished getters may end.
    fn take_end(&mut self, role: Role) -> Result<(), CommandError> {
        match role {
            Role::Tracker1 => Ok(()),
            Role::Getter1 | Role::Getter2 if self.children.wait_exit(role)? == Some(0) => Ok(()),
            Role::Getter1 | Role::Getter2 => Err(self.children.failure(role, "failed")),
            Role::Tracker2 | Role::Seeder => Err(self.children.failure(role, "ended early")),
        }
    }
}

/// A path as an argument of a child. Only the path of the folder could be other than UTF-8.
fn as_text(path: &Path) -> Result<String, CommandError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| CommandError::failed(format!("the path {} is not UTF-8: give --dir DIR", text::path(path))))
}

/// The maximum duration of the race for a file of `size` bytes.
fn time_allowed(size: u64) -> Duration {
    DEMO_RACE_BASE + Duration::from_secs(size / DEMO_RACE_RATE_BYTES_S_MIN)
}
