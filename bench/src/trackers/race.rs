//! The rounds: all servers start, then every workload is applied to each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;

use super::contestant::Contestant;
use super::cpu_time::CpuTime;
use super::loading::load;
use super::options::Options;
use super::record::{Figures, Record};
use super::server::{self, Server, Stage};
use super::workload::Workload;
use crate::harness::Error;
use crate::harness::files::make_folder;
use crate::harness::interrupt;

/// Everything that exists before the first round. Dropping it removes its folder.
#[derive(Debug)]
pub struct Race<'a> {
    options: &'a Options,
    field: &'a [&'static Contestant],
    mtorrent: PathBuf,
    work: TempDir,
    typed: RefCell<BTreeMap<&'static str, String>>,
}

/// A contestant in a round.
struct Turn<'a> {
    contestant: &'static Contestant,
    stage: Stage<'a>,
    server: Result<Server, String>,
}

impl<'a> Race<'a> {
    /// Creates the folder, and pins this process, which includes the load.
    pub fn prepare(options: &'a Options, field: &'a [&'static Contestant]) -> Result<Self, Error> {
        if options.server_cpu == options.load_cpu {
            return Err(Error::Refused("the server and the load need a CPU each".to_owned()));
        }
        pin(options.load_cpu)?;
        let dir = make_folder(&options.common.dir())?;
        let dir = dir.canonicalize().map_err(|source| Error::io(format!("find {}", dir.display()), source))?;
        let work = tempfile::Builder::new().prefix("trackers-").tempdir_in(&dir);
        let work = work.map_err(|source| Error::io(format!("make a folder in {}", dir.display()), source))?;
        let mtorrent = options.mtorrent();
        let mtorrent = mtorrent.canonicalize().unwrap_or(mtorrent);
        Ok(Self { options, field, mtorrent, work, typed: RefCell::default() })
    }

    /// Runs all rounds. A contestant that fails loses its runs; the race continues.
    pub fn run(&self) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        for round in 1..=self.options.rounds {
            let _lock = self.options.round_lock.as_deref().map(lock).transpose()?;
            self.round(round, &mut records)?;
        }
        Ok(records)
    }

    /// The command line of a contestant's server, with the run's own folders abbreviated.
    pub fn typed(&self, name: &str) -> String {
        self.typed.borrow().get(name).cloned().unwrap_or_default()
    }

    fn round(&self, round: u32, records: &mut Vec<Record>) -> Result<(), Error> {
        let mut turns = Vec::new();
        for contestant in self.field {
            turns.push(self.start(contestant)?);
        }
        if round.is_multiple_of(2) {
            turns.reverse();
        }
        for (number, workload) in Workload::ALL.into_iter().enumerate() {
            let seed = u64::from(round) * 100 + number as u64;
            for turn in turns.iter().filter(|turn| self.is_due(turn.contestant, workload)) {
                for retry in 0..=u64::from(self.options.retries) {
                    let record = self.measure(round, turn, workload, seed + (retry << 32))?;
                    say(&record, self.options.rounds);
                    let is_quiet = record.is_quiet();
                    records.push(record);
                    if is_quiet {
                        break;
                    }
                }
            }
        }
        let folders: Vec<PathBuf> = turns.iter().map(|turn| turn.stage.folder.clone()).collect();
        // Servers must end before their folders are removed.
        drop(turns);
        for folder in folders {
            std::fs::remove_dir_all(&folder)
                .map_err(|source| Error::io(format!("remove {}", folder.display()), source))?;
        }
        rustix::fs::sync();
        Ok(())
    }

    fn measure(&self, round: u32, turn: &Turn, workload: Workload, seed: u64) -> Result<Record, Error> {
        let now = || CpuTime::now(self.options.server_cpu, self.options.load_cpu);
        let before = now();
        let outcome = self.unless_interrupted(turn.load(workload, seed))?;
        Ok(Record::new(round, turn.contestant.name, workload, before.until(now()), outcome))
    }

