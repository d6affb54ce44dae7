//! The rounds: every row in turn, and in it every contestant on newly created nodes of the same kind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use tempfile::TempDir;

use super::contestant::Contestant;
use super::options::Options;
use super::record::{CPU_BOUND, Record};
use super::row::Row;
use super::stage::Stage;
use super::turn;
use crate::harness::files::make_folder;
use crate::harness::options::workspace;
use crate::harness::source::Source;
use crate::harness::{Error, interrupt};

/// Prefix of every run's folder, by which left-overs of a killed run are recognized.
const PREFIX: &str = "mtorrent-swarm-run-";

/// Everything that exists before the first round. Dropping it removes its folder.
#[derive(Debug)]
pub struct Race<'a> {
    options: &'a Options,
    field: &'a [Contestant],
    work: TempDir,
    sources: BTreeMap<u64, Source>,
    typed: RefCell<BTreeMap<String, Vec<String>>>,
}

impl<'a> Race<'a> {
    /// Creates the folder and a source of each size.
    pub fn prepare(options: &'a Options, field: &'a [Contestant]) -> Result<Self, Error> {
        let dir = make_folder(&options.common.dir())?;
        let dir = dir.canonicalize().map_err(|source| Error::io(format!("find {}", dir.display()), source))?;
        remove_left_overs(&dir);
        let work = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&dir);
        let work = work.map_err(|source| Error::io(format!("make a folder in {}", dir.display()), source))?;
        let rows = options.rows();
        let needed = rows.iter().map(|row| (row.getters as u64 + 1) * row.size).max().unwrap_or(0);
        need_space(&dir, needed + (1 << 30))?;
        let mut sources = BTreeMap::new();
        for row in &rows {
            if let Entry::Vacant(entry) = sources.entry(row.size) {
                let folder = make_folder(&work.path().join(format!("source-{}", row.size)))?;
                entry.insert(Source::create(&folder, row.size)?);
            }
        }
        Ok(Self { options, field, work, sources, typed: RefCell::default() })
    }

    /// Runs all rounds. A contestant that fails loses its turn; the race continues. The results so far are passed to
    /// `report` after every row.
    pub fn run(&self, mut report: impl FnMut(&[Record])) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        for round in 1..=self.options.rounds {
            for row in self.options.rows() {
                let mut order: Vec<&Contestant> =
                    self.field.iter().filter(|contestant| contestant.takes_part(row.variant)).collect();
                // Even rounds are reversed, so that no contestant always follows the same one.
                if round.is_multiple_of(2) {
                    order.reverse();
                }
                for contestant in order {
                    let record = self.turn(round, row, contestant)?;
                    say(&record, self.options.rounds);
                    records.push(record);
                }
                report(&records);
            }
        }
        Ok(records)
    }

    /// The command lines of each contestant's first turn, with the run's own folders abbreviated.
    pub fn typed(&self, name: &str) -> Vec<String> {
        self.typed.borrow().get(name).cloned().unwrap_or_default()
    }

    fn turn(&self, round: u32, row: Row, contestant: &Contestant) -> Result<Record, Error> {
        interrupt::check()?;
        let folder = make_folder(&self.work.path().join("turn"))?;
        let source = self.sources.get(&row.size).ok_or_else(|| Error::Refused("a row without a source".to_owned()))?;
        let outcome =
            Stage::new(self.options, row, source, folder.clone()).and_then(|stage| turn::run(&stage, contestant));
        let outcome = match outcome {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            outcome => outcome.map_err(|error| self.abbreviated(&error.to_string(), contestant)),
        };
        if let Ok(figures) = &outcome {
            let lines = || figures.typed.iter().map(|line| self.abbreviated(line, contestant)).collect();
            self.typed.borrow_mut().entry(contestant.name.clone()).or_insert_with(lines);
        }
        let record = Record { round, row, name: contestant.name.clone(), outcome };
        if let Some(logs) = &self.options.keep_logs {
            turn::keep_logs(&folder, &logs.join(format!("{round}-{row}-{}", contestant.name)))?;
        }
        self.clear(&folder, source)?;
        Ok(record)
    }

    /// Removes all traces of a turn, in the folders and in the disk's queue.
    fn clear(&self, folder: &Path, source: &Source) -> Result<(), Error> {
        std::fs::remove_dir_all(folder).map_err(|source| Error::io(format!("remove {}", folder.display()), source))?;
        // aria2 may leave its control files beside the source.
        let beside = source.path.parent().map(std::fs::read_dir).into_iter().flatten().flatten().flatten();
        for entry in beside.filter(|entry| entry.path() != source.path) {
            let _ = std::fs::remove_file(entry.path());
        }
        rustix::fs::sync();
        Ok(())
    }

    /// `text` with the folders of this run and of the programs replaced by short names.
    fn abbreviated(&self, text: &str, contestant: &Contestant) -> String {
        let own = std::env::current_exe().unwrap_or_default();
        let text = text.replace(&*self.work.path().to_string_lossy(), "$WORK");
        let folders = [(contestant.program.parent(), "$BIN"), (own.parent(), "$BIN"), (Some(workspace()), ".")];
        let folders = folders.into_iter().filter_map(|(folder, name)| Some((folder?, name)));
        let is_long = |folder: &Path| folder.components().count() > 1;
        folders
            .filter(|(folder, _)| is_long(folder))
            .fold(text, |text, (folder, name)| text.replace(&*folder.to_string_lossy(), name))
    }
}

/// Removes the folders of killed runs: no other run is active, because this one holds the machine's lock.
fn remove_left_overs(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        eprintln!("removing {}, which a run that was killed left", entry.path().display());
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

fn need_space(dir: &Path, bytes: u64) -> Result<(), Error> {
    let space = rustix::fs::statvfs(dir)
        .map_err(|errno| Error::io(format!("ask for the space in {}", dir.display()), errno.into()))?;
    let free = space.f_bavail * space.f_frsize;
    if free >= bytes {
        return Ok(());
    }
    Err(Error::Refused(format!("{} has {free} bytes free and the run needs {bytes}", dir.display())))
}

fn say(record: &Record, rounds: u32) {
    let Record { round, row, name, outcome } = record;
    let figures = outcome.as_ref().map_or("-".to_owned(), |figures| {
        let bound = if figures.busy > CPU_BOUND { " CPU-BOUND" } else { "" };
        format!(
            "{:5.2} x ideal (last {:.2} s, median {:.2} s), {:.2} copies, CPU {:.0} %{bound}, {:.2} s/GB, {}/{} right",
            record.ratio(),
            figures.last_s(),
            figures.median_s(),
            figures.seeder_sent,
            100.0 * figures.busy,
            figures.own_cpu_s / record.moved_gb(),
            figures.right(),
            row.getters
        )
    });
    eprintln!("round {round}/{rounds} {row:28} {name:12} {figures} {}", record.remark());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_left_overs_of_the_harness_are_removed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (ours, other) = (dir.path().join(format!("{PREFIX}x")), dir.path().join("swarm"));
        for folder in [&ours, &other] {
            std::fs::create_dir(folder).expect("a folder");
        }
        remove_left_overs(dir.path());
        assert!(!ours.exists() && other.exists());
    }
}
