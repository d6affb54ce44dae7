//! One turn: the seeder is ready, the getters start, and everything is watched until all are done.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::bad_peers;
use super::contestant::{Contestant, Servers};
use super::getter::Getter;
use super::mtorrent;
use super::record::Figures;
use super::row::Variant;
use super::stage::Stage;
use super::usage::Usage;
use crate::harness::child::Child;
use crate::harness::program::own_program;
use crate::harness::{Error, interrupt, process_tree};

/// Interval at which the getters are checked: a time is too long by this at most.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Interval at which their memory is sampled.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// An active turn. Dropping it ends all its processes.
struct Turn<'a> {
    stage: &'a Stage<'a>,
    contestant: &'a Contestant,
    servers: Servers,
    getters: Vec<Getter>,
    start: Instant,
    memory_at: Instant,
    is_restart_due: bool,
    /// Ends when every chunk is on some getter; then the seeder is killed.
    chunks: Option<Child>,
    seeder_died_s: Option<f64>,
}

/// Runs the turn of `contestant`.
pub fn run(stage: &Stage, contestant: &Contestant) -> Result<Figures, Error> {
    let mut servers = (contestant.kind.serve)(stage, contestant)?;
    if stage.row.variant == Variant::Bad {
        bad_peers::start(stage, &mut servers)?;
    }
    stage.source.warm()?;
    rustix::fs::sync();
    let start = Instant::now();
    let mut turn = Turn {
        stage,
        contestant,
        servers,
        getters: Vec::new(),
        start,
        memory_at: start,
        is_restart_due: stage.row.variant == Variant::Restart,
        chunks: None,
        seeder_died_s: None,
    };
    let sent_before = stage.seeder().sent_bytes()?;
    let cpu_before_s = turn.servers_cpu_s();
    let before = Usage::now();
    turn.watch()?;
    let used = Usage::now().since(before);
    let own_cpu_s = turn.servers_cpu_s() - cpu_before_s + turn.getters.iter().map(Getter::cpu_s).sum::<f64>();
    let sent_bytes = stage.seeder().sent_bytes()? - sent_before;
    turn.end();
    let getters = turn.getters.iter().map(|getter| getter.figures(stage, contestant)).collect::<Result<Vec<_>, _>>()?;
    Ok(Figures {
        typed: turn.typed(),
        seeder_sent: sent_bytes / stage.source.length as f64,
        busy: used.busy,
        machine_cpu_s: used.cpu_s,
        own_cpu_s,
        seeder_died_s: turn.seeder_died_s,
        getters,
    })
}

impl Turn<'_> {
    /// Starts the getters when they are due and waits until all are done.
    fn watch(&mut self) -> Result<(), Error> {
        let deadline = self.start + self.stage.row.patience();
        loop {
            interrupt::check()?;
            self.start_due()?;
            self.act()?;
            for getter in &mut self.getters {
                getter.look(self.start)?;
            }
            let is_complete = self.getters.len() == self.stage.row.getters;
            if is_complete && self.getters.iter().all(Getter::is_over) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Ok(());
            }
            self.look_at_memory();
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Starts the getters that are due.
    fn start_due(&mut self) -> Result<(), Error> {
        while self.getters.len() < self.stage.row.getters {
            let number = self.getters.len();
            if self.start.elapsed() < self.starts_after(number) {
                return Ok(());
            }
            let plan = (self.contestant.kind.getter)(self.stage, self.contestant, &self.servers, number)?;
            self.getters.push(Getter::start(plan, number, self.start, &self.stage.folder)?);
        }
        Ok(())
    }

    fn starts_after(&self, number: usize) -> Duration {
        match (self.stage.row.variant, self.stage.row.ideal_s()) {
            (Variant::Staggered, Some(ideal_s)) => {
                Duration::from_secs_f64(ideal_s / 2.0 * number as f64 / self.stage.row.getters as f64)
            }
            _ => Duration::ZERO,
        }
    }

    /// Causes the faults of the variant.
    fn act(&mut self) -> Result<(), Error> {
        let half = Duration::from_secs_f64(self.stage.row.ideal_s().unwrap_or(4.0) / 2.0);
        if self.is_restart_due && self.start.elapsed() > half {
            self.is_restart_due = false;
            for number in 0..self.stage.row.quarter() {
                let plan = (self.contestant.kind.getter)(self.stage, self.contestant, &self.servers, number)?;
                self.getters[number].restart(plan, &self.stage.folder)?;
            }
        }
        self.kill_seeder()
    }

    /// Kills the seeder as soon as every chunk is on some getter.
    fn kill_seeder(&mut self) -> Result<(), Error> {
        let is_started = self.getters.len() == self.stage.row.getters;
        if self.stage.row.variant != Variant::SeederDies || self.seeder_died_s.is_some() || !is_started {
            return Ok(());
        }
        let Some(chunks) = &mut self.chunks else {
            let mut command = self.stage.tracker().command(own_program()?);
            command.arg("chunks").arg("--metainfo").args(&self.servers.metainfo);
            for number in 0..self.stage.row.getters {
                command.args(["--peer", &mtorrent::endpoint(self.stage.getter(number))]);
            }
            self.chunks = Some(Child::spawn(command, "chunks", &self.stage.folder)?);
            return Ok(());
        };
        if let Some(ended) = chunks.wait_for(Duration::ZERO)? {
            if !ended.status.success() {
                return Err(chunks.complaint(&format!("ended with {}", ended.status)));
            }
            self.servers.seeder.signal(Signal::KILL);
            self.seeder_died_s = Some(self.start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    fn look_at_memory(&mut self) {
        if self.memory_at.elapsed() < MEMORY_INTERVAL {
            return;
        }
        self.memory_at = Instant::now();
        for getter in &mut self.getters {
            getter.memory = getter.memory.max(process_tree::memory(getter.child.id()));
        }
    }

    fn servers_cpu_s(&self) -> f64 {
        let servers = self.servers.others.iter().chain([&self.servers.seeder]);
        servers.map(|server| server.cpu().all_s()).sum()
    }

    /// Ends all processes at the same time.
    fn end(&mut self) {
        let children = || self.getters.iter().map(|getter| &getter.child);
        let servers = self.servers.others.iter().chain([&self.servers.seeder]);
        children().chain(servers).for_each(|child| child.signal(Signal::TERM));
        self.getters.iter_mut().for_each(|getter| getter.child.end());
        self.servers.others.iter_mut().chain(&mut self.chunks).for_each(Child::end);
        self.servers.seeder.end();
    }

    fn typed(&self) -> Vec<String> {
        let servers = self.servers.others.iter().chain([&self.servers.seeder]);
        servers.chain(self.getters.first().map(|getter| &getter.child)).map(|child| child.typed().to_owned()).collect()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps the output of getters and servers of a failed turn; returns its path.
pub fn keep_logs(folder: &std::path::Path, to: &std::path::Path) -> Result<PathBuf, Error> {
    let fail = |source| Error::io(format!("keep logs in {}", to.display()), source);
    std::fs::create_dir_all(to).map_err(fail)?;
    for entry in std::fs::read_dir(folder).map_err(fail)?.flatten() {
        let is_log = entry.path().extension().is_some_and(|extension| extension == "out" || extension == "err");
        if is_log {
            std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(fail)?;
        }
    }
    Ok(to.to_owned())
}
