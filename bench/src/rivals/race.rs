//! The rounds: every contestant in turn, each with the same cold destination and the same warm source.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::contestant::Contestant;
use super::getter;
use super::options::Options;
use super::record::{Figures, Record, Verdict};
use super::session::{Proof, Rate, Session};
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::files::make_folder;
use crate::harness::interrupt;
use crate::harness::network::Network;
use crate::harness::program;
use crate::harness::source::Source;

/// Everything that exists before the first round. Dropping it removes its folders.
#[derive(Debug)]
pub struct Race<'a> {
    options: &'a Options,
    field: &'a [&'static Contestant],
    network: &'a Network,
    mtorrent: PathBuf,
    work: TempDir,
    memory: Option<TempDir>,
    source: Source,
    typed: RefCell<BTreeMap<(&'static str, &'static str), Vec<String>>>,
}

impl<'a> Race<'a> {
    /// Makes the folders and the source.
    pub fn prepare(
        options: &'a Options,
        field: &'a [&'static Contestant],
        network: &'a Network,
    ) -> Result<Self, Error> {
        let dir = make_folder(&options.common.dir())?;
        let dir = dir.canonicalize().map_err(|source| Error::io(format!("find {}", dir.display()), source))?;
        let work = temporary_folder(&dir)?;
        need_space(&dir, 2 * options.size + (1 << 30))?;
        let memory = memory_folder(options)?;
        eprintln!("making the source, {} bytes", options.size);
        let source = Source::create(&make_folder(&work.path().join("source"))?, options.size)?;
        let mtorrent = options.mtorrent();
        Ok(Self { options, field, network, mtorrent, work, memory, source, typed: RefCell::default() })
    }

    /// Runs all rounds. A contestant that fails loses its run; the race continues.
    pub fn run(&self) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        for round in 1..=self.options.rounds {
            for control in &self.options.congestion_controls {
                self.network.set_congestion_control(control)?;
                for (contestant, sink) in self.order(round) {
                    let record = self.turn(round, control, contestant, sink)?;
                    say(&record, self.options.rounds);
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    /// The command lines of each contestant's first run by sink, with the run's own folders abbreviated.
    pub fn typed(&self, name: &str) -> Vec<(&'static str, Vec<String>)> {
        let typed = self.typed.borrow();
        typed.iter().filter(|((owner, _), _)| *owner == name).map(|((_, sink), lines)| (*sink, lines.clone())).collect()
    }

    /// The contestants of `round`: even rounds are reversed, so that no contestant always follows the same one.
    fn order(&self, round: u32) -> Vec<(&'static Contestant, Sink)> {
        let takes_part = |contestant: &&&Contestant| round <= contestant.pace.rounds(self.options);
        let has_sink = |sink: Sink| sink != Sink::Memory || self.memory.is_some();
        let mut order: Vec<(&'static Contestant, Sink)> = Vec::new();
        for sink in [Sink::Disk, Sink::Memory, Sink::Nothing] {
            let here = self.field.iter().filter(takes_part).filter(|contestant| contestant.sinks.contains(&sink));
            order.extend(here.filter(|_| has_sink(sink)).map(|contestant| (*contestant, sink)));
        }
        if round.is_multiple_of(2) {
            order.reverse();
        }
        order
    }

    fn turn(&self, round: u32, control: &str, contestant: &'static Contestant, sink: Sink) -> Result<Record, Error> {
        interrupt::check()?;
        let stage = self.stage(sink)?;
        let outcome = self.perform(contestant, &stage);
        self.clear(&stage)?;
        match outcome {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            outcome => {
                let outcome = outcome.map_err(|error| self.abbreviated(&error.to_string()));
                Ok(Record::new(round, control, contestant, sink, outcome))
            }
        }
    }

    fn stage(&self, sink: Sink) -> Result<Stage<'_>, Error> {
        let memory = self.memory.as_ref().filter(|_| sink == Sink::Memory);
        let got = memory.unwrap_or(&self.work).path().join("got");
        Ok(Stage {
            source: &self.source,
            sink,
            mtorrent: &self.mtorrent,
            scratch: make_folder(&self.work.path().join("scratch"))?,
            got: make_folder(&got)?,
        })
    }

    fn perform(&self, contestant: &'static Contestant, stage: &Stage) -> Result<Figures, Error> {
        let Session { servers, getter, end, rate, proof, peer_list } = (contestant.prepare)(stage)?;
        let source_cached = self.source.warm()?;
        if stage.sink == Sink::Memory {
            // The last step before the clock starts: the host may reclaim free memory within a second or two.
            touch_memory(&stage.got.with_file_name("touched"), self.source.length)?;
        }
        let server_cpu_s = || servers.iter().map(|server| server.cpu().all_s()).sum::<f64>();
        let before_s = server_cpu_s();
        let run = getter::run(getter, &end, contestant.name, stage)?;
        let server_cpu_s = server_cpu_s() - before_s;
        let settle_s = if let Proof::Bytes(copy) = &proof { settle(copy)? } else { 0.0 };
        self.remember(contestant.name, stage.sink, servers.iter().map(|server| server.typed()), &run.typed);
        drop((servers, peer_list));
        let verdict = self.verdict(&proof, &run.output)?;
        let bytes_per_s = match rate {
            Rate::Wall => self.source.length as f64 / run.wall_s,
            Rate::Reported(read) => read(&run.output)
                .ok_or_else(|| Error::Contestant(format!("{} printed no rate: {}", contestant.name, run.output)))?,
        };
        Ok(Figures {
            wall_s: run.wall_s,
            settle_s,
            bytes_per_s,
            getter_cpu_s: run.cpu_s,
            server_cpu_s,
            memory: run.memory,
            source_cached,
            verdict,
        })
    }

    fn verdict(&self, proof: &Proof, output: &str) -> Result<Verdict, Error> {
        Ok(match proof {
            Proof::Bytes(copy) => match self.source.difference(copy)? {
                None => Verdict::Same,
                Some(difference) => Verdict::Wrong(difference),
            },
            Proof::Hashed => Verdict::Hashed,
            Proof::Count(read) if read(output) == Some(self.source.length) => Verdict::Counted,
            Proof::Count(_) => Verdict::Wrong(format!("received {}", output.trim())),
            Proof::None => Verdict::Limit,
        })
    }

    fn remember<'b>(&self, name: &'static str, sink: Sink, servers: impl Iterator<Item = &'b str>, getter: &'b str) {
        self.typed
            .borrow_mut()
            .entry((name, sink.word()))
            .or_insert_with(|| servers.chain([getter]).map(|line| self.abbreviated(line)).collect());
    }

    /// `text` with the folders of this run and of the programs replaced by short names.
    fn abbreviated(&self, text: &str) -> String {
        let mut text = text.replace(&*self.work.path().to_string_lossy(), "$WORK");
        if let Some(memory) = &self.memory {
            text = text.replace(&*memory.path().to_string_lossy(), "$MEMORY");
        }
        let own = std::env::current_exe().unwrap_or_default();
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let tools = program::installed("rqbit");
        let folders = [
            (self.mtorrent.parent(), "$BIN"),
            (own.parent(), "$BIN"),
            (tools.as_deref().and_then(Path::parent), "$TOOLS"),
            (home.as_deref(), "~"),
        ];
        for (folder, name) in folders {
            if let Some(folder) = folder.filter(|folder| folder.components().count() > 1) {
                text = text.replace(&*folder.to_string_lossy(), name);
            }
        }
        text
    }

    /// Removes all traces of a run, in the folders and in the disk's queue.
    fn clear(&self, stage: &Stage) -> Result<(), Error> {
        for folder in [&stage.got, &stage.scratch] {
            std::fs::remove_dir_all(folder)
                .map_err(|source| Error::io(format!("remove {}", folder.display()), source))?;
        }
        // aria2 may leave its control files beside the source.
        let seed = std::fs::read_dir(stage.seed()).into_iter().flatten().flatten();
        for entry in seed.filter(|entry| entry.path() != self.source.path) {
            let _ = std::fs::remove_file(entry.path());
        }
        rustix::fs::sync();
        Ok(())
    }
}

/// Seconds that fsync of `copy` takes; 0 if the file does not exist, which the comparison will report.
fn settle(copy: &Path) -> Result<f64, Error> {
    let start = Instant::now();
    match File::open(copy) {
        Ok(file) => file.sync_all().map_err(|source| Error::io(format!("sync {}", copy.display()), source))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::io(format!("open {}", copy.display()), source)),
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Writes as much memory as a copy needs and frees it: on a virtual machine the first access to a page takes longer
/// than everything else, and no contestant should be charged for it.
fn touch_memory(path: &Path, bytes: u64) -> Result<(), Error> {
    let fail = |source| Error::io(format!("write {}", path.display()), source);
    let block = vec![1; 1 << 20];
    let mut file = File::create(path).map_err(fail)?;
    for _ in 0..bytes.div_ceil(block.len() as u64) {
        interrupt::check()?;
        file.write_all(&block).map_err(fail)?;
    }
    std::fs::remove_file(path).map_err(fail)
}

fn temporary_folder(dir: &Path) -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("rivals-")
        .tempdir_in(dir)
        .map_err(|source| Error::io(format!("make a folder in {}", dir.display()), source))
}

fn need_space(dir: &Path, bytes: u64) -> Result<(), Error> {
    let free = free_bytes(dir)?;
    if free >= bytes {
        return Ok(());
    }
    Err(Error::Refused(format!("{} has {free} bytes free and the run needs {bytes}", dir.display())))
}

fn free_bytes(dir: &Path) -> Result<u64, Error> {
    let space = rustix::fs::statvfs(dir)
        .map_err(|errno| Error::io(format!("ask for the space in {}", dir.display()), errno.into()))?;
    Ok(space.f_bavail * space.f_frsize)
}

/// A folder on the tmpfs; `None`, with a message, if it is not a tmpfs or memory is too small for a copy.
fn memory_folder(options: &Options) -> Result<Option<TempDir>, Error> {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let dir = &options.memory_dir;
    let is_tmpfs = rustix::fs::statfs(dir).is_ok_and(|found| found.f_type == TMPFS_MAGIC);
    let needed = options.size + (256 << 20);
    let available = available_memory_bytes();
    if !is_tmpfs || free_bytes(dir)? < needed || available < options.size + needed {
        eprintln!(
            "rivals: no copies to memory: they need a tmpfs (--memory-dir) with {needed} bytes and, with the source \
             cached, {} bytes of memory; there are {available}",
            options.size + needed
        );
        return Ok(None);
    }
    temporary_folder(dir).map(Some)
}

fn available_memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn say(record: &Record, rounds: u32) {
    let (verdict, remark) = record.verdict();
    let rate = record.outcome.as_ref().map_or("-".to_owned(), |figures| format!("{:.3}", figures.bytes_per_s / 1e9));
    let Record { round, control, name, sink, .. } = record;
    eprintln!("round {round}/{rounds} {control:6} {name:14} {:8} {rate:>6} GB/s  {verdict} {remark}", sink.word());
}
