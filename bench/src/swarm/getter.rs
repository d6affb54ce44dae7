//! One getter of a turn. Its pipe and its /proc are read only as needed, so that watching 32 of them takes no visible
//! share of the two CPUs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::contestant::{Contestant, Done, GetterPlan};
use super::record::GetterFigures;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::process_tree::Memory;

/// A getter that was started.
#[derive(Debug)]
pub struct Getter {
    /// The process.
    pub child: Child,
    /// Largest memory sampled.
    pub memory: Memory,
    number: usize,
    done: Done,
    copy: Option<PathBuf>,
    output: Output,
    /// Start, after the turn's start, seconds.
    started_s: f64,
    /// Completion, after the turn's start, seconds.
    done_s: Option<f64>,
    failure: Option<String>,
    restarts: u32,
    /// CPU seconds of the killed processes.
    lost_cpu_s: f64,
}

impl Getter {
    /// Starts the getter. `turn_start` is the time at which the turn's clock started.
    pub fn start(plan: GetterPlan, number: usize, turn_start: Instant, logs: &Path) -> Result<Self, Error> {
        let started_s = turn_start.elapsed().as_secs_f64();
        let GetterPlan { command, done, copy } = plan;
        let child = Child::spawn(command, &format!("getter-{number}"), logs)?;
        let output = Output::of(&child)?;
        Ok(Self {
            child,
            memory: Memory::default(),
            number,
            done,
            copy,
            output,
            started_s,
            done_s: None,
            failure: None,
            restarts: 0,
            lost_cpu_s: 0.0,
        })
    }

    /// Kills the getter without warning and restarts it; its clock continues.
    pub fn restart(&mut self, plan: GetterPlan, logs: &Path) -> Result<(), Error> {
        self.lost_cpu_s += self.child.cpu().all_s();
        self.child.signal(Signal::KILL);
        self.child.end();
        self.restarts += 1;
        self.child = Child::spawn(plan.command, &format!("getter-{}-again", self.number), logs)?;
        self.output = Output::of(&self.child)?;
        Ok(())
    }

    /// Checks whether the getter is done, or has ended without being done.
    pub fn look(&mut self, turn_start: Instant) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        // It may have ended after its last line, so the end is checked first.
        let ended = self.child.wait_for(Duration::ZERO)?;
        if self.says_done()? {
            self.done_s = Some(turn_start.elapsed().as_secs_f64());
        } else if let Some(ended) = ended {
            self.failure = Some(self.child.complaint(&format!("ended with {}", ended.status)).to_string());
        }
        Ok(())
    }

    /// True once it is done or has failed.
    pub fn is_over(&self) -> bool {
        self.done_s.is_some() || self.failure.is_some()
    }

    /// CPU seconds so far.
    pub fn cpu_s(&self) -> f64 {
        self.lost_cpu_s + self.child.used_s()
    }

    /// The getter's figures, once it has ended: its copy is compared with the source.
    pub fn figures(&self, stage: &Stage, contestant: &Contestant) -> Result<GetterFigures, Error> {
        let mut failure = self.failure.clone();
        if failure.is_none() && self.done_s.is_none() {
            failure = Some(self.child.complaint("was not done in time").to_string());
        }
        if let (None, Some(copy)) = (&failure, &self.copy) {
            failure = stage.source.difference(copy)?;
        }
        let received = if contestant.is_ours() { received(&self.child.output()) } else { BTreeMap::new() };
        Ok(GetterFigures {
            number: self.number,
            is_slow: stage.row.getter_caps()[self.number] != stage.row.cap,
            started_s: self.started_s,
            done_s: self.done_s,
            failure,
            restarts: self.restarts,
            memory: self.memory,
            received,
        })
    }

    fn says_done(&mut self) -> Result<bool, Error> {
        match &self.done {
            Done::Marker(marker) => Ok(marker.exists()),
            Done::Line(text) => self.output.has_line(text),
        }
    }
}

/// A getter's output so far, each byte read once.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    /// The start of the incomplete last line.
    rest: String,
}

impl Output {
    fn of(child: &Child) -> Result<Self, Error> {
        let path = child.stdout().to_owned();
        let file = File::open(&path).map_err(|source| Error::io(format!("open {}", path.display()), source))?;
        Ok(Self { file, path, rest: String::new() })
    }

    /// True if a complete line received since the last call contains `text`.
    fn has_line(&mut self, text: &str) -> Result<bool, Error> {
        let mut new = Vec::new();
        let read = self.file.read_to_end(&mut new);
        read.map_err(|source| Error::io(format!("read {}", self.path.display()), source))?;
        if new.is_empty() {
            return Ok(false);
        }
        self.rest += &String::from_utf8_lossy(&new);
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let found = self.rest[..whole].lines().any(|line| line.contains(text));
        self.rest.drain(..whole);
        Ok(found)
    }
}

/// Bytes by address of the sender, according to a getter's last object.
fn received(output: &str) -> BTreeMap<String, u64> {
    let mut ended = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ended = ended.rfind(|object| object["event"] == "ended").unwrap_or_default();
    let mut received = BTreeMap::new();
    for peer in ended["fetched_from"].as_array().into_iter().flatten() {
        let endpoint = peer["endpoint"].as_str().unwrap_or_default();
        let address = endpoint.rsplit_once(':').map_or(endpoint, |(address, _)| address);
        *received.entry(address.to_owned()).or_default() += peer["bytes"].as_u64().unwrap_or(0);
    }
    received
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_added_up_by_address() {
        let output = "{\"event\":\"progress\"}\nnoise\n{\"event\":\"ended\",\"fetched_from\":[\
                      {\"endpoint\":\"10.0.0.1:7\",\"bytes\":5},{\"endpoint\":\"10.0.0.1:8\",\"bytes\":6},\
                      {\"endpoint\":\"10.0.0.2:7\",\"bytes\":1}]}\n";
        let received = received(output);
        assert_eq!(received, BTreeMap::from([("10.0.0.1".to_owned(), 11), ("10.0.0.2".to_owned(), 1)]));
        assert!(super::received("").is_empty());
    }

    #[test]
    fn a_line_counts_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        std::fs::write(&path, "one\nto").expect("a file");
        let mut output = Output { file: File::open(&path).expect("a file"), path: path.clone(), rest: String::new() };
        assert!(output.has_line("one").expect("a read"));
        assert!(!output.has_line("to").expect("a read"));
        std::fs::write(&path, "one\ntold\n").expect("a file");
        assert!(output.has_line("told").expect("a read"));
    }
}