    fn is_due(&self, contestant: &Contestant, workload: Workload) -> bool {
        let wanted = &self.options.workloads;
        contestant.workloads.contains(&workload.what) && (wanted.is_empty() || wanted.contains(&workload.what))
    }

    fn start(&self, contestant: &'static Contestant) -> Result<Turn<'_>, Error> {
        let stage = server::stage(self.options, self.work.path(), &self.mtorrent, contestant.name)?;
        let started = (contestant.start)(&stage).and_then(|server| {
            if contestant.filled {
                server.fill(self.options)?;
            }
            self.remember(contestant.name, server.child.typed());
            Ok(server)
        });
        let server = self.unless_interrupted(started)?;
        Ok(Turn { contestant, stage, server })
    }

    /// Converts a contestant's failure into a remark, unless the user interrupted.
    fn unless_interrupted<T>(&self, outcome: Result<T, Error>) -> Result<Result<T, String>, Error> {
        interrupt::check()?;
        match outcome {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            outcome => Ok(outcome.map_err(|error| self.abbreviated(&error.to_string()))),
        }
    }

    fn remember(&self, name: &'static str, typed: &str) {
        self.typed.borrow_mut().entry(name).or_insert_with(|| self.abbreviated(typed));
    }

    /// `text` with the folders of this run and of the programs replaced by short names.
    fn abbreviated(&self, text: &str) -> String {
        let mut text = text.replace(&*self.work.path().to_string_lossy(), "$WORK");
        let tools = crate::harness::program::installed("aquatic_udp");
        let folders = [(self.mtorrent.parent(), "$BIN"), (tools.as_deref().and_then(Path::parent), "$TOOLS")];
        for (folder, name) in folders {
            if let Some(folder) = folder.filter(|folder| folder.components().count() > 1) {
                text = text.replace(&*folder.to_string_lossy(), name);
            }
        }
        text
    }
}

impl Turn<'_> {
    fn load(&self, workload: Workload, seed: u64) -> Result<Figures, Error> {
        let server = self.server.as_ref().map_err(|why| Error::Contestant(why.clone()))?;
        load(server, workload, seed, &self.stage).map_err(|error| match error {
            Error::Contestant(why) => server.child.complaint(&format!("failed under load ({why})")),
            error => error,
        })
    }
}

/// Pins this process, and the threads that it starts.
fn pin(cpu: usize) -> Result<(), Error> {
    let mut cpus = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(Error::Refused(format!("there is no CPU {cpu}")));
    }
    cpus.set(cpu);
    sched_setaffinity(None, &cpus)
        .map_err(|errno| Error::Refused(format!("cannot use CPU {cpu} for the load ({errno}); name others")))
}

/// Interval between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Waits for the lock `path`, which is held as long as the file is open.
fn lock(path: &Path) -> Result<File, Error> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|source| Error::io(format!("open the lock {}", path.display()), source))?;
    loop {
        interrupt::check()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(errno) => return Err(Error::io(format!("lock {}", path.display()), errno.into())),
        }
    }
}

fn say(record: &Record, rounds: u32) {
    let Record { round, name, workload, usage, outcome } = record;
    let figures = outcome.as_ref().map_or("-".to_owned(), |figures| {
        let Figures { answers_per_s, cpu_us, server_cores, .. } = figures;
        format!("{answers_per_s:>8.0}/s {cpu_us:>6.2} us CPU, server at {:.0} %", 100.0 * server_cores)
    });
    let disturbed =
        if record.is_quiet() { String::new() } else { format!("DISTURBED: others used {:.2} CPUs", usage.others) };
    let (what, depth) = (workload.what.word(), workload.depth);
    eprintln!("round {round}/{rounds} {what:8} {depth:2} {name:16} {figures} {disturbed} {}", record.remark());
}
